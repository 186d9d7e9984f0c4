"""Turns one encoded picture into the terms that all its prompts share.

Nothing here depends on a prompt, so it is computed once a picture. Letters are those of
`decoder_parts`.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from segsearch.models.segment.fast_decoder.parts import Attention, DecoderParts, split_heads
from segsearch.models.segment.fast_decoder.upscale import Upscaler, in_token_order


@dataclass(frozen=True, slots=True)
class Seen:
    """One projection of the image tokens X = lead * base + told-part, for each head.

    `base` (H, N, d) projects the part all prompts share, `place` (H, N, d) what is added to every
    X (position, norm's bias, the projection's own bias), and `weight` (H, d, C) projects the rest.
    """

    base: Tensor
    place: Tensor
    weight: Tensor


@dataclass(frozen=True, slots=True)
class Sight:
    """How one attention looks at image tokens: its keys, and its values with `place` (H, 1, d)."""

    keys: Seen
    values: Seen


@dataclass(frozen=True, slots=True)
class Base:
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
    first: Base
    second: Base
    constant: Tensor
    on_constant: Tensor
    to_image: Sight
    to_tokens: Seen
    final: Sight
    lifted: Tensor
    lifted_bias: Tensor
    fine: Tensor | None


def share(
    parts: DecoderParts,
    upscaler: Upscaler,
    image_side: tuple[Tensor, Tensor, Tensor],
    details: tuple[Tensor, Tensor] | None,
) -> SharedTerms:
    """The shared terms of a picture from what the image's side of the decoder is given.

    `image_side` are embedding and place (1, C, gh, gw), and no_mask (1, C). `details` are SAM 2's
    features (1, C/8, 4 gh, 4 gw) and (1, C/4, 2 gh, 2 gw), or None.

    The base of layer 1 is K, image tokens plus output bias, centred; that of layer 2 is K times
    the gain of layer 1's norm, centred again. `decoder` says how they are put to use.
    """
    embedding, place, no_mask = image_side
    image, where = embedding[0].flatten(1).T + no_mask, place[0].flatten(1).T  # (N, C)
    one, two, final = parts.first, parts.second, parts.final
    gain, shift = one.image_norm.weight, one.image_norm.bias
    base = centred(image + one.to_tokens.out.bias)
    scaled = base * gain
    second = centred(scaled)
    constant = centred(shift + two.to_tokens.out.bias)
    end, end_shift = second * two.image_norm.weight, two.image_norm.bias
    lifted_bias = (end_shift @ upscaler.first + upscaler.first_bias)[None]
    if details is not None:
        lifted_bias = lifted_bias + in_token_order(details[1], 1).flatten(1)
    return SharedTerms(
        grid=(int(embedding.shape[2]), int(embedding.shape[3])),
        keys=_projected(image + where, one.to_image.k, one.to_image.heads),
        values=_projected(image, one.to_image.v, one.to_image.heads),
        queries=_projected(image + where, one.to_tokens.q, one.to_tokens.heads),
        first=Base(base.square().sum(1), (base @ out_weights(one.to_tokens),)),
        second=Base(
            second.square().sum(1),
            ((second * gain) @ out_weights(one.to_tokens), second @ out_weights(two.to_tokens)),
        ),
        constant=constant,
        on_constant=second @ constant,
        to_image=_sight(two.to_image, scaled, where, shift),
        to_tokens=_seen(two.to_tokens.q, two.to_tokens.heads, scaled, where + shift),
        final=_sight(final, end, where, end_shift),
        lifted=end @ upscaler.first,
        lifted_bias=lifted_bias,
        fine=None if details is None else in_token_order(details[0], 2),
    )


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


def _seen(linear: nn.Linear, heads: int, base: Tensor, place: Tensor) -> Seen:
    weight = linear.weight.view(heads, -1, base.shape[-1])  # (H, d, C)
    return Seen(base @ weight.mT, _projected(place, linear, heads), weight)


def _sight(attention: Attention, base: Tensor, where: Tensor, shift: Tensor) -> Sight:
    return Sight(
        _seen(attention.k, attention.heads, base, where + shift),
        _seen(attention.v, attention.heads, base, shift[None]),
    )
