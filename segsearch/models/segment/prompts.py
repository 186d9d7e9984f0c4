"""Checks what a person points at in a picture: points, boxes, and an earlier answer's logits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segsearch.core.errors import InputError

MAX_PROMPTS = 64  # points and boxes together
Coordinates = Sequence[Sequence[float]] | NDArray[np.floating] | NDArray[np.integer]


@dataclass(frozen=True, slots=True)
class Prompts:
    """What to segment, checked.

    `points` (n, 2) float64 are x, y in pixels of the upright picture, `labels` (n,) int64 say 1
    for the thing and 0 for what is not it. `boxes` (b, 4) float64 are x0, y0, x1, y1: each is one
    thing with masks of its own, and all points belong to each. `mask_input` (h, w) float32 are
    the logits of an earlier answer. With `multimask` a thing has three masks, else one.
    """

    points: NDArray[np.float64]
    labels: NDArray[np.int64]
    boxes: NDArray[np.float64]
    mask_input: NDArray[np.float32] | None = None
    multimask: bool = True


def check_prompts(
    size: tuple[int, int],
    points: Coordinates | None = None,
    labels: Sequence[int] | NDArray[np.integer] | None = None,
    boxes: Coordinates | None = None,
    mask_input: NDArray[np.float32] | None = None,
) -> Prompts:
    """Prompts for a picture of `size` (H, W); without `labels` every point is of the thing.

    `mask_input` is what `check_logits` gave. InputError for coordinates outside the picture or not
    finite, labels other than 0 and 1, boxes without area, more than 64 prompts, or none at all.
    """
    where = _array(points, 2, "points")
    around = _array(boxes, 4, "boxes")
    count = len(where) + len(around)
    if count > MAX_PROMPTS:
        raise InputError(f"{count} points and boxes, expected at most {MAX_PROMPTS}.")
    if not count and mask_input is None:
        raise InputError("Nothing is prompted: give points, boxes or a mask.")
    _check_inside(np.concatenate([where, around.reshape(-1, 2)]), size)
    if (around[:, :2] >= around[:, 2:]).any():
        raise InputError("A box is x0, y0, x1, y1 with x0 < x1 and y0 < y1.")
    return Prompts(where, _check_labels(labels, len(where)), around, mask_input)


def check_logits(
    mask_input: NDArray[np.float32] | None, mask_size: tuple[int, int]
) -> NDArray[np.float32] | None:
    """The logits of an earlier answer, if any; InputError unless (h, w) of `mask_size`, finite."""
    if mask_input is None:
        return None
    logits = np.asarray(mask_input, dtype=np.float32)
    if logits.shape != mask_size:
        raise InputError(f"The mask has shape {logits.shape}, expected logits of {mask_size}.")
    if not np.isfinite(logits).all():
        raise InputError("The mask's logits are not all finite.")
    return logits


def _array(given: Coordinates | None, width: int, name: str) -> NDArray[np.float64]:
    if given is None or len(given) == 0:
        return np.empty((0, width))
    try:
        array = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError) as problem:
        raise InputError(f"The {name} are no numbers: {problem}.") from problem
    if array.ndim != 2 or array.shape[1] != width:
        raise InputError(f"The {name} have shape {array.shape}, expected (n, {width}).")
    return array


def _check_inside(where: NDArray[np.float64], size: tuple[int, int]) -> None:
    height, width = size
    if not np.isfinite(where).all():
        raise InputError("A coordinate is not finite.")
    outside = ((where < 0) | (where > (width, height))).any(axis=1)
    if outside.any():
        x, y = where[outside.argmax()]
        raise InputError(f"x {x:g}, y {y:g} is outside the picture of {width} x {height} pixels.")


def _check_labels(
    labels: Sequence[int] | NDArray[np.integer] | None, count: int
) -> NDArray[np.int64]:
    given = np.ones(count) if labels is None else np.asarray(labels)
    if given.shape != (count,):
        raise InputError(f"There are {given.size} labels for {count} points.")
    if not np.isin(given, (0, 1)).all():
        raise InputError("A label is 1 (of the thing) or 0 (not of it).")
    return given.astype(np.int64)
