"""Of masks that a model offers for a photograph, those stay that can all be true."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segsearch.core.types import Mask
from segsearch.masks.rle import encode, intersection
from training.sam.nesting import APART, INSIDE, consistent

SIDE = 64


def square(x: int, y: int, width: int, height: int) -> Mask:
    frame = np.zeros((SIDE, SIDE), bool)
    frame[y : y + height, x : x + width] = True
    mask = encode(frame)
    assert mask is not None
    return mask


WHOLE, PART, OTHER = square(4, 4, 40, 40), square(10, 10, 12, 12), square(50, 50, 10, 10)
INNERMOST, ACROSS = square(12, 12, 5, 5), square(36, 20, 20, 10)


@pytest.mark.parametrize(
    ("masks", "kept", "parents"),
    [
        ([WHOLE, PART, OTHER], [WHOLE, PART, OTHER], [None, 0, None]),
        ([PART, OTHER, WHOLE], [PART, OTHER, WHOLE], [2, None, None]),
        ([WHOLE, ACROSS], [WHOLE], [None]),
        ([ACROSS, WHOLE], [ACROSS], [None]),
        ([WHOLE, square(5, 5, 39, 39)], [WHOLE], [None]),
        ([WHOLE, PART, INNERMOST], [WHOLE, PART], [None, 0]),
        ([PART, INNERMOST, WHOLE], [PART, INNERMOST], [None, 0]),
        ([], [], []),
    ],
    ids=["nested", "part first", "cut by it", "cuts it", "again", "too deep", "too high", "none"],
)
def test_what_can_be_true_together_stays(
    masks: list[Mask], kept: list[Mask], parents: list[int | None]
) -> None:
    assert consistent(masks, 99) == (kept, parents)


BOXES = st.tuples(*[st.integers(0, SIDE - 30)] * 2, *[st.integers(1, 30)] * 2)


@settings(deadline=None)
@given(st.lists(BOXES.map(lambda box: square(*box)), max_size=12))
def test_every_pair_that_stays_is_apart_or_nested(masks: list[Mask]) -> None:
    kept, parents = consistent(masks, 5)
    assert len(kept) <= 5
    assert kept[:1] == masks[:1]
    for one, mask in enumerate(kept):
        parent = parents[one]
        assert parent is None or parents[parent] is None
        for other in range(one):
            shared = intersection(mask, kept[other]) / min(mask.area, kept[other].area)
            related = one == parents[other] or other == parent
            assert shared >= INSIDE if related else shared <= APART
