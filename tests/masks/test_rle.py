"""Masks: run lengths against naive loops and pycocotools."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pycocotools import mask as coco

from segsearch.core.arrays import BoolArray
from segsearch.core.errors import InputError
from segsearch.core.types import Box
from segsearch.masks import rle

FRAMES = st.tuples(st.integers(1, 24), st.integers(1, 24)).flatmap(
    lambda shape: arrays(np.bool_, shape)
)


def naive_box(frame: BoolArray) -> Box:
    inside = [(x, y) for y, row in enumerate(frame) for x, on in enumerate(row) if on]
    xs, ys = [x for x, _ in inside], [y for _, y in inside]
    return Box(min(xs), min(ys), max(xs) + 1, max(ys) + 1)


@given(FRAMES)
def test_a_mask_is_what_was_encoded(frame: BoolArray) -> None:
    mask = rle.encode(frame)
    if mask is None:
        assert not frame.any()
        return
    assert (rle.decode(mask) == frame).all()
    assert mask.area == sum(bool(on) for row in frame for on in row)
    assert mask.box == naive_box(frame)


@given(FRAMES)
def test_coco_run_lengths_equal_those_of_pycocotools(frame: BoolArray) -> None:
    mask = rle.encode(frame)
    if mask is None:
        return
    expected = coco.encode(np.asfortranarray(frame, dtype=np.uint8))
    assert rle.to_coco(mask) == {
        "size": list(frame.shape),
        "counts": expected["counts"].decode("ascii"),
    }
    assert rle.from_coco(rle.to_coco(mask)) == mask


@given(FRAMES, st.data())
def test_overlap_equals_counting_pixels(frame: BoolArray, data: st.DataObject) -> None:
    other = data.draw(arrays(np.bool_, frame.shape))
    one, two = rle.encode(frame), rle.encode(other)
    if one is None or two is None:
        return
    shared, either = int((frame & other).sum()), int((frame | other).sum())
    assert rle.intersection(one, two) == shared
    assert rle.iou(one, two) == pytest.approx(shared / either)
    assert rle.intersection(one, two) == shared


def test_a_window_is_placed_in_its_frame() -> None:
    window = np.array([[False, True], [True, True]])
    mask = rle.encode(window, origin=(3, 1), size=(5, 6))
    assert mask is not None
    frame = np.zeros((5, 6), dtype=bool)
    frame[1:3, 3:5] = window
    assert (rle.decode(mask) == frame).all()
    assert mask.box == Box(3, 1, 5, 3)


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"size": [2, 2]},
        {"size": [2, 2], "counts": [1, 2]},
        {"size": [2, 2], "counts": [5, -1]},
        {"size": [2, 2], "counts": "\x01\x02"},
        {"size": [2, 2], "counts": "é"},
        {"size": [0, 0], "counts": []},
        {"size": [2, 2], "counts": [4]},
        {"size": [2], "counts": [4]},
        {"size": [2, 2], "counts": None},
        None,
    ],
)
def test_foreign_run_lengths_are_refused_before_any_c_code_sees_them(value: Any) -> None:
    with pytest.raises(InputError):
        rle.from_coco(value)


@pytest.mark.parametrize(
    ("size", "counts"),
    [
        ([2**20, 2**20], [2**40 - 1, 1]),
        ([4, 4], "o" * 200_000),  # a number that never ends
        ([4, float("inf")], [16]),
    ],
    ids=["frame", "number", "size"],
)
def test_foreign_run_lengths_cannot_ask_for_more_than_a_picture(
    size: list[float], counts: object
) -> None:
    with pytest.raises(InputError):
        rle.from_coco({"size": size, "counts": counts})


def test_a_frame_costs_no_more_than_its_run_lengths() -> None:
    tracemalloc.start()
    try:
        mask = rle.from_coco({"size": [2**15, 2**15], "counts": [0, 2**30]})
        assert (mask.area, mask.box) == (2**30, Box(0, 0, 2**15, 2**15))
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def test_run_lengths_mean_the_pixels_that_a_naive_loop_sets() -> None:
    rng = np.random.default_rng(7)
    for _ in range(300):
        height, width = (int(side) for side in rng.integers(1, 9, 2))
        edges = np.sort(rng.integers(0, height * width + 1, int(rng.integers(0, 12))))
        runs = np.diff([0, *edges, height * width]).tolist()  # some of them empty
        flat = [set_ for index, run in enumerate(runs) for set_ in [index % 2 == 1] * run]
        expected = rle.encode(np.array(flat).reshape(width, height).T)
        if expected is None:
            with pytest.raises(InputError, match="no pixel"):
                rle.from_coco({"size": [height, width], "counts": runs})
        else:
            assert rle.from_coco({"size": [height, width], "counts": runs}) == expected
