"""Turns rough masks into tidy ones: small holes filled, small islands and repeated things dropped.

Works inside each mask's box; the frame around it is never laid out unless a hole reaches it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from segsearch.core.arrays import BoolArray
from segsearch.core.types import Mask, Proposal
from segsearch.masks import rle

EIGHT_NEIGHBOURS = ((1, 1, 1), (1, 1, 1), (1, 1, 1))


def tidy(mask: Mask, min_area: float) -> Mask:
    """The mask with holes and then islands smaller than `min_area` pixels removed.

    Regions touch over edges and corners. When every island is small the largest stays. The rule is
    segment_anything's (utils/amg.py, remove_small_regions), where background that the mask cuts
    off at the picture's border counts as a hole too.
    """
    if min_area <= 1:
        return mask
    window, rows, columns = _window(mask)
    weights = np.outer(rows, columns)
    filled = window | _small(~window, weights, min_area)
    islands = _small(filled, weights, min_area)
    changed = _largest(filled, weights) if (islands == filled).all() else filled & ~islands
    if (changed == window).all():
        return mask
    frame = np.repeat(np.repeat(changed, rows, axis=0), columns, axis=1)
    return rle.encode(frame) or mask


def drop_overlaps(proposals: list[Proposal], threshold: float) -> list[Proposal]:
    """Proposals, best first, without those that mostly repeat a better one.

    A proposal goes when it shares more than `threshold` of the smaller of the two areas.
    """
    kept: list[Proposal] = []
    for proposal in proposals:
        if all(_shared(proposal.mask, better.mask) <= threshold for better in kept):
            kept.append(proposal)
    return kept


def _shared(mask: Mask, other: Mask) -> float:
    """The intersection's share of the smaller mask, in [0, 1]."""
    return rle.intersection(mask, other) / min(mask.area, other.area)


def _window(mask: Mask) -> tuple[BoolArray, NDArray[np.int64], NDArray[np.int64]]:
    """The mask's crop in a ring one cell wide, and how many pixels each row and column stands for.

    The ring stands for all the background around the box: repeating rows and columns by these
    numbers gives the frame back, regions connect as they do there, and a region's area is the sum
    of the products. A side that lies at the frame's border is zero wide and left out.
    """
    box = mask.box
    ring = np.pad(rle.decode_crop(mask), 1)
    rows = np.ones(ring.shape[0], dtype=np.int64)
    columns = np.ones(ring.shape[1], dtype=np.int64)
    rows[0], rows[-1] = box.y0, mask.height - box.y1
    columns[0], columns[-1] = box.x0, mask.width - box.x1
    return ring[rows > 0][:, columns > 0], rows[rows > 0], columns[columns > 0]


def _areas(
    array: BoolArray, weights: NDArray[np.int64]
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Regions of an array, numbered from 1, and their areas; index 0 stands for the rest."""
    labelled, count = ndimage.label(array, structure=EIGHT_NEIGHBOURS)
    regions = np.asarray(labelled, dtype=np.intp)
    areas = np.bincount(regions.ravel(), weights.ravel(), count + 1).astype(np.float64)
    return regions, areas


def _small(array: BoolArray, weights: NDArray[np.int64], min_area: float) -> BoolArray:
    """Where an array's regions are smaller than `min_area` pixels."""
    regions, areas = _areas(array, weights)
    small = areas < min_area
    small[0] = False
    return small[regions]


def _largest(array: BoolArray, weights: NDArray[np.int64]) -> BoolArray:
    """Where an array's largest region is."""
    regions, areas = _areas(array, weights)
    areas[0] = -1
    largest: BoolArray = regions == areas.argmax()
    return largest
