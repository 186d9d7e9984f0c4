"""Says what a click on a stored picture means: a fresh mask, or the stored region that is the same.

A click has one meaning for page, HTTP and assistants: the mask that the segmenter cuts out there
(`regions.point`). Who wants the stored region instead asks for it by name, here. Of a shot the
frame that stands for it is what is clicked on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from segsearch.core.answers import Pointed
from segsearch.core.errors import InputError, ModelError, NotFoundError, QueryError
from segsearch.core.query import RegionTerm
from segsearch.core.types import Mask, Segment
from segsearch.masks.rle import decode_crop, iou
from segsearch.storage.catalog.sql_catalog import Catalog

SAME_REGION_IOU = 0.5  # a mask that overlaps a stored region this much is that region
Point = tuple[float, float]  # x, y in pixels of the upright picture
MasksOf = Callable[[RegionTerm], Pointed]  # `QueryVectors.point` under one recipe


@dataclass(frozen=True, slots=True)
class ClickedMask:
    """A mask of what was pointed at, and the stored region that is the same, if one is."""

    mask: Mask
    predicted_iou: float
    segment_id: int | None


def masks_at(catalog: Catalog, masks_of: MasksOf, image_id: int, point: Point) -> list[ClickedMask]:
    """Masks of what stands at a point, best first.

    NotFoundError for an unknown image, InputError for a point outside, QueryError where
    nothing is found, ModelError when the library's segmenter takes no points.
    """
    catalog.image(image_id)
    stored = catalog.segments_on_frame(image_id)
    masks: list[ClickedMask] = []
    for candidate in masks_of(RegionTerm(image_id, (point,))).candidates:
        same = _same(candidate.mask, stored)
        segment_id = same.id if same else None
        masks.append(ClickedMask(candidate.mask, candidate.predicted_iou, segment_id))
    return masks


def stored_region_at(catalog: Catalog, masks_of: MasksOf, image_id: int, point: Point) -> Segment:
    """The stored region that a click means.

    The one that the best mask there is; else, and where the segmenter takes no points, the
    smallest one around the point. NotFoundError when there is none, or no such image; InputError
    for a point outside the picture.
    """
    image, (x, y) = catalog.image(image_id), point
    if not (0 <= x <= image.width and 0 <= y <= image.height):
        size = f"{image.width} x {image.height}"
        raise InputError(f"x {x:g}, y {y:g} is outside the picture of {size} pixels.")
    try:
        for clicked in masks_at(catalog, masks_of, image_id, point):
            if clicked.segment_id is not None:
                return catalog.segment(clicked.segment_id)
    except (ModelError, QueryError):
        pass  # the stored regions still say what is there
    column, row = min(int(x), image.width - 1), min(int(y), image.height - 1)
    segments = catalog.segments_on_frame(image_id)
    around = [segment for segment in segments if _covers(segment.mask, column, row)]
    if not around:
        raise NotFoundError(f"No region of image {image_id} covers x {x:g}, y {y:g}.")
    return min(around, key=lambda segment: (segment.mask.area, segment.id))


def _same(mask: Mask, stored: Sequence[Segment]) -> Segment | None:
    best = max(stored, key=lambda segment: iou(mask, segment.mask), default=None)
    return best if best and iou(mask, best.mask) >= SAME_REGION_IOU else None


def _covers(mask: Mask, x: int, y: int) -> bool:
    box = mask.box
    if not (box.x0 <= x < box.x1 and box.y0 <= y < box.y1):
        return False
    return bool(decode_crop(mask)[y - box.y0, x - box.x0])
