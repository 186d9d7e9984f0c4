"""Says of regions what their masks show: size, place, and which of them lie in which."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from segsearch.core.types import Mask
from segsearch.masks.relations import INSIDE_SHARE
from segsearch.masks.rle import covered


def nesting(masks: Sequence[Mask]) -> tuple[list[int], list[int]]:
    """Of n masks of one frame: how many others lie in each, and in how many each lies.

    One lies in another where that covers `INSIDE_SHARE` of it and is larger.
    """
    areas = np.array([mask.area for mask in masks])
    inside = (covered(masks) >= INSIDE_SHARE) & (areas[:, None] < areas[None])
    return inside.sum(0).tolist(), inside.sum(1).tolist()


def traits(
    quality: NDArray[np.float64], places: NDArray[np.int64], nested: NDArray[np.int64]
) -> NDArray[np.float32]:
    """(n, t) `core.mix.TRAITS` of n regions.

    `quality` (n, 2) predicted IoU and stability; `places` (n, 7) x0, y0, x1, y1, area, and the
    picture's width and height, in pixels; `nested` (n, 2) as `nesting` counts.
    """
    x0, y0, x1, y1, area, width, height = places.T
    share = np.log(area / (width * height))
    touched = (x0 <= 0).astype(int) + (y0 <= 0) + (x1 >= width) + (y1 >= height)
    filled = area / ((x1 - x0) * (y1 - y0))
    columns = [*quality.T, share, share**2, touched, *np.log1p(nested.T), filled]
    return np.stack(columns, axis=1).astype(np.float32)
