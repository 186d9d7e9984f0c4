"""Names the parts of a mask decoder: the modules that the fast decoder reads its weights from.

Two builds are known: segment_anything's MaskDecoder, and transformers' Sam2MaskDecoder (SAM 2 and
2.1; EdgeTAM's is the same under its own name), which has one token more, for the object score, and
adds finer features while it enlarges.

Letters in shapes, here and in `decoder`: B prompts, n tokens a prompt, N image tokens, C channels,
H heads of d channels each.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from segment_anything.modeling import MaskDecoder
from torch import Tensor, cat, nn

SAM2_DECODERS = ("Sam2MaskDecoder", "EdgeTamMaskDecoder")
OnTokens = Callable[..., Tensor]  # a module that is used as it is, on a handful of tokens


@dataclass(frozen=True, slots=True)
class Attention:
    """One attention's projections."""

    q: nn.Linear
    k: nn.Linear
    v: nn.Linear
    out: nn.Linear
    heads: int

    @classmethod
    def of(cls, module: Any) -> Attention:
        """The projections of upstream's Attention (segment_anything/modeling/transformer.py)."""
        return cls(module.q_proj, module.k_proj, module.v_proj, module.out_proj, module.num_heads)

    @classmethod
    def of_sam2(cls, module: Any) -> Attention:
        """The projections of Sam2Attention (transformers/models/sam2/modeling_sam2.py)."""
        heads = module.num_attention_heads
        return cls(module.q_proj, module.k_proj, module.v_proj, module.o_proj, heads)


@dataclass(frozen=True, slots=True)
class TwoWayLayer:
    """One two-way layer: the tokens' own part, and both directions between tokens and image."""

    itself: OnTokens
    to_image: Attention
    to_tokens: Attention
    norms: tuple[nn.LayerNorm, nn.LayerNorm, nn.LayerNorm]
    image_norm: nn.LayerNorm
    mlp: OnTokens

    @classmethod
    def of(cls, module: Any) -> TwoWayLayer:
        """The parts of upstream's TwoWayAttentionBlock."""
        return cls(
            module.self_attn,
            Attention.of(module.cross_attn_token_to_image),
            Attention.of(module.cross_attn_image_to_token),
            (module.norm1, module.norm2, module.norm3),
            module.norm4,
            module.mlp,
        )

    @classmethod
    def of_sam2(cls, module: Any) -> TwoWayLayer:
        """The parts of Sam2TwoWayAttentionBlock."""
        return cls(
            partial(_attend_as_sam2, module.self_attn),
            Attention.of_sam2(module.cross_attn_token_to_image),
            Attention.of_sam2(module.cross_attn_image_to_token),
            (module.layer_norm1, module.layer_norm2, module.layer_norm3),
            module.layer_norm4,
            module.mlp,
        )


@dataclass(frozen=True, slots=True)
class DecoderParts:
    """A whole mask decoder.

    `tokens` (t, C) are, from `iou_at` on: predicted IoU, the single mask, the three masks. SAM 2
    has the object score's before them, which the automatic masks of upstream never read.
    """

    tokens: Tensor
    iou_at: int
    first: TwoWayLayer
    second: TwoWayLayer
    final: Attention
    final_norm: nn.LayerNorm
    iou_head: OnTokens
    mask_heads: tuple[OnTokens, ...]
    upscaling: Any  # transposed convolution, norm, activation, transposed convolution, activation

    @classmethod
    def of(cls, module: Any) -> DecoderParts:
        """The parts of upstream's MaskDecoder (segment_anything/modeling/mask_decoder.py).

        Those of transformers' Sam2MaskDecoder when the module is one.
        """
        if is_sam2(module):
            return cls.of_sam2(module)
        transformer = module.transformer
        first, second = transformer.layers
        return cls(
            cat([module.iou_token.weight, module.mask_tokens.weight]),
            0,
            TwoWayLayer.of(first),
            TwoWayLayer.of(second),
            Attention.of(transformer.final_attn_token_to_image),
            transformer.norm_final_attn,
            module.iou_prediction_head,
            tuple(module.output_hypernetworks_mlps[1:]),
            module.output_upscaling,
        )

    @classmethod
    def of_sam2(cls, module: Any) -> DecoderParts:
        """The parts of Sam2MaskDecoder (transformers/models/sam2/modeling_sam2.py)."""
        transformer, act = module.transformer, module.activation
        first, second = transformer.layers
        tokens = (module.obj_score_token, module.iou_token, module.mask_tokens)
        return cls(
            cat([token.weight for token in tokens]),
            1,
            TwoWayLayer.of_sam2(first),
            TwoWayLayer.of_sam2(second),
            Attention.of_sam2(transformer.final_attn_token_to_image),
            transformer.layer_norm_final_attn,
            module.iou_prediction_head,
            tuple(module.output_hypernetworks_mlps[1:]),
            (module.upscale_conv1, module.upscale_layer_norm, act, module.upscale_conv2, act),
        )


def is_known_decoder(module: Any) -> bool:
    """Whether a mask decoder is one whose parts are known here: SAM's or SAM 2's, of two layers."""
    known = type(module) is MaskDecoder or is_sam2(module)
    return known and len(module.transformer.layers) == 2


def is_sam2(module: Any) -> bool:
    """Whether a module is SAM 2's decoder in transformers; told by name, so nothing is imported."""
    kind = type(module)
    return kind.__name__ in SAM2_DECODERS and kind.__module__.startswith("transformers.")


def _attend_as_sam2(attention: Any, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Sam2Attention on (B, n, C): it wants pictures x prompts and gives its weights back too."""
    answer: Tensor = attention(query=query[None], key=key[None], value=value[None])[0][0]
    return answer


def split_heads(x: Tensor, heads: int) -> Tensor:
    """(B, n, H d) as (H, B n, d), so that what all prompts share meets them in one product."""
    return x.reshape(-1, heads, x.shape[-1] // heads).transpose(0, 1)


def join_heads(x: Tensor, prompts: int) -> Tensor:
    """(H, B n, d) as (B, n, H d)."""
    heads, rows, depth = x.shape
    return x.transpose(0, 1).reshape(prompts, rows // prompts, heads * depth)


def by_prompt(x: Tensor, prompts: int) -> Tensor:
    """(H, B n, m) as (B, H n, m)."""
    heads, _, width = x.shape
    return x.reshape(heads, prompts, -1, width).transpose(0, 1).reshape(prompts, -1, width)


def by_head(x: Tensor, heads: int) -> Tensor:
    """(B, H n, m) as (H, B n, m)."""
    prompts, _, width = x.shape
    return x.reshape(prompts, heads, -1, width).transpose(0, 1).reshape(heads, -1, width)


def softmax_over_tokens(scores: Tensor, heads: int) -> Tensor:
    """Softmax of (B, H n, N) over the n tokens of each head."""
    prompts, rows, width = scores.shape
    return scores.view(prompts, heads, rows // heads, width).softmax(2).view_as(scores)
