"""Points of a map as bytes: blocks that typed arrays can be made of, and what lies in a polygon."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segsearch.core.errors import DamageError
from segsearch.core.map_points import MapPoints


def some_points(count: int, seed: int = 7) -> MapPoints:
    random = np.random.default_rng(seed)
    x, y = random.uniform(-1, 1, (2, count)).astype(np.float32)
    cluster = random.integers(0, 60, count).astype(np.uint16)
    ids = np.sort(random.choice(10**12, count, replace=False)).astype(np.int64)
    return MapPoints(x, y, cluster, ids)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 5, 1000])
def test_points_are_the_same_after_bytes_and_every_block_is_aligned(count: int) -> None:
    points = some_points(count)
    data = points.to_bytes()
    magic, told, *starts = struct.unpack_from("<4s5I", data)
    assert (magic, told) == (b"SSM1", count)
    assert all(start % 8 == 0 for start in starts)
    assert len(data) == starts[-1] + 8 * count
    again = MapPoints.from_bytes(data)
    for name in ("x", "y", "cluster", "ids"):
        assert getattr(again, name).tolist() == getattr(points, name).tolist()
        assert getattr(again, name).dtype == getattr(points, name).dtype


@pytest.mark.parametrize("cut", [0, 3, 23, 24, 100, 17_999])
def test_bytes_that_are_cut_off_or_of_something_else_are_refused(cut: int) -> None:
    data = some_points(1000).to_bytes()
    with pytest.raises(DamageError, match="no points of a map"):
        MapPoints.from_bytes(data[:cut])
    with pytest.raises(DamageError, match="no points of a map"):
        MapPoints.from_bytes(b"PNG" + data)


def lies_in(x: float, y: float, corners: list[tuple[float, float]]) -> bool:
    """The textbook's loop over the sides (Shimrat 1962)."""
    inside = False
    before = corners[-1]
    for corner in corners:
        (x0, y0), (x1, y1) = before, corner
        if (y0 > y) != (y1 > y) and x < x0 + (y - y0) * (x1 - x0) / (y1 - y0):
            inside = not inside
        before = corner
    return inside


CORNERS = st.tuples(st.integers(-10, 10), st.integers(-10, 10)).map(lambda p: (p[0] / 8, p[1] / 8))


@given(st.lists(CORNERS, min_size=3, max_size=12))
@settings(max_examples=200, deadline=None)
def test_what_lies_in_a_polygon_is_what_a_loop_over_each_point_finds(
    corners: list[tuple[float, float]],
) -> None:
    points = some_points(200)
    places = zip(points.x.tolist(), points.y.tolist(), strict=True)
    assert points.within(tuple(corners)).tolist() == [lies_in(x, y, corners) for x, y in places]


def test_a_square_holds_what_lies_between_its_sides() -> None:
    points = some_points(500)
    found = points.within(((-0.5, -0.25), (0.5, -0.25), (0.5, 0.75), (-0.5, 0.75)))
    naive = (np.abs(points.x) < 0.5) & (points.y > -0.25) & (points.y < 0.75)
    assert 50 < found.sum() < 400
    assert found.tolist() == naive.tolist()
