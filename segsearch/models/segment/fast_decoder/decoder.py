"""Turns point prompts into mask logits as SAM's mask decoder does, computing nothing twice.

It covers the case without a mask prompt, where every prompt of a picture starts from the same
image tokens, and reads the weights of an ordinary module: segment_anything's MaskDecoder
(modeling/mask_decoder.py, transformer.py), or transformers' Sam2MaskDecoder for SAM 2 and 2.1.
There is no second set of weights.

Upstream carries N image tokens of C channels through both layers for every prompt. They differ
from what all prompts share by a sum of few vectors, so here they are never written out:

    image tokens = lead * base + mix^T told

with `base` (N, C) shared, `lead` (B, N) one number a token, and `mix` (B, r, N), `told` (B, r, C)
of the low rank r = H n after layer 1 and 2 H n + 1 after layer 2. Whatever is linear in the tokens
is computed from these parts; layer norm needs their mean and variance only (`normalised`).
Letters in shapes are those of `parts`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from segsearch.models.segment.fast_decoder.image_terms import (
    ImageBase,
    KeysAndValues,
    Projection,
    SharedTerms,
    centred,
    compute_shared_terms,
    out_weights,
)
from segsearch.models.segment.fast_decoder.parts import (
    Attention,
    DecoderParts,
    TwoWayLayer,
    by_head,
    by_prompt,
    join_heads,
    softmax_over_tokens,
    split_heads,
)
from segsearch.models.segment.fast_decoder.upscale import Upscaler, in_picture_order

# A CPU is fastest while a step's numbers stay in its cache, a GPU while it has much to do at once.
ATTENTION_BYTES = {"cpu": 8 << 20, "cuda": 2 << 30}
UPSCALING_BYTES = {"cpu": 2 << 20, "cuda": 4 << 30}

# A decoder bound to one encoded picture: prompts (B, m, C) and a least predicted IoU to logits
# (k, h, w) and predicted IoU (k,).
Decode = Callable[[Tensor, float], tuple[Tensor, Tensor]]


@dataclass(frozen=True, slots=True)
class ImageTokens:
    """The image tokens of B prompts in low rank, `lead * base + mix^T told`; the base is shared."""

    lead: Tensor
    mix: Tensor
    told: Tensor


class ExactDecoder:
    """The mask decoder of a SAM or SAM 2, for prompts without masks."""

    def __init__(self, module: Any) -> None:
        self._parts = DecoderParts.of(module)
        self._upscaler = Upscaler.of(self._parts.upscaling)

    def prepare(
        self,
        embedding: Tensor,
        place: Tensor,
        no_mask: Tensor,
        *,
        details: tuple[Tensor, Tensor] | None = None,
    ) -> SharedTerms:
        """Work done once a picture.

        `embedding` and `place` are (1, C, gh, gw), `no_mask` (1, C) is added to every image
        token, as the prompt encoder's dense embedding without a mask prompt is. SAM 2 wants its
        high-resolution features too, already through conv_s0 and conv_s1, finest first: `details`
        (1, C/8, 4 gh, 4 gw) and (1, C/4, 2 gh, 2 gw).
        """
        return compute_shared_terms(
            self._parts, self._upscaler, (embedding, place, no_mask), details
        )

    def decode(self, shared: SharedTerms, prompts: Tensor, min_iou: float) -> tuple[Tensor, Tensor]:
        """Logits (k, 4 gh, 4 gw) and predicted IoU (k,) of the masks above `min_iou`, by prompt.

        `prompts` (B, m, C) are the prompt encoder's sparse embeddings. Each prompt has three
        masks; the fourth, for prompts that mean one thing only, is left out.
        """
        if not len(prompts):
            rows, columns = shared.grid
            return prompts.new_empty(0, 4 * rows, 4 * columns), prompts.new_empty(0)
        ranks = 2 * self._parts.final.heads * (self._parts.tokens.shape[0] + prompts.shape[1])
        step = _affordable(ATTENTION_BYTES, 4 * ranks * shared.lifted.shape[0], prompts.device)
        parts = [
            self._decode_chunk(shared, prompts[start : start + step], min_iou)
            for start in range(0, prompts.shape[0], step)
        ]
        logits, predicted_iou = zip(*parts, strict=True)
        return torch.cat(logits), torch.cat(predicted_iou)

    def _decode_chunk(
        self, shared: SharedTerms, prompts: Tensor, min_iou: float
    ) -> tuple[Tensor, Tensor]:
        """Predicted IoU first: prompts whose masks all fail never reach the up-convolutions."""
        parts = self._parts
        tokens = torch.cat([parts.tokens.expand(prompts.shape[0], -1, -1), prompts], dim=1)
        queries, image, values = first_layer(parts.first, shared, tokens)
        queries, image = second_layer(parts, shared, (tokens, queries), image, values)
        last = _tokens_read(queries + tokens, parts.iou_at)
        seen = attend_to_image(parts.final, last, image, shared.final)
        queries = parts.final_norm(_tokens_read(queries, parts.iou_at) + seen)
        predicted_iou = parts.iou_head(queries[:, 0])[:, 1:]
        passing = predicted_iou > min_iou  # (B, 3)
        some = passing.any(1).nonzero()[:, 0]
        hyper = torch.stack(
            [head(queries[some, 1 + index]) for index, head in enumerate(parts.mask_heads)], dim=1
        )
        chosen = ImageTokens(image.lead[some], image.mix[some], image.told[some])
        logits = self._upscaled(shared, chosen, hyper)
        return logits[passing[some]], predicted_iou[passing]

    def _upscaled(self, shared: SharedTerms, image: ImageTokens, hyper: Tensor) -> Tensor:
        """Logits (B, 3, 4 gh, 4 gw) of B prompts and their masks' vectors `hyper` (B, 3, C/8)."""
        (prompts, tokens), width = image.lead.shape, shared.lifted.shape[1]
        told = image.told @ self._upscaler.first  # (B, r, 4 C/4)
        step = _affordable(UPSCALING_BYTES, 4 * 4 * width, hyper.device)  # tokens at a time
        products = hyper.new_empty(prompts, hyper.shape[1], 16 * tokens)
        several = max(1, step // tokens)
        for first in range(0, prompts, several):
            some = slice(first, first + several)
            for start in range(0, tokens, step):
                part = slice(start, start + step)
                lifted = self._lifted(shared, image, told, (some, part))
                products[some, :, 16 * start : 16 * (start + step)] = self._upscaler.products(
                    lifted, hyper[some], None if shared.fine is None else shared.fine[part]
                )
        return in_picture_order(products, shared.grid)

    def _lifted(
        self, shared: SharedTerms, image: ImageTokens, told: Tensor, part: tuple[slice, slice]
    ) -> Tensor:
        """(b, t, 4 C/4): some prompts' image tokens, some of them, after the first up-convolution.

        X W = lead * (base W) + mix^T (told W), with base W shared and told W (B, r, 4 C/4).
        """
        prompts, tokens = part
        added = (
            shared.lifted_bias if shared.lifted_bias.shape[0] == 1 else shared.lifted_bias[tokens]
        )
        lifted = torch.baddbmm(added, image.mix[prompts, :, tokens].mT, told[prompts])
        return lifted.addcmul_(image.lead[prompts, tokens, None], shared.lifted[tokens])


def first_layer(
    layer: TwoWayLayer, shared: SharedTerms, tokens: Tensor
) -> tuple[Tensor, ImageTokens, Tensor]:
    """Tokens (B, n, C) and image tokens after layer 1, and the values the image was told.

    The image tokens enter alike for every prompt, so the image's side of both cross attentions is
    in `shared`, and one product a head serves all prompts. They leave as
    LN(K + A V W_o): attention A (N, H n), values V, output projection W_o applied to the n values
    rather than to the N mixtures: sum_h (A_h V_h) W_h = sum_h A_h (V_h W_h) = A told.
    """
    prompts = tokens.shape[0]
    queries = layer.norms[0](layer.itself(tokens, tokens, tokens))
    own = scaled_queries(layer.to_image, queries + tokens)
    weights = (own @ shared.keys.mT).softmax(-1)  # (H, B n, N)
    seen = layer.to_image.out(join_heads(weights @ shared.values, prompts))
    queries = after_seeing(layer, queries, seen)

    own = scaled_keys(layer.to_tokens, queries + tokens)
    scores = by_prompt(own @ shared.queries.mT, prompts)
    mix = softmax_over_tokens(scores, layer.to_tokens.heads)  # (B, H n, N)
    values, told = tell(layer.to_tokens, queries)
    on_base = by_prompt(values @ shared.first.told[0].mT, prompts)
    image = normalised(
        ImageTokens(torch.ones_like(mix[:, 0]), mix, told),
        on_base,
        shared.first,
        layer.image_norm,
    )
    return queries, image, values


def second_layer(
    parts: DecoderParts,
    shared: SharedTerms,
    tokens_and_queries: tuple[Tensor, Tensor],
    image: ImageTokens,
    first_values: Tensor,
) -> tuple[Tensor, ImageTokens]:
    """Tokens (B, n, C) and image tokens after layer 2.

    What this layer tells the image joins the ranks of layer 1, and so does, as one more, the
    vector that layer 1's norm and this layer's output bias add to every image token.
    """
    layer, (tokens, queries) = parts.second, tokens_and_queries
    prompts = tokens.shape[0]
    placed = queries + tokens
    queries = layer.norms[0](queries + layer.itself(placed, placed, queries))
    seen = attend_to_image(layer.to_image, queries + tokens, image, shared.to_image)
    queries = after_seeing(layer, queries, seen)

    own = scaled_keys(layer.to_tokens, queries + tokens)
    mix = softmax_over_tokens(scores_of(own, image, shared.to_tokens), layer.to_tokens.heads)
    values, told = tell(layer.to_tokens, queries)
    base = shared.second
    on_base = torch.cat(
        [
            by_prompt(first_values @ base.told[0].mT, prompts),
            by_prompt(values @ base.told[1].mT, prompts),
            shared.on_constant.expand(prompts, 1, -1),
        ],
        dim=1,
    )
    both = ImageTokens(
        image.lead,
        torch.cat([image.mix, mix, torch.ones_like(mix[:, :1])], dim=1),
        torch.cat([centred(image.told), told, shared.constant.expand(prompts, 1, -1)], dim=1),
    )
    return queries, normalised(both, on_base, base, layer.image_norm)


def normalised(
    image: ImageTokens, on_base: Tensor, base: ImageBase, norm: nn.LayerNorm
) -> ImageTokens:
    """Layer norm of image tokens whose base and told vectors are centred already.

    A sum of centred vectors is centred, so only the variance is missing:
    |lead b + sum_j m_j t_j|^2 = lead^2 |b|^2 + sum_j m_j (2 lead (b . t_j) + sum_k G_jk m_k)
    with G = told told^T and `on_base` (B, r, N) the products b . t_j. Its inverse root scales
    `lead` and `mix`, the norm's gain scales `told` (that of the base is in the shared terms), and
    the norm's bias is left to the shared terms too.
    """
    gram = image.told @ image.told.mT
    inner = torch.baddbmm(on_base * (2 * image.lead[:, None]), gram, image.mix)
    square = torch.addcmul((inner * image.mix).sum(1), image.lead.square(), base.square)
    scale = torch.rsqrt(square / image.told.shape[-1] + norm.eps)  # (B, N)
    return ImageTokens(image.lead * scale, image.mix * scale[:, None], image.told * norm.weight)


def attend_to_image(
    attention: Attention, tokens: Tensor, image: ImageTokens, sight: KeysAndValues
) -> Tensor:
    """Cross attention (B, n, C) of tokens to low-rank image tokens.

    P X W_v = (P lead) (base W_v) + ((P mix^T) told) W_v; rows of P sum to 1, so what is added to
    every token passes through unchanged.
    """
    prompts, values = tokens.shape[0], sight.values
    weights = scores_of(scaled_queries(attention, tokens), image, sight.keys).softmax(-1)
    mixed = (weights @ image.mix.mT) @ image.told  # (B, H n, C)
    on_base = by_head(weights * image.lead[:, None], attention.heads) @ values.base
    seen = on_base + by_head(mixed, attention.heads) @ values.weight.mT + values.place
    answer: Tensor = attention.out(join_heads(seen, prompts))
    return answer


def scores_of(own: Tensor, image: ImageTokens, projection: Projection) -> Tensor:
    """Attention scores (B, H n, N) between tokens `own` (H, B n, d) and low-rank image tokens.

    X W^T q = lead * (base W^T q) + mix^T (told (W^T q)) + place q: the projection meets n tokens,
    never N image tokens.
    """
    prompts = image.lead.shape[0]
    on_told = by_prompt(own @ projection.weight, prompts) @ image.told.mT  # (B, H n, r)
    on_base = by_prompt(own @ projection.base.mT, prompts)
    placed = by_prompt(own @ projection.place.mT, prompts)
    return torch.baddbmm(placed.addcmul_(on_base, image.lead[:, None]), on_told, image.mix)


def tell(attention: Attention, queries: Tensor) -> tuple[Tensor, Tensor]:
    """What tokens tell the image: values (H, B n, d), and (B, H n, C) projected and centred."""
    values = split_heads(attention.v(queries), attention.heads)
    return values, by_prompt(values @ out_weights(attention).mT, queries.shape[0])


def scaled_queries(attention: Attention, x: Tensor) -> Tensor:
    """(H, B n, d): tokens as queries, divided by the root of d as scores are."""
    return split_heads(attention.q(x), attention.heads) / _root(attention)


def scaled_keys(attention: Attention, x: Tensor) -> Tensor:
    """(H, B n, d): tokens as keys, divided by the root of d as scores are."""
    return split_heads(attention.k(x), attention.heads) / _root(attention)


def after_seeing(layer: TwoWayLayer, queries: Tensor, seen: Tensor) -> Tensor:
    """The rest of a layer's token side: residual, norm, perceptron, norm."""
    queries = layer.norms[1](queries + seen)
    done: Tensor = layer.norms[2](queries + layer.mlp(queries))
    return done


def _root(attention: Attention) -> float:
    return math.sqrt(attention.q.out_features // attention.heads)


def _tokens_read(tokens: Tensor, iou_at: int) -> Tensor:
    """(B, 4, C): predicted IoU and the three masks; nobody reads what the others see at last."""
    masks_at = iou_at + 2
    return torch.cat([tokens[:, iou_at : iou_at + 1], tokens[:, masks_at : masks_at + 3]], dim=1)


def _affordable(limits: dict[str, int], each: int, device: torch.device) -> int:
    """How many things of `each` bytes to do at once, at least one."""
    return max(1, limits.get(device.type, limits["cpu"]) // each)
