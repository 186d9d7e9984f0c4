"""Turns masks into outlines along pixel edges: polygons, GeoJSON-like, and SVG paths.

Exact: filled by the even-odd rule, or by ring with holes, they cover the mask's pixels and no
others. Nothing is smoothed or simplified.
"""

from __future__ import annotations

from collections import defaultdict

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
    for hole in sorted(holes, key=min):
        start = hole.index(min(hole))
        x, y = hole[start]
        number, at = _met_on_the_left(ring, x, y)
        around = [*hole[start:], *hole[:start], (x, y)]
        ring = [*ring[: number + 1], (at, y), *around, (at, y), *ring[number + 1 :]]
    return ring


def _met_on_the_left(ring: Ring, x: int, y: int) -> tuple[int, int]:
    """The nearest upright edge to the left of a corner: where it begins in the ring, and its x."""
    met = []
    for number, (x0, y0) in enumerate(ring):
        x1, y1 = ring[(number + 1) % len(ring)]
        if x0 == x1 < x and min(y0, y1) <= y <= max(y0, y1):
            met.append((x0, -number))
    at, number = max(met)
    return -number, at


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
