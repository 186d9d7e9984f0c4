"""A sheet of pictures: each in its square, none lost, none cut."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from segsearch.export.render import SHEET_GAP_PX, picture_png, sheet_png

SIDE = 60
COLOURS = [(200, 0, 0), (0, 200, 0), (0, 0, 200), (90, 90, 0)]


def test_pictures_stand_in_reading_order_each_whole() -> None:
    sizes = [(30, 90), (90, 30), (10, 10), (200, 200)]
    files = [
        picture_png(np.full((*size, 3), colour, np.uint8))
        for size, colour in zip(sizes, COLOURS, strict=True)
    ]
    sheet = np.asarray(Image.open(io.BytesIO(sheet_png(files, 3, SIDE))))
    assert sheet.shape == (2 * SIDE, 3 * SIDE, 3)
    inner = SIDE - SHEET_GAP_PX
    wide = [(16, inner), (inner, 16), (10, 10), (inner, inner)]  # the smallest is not enlarged
    for number, (colour, (height, width)) in enumerate(zip(COLOURS, wide, strict=True)):
        row, column = divmod(number, 3)
        tile = sheet[row * SIDE : (row + 1) * SIDE, column * SIDE : (column + 1) * SIDE]
        own = (tile == colour).all(axis=2)
        assert own.any(axis=1).sum() == height
        assert own.any(axis=0).sum() == width
    assert (sheet[SIDE:, SIDE:] == 255).all()


def test_no_picture_is_an_empty_row() -> None:
    assert Image.open(io.BytesIO(sheet_png([], 3, SIDE))).size == (3 * SIDE, SIDE)
