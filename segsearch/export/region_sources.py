"""Finds what exports show of regions in a library: pixels, what lies around, text, clips."""

from __future__ import annotations

from functools import lru_cache, partial

from segsearch.export.caption_pack import PACKED_SIDE_PX, RegionSources
from segsearch.storage.catalog.sql_catalog import Catalog
from segsearch.storage.pictures import StoredPictures


def sources_of(catalog: Catalog, pictures: StoredPictures) -> RegionSources:
    """Pixels, segments, text and clips of a library's pictures, the latest two kept: regions of one
    picture follow each other."""
    return RegionSources(
        lru_cache(2)(pictures.pixels),
        lru_cache(2)(catalog.segments_on_frame),
        lru_cache(2)(catalog.lines_of),
        catalog.key_masks,
        lru_cache(2)(catalog.key_times),
        partial(pictures.clip, side_px=PACKED_SIDE_PX),
    )
