"""Cuts quadrilaterals out of pictures, upright, and scales pictures: what readers of text look at.

Corners are (4, 2) float32: x, y in pixels, clockwise, the first above the beginning of a line.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from segsearch.core.arrays import Pixels

Quad = NDArray[np.float32]  # (4, 2) of x, y
SHARP = 2  # what is more than so many times as high as wanted is averaged first


def bound_threads(threads: int) -> None:
    """Let OpenCV run no more threads. A process has one pool of them, so this bounds crops and
    outlines, too: what is done to one is small, and beside others threads wait for each other. A
    lower bound that is set already stays."""
    cv2.setNumThreads(min(cv2.getNumThreads(), threads))


def scaled(pixels: Pixels, height: int, width: int) -> Pixels:
    """A picture (H, W, 3) at another size: pixels are averaged where there are too many."""
    if pixels.shape[:2] == (height, width):
        return pixels
    shrinks = height < pixels.shape[0]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(pixels, (width, height), interpolation=method), np.uint8)


def sides(quad: Quad) -> tuple[float, float]:
    """Width and height of a quadrilateral: the longer of each pair of opposite sides."""
    along = np.linalg.norm(quad - np.roll(quad, -1, axis=0), axis=1)
    return float(max(along[0], along[2])), float(max(along[1], along[3]))


def cut_upright(pixels: Pixels, quad: Quad, height: int, width: int) -> Pixels:
    """What lies in a quadrilateral as (height, width, 3), its first corner at the top left; its
    edge goes on where the picture ends."""
    tall, wide = pixels.shape[:2]
    low = np.clip(np.floor(quad.min(axis=0)), 0, (wide - 1, tall - 1)).astype(int)
    high = np.clip(np.ceil(quad.max(axis=0)) + 1, low + 1, (wide, tall)).astype(int)
    inside = pixels[low[1] : high[1], low[0] : high[0]]
    corners = quad - low.astype(np.float32)
    factor = int(sides(quad)[1] // height)
    if factor >= SHARP:
        small = [max(1, round(side / factor)) for side in inside.shape[1::-1]]
        corners = corners * np.divide(small, inside.shape[1::-1]).astype(np.float32)
        inside = np.asarray(cv2.resize(inside, small, interpolation=cv2.INTER_AREA), np.uint8)
    onto = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    matrix = cv2.getPerspectiveTransform(corners.astype(np.float32), onto)
    upright = cv2.warpPerspective(
        inside, matrix, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(upright, np.uint8)
