"""Turns image tokens into mask logits: SAM's up-convolutions as matrix products, channels last."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from segment_anything.modeling.common import LayerNorm2d
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the name torch's own documentation uses


def as_matrix(convolution: nn.ConvTranspose2d) -> tuple[Tensor, Tensor]:
    """A transposed convolution of kernel 2 and stride 2 as a matrix (c, 4 e) and a bias (4 e,).

    Kernel and stride are equal, so no two outputs overlap: an input cell's four outputs are its
    c channels times one matrix, output channels innermost: column (2 a + b) e + o is channel o
    of the output in row a and column b of the cell.
    """
    weight = convolution.weight  # (c, e, 2, 2)
    matrix = weight.permute(0, 2, 3, 1).reshape(weight.shape[0], -1)
    bias = weight.new_zeros(weight.shape[1]) if convolution.bias is None else convolution.bias
    return matrix, bias.repeat(4)


@dataclass(frozen=True, slots=True)
class Upscaler:
    """The two up-convolutions of one mask decoder: `first` (C, 4 C/4) and `second` (C/4, 4 C/8)."""

    first: Tensor
    first_bias: Tensor
    second: Tensor
    second_bias: Tensor
    norm: LayerNorm2d
    act_first: Callable[[Tensor], Tensor]
    act_second: Callable[[Tensor], Tensor]

    @classmethod
    def of(cls, upscaling: Any) -> Upscaler:
        """The weights of `output_upscaling` (segment_anything/modeling/mask_decoder.py)."""
        first, norm, act_first, second, act_second = upscaling
        return cls(*as_matrix(first), *as_matrix(second), norm, act_first, act_second)

    def products(self, lifted: Tensor, hyper: Tensor, fine: Tensor | None = None) -> Tensor:
        """(B, m, 16 N): m masks' logits, the 16 of one image token side by side.

        `lifted` (B, N, 4 C/4) are image tokens after `first`, `hyper` (B, m, C/8) one vector a
        mask, `fine` (N, 4, 4 C/8) is added after `second` where given. The order within a token is
        a, b, a', b': the halves of the first and of the second doubling, down and across.
        """
        prompts, tokens, width = lifted.shape
        cells = lifted.view(prompts, tokens, 4, width // 4)
        norm = self.norm
        cells = F.layer_norm(cells, cells.shape[-1:], norm.weight, norm.bias, norm.eps)
        cells = F.linear(self.act_first(cells), self.second.T, self.second_bias)
        if fine is not None:
            cells = cells + fine
        features = self.act_second(cells).view(prompts, 16 * tokens, width // 8)
        return hyper @ features.mT


def in_picture_order(products: Tensor, grid: tuple[int, int]) -> Tensor:
    """Logits (B, m, 4 gh, 4 gw) from `Upscaler.products` of all tokens of a grid (gh, gw).

    Only finished logits are put in order, one number a pixel instead of C/8.
    """
    rows, columns = grid
    cells = products.view(*products.shape[:2], rows, columns, 2, 2, 2, 2)  # y, x, a, b, a', b'
    return cells.permute(0, 1, 2, 4, 6, 3, 5, 7).reshape(*products.shape[:2], 4 * rows, 4 * columns)


def in_token_order(features: Tensor, doublings: int) -> Tensor:
    """Features (1, c, 2^k gh, 2^k gw) of a grid doubled k = 1 or 2 times, beside their tokens.

    (N, 4, c) for one doubling, (N, 4, 4 c) for two: the order that `Upscaler` keeps its cells in,
    so that they are added to its products as they stand.
    """
    channels, height, width = features.shape[1:]
    halves = (2,) * doublings
    rows, columns = height >> doublings, width >> doublings
    cells = features[0].view(channels, rows, *halves, columns, *halves)
    # From c, y, a, .., x, b, .. to y, x, a, b, .., c.
    down, across = range(2, 2 + doublings), range(3 + doublings, 3 + 2 * doublings)
    pairs = [axis for pair in zip(down, across, strict=True) for axis in pair]
    return cells.permute(1, 2 + doublings, *pairs, 0).reshape(rows * columns, 4, -1)
