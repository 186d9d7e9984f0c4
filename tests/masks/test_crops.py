"""Crops: what the embedder sees of a segment."""

from __future__ import annotations

import numpy as np
import pytest

from segsearch.core.arrays import Pixels
from segsearch.core.types import Box, Mask
from segsearch.masks.crops import MAX_SIDE_PX, CropRule, context_crop, masked_crop, square_around
from segsearch.masks.rle import encode

RULE = CropRule(margin=0.25, min_side_px=8)


def picture(height: int, width: int) -> Pixels:
    rows, columns = np.indices((height, width))
    return np.stack((rows, columns, rows * 0), axis=2).astype(np.uint8)


def rectangle(box: Box, height: int, width: int) -> Mask:
    frame = np.zeros((height, width), dtype=bool)
    frame[box.y0 : box.y1, box.x0 : box.x1] = True
    mask = encode(frame)
    assert mask is not None
    return mask


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        (Box(40, 40, 60, 60), Box(35, 35, 65, 65)),  # margin on every side
        (Box(40, 45, 60, 55), Box(35, 35, 65, 65)),  # square around the longer side
        (Box(0, 0, 20, 20), Box(0, 0, 30, 30)),  # shifted inside at the border
        (Box(90, 90, 100, 100), Box(85, 85, 100, 100)),
        (Box(50, 50, 52, 52), Box(47, 47, 55, 55)),  # at least the smallest side
    ],
)
def test_the_square_has_its_margin_and_stays_inside(box: Box, expected: Box) -> None:
    assert square_around(box, RULE, 100, 100) == expected


def test_a_context_crop_shows_the_picture_as_it_is() -> None:
    pixels = picture(100, 100)
    crop = context_crop(pixels, rectangle(Box(40, 40, 60, 60), 100, 100), RULE)
    assert (crop == pixels[35:65, 35:65]).all()


def test_a_square_larger_than_the_picture_is_filled_up() -> None:
    pixels = picture(20, 100)
    crop = context_crop(pixels, rectangle(Box(0, 0, 100, 20), 20, 100), RULE)
    assert crop.shape == (150, 150, 3)
    assert (crop[0, 0] == RULE.fill).all()
    shown = (crop != np.array(RULE.fill, dtype=np.uint8)).any(axis=2)
    assert shown.sum() == 20 * 100


def test_a_masked_crop_shows_the_segment_and_nothing_else() -> None:
    pixels = picture(100, 100)
    frame = np.zeros((100, 100), dtype=bool)
    frame[40:60, 40:60] = True
    frame[50:, 50:] = False
    mask = encode(frame)
    assert mask is not None
    crop = masked_crop(pixels, mask, RULE)
    window = frame[35:65, 35:65]
    assert (crop[window] == pixels[35:65, 35:65][window]).all()
    assert (crop[~window] == RULE.fill).all()


@pytest.mark.parametrize("cut", [context_crop, masked_crop])
def test_a_very_long_picture_does_not_ask_for_a_gigabyte(cut: object) -> None:
    pixels = np.zeros((20_000, 1, 3), dtype=np.uint8)
    mask = rectangle(Box(0, 0, 1, 20_000), 20_000, 1)
    crop = cut(pixels, mask, RULE)  # type: ignore[operator]  # both take the same three
    assert max(crop.shape) <= MAX_SIDE_PX
