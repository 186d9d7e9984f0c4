"""Quadrilaterals are cut out upright, whatever their size and wherever they lie."""

from __future__ import annotations

import numpy as np
import pytest

from segsearch.core.arrays import Pixels
from segsearch.masks.quads import cut_upright, scaled, sides


def quarters(height: int, width: int) -> Pixels:
    """A picture whose quarters are of four greys: 0, 80 above 160, 240."""
    grey = np.zeros((height, width), np.uint8)
    grey[: height // 2, width // 2 :] = 80
    grey[height // 2 :, : width // 2] = 160
    grey[height // 2 :, width // 2 :] = 240
    return np.repeat(grey[..., None], 3, axis=2)


def greys(cut: Pixels) -> list[int]:
    """The quarters' greys of what was cut out, in the order of reading."""
    height, width = cut.shape[:2]
    return [
        int(cut[y, x, 0])
        for y in (height // 4, 3 * height // 4)
        for x in (width // 4, 3 * width // 4)
    ]


@pytest.mark.parametrize("size", [(10, 30), (48, 96), (700, 900), (2000, 3000)])
@pytest.mark.parametrize(
    ("rolled", "known"),
    [(0, [0, 80, 160, 240]), (1, [80, 240, 0, 160]), (2, [240, 160, 80, 0])],
)
def test_the_first_corner_comes_to_the_top_left(
    size: tuple[int, int], rolled: int, known: list[int]
) -> None:
    height, width = size
    quad = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    cut = cut_upright(quarters(height, width), np.roll(quad, -rolled, axis=0), 48, 96)
    assert cut.shape == (48, 96, 3)
    assert np.abs(np.array(greys(cut)) - known).max() <= 2


def test_what_is_oblique_is_straightened() -> None:
    picture = np.zeros((100, 200, 3), np.uint8)
    for x in range(40, 160):
        picture[x // 2 : x // 2 + 20, x] = 200
    quad = np.array([[40, 20], [160, 80], [160, 100], [40, 40]], np.float32)
    cut = cut_upright(picture, quad, 20, 120)
    assert (cut[3:-3, 3:-3] > 150).all()


def test_the_edge_goes_on_where_the_picture_ends() -> None:
    picture = np.full((40, 60, 3), 90, np.uint8)
    quad = np.array([[-20, -20], [90, -20], [90, 70], [-20, 70]], np.float32)
    assert (cut_upright(picture, quad, 48, 60) == 90).all()


def test_sides_are_the_longer_of_opposite_ones() -> None:
    quad = np.array([[0, 0], [10, 0], [12, 6], [0, 4]], np.float32)
    assert sides(quad) == pytest.approx((12.166, 6.325), abs=0.001)


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (40, 60), (80, 90)])
def test_scaling_keeps_where_things_are(size: tuple[int, int]) -> None:
    picture = quarters(40, 60)
    made = scaled(picture, *size)
    assert made.shape == (*size, 3)
    if min(size) > 4:
        assert greys(made) == [0, 80, 160, 240]
    assert scaled(picture, 40, 60) is picture
