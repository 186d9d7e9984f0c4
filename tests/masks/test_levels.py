"""Regions of large photographs are cut out of a smaller level, and look the same."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from PIL import Image

from segsearch.core.arrays import Pixels
from segsearch.core.types import Mask
from segsearch.masks.crops import MAX_SIDE_PX, CropRule, context_crop, masked_crop
from segsearch.masks.levels import Levels, shrunk
from segsearch.masks.rle import encode

RULE = CropRule()
HEIGHT, WIDTH = 1900, 2600


@pytest.fixture(scope="module")
def pixels() -> Pixels:
    rng = np.random.default_rng(5)
    coarse = rng.integers(0, 256, (19, 26, 3), np.uint8)
    return np.asarray(cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC))


def disc(height: int, width: int, share: float) -> Mask:
    y, x = np.mgrid[:height, :width]
    radius = share * min(height, width) / 2
    mask = encode((y - height / 2) ** 2 + (x - width / 2) ** 2 < radius**2)
    assert mask is not None
    return mask


@pytest.mark.parametrize("with_seen", [False, True])
def test_a_large_region_looks_as_it_does_at_full_size(pixels: Pixels, with_seen: bool) -> None:
    mask = disc(HEIGHT, WIDTH, 0.9)
    seen = disc(468, 640, 0.9) if with_seen else None
    crops = Levels(pixels).crops(mask, RULE, seen)
    wanted = context_crop(pixels, mask, RULE), masked_crop(pixels, mask, RULE)
    for found, full in zip(crops, wanted, strict=True):
        assert MAX_SIDE_PX / 2 <= found.shape[0] <= MAX_SIDE_PX
        side = (160, 160)
        small = [cv2.resize(one, side, interpolation=cv2.INTER_AREA) for one in (found, full)]
        apart = np.abs(small[0].astype(int) - small[1])
        assert apart.mean() < 4  # of 255: the square moves by a pixel of its level
        assert np.quantile(apart, 0.99) < 60  # at the outline


def test_a_small_region_of_a_large_photograph_keeps_its_detail(pixels: Pixels) -> None:
    mask = disc(HEIGHT, WIDTH, 0.2)
    seen = disc(468, 640, 0.2)
    crops = Levels(pixels).crops(mask, RULE, seen)
    assert np.array_equal(crops[0], context_crop(pixels, mask, RULE))
    assert np.array_equal(crops[1], masked_crop(pixels, mask, RULE))


def test_levels_are_halves_and_the_whole_is_bounded(pixels: Pixels) -> None:
    levels = Levels(pixels)
    assert levels.at(0) is pixels
    assert [levels.at(n).shape[:2] for n in (1, 2)] == [(950, 1300), (475, 650)]
    assert levels.whole().shape[:2] == (475, 650)
    odd = Levels(np.zeros((1025, 3, 3), np.uint8))
    assert odd.whole().shape[:2] == (513, 2)


@pytest.mark.parametrize("size", [(64, 48), (63, 48), (7, 9)])
def test_halves_are_pillow_s(size: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    half = np.asarray(Image.fromarray(pixels).reduce(2))
    assert np.array_equal(Levels(pixels).at(1), half)


def test_a_picture_is_shrunk_by_whole_numbers() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)
    assert shrunk(pixels, 61) is pixels
    small = shrunk(pixels, 40)
    assert small.shape == (30, 40, 3)
    means = pixels.reshape(30, 3, 40, 3, 3).mean(axis=(1, 3))
    assert np.abs(small - means).max() <= 0.51
