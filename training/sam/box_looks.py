"""Draws masks into boxes by several looks at each, and says how far the looks agree.

A box that a person drew says what a mask must fill. So several windows around it are asked, with
one mask and with three; what fills the box and comes back from every look is likely the thing.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from segsearch.core.query import MaskCandidate
from segsearch.core.types import Box, Mask, Proposal
from segsearch.masks.rle import encode, ious
from segsearch.masks.traits import nesting, traits
from segsearch.models.presets import LITE_MIX
from segsearch.models.segment.multilook import drop_specks
from segsearch.models.segment.sam import SamSegmenter
from segsearch.models.segment.session import EncodingCache, OpenPicture
from training.data.annotated import SOME, AnnotatedPhotograph, validation_names
from training.sam.evaluate import KEPT_BYTES

ROOMS = (1.25, 1.6, 2.2)  # sides of the windows, of the box's longer one
LEAST_SIDE_PX = 32
UNSURE = 0.3  # added to the predicted IoU: it decides less than fit and agreement
SINGLE = ("caltech101", "clothing-small", "dreambooth", "flower-photos", "trashnet")
LEAST_SHARE, MOST_SHARE = 0.06, 0.75  # of a photograph that shows one thing, that this covers
LEAST_BACK_IOU, LEAST_BACK_AGREED = 0.85, 0.85  # a box around it gives the same mask again
Pixels = NDArray[np.uint8]
Draw = Callable[[int, Pixels, Box], tuple[Mask, float] | None]
Outlined = tuple[AnnotatedPhotograph, Pixels, list[Mask]]


def by_looks(segmenter: SamSegmenter) -> Draw:
    """What draws a mask into a box: it answers the mask and the mean IoU of all looks with it."""

    def draw(number: int, pixels: Pixels, box: Box) -> tuple[Mask, float] | None:
        picture = EncodingCache(KEPT_BYTES).open(segmenter, number, partial(np.asarray, pixels))
        looks = [list(_look(picture, box, room, several)) for room in ROOMS for several in (0, 1)]
        return _agreed([look for look in looks if look], box)

    return draw


def _look(picture: OpenPicture, box: Box, room: float, several: int) -> Iterator[MaskCandidate]:
    """The masks for a box in one window around it, placed in the picture."""
    window = _window(box, room, picture.size)
    corner = np.array([window.x0, window.y0] * 2, np.float64)
    boxes = np.array([box.as_tuple()], np.float64) - corner
    answer = picture.crop(window).segment(boxes=boxes, multimask=bool(several))
    for array, estimate in zip(answer.masks[0], answer.predicted_iou[0].tolist(), strict=True):
        mask = encode(array, origin=(window.x0, window.y0), size=picture.size)
        if mask is not None:
            yield drop_specks(MaskCandidate(mask, estimate))


def _window(box: Box, room: float, size: tuple[int, int]) -> Box:
    """A square around a box, moved into the picture (H, W), or cut where that is smaller."""
    side = round(max(room * max(box.width, box.height), LEAST_SIDE_PX))
    height, width = min(side, size[0]), min(side, size[1])
    x0 = min(max(0, round((box.x0 + box.x1 - width) / 2)), size[1] - width)
    y0 = min(max(0, round((box.y0 + box.y1 - height) / 2)), size[0] - height)
    return Box(x0, y0, x0 + width, y0 + height)


def _agreed(looks: list[list[MaskCandidate]], box: Box) -> tuple[Mask, float] | None:
    """The mask that fills the box and that the looks agree on; None where there is none."""
    every = [candidate for look in looks for candidate in look]
    if not every:
        return None
    overlap = ious([candidate.mask for candidate in every])
    ends = np.cumsum([len(look) for look in looks])[:-1]
    agreed = np.mean([part.max(1) for part in np.split(overlap, ends, axis=1)], axis=0)
    filled = np.array([box_overlap(candidate.mask.box, box) for candidate in every])
    trust = UNSURE + np.clip([candidate.predicted_iou for candidate in every], 0, 1)
    best = int(np.argmax(agreed * filled**2 * trust))
    return every[best].mask, float(agreed[best])


def box_overlap(one: Box, other: Box) -> float:
    """Intersection over union of two boxes."""
    width = min(one.x1, other.x1) - max(one.x0, other.x0)
    height = min(one.y1, other.y1) - max(one.y0, other.y0)
    both = max(width, 0) * max(height, 0)
    return both / (one.width * one.height + other.width * other.height - both)


def single_photographs(folder: Path, every: int) -> list[AnnotatedPhotograph]:
    """Each so manieth photograph of the sources that show one thing each, none held out."""
    held_out = validation_names(folder)
    with (folder / "manifest.tsv").open(encoding="utf-8", newline="") as opened:
        rows = list(csv.DictReader(opened, delimiter="\t", quoting=csv.QUOTE_NONE))
    chosen = sorted(
        (row["source"], row["file"])
        for row in rows
        if row["source"] in SINGLE and row["file"] not in held_out
    )
    return [
        AnnotatedPhotograph(folder / "images" / name, 0, 0, source, SOME, ())
        for source, name in chosen[::every]
    ]


def alone(
    photographs: Iterable[AnnotatedPhotograph], segmenter: SamSegmenter
) -> Iterator[Outlined]:
    """Photographs with the one thing they show, where a box around it gives it again."""
    draw = by_looks(segmenter)
    for number, photograph in enumerate(photographs):
        with Image.open(photograph.path) as opened:
            pixels = np.asarray(opened.convert("RGB"))
        thing = most_thing_like(segmenter.propose(pixels))
        if thing is None:
            continue
        answer = draw(number, pixels, thing.box)
        if answer is None or answer[1] < LEAST_BACK_AGREED:
            continue
        if float(ious([thing, answer[0]])[0, 1]) >= LEAST_BACK_IOU:
            yield photograph, pixels, [answer[0]]


def most_thing_like(proposals: list[Proposal]) -> Mask | None:
    """Of automatic masks, not small ones, the one whose learnt traits are worth most."""
    if not proposals:
        return None
    masks = [proposal.mask for proposal in proposals]
    places = np.array(
        [[*mask.box.as_tuple(), mask.area, mask.width, mask.height] for mask in masks], np.int64
    )
    quality = np.array([[one.predicted_iou, one.stability] for one in proposals])
    worth = LITE_MIX.worth(traits(quality, places, np.array(nesting(masks)).T))
    share = places[:, 4] / (places[:, 5] * places[:, 6])
    worth[(share < LEAST_SHARE) | (share > MOST_SHARE)] = -np.inf
    best = int(np.argmax(worth))
    return masks[best] if np.isfinite(worth[best]) else None
