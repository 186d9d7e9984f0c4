"""Pastes outlined things of one photograph over another: more pictures from few outlines.

After "Simple Copy-Paste is a Strong Data Augmentation Method" (Ghiasi et al. 2021).
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

SMALLEST, LARGEST = 0.01, 0.5  # of its own picture, that a pasted thing covers
SIDES = (0.2, 0.75)  # of the other picture's shorter side: the longer side of a pasted thing
SOFT_PX = 0.7  # standard deviation of the edge


def pasted(
    rng: np.random.Generator,
    ground: tuple[NDArray[np.uint8], NDArray[np.bool_]],
    thing: tuple[NDArray[np.uint8], NDArray[np.bool_]],
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """A picture (H, W, 3) with masks (k, H, W), and a thing over it: k + 1 masks, its own last.

    `thing` are pixels (h, w, 3) and its mask (h, w), which fills them. What it hides belongs to no
    other mask.
    """
    pixels, masks = ground
    size = np.array(masks.shape[1:])
    longer = rng.uniform(*SIDES) * size.min()
    scale = longer / max(thing[1].shape)
    height, width = np.maximum((np.array(thing[1].shape) * scale).astype(int), 4)
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    scaled = cv2.resize(thing[0], (width, height), interpolation=method)
    shape = cv2.resize(thing[1].astype(np.float32), (width, height), interpolation=method)
    top, left = (int(rng.integers(room + 1)) for room in size - (height, width))
    place = slice(top, top + height), slice(left, left + width)
    own = np.zeros(size, np.bool_)
    own[place] = shape > 0.5
    soft = np.clip(2 * cv2.GaussianBlur(shape, (0, 0), SOFT_PX) - 0.5, 0, 1)[..., None]
    picture = pixels.copy()
    picture[place] = (soft * scaled + (1 - soft) * picture[place]).round()
    return picture, np.concatenate([masks & ~own, own[None]])


def cut_out(
    rng: np.random.Generator, pixels: NDArray[np.uint8], masks: NDArray[np.bool_]
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]] | None:
    """One thing of a photograph inside its box, mirrored at times; None where none is fit."""
    share = masks.mean((1, 2))
    fit = np.flatnonzero((share >= SMALLEST) & (share <= LARGEST))
    if not len(fit):
        return None
    mask = masks[int(rng.choice(fit))]
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    step = 1 if rng.random() < 0.5 else -1
    return np.ascontiguousarray(pixels[box][:, ::step]), np.ascontiguousarray(mask[box][:, ::step])
