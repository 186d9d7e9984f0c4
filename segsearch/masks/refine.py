"""Moves the outlines of rough masks to edges of the picture, by GrabCut.

A small segmenter knows where a thing is better than where it ends. GrabCut (Rother et al. 2004, by
OpenCV) learns the colours inside and outside of a mask and moves its border to where they part;
what lies deep inside or far outside stays. `python -m benchmarks.looks` and
`python -m benchmarks.regions.choose` show what that gains.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from segsearch.core.arrays import BoolArray, Pixels
from segsearch.core.types import Box, Mask
from segsearch.masks import rle

ROOM = 0.25  # around the mask's box, of its longer side: the colours of what lies outside
LEAST_ROOM_PX = 4
BAND = 0.15  # how far an edge may move, of the square root of the mask's area
LEAST_BAND_PX = 2.0
FULL = np.uint8(255)  # a mask as an image, which OpenCV resizes fastest
SAMPLES = 4  # pixels a side that are averaged into one that GrabCut sees, where there are more
LEAST_AREA_PX = 12  # of the mask as GrabCut sees it; smaller ones have no colours to learn
LEAST_IOU = 0.5  # with what the mask was: what changes more is not this thing's edge


def to_edges(pixels: Pixels, mask: Mask, side_px: int) -> Mask:
    """The mask with its outline moved to edges nearby; the same where there is nothing to move.

    `pixels` (H, W, 3) uint8 RGB are those of the mask's picture, which may have more of them than
    the mask's frame. GrabCut sees the surroundings of the mask with their longer side reduced to
    `side_px`. The same mask and pixels give the same answer every time.
    """
    window = _around(mask)
    rough = np.zeros((window.height, window.width), np.uint8)
    rough[_part(mask.box, window)] = FULL * rle.decode_crop(mask)
    x0, x1 = _across(window.x0, window.x1, pixels.shape[1] / mask.width)
    y0, y1 = _across(window.y0, window.y1, pixels.shape[0] / mask.height)
    scale = min(1.0, side_px / max(y1 - y0, x1 - x0))
    size = max(1, round((x1 - x0) * scale)), max(1, round((y1 - y0) * scale))
    small = _fitted(rough, size)
    if small.sum() < LEAST_AREA_PX or small.all():
        return mask
    step = max(1, int(1 / (scale * SAMPLES)))
    around = np.ascontiguousarray(pixels[y0:y1:step, x0:x1:step])
    seen = np.asarray(cv2.resize(around, size, interpolation=cv2.INTER_AREA), np.uint8)
    moved = _cut_out(seen, small)
    overlap = (moved & small).sum() / (moved | small).sum()
    if overlap < LEAST_IOU or _contrast(seen, moved) <= _contrast(seen, small):
        return mask
    full = cv2.resize(FULL * moved, rough.shape[::-1], interpolation=cv2.INTER_LINEAR) > FULL / 2
    frame = (mask.height, mask.width)
    return rle.encode(full, origin=(window.x0, window.y0), size=frame) or mask


def _across(low: int, high: int, factor: float) -> tuple[int, int]:
    """Pixels of a picture that a span of the mask's frame stands for."""
    start = int(low * factor + 0.5)
    return start, max(start + 1, int(high * factor + 0.5))


def _fitted(rough: NDArray[np.uint8], size: tuple[int, int]) -> BoolArray:
    """A mask as an image at another size (width, height)."""
    larger = size[0] > rough.shape[1] or size[1] > rough.shape[0]
    how = cv2.INTER_LINEAR if larger else cv2.INTER_AREA
    return np.asarray(cv2.resize(rough, size, interpolation=how) > FULL / 2)


def _around(mask: Mask) -> Box:
    """The mask's box with room on every side, inside the picture."""
    box = mask.box
    room = LEAST_ROOM_PX + round(ROOM * max(box.width, box.height))
    x0, y0 = max(0, box.x0 - room), max(0, box.y0 - room)
    return Box(x0, y0, min(mask.width, box.x1 + room), min(mask.height, box.y1 + room))


def _part(box: Box, window: Box) -> tuple[slice, slice]:
    """Rows and columns of a box in a window around it."""
    rows = slice(box.y0 - window.y0, box.y1 - window.y0)
    return rows, slice(box.x0 - window.x0, box.x1 - window.x0)


def _cut_out(pixels: Pixels, rough: BoolArray) -> BoolArray:
    """One round of GrabCut on pixels (h, w, 3), from a mask (h, w) that is neither empty nor full.

    What lies deeper than the band stays as it is, and so does what lies deepest on either side.
    """
    band = max(LEAST_BAND_PX, BAND * float(np.sqrt(rough.sum())))
    inside, outside = _depth(np.pad(rough, 1))[1:-1, 1:-1], _depth(~rough)
    trimap = np.where(rough, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    trimap[inside >= min(band, float(inside.max()))] = cv2.GC_FGD
    trimap[outside >= min(band, float(outside.max()))] = cv2.GC_BGD
    cv2.setRNGSeed(0)  # its first guess at the colours is drawn by chance
    background, foreground = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.grabCut(pixels, trimap, (0, 0, 0, 0), background, foreground, 1, cv2.GC_INIT_WITH_MASK)
    kept: BoolArray = (trimap == cv2.GC_FGD) | (trimap == cv2.GC_PR_FGD)
    return kept


def _contrast(pixels: Pixels, mask: BoolArray) -> float:
    """How far apart the colours on both sides of a mask's outline are on average, in [0, 255].

    `pixels` (h, w, 3), `mask` (h, w); 0 for a mask that ends nowhere in the picture.
    """
    levels = pixels.astype(np.int16)
    total, count = 0.0, 0
    for axis in (0, 1):
        crossed = np.diff(mask, axis=axis)
        total += float(np.abs(np.diff(levels, axis=axis))[crossed].sum())
        count += int(crossed.sum())
    return total / (3 * count) if count else 0.0


def _depth(array: BoolArray) -> NDArray[np.float32]:
    """(h, w): how many pixels each one that is set lies from the nearest that is not."""
    return np.asarray(cv2.distanceTransform(array.astype(np.uint8), cv2.DIST_L2, 3), np.float32)
