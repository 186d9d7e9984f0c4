"""Turns one encoded picture into the terms that all its prompts share.

Nothing here depends on a prompt, so it is computed once a picture. Letters are those of
`parts`.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from segsearch.models.segment.fast_decoder.parts import Attention, DecoderParts, split_heads
from segsearch.models.segment.fast_decoder.upscale import Upscaler, in_token_order

ImageSide = tuple[Tensor, Tensor, Tensor]  # embedding and place (1, C, gh, gw), no_mask (1, C)
# SAM 2's features (1, C/8, 4 gh, 4 gw) and (1, C/4, 2 gh, 2 gw).
Details = tuple[Tensor, Tensor] | None


@dataclass(frozen=True, slots=True)
class Projection:
    """One projection of the image tokens X = lead * base + told-part, for each head.

    `base` (H, N, d) projects the part all prompts share, `place` (H, N, d) what is added to every
    X (position, norm's bias, the projection's own bias), and `weight` (H, d, C) projects the rest.
    """

    base: Tensor
    place: Tensor
    weight: Tensor


@dataclass(frozen=True, slots=True)
class KeysAndValues:
    """How one attention looks at image tokens: its keys, and its values with `place` (H, 1, d)."""

    keys: Projection
    values: Projection


@dataclass(frozen=True, slots=True)
class ImageBase:
    """The shared part (N, C) of a layer's new image tokens, centred over the channels.

    `square` (N,) is its squared length; `told` (H, N, d), one for each of the attentions whose
    output has been added, its products with that attention's centred output weights.
    """

    square: Tensor
    told: tuple[Tensor, ...]


@dataclass(frozen=True, slots=True)
class SharedTerms:
    """Everything that the prompts of one picture share.

    Layer 1 sees the same image for every prompt: `keys`, `values`, `queries` (H, N, d) are its
    cross attentions' image side. `constant` (C,) and `on_constant` (N,) are the vector that layer
    2 adds to every image token, centred, and the base's products with it. `lifted` (N, 4 C/4) is
    the base after the first up-convolution, `lifted_bias` what is added there: (1, 4 C/4) to every
    token alike, or (N, 4 C/4) with SAM 2's features of twice the grid. `fine` (N, 4, 4 C/8) are its
    features of four times the grid, added after the second; SAM 1 has none.
    """

    grid: tuple[int, int]
    keys: Tensor
    values: Tensor
    queries: Tensor
    first: ImageBase
    second: ImageBase
    constant: Tensor
    on_constant: Tensor
    to_image: KeysAndValues
    to_tokens: Projection
    final: KeysAndValues
    lifted: Tensor
    lifted_bias: Tensor
    fine: Tensor | None


def compute_shared_terms(
    parts: DecoderParts, upscaler: Upscaler, image_side: ImageSide, details: Details
) -> SharedTerms:
    """The shared terms of a picture from what the image's side of the decoder is given.

    The base of layer 1 is K, image tokens plus output bias, centred; that of layer 2 is K times
    the gain of layer 1's norm, centred again. `decoder` says how they are put to use.
    """
    embedding, place, no_mask = image_side
    image, where = embedding[0].flatten(1).T + no_mask, place[0].flatten(1).T  # (N, C)
    first, second, final = parts.first, parts.second, parts.final
    gain, shift = first.image_norm.weight, first.image_norm.bias
    base = centred(image + first.to_tokens.out.bias)
    scaled = base * gain
    base2 = centred(scaled)
    constant = centred(shift + second.to_tokens.out.bias)
    end, end_shift = base2 * second.image_norm.weight, second.image_norm.bias
    told = (base2 * gain) @ out_weights(first.to_tokens), base2 @ out_weights(second.to_tokens)
    return SharedTerms(
        grid=(int(embedding.shape[2]), int(embedding.shape[3])),
        keys=_projected(image + where, first.to_image.k, first.to_image.heads),
        values=_projected(image, first.to_image.v, first.to_image.heads),
        queries=_projected(image + where, first.to_tokens.q, first.to_tokens.heads),
        first=ImageBase(base.square().sum(1), (base @ out_weights(first.to_tokens),)),
        second=ImageBase(base2.square().sum(1), told),
        constant=constant,
        on_constant=base2 @ constant,
        to_image=_keys_and_values(second.to_image, scaled, where, shift),
        to_tokens=_projection(second.to_tokens.q, second.to_tokens.heads, scaled, where + shift),
        final=_keys_and_values(final, end, where, end_shift),
        lifted=end @ upscaler.first,
        lifted_bias=_lifted_bias(upscaler, end_shift, details),
        fine=None if details is None else in_token_order(details[0], 2),
    )


def _lifted_bias(upscaler: Upscaler, shift: Tensor, details: Details) -> Tensor:
    bias = (shift @ upscaler.first + upscaler.first_bias)[None]
    return bias if details is None else bias + in_token_order(details[1], 1).flatten(1)


def centred(x: Tensor) -> Tensor:
    """Minus the mean over the channels, the last axis: what a layer norm does first."""
    return x - x.mean(-1, keepdim=True)


def out_weights(attention: Attention) -> Tensor:
    """(H, C, d): the output projection head by head, centred over the channels it writes."""
    weight = attention.out.weight
    return split_heads((weight - weight.mean(0))[None], attention.heads)


def _projected(x: Tensor, linear: nn.Linear, heads: int) -> Tensor:
    """(H, N, d) of image tokens (N, C)."""
    projected: Tensor = linear(x)
    return split_heads(projected[None], heads)


def _projection(linear: nn.Linear, heads: int, base: Tensor, place: Tensor) -> Projection:
    weight = linear.weight.view(heads, -1, base.shape[-1])  # (H, d, C)
    return Projection(base @ weight.mT, _projected(place, linear, heads), weight)


def _keys_and_values(
    attention: Attention, base: Tensor, where: Tensor, shift: Tensor
) -> KeysAndValues:
    return KeysAndValues(
        _projection(attention.k, attention.heads, base, where + shift),
        _projection(attention.v, attention.heads, base, shift[None]),
    )
