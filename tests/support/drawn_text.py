"""Pictures with lines of text whose places are known, in a font that the test packages bring."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from benchmarks.text.drawing import (
    OVERSAMPLED,
    DrawnLine,
    Lettering,
    Points,
    SheetMaker,
    capital_px,
    lay,
)
from segsearch.core.arrays import Pixels

FONT = Path(mpl.get_data_path()) / "fonts/ttf/DejaVuSans.ttf"
INK, PAPER = (20, 20, 24), (250, 250, 246)


def font_of(letter_px: float) -> ImageFont.FreeTypeFont:
    """The font whose capitals are so high."""
    probe = ImageFont.truetype(str(FONT), 100)
    return ImageFont.truetype(str(FONT), round(letter_px * 100 / capital_px(probe)))


def drawn(
    texts: Sequence[str], letter_px: float, size: tuple[int, int], target: Points | None = None
) -> tuple[Pixels, list[DrawnLine]]:
    """Lines on paper (height, width), three heights apart; laid flat, or by the sheet's corners."""
    height, width = size
    maker = SheetMaker(width, height, PAPER)
    style = Lettering(font_of(letter_px * OVERSAMPLED), INK)
    for number, text in enumerate(texts):
        maker.write((2 * letter_px, 3 * letter_px * (number + 1)), text, "Latin", style)
    picture = Image.new("RGB", (width, height), PAPER)
    flat = np.array([[0, 0], [width, 0], [width, height], [0, height]], float)
    lines = lay(picture, maker.sheet(), flat if target is None else target)
    return np.asarray(picture), lines


def strip(texts: Sequence[str], letter_px: float, size: tuple[int, int], gap_px: int) -> Pixels:
    """Texts side by side on a strip (height, width), so far from the beginning of one another."""
    height, width = size
    picture = Image.new("RGB", (width, height), PAPER)
    draw, font = ImageDraw.Draw(picture), font_of(letter_px)
    for number, text in enumerate(texts):
        draw.text((10 + number * gap_px, (height + letter_px) / 2), text, INK, font, anchor="ls")
    return np.asarray(picture)
