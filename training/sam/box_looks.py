"""Draws masks into boxes by several looks at each, and says how far the looks agree.

A box that a person drew says what a mask must fill. So several windows around it are asked, with
one mask and with three; what fills the box and comes back from every look is likely the thing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
from numpy.typing import NDArray

from segsearch.core.answers import MaskCandidate
from segsearch.core.types import Box, Mask
from segsearch.masks.rle import encode, ious
from segsearch.models.segment.multilook import drop_specks
from segsearch.models.segment.sam import SamSegmenter
from segsearch.models.segment.session import EncodingCache, OpenPicture
from training.sam.evaluate import KEPT_BYTES

ROOMS = (1.25, 1.6, 2.2)  # sides of the windows, of the box's longer one
LEAST_SIDE_PX = 32
UNSURE = 0.3  # added to the predicted IoU: it decides less than fit and agreement
Pixels = NDArray[np.uint8]
Draw = Callable[[int, Pixels, Box], tuple[Mask, float] | None]


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
    filled = np.array(
        [box_iou(candidate.mask.box.as_tuple(), box.as_tuple()) for candidate in every]
    )
    trust = UNSURE + np.clip([candidate.predicted_iou for candidate in every], 0, 1)
    best = int(np.argmax(agreed * filled**2 * trust))
    return every[best].mask, float(agreed[best])


def box_iou(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    """Intersection over union of two boxes x0, y0, x1, y1."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    both = max(width, 0.0) * max(height, 0.0)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return both / (sum(areas) - both)
