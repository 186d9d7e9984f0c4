"""Turns a decoder's small logits into areas, stability and boxes in pixels of the picture.

Bilinear values lie between the logits they are made from. So a block of pixels whose logits are
all above, or all below, every threshold is decided without enlarging it: only the blocks that a
mask's boundary runs through are.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from segsearch.models.segment.upsampling import Axis, Upsampling

CHUNK_BYTES = {"cpu": 4 << 20, "cuda": 256 << 20}


@dataclass(frozen=True, slots=True)
class MaskStats:
    """Areas and boxes of k masks.

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


def measure(
    upsampling: Upsampling, logits: Tensor, threshold: float, offset: float = 1.0
) -> MaskStats:
    """Areas and boxes of k masks from logits (k, h, w), without pixels away from boundaries."""
    rows, columns = upsampling.rows, upsampling.columns
    thresholds = (threshold, threshold + offset, threshold - offset)
    low, high = _ranges(logits, rows, columns)
    full = low > max(thresholds)  # (k, rows of blocks, columns of blocks)
    counts = (full * (rows.lengths[:, None] * columns.lengths)).flatten(1).sum(1)
    areas = counts.repeat(3, 1)  # (3, k)
    edges = _edges_of_full_blocks(full, rows, columns)  # (k, 4)
    undecided = (~full & (high > min(thresholds))).nonzero()  # (u, 3)
    each = 4 * rows.step * columns.step
    step = max(1, CHUNK_BYTES.get(logits.device.type, CHUNK_BYTES["cpu"]) // each)
    for part in torch.split(undecided, step):
        values = _enlarged(logits, upsampling, part)  # (u, step, step)
        for total, limit in zip(areas, thresholds, strict=True):
            total.index_add_(0, part[:, 0], _counted(values, limit))
        inside = _edges_inside(values, threshold, part)
        edges.scatter_reduce_(0, part[:, :1].expand(-1, 4), inside, "amin")
    boxes = torch.cat([edges[:, :2], -edges[:, 2:]], dim=1) * (areas[0] > 0)[:, None]
    return MaskStats(areas[0], areas[1], areas[2], boxes)


def _ranges(logits: Tensor, rows: Axis, columns: Axis) -> tuple[Tensor, Tensor]:
    """Least and greatest logit (k, rows of blocks, columns of blocks) that each block uses."""
    down, across = rows.taken(), columns.taken()
    strips = logits[:, down.flatten()].view(
        logits.shape[0], *down.shape, logits.shape[2]
    )  # (k, b, r, w)
    least, most = strips.amin(2), strips.amax(2)
    shape = (logits.shape[0], down.shape[0], *across.shape)
    return (
        least[..., across.flatten()].view(shape).amin(3),
        most[..., across.flatten()].view(shape).amax(3),
    )


def _enlarged(logits: Tensor, upsampling: Upsampling, part: Tensor) -> Tensor:
    """Pixel values (u, step, step) of blocks `part` (u, 3): mask, row and column of blocks.

    Pixels past the picture's end are minus infinity, so they belong to no mask.
    """
    rows, columns = upsampling.rows, upsampling.columns
    mask, down, across = part.unbind(1)
    from_rows = rows.taken()[down][:, :, None]  # (u, r, 1)
    from_columns = columns.taken()[across][:, None]  # (u, 1, r)
    patches = logits[mask[:, None, None], from_rows, from_columns]
    values = rows.blocks[down] @ patches @ columns.blocks[across].mT
    for axis, where, shape in (
        (rows, down, (-1, rows.step, 1)),
        (columns, across, (-1, 1, columns.step)),
    ):
        if axis.step * len(axis.lengths) > axis.matrix.shape[0]:
            pixel = torch.arange(axis.step, device=logits.device)
            beyond = pixel >= axis.lengths[where][:, None]
            values.masked_fill_(beyond.view(shape), -torch.inf)
    return values


def _counted(values: Tensor, threshold: float) -> Tensor:
    """(u,) int64: pixels above the threshold in blocks (u, step, step).

    Ones and zeros are summed as float32, exactly below 2 ** 24: torch sums and compares bools many
    times slower on a CPU.
    """
    above = torch.empty_like(values)
    torch.gt(values, threshold, out=above)
    return above.sum((1, 2)).long()


def _edges_of_full_blocks(full: Tensor, rows: Axis, columns: Axis) -> Tensor:
    """Least x0, y0, -x1, -y1 (k, 4) of the full blocks; far beyond the picture where none is."""
    far = torch.iinfo(torch.int64).max
    edges = []
    for axis, touched in ((columns, full.any(1)), (rows, full.any(2))):
        start = torch.arange(len(axis.lengths), device=full.device) * axis.step
        edges.append(torch.where(touched, start, far).amin(1))
        edges.append(torch.where(touched, -(start + axis.lengths), far).amin(1))
    x0, x1, y0, y1 = edges
    return torch.stack([x0, y0, x1, y1], dim=1)


def _edges_inside(values: Tensor, threshold: float, part: Tensor) -> Tensor:
    """Least x0, y0, -x1, -y1 (u, 4) of the pixels above the threshold in blocks (u, step, step)."""
    far = torch.iinfo(torch.int64).max
    edges = []
    for axis in (1, 2):
        touched = values.amax(axis) > threshold  # (u, step) along the other axis
        step = touched.shape[1]
        pixel = part[:, 3 - axis, None] * step + torch.arange(step, device=part.device)
        edges.append(torch.where(touched, pixel, far).amin(1))
        edges.append(torch.where(touched, -(pixel + 1), far).amin(1))
    x0, x1, y0, y1 = edges
    return torch.stack([x0, y0, x1, y1], dim=1)
