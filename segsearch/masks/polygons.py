"""Turns masks into outlines along pixel edges: polygons, GeoJSON-like, and SVG paths.

Exact: filled by the even-odd rule, or by ring with holes, they cover the mask's pixels and no
others. Nothing is smoothed or simplified.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from segsearch.core.arrays import BoolArray
from segsearch.core.types import Mask
from segsearch.masks.rle import decode_crop

Point = tuple[int, int]
Ring = list[Point]  # corners x, y in pixels of the whole picture; the first is not repeated
Polygon = list[Ring]  # the outer ring, clockwise on the screen, then its holes
RIGHT, DOWN, LEFT, UP = range(4)
STEPS = ((1, 0), (0, 1), (-1, 0), (0, -1))


def polygons(mask: Mask) -> list[Polygon]:
    """The mask's connected parts (by shared edges) as polygons, from the top left on.

    Pixel (x, y) is the square from (x, y) to (x + 1, y + 1), so corners reach from 0 to W and H.
    """
    shape = decode_crop(mask)
    labels: NDArray[np.int32] = ndimage.label(shape)[0]
    parts: dict[int, Polygon] = defaultdict(list)
    for ring, inside in _rings(shape):
        part = parts[int(labels[inside])]
        placed = [(x + mask.box.x0, y + mask.box.y0) for x, y in ring]
        # Rings are found from the top left on: a part's outer one before its holes.
        part.append(placed)
    return list(parts.values())


def keyholed(mask: Mask) -> list[list[int]]:
    """The mask's connected parts as one ring each, x, y, x, y ... as COCO has polygons.

    COCO knows no holes: each is joined to what surrounds it by a slit without width, so that the
    rings still cover the mask's pixels and no others.
    """
    rings = [_with_slits(polygon) for polygon in polygons(mask)]
    return [[number for corner in ring for number in corner] for ring in rings]


def _with_slits(polygon: Polygon) -> Ring:
    """One ring of an outer ring and its holes. From the leftmost corner of each hole a slit goes to
    the left; what it meets is in the ring already, as holes further left come first."""
    ring, *holes = polygon
    if not holes:
        return ring
    line = _Line()
    line.close(ring)
    for hole in sorted(holes, key=min):
        start = hole.index(min(hole))
        line.insert([*hole[start:], *hole[:start], hole[start]])
    return line.ring()


class _Line:
    """A ring that grows: corners linked to the next, and its upright edges by the rows they touch.

    An upright edge is cut wherever a slit meets it; `_Edge` knows its pieces. So a hole costs what
    its own outline measures, however many there are.
    """

    def __init__(self) -> None:
        self._corners: list[tuple[int, int]] = []
        self._next: list[int] = []
        self._rows: dict[int, list[tuple[int, int]]] = defaultdict(list)  # x, number of an edge
        self._edges: list[_Edge] = []

    def close(self, ring: Ring) -> None:
        """Begin with a closed ring."""
        first, last = self._add(ring)
        self._next[last] = first
        self._note(last, first)

    def insert(self, around: Ring) -> None:
        """Join what begins and ends in its leftmost corner by a slit to the left."""
        x, y = around[0]
        row = self._rows[y]
        at, number = row[bisect_left(row, (x, -1)) - 1]
        edge = self._edges[number]
        before = edge.piece_at(y)
        behind = self._next[before]
        entry, leave = self._add([(at, y), *around, (at, y)])
        self._next[before], self._next[leave] = entry, behind
        edge.cut(y, leave)

    def ring(self) -> Ring:
        """All corners in order."""
        made, at = [self._corners[0]], self._next[0]
        while at:
            made.append(self._corners[at])
            at = self._next[at]
        return made

    def _add(self, corners: Ring) -> tuple[int, int]:
        """Corners linked one to the next; the numbers of the first and the last."""
        first = len(self._corners)
        last = first + len(corners) - 1
        self._corners += corners
        self._next += range(first + 1, last + 2)
        for number in range(first, last):
            self._note(number, number + 1)
        return first, last

    def _note(self, begin: int, end: int) -> None:
        """Find the edge between two corners by its rows, if it is upright."""
        (x0, y0), (x1, y1) = self._corners[begin], self._corners[end]
        if x0 != x1:
            return
        self._edges.append(_Edge(y0, 1 if y1 > y0 else -1, [0], [begin]))
        for y in range(min(y0, y1), max(y0, y1) + 1):
            insort(self._rows[y], (x0, len(self._edges) - 1))


@dataclass(frozen=True, slots=True)
class _Edge:
    """An upright edge from row `start`, down (1) or up (-1): how far along it each of its pieces
    begins, and at which corner."""

    start: int
    direction: int
    along: list[int]
    corners: list[int]

    def piece_at(self, y: int) -> int:
        """The corner where the piece begins that touches row `y`."""
        return self.corners[bisect_right(self.along, (y - self.start) * self.direction) - 1]

    def cut(self, y: int, corner: int) -> None:
        """What lies beyond row `y` begins at another corner from now on."""
        at = (y - self.start) * self.direction
        place = bisect_right(self.along, at)
        self.along.insert(place, at)
        self.corners.insert(place, corner)


def svg_path(mask: Mask) -> str:
    """The `d` of an SVG path in the picture's pixels; fill it by the even-odd rule."""
    return "".join(_drawn(ring) for polygon in polygons(mask) for ring in polygon)


def svg_document(mask: Mask) -> str:
    """An SVG picture as large as the frame, the mask filled with the current colour."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{mask.width}" height="{mask.height}" '
        f'viewBox="0 0 {mask.width} {mask.height}"><path fill="currentColor" fill-rule="evenodd" '
        f'd="{svg_path(mask)}"/></svg>'
    )


def _drawn(ring: Ring) -> str:
    (x, y), *others = ring
    words = [f"M{x} {y}"]
    for next_x, next_y in others:
        words.append(f"H{next_x}" if next_y == y else f"V{next_y}")
        x, y = next_x, next_y
    return "".join(words) + "Z"


def _rings(shape: BoolArray) -> list[tuple[Ring, tuple[int, int]]]:
    """Rings with the region on their right, and a (row, column) inside beside each one's start."""
    edges = _edges(shape)
    rings: list[tuple[Ring, tuple[int, int]]] = []
    for start in sorted(edges, key=lambda at: (at[1], at[0])):
        while edges[start]:
            # The topmost, then leftmost corner of a ring: it leaves to the right or downwards.
            direction = min(edges[start])
            x, y = start
            inside = (y, x) if direction == RIGHT else (y, x - 1)
            rings.append((_walk(edges, start, direction), inside))
    return rings


def _walk(edges: dict[Point, set[int]], start: Point, direction: int) -> Ring:
    """Follow edges from a corner until they come back to it, using them up."""
    ring: Ring = []
    at, before = start, -1
    while direction in edges[at]:
        edges[at].discard(direction)
        if direction != before:
            ring.append(at)
        at = (at[0] + STEPS[direction][0], at[1] + STEPS[direction][1])
        before = direction
        # Where two parts touch in a corner, turning right stays with the same part.
        turns = ((before + 1) % 4, before, (before + 3) % 4)
        direction = next((turn for turn in turns if turn in edges[at]), before)
    return ring


def _edges(shape: BoolArray) -> dict[Point, set[int]]:
    """Directions of the pixel edges that leave each corner, the region on their right."""
    padded = np.pad(shape, 1)
    inner = padded[1:-1, 1:-1]
    edges: dict[Point, set[int]] = defaultdict(set)
    sides = (
        (inner & ~padded[:-2, 1:-1], RIGHT, 0, 0),  # nothing above
        (inner & ~padded[1:-1, 2:], DOWN, 1, 0),  # nothing to the right
        (inner & ~padded[2:, 1:-1], LEFT, 1, 1),  # nothing below
        (inner & ~padded[1:-1, :-2], UP, 0, 1),  # nothing to the left
    )
    for starts, direction, dx, dy in sides:
        rows, columns = np.nonzero(starts)
        for x, y in zip((columns + dx).tolist(), (rows + dy).tolist(), strict=True):
            edges[(x, y)].add(direction)
    return edges
