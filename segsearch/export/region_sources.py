"""Finds what exports show of regions in a library: pixels, what lies around, text, clips."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache, partial

from segsearch.core.types import Segment
from segsearch.export.caption_pack import CLIP_SIDE_PX, RegionSources
from segsearch.storage.catalog.sql_catalog import Catalog
from segsearch.storage.pictures import StoredPictures


def sources_of(catalog: Catalog, pictures: StoredPictures) -> RegionSources:
    """Pixels, segments, text and clips of a library's pictures, the latest two kept: regions of one
    picture follow each other."""
    segments, lines = lru_cache(2)(catalog.segments_of), lru_cache(2)(catalog.lines_of)

    def beside(segment: Segment) -> list[Segment]:
        if segment.life is None:
            return segments(segment.image_id)
        return segments_beside(catalog, segment)

    clip = partial(pictures.clip, side_px=CLIP_SIDE_PX)
    return RegionSources(lru_cache(2)(pictures.pixels), beside, lines, clip)


def segments_beside(catalog: Catalog, segment: Segment) -> list[Segment]:
    """The segments of a segment's picture, by ascending id, itself among them; of a shot those that
    are there when it is seen best, with their masks at the keyframes nearest to then."""
    shot = catalog.image(segment.image_id).shot
    if shot is None or segment.life is None:
        return catalog.segments_of(segment.image_id)
    seen = catalog.segments_at(shot.video_id, segment.life.best_seconds)
    return [replace(other, mask=key.mask) for other, key in seen]
