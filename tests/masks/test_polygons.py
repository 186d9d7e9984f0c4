"""Outlines: filled again they give the very mask, whatever its shape."""

from __future__ import annotations

import re
from bisect import insort

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from hypothesis.extra import numpy as arrays
from pycocotools import mask as run_lengths

from segsearch.core.arrays import BoolArray
from segsearch.masks import polygons as polygon_code
from segsearch.masks.polygons import Ring, keyholed, polygons, svg_document, svg_path
from segsearch.masks.rle import decode, encode


def filled(rings: list[Ring], height: int, width: int) -> BoolArray:
    """Pixels whose middle lies in an odd number of rings: an oracle that knows no outlines."""
    odd = np.zeros((height, width), dtype=bool)
    for ring in rings:
        for (x0, y0), (x1, y1) in zip(ring, [*ring[1:], ring[0]], strict=True):
            if x0 == x1:  # a vertical edge flips every pixel to its right
                odd[min(y0, y1) : max(y0, y1), x0:] ^= True
    return odd


def doubled_area(ring: Ring) -> int:
    pairs = zip(ring, [*ring[1:], ring[0]], strict=True)
    return sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in pairs)


SHAPES = arrays.arrays(
    bool, some.tuples(some.integers(1, 12), some.integers(1, 12)), elements=some.booleans()
).filter(lambda shape: bool(shape.any()))


@given(SHAPES)
def test_filled_outlines_are_the_mask(shape: BoolArray) -> None:
    mask = encode(shape, origin=(3, 2), size=(20, 21))
    assert mask is not None
    parts = polygons(mask)
    rings = [ring for part in parts for ring in part]
    assert np.array_equal(filled(rings, 20, 21), decode(mask))
    for outer, *holes in parts:
        assert doubled_area(outer) > 0
        assert all(doubled_area(hole) < 0 for hole in holes)
        # Each part alone: its outer ring holds its holes.
        assert not (filled(holes, 20, 21) & ~filled([outer], 20, 21)).any()
    assert sum(doubled_area(ring) for ring in rings) == 2 * mask.area


@given(SHAPES)
def test_rings_without_holes_are_the_mask_for_coco_too(shape: BoolArray) -> None:
    mask = encode(shape, origin=(3, 2), size=(20, 21))
    assert mask is not None
    rings = keyholed(mask)
    assert len(rings) == len(polygons(mask))
    lengths = run_lengths.merge(run_lengths.frPyObjects(rings, 20, 21))
    assert np.array_equal(run_lengths.decode(lengths).astype(bool), decode(mask))


@given(SHAPES)
def test_the_path_says_the_same_as_the_polygons(shape: BoolArray) -> None:
    mask = encode(shape)
    assert mask is not None
    rings = [ring for part in polygons(mask) for ring in part]
    drawn: list[Ring] = []
    for word, x, y in re.findall(r"([MHVZ])(\d*) ?(\d*)", svg_path(mask)):
        if word == "M":
            drawn.append([(int(x), int(y))])
        elif word == "H":
            drawn[-1].append((int(x), drawn[-1][-1][1]))
        elif word == "V":
            drawn[-1].append((drawn[-1][-1][0], int(x)))
    assert drawn == rings


@pytest.mark.parametrize(
    ("rows", "parts"),
    [
        (["#"], [[[(0, 0), (1, 0), (1, 1), (0, 1)]]]),
        (["##", "##"], [[[(0, 0), (2, 0), (2, 2), (0, 2)]]]),
        (["#.", ".#"], [[[(0, 0), (1, 0), (1, 1), (0, 1)]], [[(1, 1), (2, 1), (2, 2), (1, 2)]]]),
        (
            ["###", "#.#", "###"],
            [[[(0, 0), (3, 0), (3, 3), (0, 3)], [(1, 1), (1, 2), (2, 2), (2, 1)]]],
        ),
    ],
)
def test_outlines_of_small_shapes(rows: list[str], parts: list[list[Ring]]) -> None:
    mask = encode(np.array([[pixel == "#" for pixel in row] for row in rows]))
    assert mask is not None
    assert polygons(mask) == parts


def test_the_svg_is_as_large_as_the_frame() -> None:
    mask = encode(np.ones((2, 3), dtype=bool), origin=(1, 1), size=(10, 20))
    assert mask is not None
    assert 'viewBox="0 0 20 10"' in svg_document(mask)
    assert 'd="M1 1H4V3H1Z"' in svg_document(mask)


def test_a_sieve_is_one_ring_that_covers_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each corner is noted once, however many holes there are: looked for, it was the square."""
    looks: list[object] = []

    def noted(row: list[tuple[int, int]], edge: tuple[int, int]) -> None:
        looks.append(edge)
        insort(row, edge)

    monkeypatch.setattr(polygon_code, "insort", noted)
    for count in (10, 20):
        frame = np.ones((2 * count + 1, 2 * count + 1), bool)
        frame[1::2, 1::2] = False
        mask = encode(frame)
        assert mask is not None
        (ring,) = keyholed(mask)
        drawn = run_lengths.decode(run_lengths.merge(run_lengths.frPyObjects([ring], *frame.shape)))
        assert np.array_equal(drawn, frame)
        sides = 4 * count**2 + 2 * (2 * count + 2)  # rows that upright edges touch
        assert len(looks) == sides
        looks.clear()
