"""A picture and its halves: regions are cut out of the smallest that shows them in full detail.

No encoder looks at more than 1,024 px of a region, and a photograph may have ten times as many.
"""

from __future__ import annotations

import cv2
import numpy as np
import PIL.Image

from segsearch.core.arrays import Pixels
from segsearch.core.types import Mask
from segsearch.masks.crops import (
    MAX_SIDE_PX,
    CropRule,
    context_crop,
    masked_crop,
    square_around,
)
from segsearch.masks.enlarge import enlarged
from segsearch.masks.rle import decode_crop, encode


class Levels:
    """A picture (H, W, 3) at level 0; at each further one a half of it, made when asked for."""

    def __init__(self, pixels: Pixels) -> None:
        self._made = [pixels]

    def at(self, level: int) -> Pixels:
        """The picture with both sides halved so many times, rounded up."""
        while len(self._made) <= level:
            self._made.append(_half(self._made[-1]))
        return self._made[level]

    def whole(self) -> Pixels:
        """All of it, with its longer side at most `MAX_SIDE_PX`."""
        level = 0
        while max(self.at(level).shape[:2]) > MAX_SIDE_PX:
            level += 1
        return self.at(level)

    def crops(self, mask: Mask, rule: CropRule, seen: Mask | None = None) -> tuple[Pixels, Pixels]:
        """A region's context crop and masked crop, (side, side, 3) each; `seen` is its mask as it
        was found on a reduced picture, if it was."""
        height, width = self._made[0].shape[:2]
        side = square_around(mask.box, rule, height, width).width
        level = 0
        while side > MAX_SIDE_PX:
            side, level = side // 2, level + 1
        pixels = self.at(level)
        if level:
            mask = resized(seen or mask, *pixels.shape[:2])
        return context_crop(pixels, mask, rule), masked_crop(pixels, mask, rule)


def shrunk(pixels: Pixels, side_px: int) -> Pixels:
    """A picture (H, W, 3) with its sides divided by the greatest whole number that leaves its
    longer side at least `side_px`; each pixel is the mean of those it stands for."""
    height, width = pixels.shape[:2]
    factor = max(height, width) // side_px
    if factor < 2:
        return pixels
    size = max(1, round(width / factor)), max(1, round(height / factor))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)


def _half(pixels: Pixels) -> Pixels:
    """A picture with both sides halved, rounded up. Pillow would copy a large one first; of an odd
    side it alone takes the last pixel for one of the half."""
    height, width = pixels.shape[:2]
    if height % 2 or width % 2:
        return np.asarray(PIL.Image.fromarray(pixels).reduce(2))
    half = cv2.resize(pixels, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    return np.asarray(half, np.uint8)


def resized(mask: Mask, height: int, width: int) -> Mask:
    """A mask on a frame of another size."""
    if mask.height <= height and mask.width <= width:
        return enlarged(mask, height, width)
    box = mask.box
    wide, tall = width / mask.width, height / mask.height
    x0, y0 = int(box.x0 * wide), int(box.y0 * tall)
    size = (
        max(1, min(round(box.width * wide), width - x0)),
        max(1, min(round(box.height * tall), height - y0)),
    )
    inside = decode_crop(mask).astype(np.uint8) * 255
    small = cv2.resize(inside, size, interpolation=cv2.INTER_AREA) >= 128
    if not small.any():
        small[:] = True
    made = encode(small, origin=(x0, y0), size=(height, width))
    return made or mask
