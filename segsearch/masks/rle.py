"""Masks as run lengths: encode, decode, measure and compare; boxes and areas come from here only.

Run lengths are COCO's (pycocotools underneath), kept for the crop inside the mask's box.
Foreign run lengths are checked before any C code sees them (cocoapi issues 362, 589).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, cast

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco
from pydantic import Field, with_config
from typing_extensions import TypedDict  # pydantic reads typing's from Python 3.12 on

from segsearch.core.arrays import BoolArray
from segsearch.core.errors import InputError
from segsearch.core.types import Box, Mask

MAX_FRAME_PIXELS = 2**30  # pycocotools counts pixels in 32 bits
MAX_RUN_SHIFT = 60


@with_config(extra="forbid")
class CocoMask(TypedDict):
    """COCO's compressed run lengths over the whole upright image."""

    size: Annotated[list[int], Field(description="[H, W]", min_length=2, max_length=2)]
    counts: Annotated[str, Field(description="What `pycocotools.mask.decode` reads.")]


def encode(
    array: BoolArray, *, origin: tuple[int, int] = (0, 0), size: tuple[int, int] | None = None
) -> Mask | None:
    """The mask of a boolean array (h, w), or None when no pixel is set.

    With `origin` (x, y) and `size` (H, W) the array is a window into a larger frame, placed there.
    """
    rows = np.flatnonzero(array.any(axis=1))
    if rows.size == 0:
        return None
    y0, y1 = int(rows[0]), int(rows[-1]) + 1
    columns = np.flatnonzero(array[y0:y1].any(axis=0))
    x0, x1 = int(columns[0]), int(columns[-1]) + 1
    crop = np.asfortranarray(array[y0:y1, x0:x1], dtype=np.uint8)
    height, width = size or array.shape
    dx, dy = origin
    counts = cast(bytes, coco.encode(crop)["counts"])
    box = Box(x0 + dx, y0 + dy, x1 + dx, y1 + dy)
    return Mask(int(height), int(width), box, counts, int(crop.sum()))


def decode_crop(mask: Mask) -> BoolArray:
    """The boolean array (box.height, box.width) inside the mask's box."""
    size = [mask.box.height, mask.box.width]
    return cast(BoolArray, coco.decode({"size": size, "counts": mask.counts}).astype(bool))


def decode(mask: Mask) -> BoolArray:
    """The boolean array (H, W) of the whole frame."""
    frame = np.zeros((mask.height, mask.width), dtype=bool)
    box = mask.box
    frame[box.y0 : box.y1, box.x0 : box.x1] = decode_crop(mask)
    return frame


def to_coco(mask: Mask) -> CocoMask:
    """COCO's compressed run lengths of the whole frame, ready for JSON.

    Only the columns the box covers are laid out; the empty ones left and right lengthen the first
    and the last run.
    """
    box = mask.box
    strip = np.zeros((mask.height, box.width), dtype=bool)
    strip[box.y0 : box.y1] = decode_crop(mask)
    runs = _runs(strip)
    runs[0] += box.x0 * mask.height
    tail = (mask.width - box.x1) * mask.height
    if len(runs) % 2:
        runs[-1] += tail
    elif tail:
        runs.append(tail)
    size = [mask.height, mask.width]
    encoded = coco.frPyObjects({"size": size, "counts": runs}, *size)
    return {"size": size, "counts": cast(bytes, encoded["counts"]).decode("ascii")}


def from_coco(value: Any) -> Mask:
    """The mask of COCO run lengths, compressed or not; InputError when they do not fit."""
    mask = read_coco(value)
    if mask is None:
        raise InputError("The mask has no pixel set.")
    return mask


def read_coco(value: Any) -> Mask | None:
    """As `from_coco`, with None when no pixel is set.

    No pixel is laid out: a byte of run lengths may ask for a frame of any size.
    """
    try:
        height, width = (int(side) for side in value["size"])
        counts = value["counts"]
        runs = _decompress(counts) if isinstance(counts, str | bytes) else [int(n) for n in counts]
    except (KeyError, TypeError, ValueError, IndexError, OverflowError) as problem:
        raise InputError(
            f"Expected a mask as {{size: [H, W], counts: ...}}: {problem}."
        ) from problem
    if height < 1 or width < 1 or min(runs, default=-1) < 0 or sum(runs) != height * width:
        raise InputError(
            f"The mask's run lengths add up to {sum(runs)} pixels, expected {height} x {width}."
        )
    if height * width > MAX_FRAME_PIXELS:
        raise InputError(
            f"The mask's frame has {height * width:,} pixels, expected at most "
            f"{MAX_FRAME_PIXELS:,}."
        )
    ends = np.cumsum(np.array(runs, dtype=np.int64))[1::2]
    lengths = np.array(runs[1::2], dtype=np.int64)
    ends, lengths = ends[lengths > 0], lengths[lengths > 0]
    return of_spans(ends - lengths, lengths, height, width) if lengths.size else None


def of_spans(
    starts: NDArray[np.int64], lengths: NDArray[np.int64], height: int, width: int
) -> Mask:
    """The mask of the set pixels of a frame in column-major order, as one span or more, sorted.

    A span that goes on into the next column has the first and the last row, so the box has all
    rows; without such spans each stays whole when the rows outside the box are taken away.
    """
    columns, rows = np.divmod(starts, height)
    last_columns, last_rows = np.divmod(starts + lengths - 1, height)
    x0, x1 = int(columns[0]), int(last_columns[-1]) + 1
    crosses = bool((columns != last_columns).any())
    y0, y1 = (0, height) if crosses else (int(rows.min()), int(last_rows.max()) + 1)
    starts = (columns - x0) * (y1 - y0) + rows - y0
    ends = starts + lengths
    apart = np.flatnonzero(starts[1:] > ends[:-1])  # spans of neighbouring columns may touch now
    first, last = starts[np.append(0, apart + 1)], ends[np.append(apart, -1)]
    edges = np.stack([first, last], axis=1).ravel()
    runs = np.diff(edges, prepend=0).tolist()
    tail = (x1 - x0) * (y1 - y0) - int(last[-1])
    size = [y1 - y0, x1 - x0]
    encoded = coco.frPyObjects({"size": size, "counts": [*runs, tail] if tail else runs}, *size)
    counts = cast(bytes, encoded["counts"])
    return Mask(height, width, Box(x0, y0, x1, y1), counts, int(lengths.sum()))


def full(height: int, width: int) -> Mask:
    """The mask that covers a whole frame."""
    mask = encode(np.ones((height, width), dtype=bool))
    if mask is None:
        raise InputError(f"A frame of {height} x {width} has no pixels.")
    return mask


def iou(first: Mask, second: Mask) -> float:
    """Intersection over union of two masks of one frame, in [0, 1]."""
    shared = intersection(first, second)
    return shared / (first.area + second.area - shared)


def ious(masks: Sequence[Mask]) -> NDArray[np.float64]:
    """(n, n): intersection over union of every two of n masks of one frame."""
    if not masks:
        return np.zeros((0, 0))
    rows = [to_coco(mask) for mask in masks]
    return np.asarray(coco.iou(rows, rows, [0] * len(rows)), dtype=np.float64)


def covered(masks: Sequence[Mask]) -> NDArray[np.float64]:
    """(n, n): the share of each of n masks (rows) that each other one (columns) covers."""
    if not masks:
        return np.zeros((0, 0))
    rows = [to_coco(mask) for mask in masks]
    return np.asarray(coco.iou(rows, rows, [1] * len(rows)), dtype=np.float64)


def intersection(first: Mask, second: Mask) -> int:
    """The number of pixels two masks of one frame share; disjoint boxes cost nothing."""
    a, b = first.box, second.box
    x0, y0 = max(a.x0, b.x0), max(a.y0, b.y0)
    x1, y1 = min(a.x1, b.x1), min(a.y1, b.y1)
    if x0 >= x1 or y0 >= y1:
        return 0
    return shared_with(decode_crop(first), a, second)


def shared_with(crop: BoolArray, box: Box, mask: Mask) -> int:
    """As `intersection`, for one mask that is decoded (h, w) in its box already; the boxes meet."""
    other = mask.box
    x0, y0 = max(box.x0, other.x0), max(box.y0, other.y0)
    x1, y1 = min(box.x1, other.x1), min(box.y1, other.y1)
    one = crop[y0 - box.y0 : y1 - box.y0, x0 - box.x0 : x1 - box.x0]
    two = decode_crop(mask)[y0 - other.y0 : y1 - other.y0, x0 - other.x0 : x1 - other.x0]
    return int(np.count_nonzero(one & two))


def _runs(array: BoolArray) -> list[int]:
    """Run lengths of an array in column-major order, beginning with the zeros (maybe none)."""
    flat = array.ravel(order="F")
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    runs = np.diff(np.concatenate(([0], edges, [flat.size]))).tolist()
    return cast(list[int], [0, *runs] if flat[0] else runs)


def _decompress(counts: str | bytes) -> list[int]:
    """COCO's compressed counts as run lengths: six bits a character, from the third run on as a
    difference to the run two before (pycocotools, common/maskApi.c, rleFrString)."""
    text = counts.encode("ascii") if isinstance(counts, str) else counts
    runs: list[int] = []
    at = 0
    while at < len(text):
        value = shift = 0
        more = True
        while more:
            bits = text[at] - 48
            if not 0 <= bits < 64:
                raise ValueError(f"character {text[at]} is none of the encoding's")
            value |= (bits & 0x1F) << shift
            more = bool(bits & 0x20)
            at += 1
            shift += 5
            if shift > MAX_RUN_SHIFT:  # numbers without end, each dearer than the one before
                raise ValueError("a run is longer than any picture")
            if not more and bits & 0x10:
                value |= -1 << shift
        runs.append(value + runs[-2] if len(runs) > 2 else value)
    return runs
