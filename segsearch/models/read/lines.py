"""Turns a picture into lines of text, and drops what only looks like one.

What the detector takes for text in pictures without a word is mostly a thing that fills the picture
(one large letter), or stripes and dots (the same letter again and again).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from segsearch.core.arrays import Pixels
from segsearch.core.text import Corners, Line
from segsearch.masks.quads import Quad, sides
from segsearch.models.read.detection import FoundLine, find_lines
from segsearch.models.read.recognition import ReadText, read_quads

if TYPE_CHECKING:
    from segsearch.models.read.pp_ocr import PpOcr

MOST_LINES = 1000
# Chosen on 300 photographs, of which 38 show words that can be read: what the recogniser makes of
# anything else is a letter or two with a middling score, most often of the whole picture.
LEAST_SCORE = 0.65
LEAST_SCORE_BOLD = 0.9  # of one or two letters, and of what is large in its picture
SHORT_LETTERS = 2
LARGE_SHARE = 0.4  # of the picture's shorter side
LEAST_RATIO_LARGE = 2.0  # a large thing is no line unless it is so many times as long as high
LEAST_FILLED = 0.6  # letters for each height of its length; a spaced letter fills one
MOST_ALIKE = 0.7  # of the letters of a line
FEW_LETTERS = 6  # a shorter line may be of one letter


def read_lines(pixels: Pixels, models: PpOcr) -> list[Line]:
    """The lines of a picture (H, W, 3) u8, from the top, then from the left."""
    side = min(pixels.shape[:2])
    found = find_lines(pixels, models.heat, models.lines)
    likely = in_order([line for line in found if may_be_line(line.quad, side)])[:MOST_LINES]
    quads = [line.quad for line in likely]
    read = read_quads(pixels, quads, models.recognize, models.is_turned)
    return [
        Line(_corners(quad), said.text, min(1.0, max(0.0, said.score)))
        for quad, said in read
        if is_believed(quad, said, side)
    ]


def may_be_line(quad: Quad, side: int) -> bool:
    """Whether a line may stand there, in a picture whose shorter side is `side` px."""
    short, long = sorted(sides(quad))
    return short <= LARGE_SHARE * side or long >= LEAST_RATIO_LARGE * short


def is_believed(quad: Quad, said: ReadText, side: int) -> bool:
    """Whether what was read there, in a picture whose shorter side is `side` px, is text."""
    width, height = sides(quad)
    signs = said.text.replace(" ", "")
    letters = sum(sign.isalnum() for sign in signs)
    if not letters or len(signs) < LEAST_FILLED * width / height:
        return False
    most = max(Counter(signs).values())
    if len(signs) >= FEW_LETTERS and most > MOST_ALIKE * len(signs):
        return False
    is_bold = letters <= SHORT_LETTERS or height > LARGE_SHARE * side
    return said.score >= (LEAST_SCORE_BOLD if is_bold else LEAST_SCORE)


def in_order(lines: Sequence[FoundLine]) -> list[FoundLine]:
    """Lines from the top; of those side by side, the left one first."""
    rows: list[list[FoundLine]] = []
    for line in sorted(lines, key=_middle):
        heights = rows[-1][0].quad[:, 1] if rows else None
        if heights is not None and heights.min() < _middle(line) < heights.max():
            rows[-1].append(line)
        else:
            rows.append([line])
    return [line for row in rows for line in sorted(row, key=_left)]


def _middle(line: FoundLine) -> float:
    return float(line.quad[:, 1].mean())


def _left(line: FoundLine) -> float:
    return float(line.quad[:, 0].min())


def _corners(quad: Quad) -> Corners:
    first, second, third, fourth = ((float(x), float(y)) for x, y in quad)
    return first, second, third, fourth
