"""Turns a click or a box into masks: several looks, each closer, vote on what is meant.

A small segmenter sees a whole picture coarsely, and nobody knows beforehand how large the thing
under a click is. So crops around the click are asked too, and then the surroundings of what the
looks agree on most, with its box; the mask with the most votes wins. A box says how large its thing
is: a single look is enough. Where a thing ends is seen coarsely, too, so outlines move to edges of
the picture (`masks.refine`). `python -m benchmarks.looks` shows what each of the numbers does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from segsearch.core.answers import MaskCandidate
from segsearch.core.arrays import BoolArray
from segsearch.core.types import Box, Mask
from segsearch.masks.refine import to_edges
from segsearch.masks.rle import decode_crop, encode, ious
from segsearch.models.segment.prompts import Coordinates, Prompts, check_prompts
from segsearch.models.segment.session import OpenPicture

LOOKS = (1.0, 0.5, 0.25)  # sides of the windows around a click, of the picture's longer side
LOOKED_AT_AGAIN = 2  # masks of these looks, each in a window around its box
ROOM = 1.6  # side of the window around a box or several points, of their extent
LEAST_SIDE_PX = 32
CUT_COST = 0.4  # what a mask loses in predicted IoU when it ends at an edge of its window
SAME_THING_IOU = 0.8  # masks that overlap this much are one candidate
ISLAND_SHARE = 0.05  # of the largest island of a mask; smaller ones are specks
EDGES_PX = 128  # longer side of a mask's surroundings where its edges are looked for
MOST = 3  # candidates, as many as a SAM gives by itself


@dataclass(frozen=True, slots=True)
class LookMask:
    """A mask of one look; `trust` is its predicted IoU in [0, 1], less when its window cut it."""

    candidate: MaskCandidate
    trust: float


def find_masks(
    picture: OpenPicture,
    points: Coordinates | None = None,
    labels: Sequence[int] | NDArray[np.integer] | None = None,
    box: Sequence[float] | None = None,
    *,
    multimask: bool = True,
) -> list[MaskCandidate]:
    """Masks of one thing, best first; empty when the segmenter finds none. Of several points, those
    that hold what is of the thing and nothing that is not come before the others.

    Prompts are those of `OpenPicture.segment`, which alone answers where the segmenter does not
    gain by looking closer. Without `multimask` there is one mask at most. InputError as there.
    """
    prompts = check_prompts(picture.size, points, labels, None if box is None else [box])
    if not picture.segmenter.looks_closer:
        prompts = replace(prompts, multimask=multimask)
        candidates = [mask.candidate for mask in _look(picture, prompts, _frame(picture.size))]
        return obedient(sorted(candidates, key=lambda mask: -mask.predicted_iou), prompts)
    winners = obedient(elect(all_looks(picture, prompts)), prompts)[: MOST if multimask else 1]
    return [drop_specks(_to_edges(picture, candidate)) for candidate in winners]


def obedient(candidates: Sequence[MaskCandidate], prompts: Prompts) -> list[MaskCandidate]:
    """Candidates with those first that hold every point that is of the thing and none that is not;
    otherwise in their order, and all in it for a single point, which votes know better."""
    if len(prompts.points) < 2 and all(prompts.labels):
        return list(candidates)
    return sorted(candidates, key=lambda candidate: not _obeys(candidate.mask, prompts))


def _obeys(mask: Mask, prompts: Prompts) -> bool:
    inside, box = decode_crop(mask), mask.box
    for (x, y), label in zip(prompts.points, prompts.labels, strict=True):
        column = min(int(x), mask.width - 1) - box.x0
        row = min(int(y), mask.height - 1) - box.y0
        is_near = 0 <= column < box.width and 0 <= row < box.height
        if bool(is_near and inside[row, column]) != (label == 1):
            return False
    return True


def all_looks(picture: OpenPicture, prompts: Prompts) -> list[list[LookMask]]:
    """What each look gives for prompts, the closer ones at what the first agree on included."""
    looks = [
        list(_look(picture, prompts, window)) for window in windows(picture.size, prompts, LOOKS)
    ]
    if not len(prompts.boxes):
        likely = [drop_specks(mask).mask.box for mask in elect(looks)[:LOOKED_AT_AGAIN]]
        looks += [_look_again(picture, prompts, box) for box in likely]
    return looks


def _look_again(picture: OpenPicture, prompts: Prompts, box: Box) -> list[LookMask]:
    """The masks of points and the box that a mask of them fills, in a window around both."""
    boxed = replace(prompts, boxes=np.array([box.as_tuple()], np.float64))
    (window,) = windows(picture.size, boxed, LOOKS)
    return list(_look(picture, boxed, window))


def _to_edges(picture: OpenPicture, candidate: MaskCandidate) -> MaskCandidate:
    return replace(candidate, mask=to_edges(picture.read(), candidate.mask, EDGES_PX))


def _frame(size: tuple[int, int]) -> Box:
    """All of a picture (H, W)."""
    return Box(0, 0, size[1], size[0])


def windows(size: tuple[int, int], prompts: Prompts, looks: Sequence[float]) -> list[Box]:
    """Where in a picture (H, W) to look for the one thing of these prompts; none twice.

    Around a box a single window, around points a window for each of `looks`, in order. All prompts
    lie in every window.
    """
    places = np.concatenate([prompts.points, prompts.boxes.reshape(-1, 2)])
    low, high = places.min(0), places.max(0)
    least = max(ROOM * float((high - low).max()), LEAST_SIDE_PX)
    sides = [least] if len(prompts.boxes) else [max(look * max(size), least) for look in looks]
    return list(dict.fromkeys(_window((low + high) / 2, round(side), size) for side in sides))


def _window(middle: NDArray[np.float64], side: int, size: tuple[int, int]) -> Box:
    """A square moved into the picture (H, W), or cut where that is smaller."""
    height, width = min(side, size[0]), min(side, size[1])
    x0 = min(max(0, round(middle[0] - width / 2)), size[1] - width)
    y0 = min(max(0, round(middle[1] - height / 2)), size[0] - height)
    return Box(x0, y0, x0 + width, y0 + height)


def _look(picture: OpenPicture, prompts: Prompts, window: Box) -> Iterator[LookMask]:
    """The masks of one look, placed in the picture."""
    look = picture if window == _frame(picture.size) else picture.crop(window)
    origin, limit = np.array([window.x0, window.y0]), np.array([window.width, window.height])
    points = np.clip(prompts.points - origin, 0, limit)
    boxes = np.clip(prompts.boxes.reshape(-1, 2, 2) - origin, 0, limit).reshape(-1, 4)
    answer = look.segment(points, prompts.labels, boxes, multimask=prompts.multimask)
    for array, estimate in zip(answer.masks[0], answer.predicted_iou[0].tolist(), strict=True):
        mask = encode(array, origin=(window.x0, window.y0), size=picture.size)
        if mask is not None:
            cut = CUT_COST if _is_cut(array, window, picture.size) else 0.0
            yield LookMask(MaskCandidate(mask, estimate), min(max(estimate, 0.0), 1.0) - cut)


def drop_specks(candidate: MaskCandidate) -> MaskCandidate:
    """The same without specks, islands much smaller than the largest."""
    mask = candidate.mask
    labelled, count = ndimage.label(decode_crop(mask))
    if count < 2:
        return candidate
    areas = np.bincount(labelled.ravel())
    areas[0] = 0
    kept = (areas >= ISLAND_SHARE * areas.max())[labelled]
    origin, size = (mask.box.x0, mask.box.y0), (mask.height, mask.width)
    return replace(candidate, mask=encode(kept, origin=origin, size=size) or mask)


def _is_cut(array: BoolArray, window: Box, size: tuple[int, int]) -> bool:
    """Whether a mask (h, w) reaches an edge of its window that is none of the picture's (H, W)."""
    return bool(
        (window.x0 > 0 and array[:, 0].any())
        or (window.y0 > 0 and array[0].any())
        or (window.x1 < size[1] and array[:, -1].any())
        or (window.y1 < size[0] and array[-1].any())
    )


def elect(looks: Sequence[Sequence[LookMask]]) -> list[MaskCandidate]:
    """The masks of all looks, the most agreed on first, without those that repeat a better one.

    Each look gives each mask its best vote: how much it overlaps (IoU) with a mask of that look,
    times the trust in that one.
    """
    masks = [mask for look in looks for mask in look]
    overlap = ious([mask.candidate.mask for mask in masks])
    votes = overlap * np.array([mask.trust for mask in masks])
    ends = np.cumsum([len(look) for look in looks])
    shares = [part.max(1, initial=0.0) for part in np.split(votes, ends[:-1], axis=1)]
    order = np.argsort(-np.sum(shares, axis=0), kind="stable").tolist() if masks else []
    kept: list[int] = []
    for row in order:
        if not (overlap[row, kept] >= SAME_THING_IOU).any():
            kept.append(row)
    return [masks[row].candidate for row in kept]
