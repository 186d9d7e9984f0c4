"""Turns what is pointed at into masks, and a mask into the vector its stored region would have."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from segsearch.core.answers import MaskCandidate, Pointed
from segsearch.core.arrays import Pixels, Vector, VectorRows
from segsearch.core.errors import QueryError
from segsearch.core.mix import TRAITS, Mix, row_of
from segsearch.core.query import RegionTerm
from segsearch.core.types import Mask
from segsearch.masks.levels import Levels
from segsearch.models.pipeline import Pipeline
from segsearch.models.segment.session import OpenPicture


def point(
    read: Callable[[], Pixels], opened: Callable[[], OpenPicture], term: RegionTerm
) -> Pointed:
    """The masks a region term of a picture stands for, best first, and which it takes.

    `read` gives its pixels (H, W, 3), and is called where a mask is given. `opened` gives the
    picture encoded for the segmenter; it is not called when a mask is given.

    QueryError when it points at nothing, or at a candidate that is not there.
    """
    if term.mask is not None:
        _check_mask(read(), term.mask)
        return Pointed((MaskCandidate(term.mask, 1.0),), 0)
    if not term.points and term.box is None:
        raise QueryError("A region needs points, a box or a mask.")
    from segsearch.models.segment.multilook import find_masks  # loads scipy, 0.2 s: words need none

    masks = find_masks(opened(), term.points or None, term.labels, term.box)
    if not masks:
        raise QueryError("The segmenter finds no region there: point elsewhere, or give a box.")
    chosen = term.candidate or 0
    if not 0 <= chosen < len(masks):
        raise QueryError(f"There is no candidate {chosen}: the region has {len(masks)}, from 0 on.")
    return Pointed(tuple(masks), chosen)


def _check_mask(pixels: Pixels, mask: Mask) -> None:
    height, width = pixels.shape[:2]
    if (mask.height, mask.width) != (height, width):
        raise QueryError(
            f"The mask is of a picture of {mask.width} x {mask.height} pixels, this one has "
            f"{width} x {height}."
        )


def region_vector(pipeline: Pipeline, mix: Mix, pixels: Pixels, mask: Mask) -> Vector:
    """The unit vector (d,) of a region of a picture (H, W, 3), as if it had been indexed."""
    levels = Levels(pixels)
    crops = [levels.whole(), *levels.crops(mask, pipeline.crop)]
    vectors = pipeline.embedder.embed_pictures(crops)
    ids = np.zeros(1, dtype=np.int64)
    unknown = np.zeros((1, len(TRAITS)), np.float32)
    return row_of(mix, VectorRows(ids, vectors[1:2], vectors[2:3], vectors[0:1], unknown))
