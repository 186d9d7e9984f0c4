"""Enlarges masks that were found on a reduced picture, without laying out the large picture.

The result is that of bilinear enlargement cut at one half (`cv2.resize`, `INTER_LINEAR`), whose
edges are smooth. Rows stay as they are: along a column the enlarged values are straight lines
between them, so a column's spans begin and end where these lines cross one half.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segsearch.core.types import Mask
from segsearch.masks.rle import decode_crop, of_spans

HALF = 0.5


def enlarged(mask: Mask, height: int, width: int) -> Mask:
    """The mask on a frame of `height` x `width` pixels, no smaller than its own on either side.

    One that would vanish, as a line one pixel wide may between two rows, keeps its box's middle.
    """
    if (mask.height, mask.width) == (height, width):
        return mask
    box, tall, wide = mask.box, height / mask.height, width / mask.width
    inside = np.pad(decode_crop(mask), 1)
    # The frame's own edge is no edge of the mask: what touches it goes on behind it.
    for axis, (low, high, length) in enumerate(
        ((box.y0, box.y1, mask.height), (box.x0, box.x1, mask.width))
    ):
        lines = np.moveaxis(inside, axis, 0)
        if low == 0:
            lines[0] = lines[1]
        if high == length:
            lines[-1] = lines[-2]
    first, last = _reach(box.x0, box.x1, wide, width)
    columns = np.arange(first, last, dtype=np.int64)
    places = (columns.astype(np.float64) + HALF) / wide - HALF - (box.x0 - 1)
    profile = _between_columns(inside, places)
    starts, ends, rows = _crossings(profile, box.y0 - 1, tall, height)
    kept = ends > starts
    column = columns[rows[kept]] * height
    starts, lengths = column + starts[kept], (ends - starts)[kept]
    if not lengths.size:
        middle = int((box.x0 + box.x1) / 2 * wide) * height + int((box.y0 + box.y1) / 2 * tall)
        starts, lengths = np.array([middle]), np.array([1])
    return of_spans(starts, lengths, height, width)


def _reach(low: int, high: int, factor: float, length: int) -> tuple[int, int]:
    """Pixels of the large frame that the span low..high of the small one may touch."""
    return max(int((low - 1) * factor), 0), min(int((high + 1) * factor) + 1, length)


def _between_columns(inside: NDArray[np.bool_], places: NDArray[np.float64]) -> NDArray[np.float32]:
    """(n, h) values of each place between the columns of `inside` (h, w), a place a row."""
    places = places.clip(0, inside.shape[1] - 1)
    left = np.minimum(places.astype(np.int64), inside.shape[1] - 2)
    share = (places - left).astype(np.float32)[:, None]
    values = np.ascontiguousarray(inside.T, dtype=np.float32)
    between: NDArray[np.float32] = values[left] * (1 - share) + values[left + 1] * share
    return between


def _crossings(
    profile: NDArray[np.float32], first_row: int, factor: float, length: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Where spans start and end (exclusive) in rows of the large frame, and in which column each
    lies, sorted by column, then row; `profile` (n, h) has rows `first_row` and on."""
    above = np.pad(profile >= HALF, ((0, 0), (1, 1)))
    column, place = np.nonzero(above[:, 1:] != above[:, :-1])
    enters = column[::2], place[::2] - 1
    leaves = column[1::2], place[1::2] - 1
    starts = np.ceil(_at_half(profile, *enters, first_row, factor)).astype(np.int64)
    ends = np.floor(_at_half(profile, *leaves, first_row, factor)).astype(np.int64) + 1
    return starts.clip(0, length), ends.clip(0, length), enters[0]


def _at_half(
    profile: NDArray[np.float32],
    column: NDArray[np.int64],
    row: NDArray[np.int64],
    first_row: int,
    factor: float,
) -> NDArray[np.float64]:
    """Rows of the large frame at which values cross one half, between `row` and the one below; what
    stands in the first or last row goes on beyond."""
    outside = (row < 0) | (row + 1 >= profile.shape[1])
    low = profile[column, row.clip(0)]
    high = profile[column, np.minimum(row + 1, profile.shape[1] - 1)]
    step = np.where(outside, 1, high - low)
    crossing = row + np.where(outside, HALF, (HALF - low) / step)
    return np.asarray((crossing + first_row + HALF) * factor - HALF, np.float64)
