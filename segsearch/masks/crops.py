"""Turns pixels and a mask into what the embedder sees: a context crop and a masked crop.

Cutting the background to black hurts recognition, and a plain box crop leaks it: so each segment
is looked at twice, once with its surroundings, once with everything but itself in a neutral grey.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import PIL.Image

from segsearch.core.arrays import BoolArray, Pixels
from segsearch.core.types import Box, Mask
from segsearch.masks.rle import decode_crop

MAX_SIDE_PX = 1024  # no encoder looks at more


@dataclass(frozen=True, slots=True)
class CropRule:
    """How a segment is cut out.

    `margin` is the share of the box's longer side added on each side, `min_side_px` the smallest
    side of the square, `fill` the RGB colour outside the picture and behind a masked segment
    (ImageNet's mean colour, which says least to the encoders).
    """

    margin: float = 0.15
    min_side_px: int = 32
    fill: tuple[int, int, int] = (124, 116, 104)

    @property
    def document(self) -> dict[str, Any]:
        """The rule as plain JSON values."""
        return {**asdict(self), "fill": list(self.fill)}


def cut(pixels: Pixels, box: Box) -> Pixels:
    """What lies in a box (h, w, 3) u8, in memory of its own."""
    return np.ascontiguousarray(pixels[box.y0 : box.y1, box.x0 : box.x1])


def square_around(box: Box, rule: CropRule, height: int, width: int) -> Box:
    """The square to cut: centred on the box, shifted to stay inside the picture where it fits."""
    longer = max(box.width, box.height)
    side = max(round(longer * (1 + 2 * rule.margin)), rule.min_side_px)
    x0 = _place(box.x0, box.x1, side, width)
    y0 = _place(box.y0, box.y1, side, height)
    return Box(x0, y0, x0 + side, y0 + side)


def context_crop(pixels: Pixels, mask: Mask, rule: CropRule) -> Pixels:
    """The square around a segment (side, side, 3) u8 with all that stands around it."""
    square = square_around(mask.box, rule, *pixels.shape[:2])
    part, origin = _inside(pixels, square)
    return _on_square(part, origin, square, rule)


def masked_crop(pixels: Pixels, mask: Mask, rule: CropRule) -> Pixels:
    """The same square (side, side, 3) u8 with everything outside the mask in the fill colour."""
    square = square_around(mask.box, rule, *pixels.shape[:2])
    box = mask.box
    part = np.empty((box.height, box.width, 3), dtype=np.uint8)
    part[:] = rule.fill
    inside: BoolArray = decode_crop(mask)
    part[inside] = pixels[box.y0 : box.y1, box.x0 : box.x1][inside]
    return _on_square(part, (box.x0, box.y0), square, rule)


def _place(low: int, high: int, side: int, length: int) -> int:
    """Where a square's edge begins along one axis of a picture `length` long."""
    start = (low + high - side) // 2
    if side <= length:
        return min(max(start, 0), length - side)
    return min(max(start, length - side), 0)


def _inside(pixels: Pixels, square: Box) -> tuple[Pixels, tuple[int, int]]:
    """The part of the picture under a square, and where it begins (x, y)."""
    height, width = pixels.shape[:2]
    x0, y0 = max(square.x0, 0), max(square.y0, 0)
    return pixels[y0 : min(square.y1, height), x0 : min(square.x1, width)], (x0, y0)


def _on_square(part: Pixels, origin: tuple[int, int], square: Box, rule: CropRule) -> Pixels:
    """`part` laid on a filled square; a square over `MAX_SIDE_PX` is shrunk by whole factors, so
    that a 1 x 20,000 picture does not ask for a gigabyte."""
    factor = -(-square.width // MAX_SIDE_PX)
    if factor > 1:
        part = np.asarray(PIL.Image.fromarray(part).reduce(factor))
    elif part.shape[:2] == (square.height, square.width):
        return part
    side = -(-square.width // factor)
    canvas = np.empty((side, side, 3), dtype=np.uint8)
    canvas[:] = rule.fill
    x, y = (origin[0] - square.x0) // factor, (origin[1] - square.y0) // factor
    room = canvas[y : y + part.shape[0], x : x + part.shape[1]]
    room[:] = part[: room.shape[0], : room.shape[1]]
    return canvas
