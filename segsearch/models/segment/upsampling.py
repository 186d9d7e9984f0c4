"""Turns a decoder's small logits into masks of a picture's size, a box at a time.

SAM enlarges its logits twice: to the model's square input, whose padding is then cut away, and
from there to the picture (segment_anything/modeling/sam.py, postprocess_masks). Both steps are
linear along each axis, so together they are one matrix an axis.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - the name torch's own documentation uses

BLOCK_LOGITS = 8  # about how many logits a block's side is made from


@dataclass(frozen=True, slots=True)
class Axis:
    """Enlargement along one axis: `matrix` (n, low) float32, rows sum to 1 and are not negative.

    The same again in blocks of `step` pixels: block i is `blocks[i]` (step, r) times the r logits
    from `start[i]` on. `lengths` (b,) int64 are the blocks' pixels; those past the end are zeros.
    `starts` is `start` once more, where asking for a number does not wait for a GPU.
    """

    matrix: Tensor
    blocks: Tensor
    start: Tensor
    lengths: Tensor
    starts: tuple[int, ...]

    @classmethod
    def of(cls, matrix: Tensor) -> Axis:
        size, low = matrix.shape
        used = matrix > 0
        first, last = used.int().argmax(1), low - used.flip(1).int().argmax(1)
        step = max(1, min(size, BLOCK_LOGITS * size // max(1, int(last.max()))))
        pixels = torch.arange(0, size, step)
        ends = (pixels + step).clamp(max=size)
        reach = int((last[ends - 1] - first[pixels]).max())
        start = first[pixels].clamp(max=low - reach)
        padded = F.pad(matrix, (0, 0, 0, len(pixels) * step - size)).view(-1, step, low)
        taken = start[:, None] + torch.arange(reach)  # (b, r)
        blocks = padded.gather(2, taken[:, None].expand(-1, step, -1))
        return cls(matrix, blocks, start, ends - pixels, tuple(start.tolist()))

    @property
    def step(self) -> int:
        return self.blocks.shape[1]

    def taken(self) -> Tensor:
        """(b, r) int64: which logits each block is made from."""
        return self.start[:, None] + torch.arange(self.blocks.shape[2], device=self.start.device)

    def to(self, device: torch.device) -> Axis:
        return Axis(
            self.matrix.to(device),
            self.blocks.to(device),
            self.start.to(device),
            self.lengths.to(device),
            self.starts,
        )


@dataclass(frozen=True, slots=True)
class Upsampling:
    """Bilinear enlargement of logits (h, w) to a picture: `rows @ logits @ columns.T`."""

    rows: Axis
    columns: Axis

    @classmethod
    def through_square(
        cls, low: tuple[int, int], square: int, inside: tuple[int, int], size: tuple[int, int]
    ) -> Upsampling:
        """From logits `low` (h, w) over a padded square, of which `inside` (h, w) is the picture.

        `square` is the side of the model's input in pixels and `size` the picture's (H, W).
        """
        sides = zip(low, inside, size, strict=True)
        rows, columns = (Axis.of(_both_steps(n, square, used, out)) for n, used, out in sides)
        return cls(rows, columns)

    def to(self, device: torch.device) -> Upsampling:
        return Upsampling(self.rows.to(device), self.columns.to(device))

    @property
    def device(self) -> torch.device:
        return self.rows.matrix.device

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of the picture."""
        return self.rows.matrix.shape[0], self.columns.matrix.shape[0]

    def cut(self, logits: Tensor, box: tuple[int, int, int, int], threshold: float) -> Tensor:
        """The mask inside a box (x0, y0, x1, y1) of the picture, (y1-y0, x1-x0) bool.

        Only the logits, of (h, w), that reach into the box are enlarged.
        """
        x0, y0, x1, y1 = box
        rows, columns = self.rows.matrix[y0:y1], self.columns.matrix[x0:x1]
        down, across = _reach(self.rows, y0, y1), _reach(self.columns, x0, x1)
        return (rows[:, down] @ logits[down, across] @ columns[:, across].T) > threshold

    def at(self, logits: Tensor, points: Tensor) -> Tensor:
        """What enlarged logits (k, h, w) are at points (n, 2) int64 x, y of the picture: (k, n)."""
        rows, columns = self.rows.matrix[points[:, 1]], self.columns.matrix[points[:, 0]]
        return torch.einsum("nh,khw,nw->kn", rows, logits, columns)


def _reach(axis: Axis, start: int, end: int) -> slice:
    """Which logits the blocks that cover pixels `start` to `end` are made from."""
    first, last = start // axis.step, (end - 1) // axis.step
    return slice(axis.starts[first], axis.starts[last] + axis.blocks.shape[2])


def _both_steps(low: int, square: int, inside: int, size: int) -> Tensor:
    """(size, low) float32: what both interpolations do to the unit vectors of one axis."""
    unit = torch.eye(low)[None]  # (1, low, low)
    enlarged = F.interpolate(unit, size=square, mode="linear", align_corners=False)
    final = F.interpolate(enlarged[..., :inside], size=size, mode="linear", align_corners=False)
    return final[0].T.contiguous()
