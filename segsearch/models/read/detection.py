"""Finds where text stands: a coarse look at all of a picture, and closer ones where letters are
small.

A look gives how surely each pixel belongs to text. Looks of one size are joined to one map before
lines are taken from it, so a line that goes on from look to look comes out whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from segsearch.core.arrays import Pixels
from segsearch.masks.quads import Quad, scaled, sides

Heat = NDArray[np.float32]  # (h, w) in [0, 1]: how surely a pixel belongs to text

LOOK_PX = 960  # longest side of what is looked at at once
SMALL_PX = 736  # a smaller picture is enlarged to this
MOST_ENLARGED = 2.0
STEP_PX = 96  # sides of a look are multiples of it: a hundred shapes at most
THIN_PX = 2 * STEP_PX  # what is thinner gets an edge around it, so that letters do not touch it
EDGE_PX = 16
OVERLAP_PX = 192  # of looks side by side: half of it on each side is not believed
NARROW_PX = 256  # a long picture is not shrunk further than to this shorter side
MOST_MAP_PX = 16_000_000
MOST_LOOKS = 32
GREY = 128
READABLE_PX = 20.0  # of a line with its surroundings: a smaller one is looked at closer
WANTED_PX = 26.0
LEAST_CLOSER = 1.4  # closer by less than this is not worth a look
FAINT = 0.3  # how sure a pixel of a line is that is worth a closer look
FAINT_PX, LEAST_FAINT_PX, FAINT_RATIO = 16, 12, 2.0  # its height at most, its length at least
CORE_PX = 3
FAINT_LINE_PX = 12.0  # what its height is taken for
LEAST_SIDE_PX = 8  # of a picture: no letter is smaller


@dataclass(frozen=True, slots=True)
class FoundLine:
    """Where a line stands, x, y in pixels of the picture, and how sure that is."""

    quad: Quad
    score: float


HeatOf = Callable[[Pixels], Heat]  # of one look, whose sides are multiples of `STEP_PX`
LinesOf = Callable[[Heat, tuple[int, int]], list[FoundLine]]  # of a map, in a picture (H, W)
Window = tuple[int, int, int, int]  # y0, y1, x0, x1


def find_lines(pixels: Pixels, heat_of: HeatOf, lines_of: LinesOf) -> list[FoundLine]:
    """Where lines stand in a picture (H, W, 3), in no order; at most what two maps of
    `MOST_MAP_PX` hold, by at most twice `MOST_LOOKS` looks."""
    height, width = pixels.shape[:2]
    if min(height, width) < LEAST_SIDE_PX:
        return []
    scale = first_scale(height, width)
    coarse = _at_scale(pixels, scale)
    every = list(grid(*coarse.shape[:2]))[:MOST_LOOKS]
    heat = _map(coarse, every, heat_of)
    found = lines_of(heat, (height, width))
    small = [line.quad for line in found if min(sides(line.quad)) * scale < READABLE_PX]
    heights = [min(sides(quad)) for quad in small]
    if scale < 1.0:
        faint = [quad / scale for quad in faint_lines(heat)]
        small, heights = small + faint, heights + [FAINT_LINE_PX / scale] * len(faint)
    if not small:
        return found
    middle = float(np.median(heights))
    closer = min(1.0, WANTED_PX / middle, (MOST_MAP_PX / (height * width)) ** 0.5)
    if closer < LEAST_CLOSER * scale:
        return found
    fine = _at_scale(pixels, closer)
    looks = looks_at([quad * closer for quad in small], *fine.shape[:2])
    nearer = lines_of(_map(fine, looks, heat_of), (height, width))
    return nearer + not_among(found, nearer)


def faint_lines(heat: Heat) -> list[Quad]:
    """Boxes of what may be small lines, of which a map (h, w) is less sure than a line takes: low,
    and longer than high."""
    labels, _ = ndimage.label(heat > FAINT)
    quads = []
    for rows, columns in ndimage.find_objects(labels):
        tall, wide = rows.stop - rows.start, columns.stop - columns.start
        if tall <= FAINT_PX and wide >= max(LEAST_FAINT_PX, FAINT_RATIO * tall):
            # The map shows the core of letters only.
            y0, y1 = rows.start - CORE_PX, rows.stop + CORE_PX
            x0, x1 = columns.start, columns.stop
            quads.append(np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], np.float32))
    return quads


def first_scale(height: int, width: int) -> float:
    """What a picture's sides are multiplied by before the first look."""
    longer, shorter = max(height, width), min(height, width)
    if longer < SMALL_PX:
        return min(MOST_ENLARGED, SMALL_PX / longer)
    scale = min(1.0, max(LOOK_PX / longer, NARROW_PX / shorter))
    longest = MOST_LOOKS * (LOOK_PX - OVERLAP_PX)
    return min(scale, longest / longer)


def grid(height: int, width: int) -> Iterator[Window]:
    """Windows of at most `LOOK_PX` that cover a picture, overlapping by at least `OVERLAP_PX`."""
    for y0, y1 in _spans(height):
        for x0, x1 in _spans(width):
            yield y0, y1, x0, x1


def _spans(length: int) -> list[tuple[int, int]]:
    if length <= LOOK_PX:
        return [(0, length)]
    count = -(-(length - OVERLAP_PX) // (LOOK_PX - OVERLAP_PX))
    starts = np.linspace(0, length - LOOK_PX, count).round().astype(int)
    return [(int(start), int(start) + LOOK_PX) for start in starts]


def looks_at(quads: Sequence[Quad], height: int, width: int) -> list[Window]:
    """Of the windows that cover a picture, what each needs to show of the lines in it and of what
    is around them; those with most lines, when there are too many."""
    boxes = [(*quad.min(axis=0), *quad.max(axis=0)) for quad in quads]
    chosen = []
    for y0, y1, x0, x1 in grid(height, width):
        inside = [
            box for box in boxes if box[0] < x1 and box[2] > x0 and box[1] < y1 and box[3] > y0
        ]
        if inside:
            left, top = np.min(inside, axis=0)[:2] - OVERLAP_PX / 2
            right, bottom = np.max(inside, axis=0)[2:] + OVERLAP_PX / 2
            window = (
                max(y0, int(top)), min(y1, int(bottom) + 1),
                max(x0, int(left)), min(x1, int(right) + 1),
            )  # fmt: skip
            chosen.append((len(inside), window))
    chosen.sort(key=lambda pair: -pair[0])
    return [window for _, window in chosen[:MOST_LOOKS]]


def _at_scale(pixels: Pixels, scale: float) -> Pixels:
    height, width = (max(1, round(side * scale)) for side in pixels.shape[:2])
    return scaled(pixels, height, width)


def _map(pixels: Pixels, windows: Sequence[Window], heat_of: HeatOf) -> Heat:
    """The looks at the windows of a picture (h, w, 3), joined; 0 where none looks."""
    height, width = pixels.shape[:2]
    joined = np.zeros((height, width), np.float32)
    for y0, y1, x0, x1 in windows:
        seen = _look(pixels[y0:y1, x0:x1], heat_of)
        # Near a cut the detector sees halves of letters; the neighbour sees them whole.
        half = OVERLAP_PX // 2
        top, left = (half if start > 0 else 0 for start in (y0, x0))
        bottom = y1 - y0 - (half if y1 < height else 0)
        right = x1 - x0 - (half if x1 < width else 0)
        part = joined[y0 + top : y0 + bottom, x0 + left : x0 + right]
        np.maximum(part, seen[top:bottom, left:right], out=part)
    return joined


def _look(pixels: Pixels, heat_of: HeatOf) -> Heat:
    """(h, w) of one window, which is laid on grey of a size that the detector knows."""
    height, width = pixels.shape[:2]
    tall, wide = (_bucket(side) for side in (height, width))
    canvas = np.full((tall, wide, 3), GREY, np.uint8)
    top, left = (tall - height) // 2, (wide - width) // 2
    canvas[top : top + height, left : left + width] = pixels
    return heat_of(canvas)[top : top + height, left : left + width]


def _bucket(side: int) -> int:
    needed = side + 2 * EDGE_PX if side < THIN_PX else side
    return -(-needed // STEP_PX) * STEP_PX


def not_among(lines: Sequence[FoundLine], others: Sequence[FoundLine]) -> list[FoundLine]:
    """The lines of which no box of the others covers most, and which cover most of none's."""
    quads = np.array([other.quad for other in others]).reshape(-1, 4, 2)
    firsts, lasts = quads.min(axis=1), quads.max(axis=1)
    areas = (lasts - firsts).prod(axis=1)
    left = []
    for line in lines:
        low, high = line.quad.min(axis=0), line.quad.max(axis=0)
        shared = (np.minimum(high, lasts) - np.maximum(low, firsts)).clip(0).prod(axis=1)
        if not (shared > 0.5 * np.minimum(areas, (high - low).prod())).any():
            left.append(line)
    return left
