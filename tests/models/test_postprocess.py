"""Small holes, islands and repeats against segment_anything's rule, worked out on the frame."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from segsearch.core.arrays import BoolArray
from segsearch.core.types import Mask, Proposal
from segsearch.masks import rle
from segsearch.models.segment.postprocess import drop_overlaps, tidy

FRAMES = st.tuples(st.integers(1, 14), st.integers(1, 14)).flatmap(
    lambda shape: arrays(np.bool_, shape)
)


def regions(frame: BoolArray) -> list[BoolArray]:
    numbered, count = ndimage.label(frame, structure=np.ones((3, 3)))
    return [numbered == number for number in range(1, count + 1)]


def tidied_slowly(frame: BoolArray, min_area: int) -> BoolArray:
    """utils/amg.py, remove_small_regions: holes first, then islands, the largest always stays."""
    filled = frame.copy()
    for hole in regions(~frame):
        if hole.sum() < min_area:
            filled |= hole
    islands = regions(filled)
    kept = [island for island in islands if island.sum() >= min_area]
    kept = kept or [max(islands, key=lambda island: island.sum())]
    tidy_frame: BoolArray = np.logical_or.reduce(kept)
    return tidy_frame


def mask_of(frame: BoolArray) -> Mask:
    mask = rle.encode(frame)
    assert mask is not None
    return mask


@settings(deadline=None)
@given(FRAMES, st.integers(1, 9))
def test_tidy_masks_equal_those_worked_out_on_the_frame(frame: BoolArray, min_area: int) -> None:
    mask = rle.encode(frame)
    assume(mask is not None)
    assert mask is not None
    expected = tidied_slowly(frame, min_area)
    tidied = rle.decode(tidy(mask, min_area))
    areas = sorted(int(region.sum()) for region in regions(tidied_slowly(frame, 1)))
    if len(areas) > 1 and areas[-1] == areas[-2]:
        assert tidied.sum() == expected.sum()  # of two equal islands either may stay
    else:
        assert np.array_equal(tidied, expected)


def test_a_strip_cut_off_at_the_border_is_a_hole_by_its_whole_area() -> None:
    frame = np.zeros((9, 12), dtype=bool)
    frame[:, 5] = True  # 45 pixels of background to the left, 54 to the right
    assert tidy(mask_of(frame), 45).area == 9
    assert tidy(mask_of(frame), 46).area == 54
    assert tidy(mask_of(frame), 55).area == 108


def test_an_untouched_mask_is_returned_as_it_is() -> None:
    mask = mask_of(np.ones((5, 5), dtype=bool))
    assert tidy(mask, 10) is mask


@pytest.mark.parametrize(("threshold", "kept"), [(0.2, [0, 2]), (0.6, [0, 1, 2])])
def test_a_worse_mask_goes_when_it_shares_too_much_of_the_smaller(
    threshold: float, kept: list[int]
) -> None:
    frames = np.zeros((3, 10, 10), dtype=bool)
    frames[0, :, :6] = True
    frames[1, :2, 4:8] = True  # half of it lies in the first
    frames[2, 8:, 8:] = True
    proposals = [
        Proposal(mask_of(frame), 0.9 - 0.1 * index, 1.0) for index, frame in enumerate(frames)
    ]
    assert drop_overlaps(proposals, threshold) == [proposals[index] for index in kept]
