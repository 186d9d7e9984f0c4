"""Turns a decoder's small logits into sizes, boxes and masks in pixels, without large float masks.

SAM enlarges its logits twice: to the model's square input, whose padding is then cut away, and
from there to the picture (segment_anything/modeling/sam.py, postprocess_masks). Both steps are
linear along each axis, so together they are one matrix an axis.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - the name torch's own documentation uses

CHUNK_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Measures:
    """What thresholds and boxes need to know of k masks.

    `area`, `stable_area` and `wide_area` (k,) int64 count the picture's pixels above the
    threshold, above threshold + offset and above threshold - offset. `boxes` (k, 4) int64 are
    x0, y0, x1, y1, half-open; four zeros for an empty mask.
    """

    area: Tensor
    stable_area: Tensor
    wide_area: Tensor
    boxes: Tensor

    @property
    def stability(self) -> Tensor:
        """(k,) float32: IoU of the stable and the wide mask; NaN where the wide one is empty."""
        return self.stable_area / self.wide_area


@dataclass(frozen=True, slots=True)
class Upsampling:
    """Bilinear enlargement of logits (h, w) to a picture (H, W): `rows @ logits @ columns.T`.

    `rows` (H, h) and `columns` (W, w) are float32, non-negative, and each row sums to 1.
    """

    rows: Tensor
    columns: Tensor

    @classmethod
    def through_square(
        cls, low: tuple[int, int], square: int, inside: tuple[int, int], size: tuple[int, int]
    ) -> Upsampling:
        """From logits `low` (h, w) over a padded square, of which `inside` (h, w) is the picture.

        `square` is the side of the model's input in pixels and `size` the picture's (H, W).
        """
        sides = zip(low, inside, size, strict=True)
        rows, columns = (_along_one_axis(n, square, used, out) for n, used, out in sides)
        return cls(rows, columns)

    def to(self, device: torch.device) -> Upsampling:
        return Upsampling(self.rows.to(device), self.columns.to(device))

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of the picture."""
        return self.rows.shape[0], self.columns.shape[0]

    def measure(self, logits: Tensor, threshold: float, offset: float) -> Measures:
        """Areas and boxes of k masks from logits (k, h, w), a few masks at a time."""
        height, width = self.size
        step = max(1, CHUNK_BYTES // (4 * height * width))
        parts = [
            self._measure_densely(logits[i : i + step], threshold, offset)
            for i in range(0, max(1, logits.shape[0]), step)
        ]
        return Measures(*(torch.cat(column) for column in zip(*parts, strict=True)))

    def _measure_densely(
        self, logits: Tensor, threshold: float, offset: float
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        full = self.rows @ logits @ self.columns.T  # (k, H, W)
        stable, wide = (
            (full > at).flatten(1).sum(1) for at in (threshold + offset, threshold - offset)
        )
        inside = full > threshold
        return inside.flatten(1).sum(1), stable, wide, boxes_of(inside.any(2), inside.any(1))

    def cut(self, logits: Tensor, box: tuple[int, int, int, int], threshold: float) -> Tensor:
        """The mask inside a box (x0, y0, x1, y1) of the picture, (y1-y0, x1-x0) bool.

        Only the logits (h, w) that reach into the box are enlarged.
        """
        x0, y0, x1, y1 = box
        rows, columns = self.rows[y0:y1], self.columns[x0:x1]
        return (rows @ logits @ columns.T) > threshold


def boxes_of(rows: Tensor, columns: Tensor) -> Tensor:
    """(k, 4) int64 half-open boxes of masks that touch these rows (k, H) and columns (k, W)."""
    x0, x1 = _extent(columns)
    y0, y1 = _extent(rows)
    return torch.stack([x0, y0, x1, y1], dim=1)


def _extent(touched: Tensor) -> tuple[Tensor, Tensor]:
    """First and last + 1 index (k,) that is set in each row of (k, n) bool; 0, 0 where none is."""
    length = touched.shape[1]
    marks = touched.to(torch.uint8)
    found = touched.any(1)
    first, back = marks.argmax(1), marks.flip(1).argmax(1)
    return first * found, (length - back) * found


def _along_one_axis(low: int, square: int, inside: int, size: int) -> Tensor:
    """(size, low) float32: what both interpolations do to the unit vectors of one axis."""
    unit = torch.eye(low)[None]  # (1, low, low)
    enlarged = F.interpolate(unit, size=square, mode="linear", align_corners=False)
    final = F.interpolate(enlarged[..., :inside], size=size, mode="linear", align_corners=False)
    return final[0].T.contiguous()
