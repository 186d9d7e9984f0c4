"""Says what stands at a point of a stored picture: masks of it, and the stored region it means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from segsearch.core.errors import InputError, ModelError, NotFoundError, QueryError
from segsearch.core.query import RegionTerm
from segsearch.core.types import Mask, Segment
from segsearch.library import SegSearch
from segsearch.masks.rle import decode_crop, iou

SAME_REGION_IOU = 0.5  # a mask that overlaps a stored region this much is that region


@dataclass(frozen=True, slots=True)
class Candidate:
    """A mask of what was pointed at, and the stored region that is the same, if one is."""

    mask: Mask
    predicted_iou: float
    segment_id: int | None


def candidates(service: SegSearch, image_id: int, x: float, y: float) -> list[Candidate]:
    """Masks of what stands at x, y in pixels of the upright picture, best first.

    NotFoundError for an unknown image, InputError for a point outside, QueryError where
    nothing is found, ModelError when the library's segmenter takes no points.
    """
    stored = service.segments(image_id)
    found = []
    for one in service.point(RegionTerm(image_id, ((x, y),))).candidates:
        same = _same(one.mask, stored)
        found.append(Candidate(one.mask, one.predicted_iou, same.id if same else None))
    return found


def region_at(service: SegSearch, image_id: int, x: float, y: float) -> Segment:
    """The stored region that a click at x, y means.

    The one that the best mask there is; else, and where the segmenter takes no points, the
    smallest one around the point. NotFoundError when there is none, or no such image; InputError
    for a point outside the picture.
    """
    image = service.image(image_id)
    if not (0 <= x <= image.width and 0 <= y <= image.height):
        size = f"{image.width} x {image.height}"
        raise InputError(f"x {x:g}, y {y:g} is outside the picture of {size} pixels.")
    try:
        for one in candidates(service, image_id, x, y):
            if one.segment_id is not None:
                return service.segment(one.segment_id)
    except (ModelError, QueryError):
        pass  # the stored regions still say what is there
    column, row = min(int(x), image.width - 1), min(int(y), image.height - 1)
    around = [one for one in service.segments(image_id) if _covers(one.mask, column, row)]
    if not around:
        raise NotFoundError(f"No region of image {image_id} covers x {x:g}, y {y:g}.")
    return min(around, key=lambda one: (one.mask.area, one.id))


def _same(mask: Mask, stored: Sequence[Segment]) -> Segment | None:
    best = max(stored, key=lambda one: iou(mask, one.mask), default=None)
    return best if best and iou(mask, best.mask) >= SAME_REGION_IOU else None


def _covers(mask: Mask, x: int, y: int) -> bool:
    box = mask.box
    if not (box.x0 <= x < box.x1 and box.y0 <= y < box.y1):
        return False
    return bool(decode_crop(mask)[y - box.y0, x - box.x0])
