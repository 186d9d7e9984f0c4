"""Follows masks from one frame to the next by what is seen to move.

Points in each mask are followed by sparse optical flow (Lucas and Kanade, in pyramids), those that
do not come back to where they began are dropped, and what the rest say is one similarity a mask, as
Median Flow does (Kalal et al. 2010).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from segsearch.core.arrays import Pixels
from segsearch.core.types import Mask
from segsearch.masks.rle import decode_crop, encode

SIDE_PX = 480  # of the longer side of frames that are compared
POINTS = 24  # of a mask at most
LEAST_POINTS = 4  # that still say how a mask moved
LEAST_SHARE = 0.25  # of a mask's points that must be there still
WINDOW_PX, LEVELS = 17, 4
RETURN_PX = 1.0  # how far from where it began a point may come back to
CORNER_QUALITY, CORNER_DISTANCE_PX = 0.01, 3
INLIER_PX = 3.0
MOST_GROWTH = 3.0
Grey = NDArray[np.uint8]


def grey(pixels: Pixels) -> Grey:
    """A frame (H, W, 3) u8 as it is compared: (h, w) u8, longer side `SIDE_PX` at most."""
    height, width = pixels.shape[:2]
    scale = min(1.0, SIDE_PX / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA) if scale < 1 else pixels
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), np.uint8)


@dataclass(frozen=True, slots=True)
class Movement:
    """How a mask moved: (2, 3) f64 from its frame's pixels to the same frame's, and the share of
    its points that were followed."""

    matrix: NDArray[np.float64]
    share: float

    def of(self, mask: Mask) -> Mask | None:
        """The mask where it is now; None out of the frame."""
        box = mask.box
        corners = np.array([[box.x0, box.y0], [box.x1, box.y0], [box.x0, box.y1], [box.x1, box.y1]])
        moved = corners @ self.matrix[:, :2].T + self.matrix[:, 2]
        x0, y0 = np.maximum(np.floor(moved.min(0)), 0).astype(int)
        x1, y1 = np.minimum(np.ceil(moved.max(0)), (mask.width, mask.height)).astype(int)
        if x0 >= x1 or y0 >= y1:
            return None
        here = self.matrix.copy()
        here[:, 2] += self.matrix[:, :2] @ (box.x0, box.y0) - (x0, y0)
        crop = decode_crop(mask).astype(np.uint8)
        placed = cv2.warpAffine(crop, here, (int(x1 - x0), int(y1 - y0)), flags=cv2.INTER_NEAREST)
        size = mask.height, mask.width
        return encode(placed.astype(bool), origin=(int(x0), int(y0)), size=size)


class FlowFollower:
    """Follows masks of one frame through those that come after it. Not thread-safe."""

    def __init__(self, pixels: Pixels, masks: Sequence[Mask]) -> None:
        """Begin with a frame (H, W, 3) u8 and masks of its size."""
        self._masks = tuple(masks)
        self._frame = grey(pixels)
        self._scale = self._frame.shape[1] / pixels.shape[1]
        found = [_points(self._frame, mask, self._scale) for mask in masks]
        self._owners = np.repeat(np.arange(len(masks)), [len(some) for some in found])
        self._counts = np.array([len(some) for some in found])
        self._from = np.concatenate([*found, np.empty((0, 2), np.float32)])
        self._at = self._from.copy()

    def step(self, pixels: Pixels) -> None:
        """Go on to the next frame, of the same picture in whatever size."""
        frame = grey(pixels)
        if frame.shape != self._frame.shape:
            frame = np.asarray(cv2.resize(frame, self._frame.shape[::-1]), np.uint8)
        if len(self._at):
            there = _followed(self._frame, frame, self._at)
            back = _followed(frame, self._frame, there)
            stays = np.linalg.norm(back - self._at, axis=1) < RETURN_PX
            height, width = frame.shape
            stays &= ((there >= 0) & (there < (width, height))).all(1)
            self._at, self._from = there[stays], self._from[stays]
            self._owners = self._owners[stays]
        self._frame = frame

    def movements(self) -> list[Movement | None]:
        """How each mask moved since the first frame; None where too few of its points say it."""
        return [self._movement(number) for number in range(len(self._counts))]

    def moved(self) -> list[Mask | None]:
        """Each mask where it is now; None where that is not known, or out of the frame."""
        return [
            None if movement is None else movement.of(mask)
            for mask, movement in zip(self._masks, self.movements(), strict=True)
        ]

    def _movement(self, number: int) -> Movement | None:
        own = self._owners == number
        least = max(LEAST_POINTS, LEAST_SHARE * self._counts[number])
        if own.sum() < least:
            return None
        matrix, inliers = cv2.estimateAffinePartial2D(
            self._from[own], self._at[own], ransacReprojThreshold=INLIER_PX
        )
        if matrix is None or inliers.sum() < least:
            return None
        growth = float(np.hypot(matrix[0, 0], matrix[1, 0]))
        if not 1 / MOST_GROWTH < growth < MOST_GROWTH:
            return None
        matrix = np.asarray(matrix, np.float64)
        matrix[:, 2] /= self._scale
        return Movement(matrix, int(inliers.sum()) / int(self._counts[number]))


def _points(frame: Grey, mask: Mask, scale: float) -> NDArray[np.float32]:
    """(n, 2) corners in a mask, x and y."""
    box = mask.box
    x0, y0 = int(box.x0 * scale), int(box.y0 * scale)
    x1 = min(frame.shape[1], max(x0 + 1, round(box.x1 * scale)))
    y1 = min(frame.shape[0], max(y0 + 1, round(box.y1 * scale)))
    crop = decode_crop(mask).astype(np.uint8) * 255
    if x1 <= x0 or y1 <= y0:
        return np.empty((0, 2), np.float32)
    inside = cv2.resize(crop, (x1 - x0, y1 - y0), interpolation=cv2.INTER_AREA) > 127
    corners = cv2.goodFeaturesToTrack(
        np.ascontiguousarray(frame[y0:y1, x0:x1]),
        POINTS,
        CORNER_QUALITY,
        CORNER_DISTANCE_PX,
        mask=inside.astype(np.uint8),
    )
    if corners is None:
        return np.empty((0, 2), np.float32)
    return np.asarray(corners.reshape(-1, 2) + np.array([x0, y0]), np.float32)


def _followed(before: Grey, after: Grey, points: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n, 2) where points are in the next frame; NaN where that is not known."""
    window = WINDOW_PX, WINDOW_PX
    there, known, _ = cv2.calcOpticalFlowPyrLK(
        before, after, points, np.empty_like(points), winSize=window, maxLevel=LEVELS
    )
    found = np.array(there, np.float32)
    found[np.ravel(known) == 0] = np.nan
    return found
