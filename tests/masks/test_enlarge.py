"""Enlarged masks are those of bilinear enlargement, found without the large picture."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from segsearch.masks.enlarge import enlarged
from segsearch.masks.rle import decode, encode

UNSURE = 1e-4  # around one half, where float32 and float64 may differ


def values(frame: NDArray[np.bool_], height: int, width: int) -> NDArray[np.float32]:
    made = cv2.resize(frame.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(made)


@settings(max_examples=300, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    small=st.tuples(st.integers(2, 24), st.integers(2, 24)),
    factor=st.tuples(st.floats(1, 9), st.floats(1, 9)),
    share=st.sampled_from((0.02, 0.2, 0.5, 0.95)),
)
def test_a_mask_is_enlarged_as_its_picture_would_be(
    seed: int, small: tuple[int, int], factor: tuple[float, float], share: float
) -> None:
    rng = np.random.default_rng(seed)
    frame = cv2.blur(rng.random(small).astype(np.float32), (3, 3)) < share
    mask = encode(frame)
    if mask is None:
        return
    height, width = (round(side * times) for side, times in zip(small, factor, strict=True))
    found = enlarged(mask, height, width)
    wanted = values(frame, height, width)
    assert (found.height, found.width) == (height, width)
    if not (wanted > 0.5 + UNSURE).any():
        assert found.area >= 1
        return
    sure = np.abs(wanted - 0.5) > UNSURE
    assert np.array_equal(decode(found)[sure], (wanted > 0.5)[sure])
    assert found.area == decode(found).sum()


def test_a_mask_of_the_whole_frame_stays_whole() -> None:
    mask = encode(np.ones((3, 5), bool))
    assert mask is not None
    assert enlarged(mask, 31, 52).area == 31 * 52
    assert enlarged(mask, 3, 5) is mask


@pytest.mark.parametrize("place", [(0, 0), (4, 6), (2, 3)])
def test_the_smallest_mask_is_never_lost(place: tuple[int, int]) -> None:
    frame = np.zeros((5, 7), bool)
    frame[place] = True
    mask = encode(frame)
    assert mask is not None
    found = enlarged(mask, 6, 8)
    assert found.area >= 1
    box = found.box
    assert abs((box.x0 + box.x1) / 2 - (place[1] + 0.5) * 8 / 7) <= 1
    assert abs((box.y0 + box.y1) / 2 - (place[0] + 0.5) * 6 / 5) <= 1
