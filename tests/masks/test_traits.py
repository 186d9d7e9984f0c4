"""Traits of regions: which lie in which, what they touch, how large they are."""

from __future__ import annotations

import math

import numpy as np
import pytest

from segsearch.core.mix import TRAITS
from segsearch.core.types import Mask
from segsearch.masks.rle import covered, encode
from segsearch.masks.traits import nesting, traits

SIDE = 20


def square(x0: int, y0: int, x1: int, y1: int) -> Mask:
    frame = np.zeros((SIDE, SIDE), bool)
    frame[y0:y1, x0:x1] = True
    mask = encode(frame)
    assert mask is not None
    return mask


def test_a_part_of_a_part_lies_in_both() -> None:
    masks = [square(0, 0, 16, 16), square(2, 2, 10, 10), square(3, 3, 6, 6), square(14, 0, 20, 4)]
    assert nesting(masks) == ([2, 1, 0, 0], [0, 1, 2, 0])


def test_the_same_region_twice_lies_in_neither() -> None:
    assert nesting([square(0, 0, 5, 5)] * 2) == ([0, 0], [0, 0])
    assert nesting([]) == ([], [])


def test_covered_is_the_share_of_the_row_s_own_area() -> None:
    shares = covered([square(0, 0, 10, 10), square(5, 0, 10, 20)])
    np.testing.assert_allclose(shares, [[1, 0.5], [0.5, 1]])
    assert covered([]).shape == (0, 0)


def test_traits_are_named_columns() -> None:
    quality = np.array([[0.9, 0.8], [0.4, 0.3]])
    places = np.array([[0, 0, 10, 20, 100, 20, 20], [5, 5, 10, 10, 25, 20, 20]])
    rows = traits(quality, places, np.array([[3, 0], [0, 1]]))
    assert rows.dtype == np.float32
    first, second = (dict(zip(TRAITS, row.tolist(), strict=True)) for row in rows)
    assert first == pytest.approx({
        "predicted_iou": 0.9, "stability": 0.8, "log_share": math.log(0.25),
        "log_share_squared": math.log(0.25) ** 2, "sides_touched": 3, "log_holds": math.log(4),
        "log_lies_in": 0, "box_filled": 0.5,
    })  # fmt: skip
    assert (second["sides_touched"], second["box_filled"]) == (0, 1)
    assert second["log_lies_in"] == pytest.approx(math.log(2))
