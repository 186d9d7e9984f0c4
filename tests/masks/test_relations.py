"""Relations hold as their words say, and seen from the other side as their inverse."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segsearch.core.types import Box, Mask
from segsearch.masks.relations import INVERSE, Relation, gap, relations
from segsearch.masks.rle import encode

WIDTH, HEIGHT = 60, 40


def region(x0: int, y0: int, x1: int, y1: int) -> Mask:
    filled = np.ones((y1 - y0, x1 - x0), dtype=bool)
    mask = encode(filled, origin=(x0, y0), size=(HEIGHT, WIDTH))
    assert mask is not None
    return mask


@st.composite
def regions(draw: st.DrawFn) -> Mask:
    x0, y0 = draw(st.integers(0, WIDTH - 2)), draw(st.integers(0, HEIGHT - 2))
    return region(x0, y0, draw(st.integers(x0 + 1, WIDTH)), draw(st.integers(y0 + 1, HEIGHT)))


@given(regions(), regions())
def test_what_holds_one_way_holds_inverted_the_other_way(one: Mask, other: Mask) -> None:
    assert {INVERSE[found] for found in relations(one, other)} == set(relations(other, one))


@given(regions(), regions())
def test_no_region_lies_on_both_sides_of_another(one: Mask, other: Mask) -> None:
    found = set(relations(one, other))
    assert not {Relation.LEFT_OF, Relation.RIGHT_OF} <= found
    assert not {Relation.ABOVE, Relation.BELOW} <= found
    assert not {Relation.NEAR, Relation.OVERLAPPING} <= found


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ((0, 10, 10, 20), (30, 10, 40, 20), {"left of"}),
        ((30, 0, 40, 8), (30, 20, 40, 40), {"above"}),
        ((0, 0, 10, 10), (12, 0, 30, 10), {"left of", "near"}),
        ((10, 10, 20, 20), (0, 0, 40, 40), {"inside"}),
        ((0, 0, 40, 40), (10, 10, 20, 20), {"contains"}),
        ((0, 0, 20, 20), (10, 10, 30, 30), {"left of", "above", "overlapping"}),
        ((5, 5, 20, 20), (5, 5, 20, 20), {"inside", "contains"}),
    ],
)
def test_relations_mean_what_they_say(
    one: tuple[int, int, int, int], other: tuple[int, int, int, int], expected: set[str]
) -> None:
    assert {found.value for found in relations(region(*one), region(*other))} == expected


def test_the_gap_is_the_shortest_way_between_boxes() -> None:
    assert gap(Box(0, 0, 10, 10), Box(13, 14, 20, 20)) == 5
    assert gap(Box(0, 0, 10, 10), Box(5, 10, 20, 20)) == 0
