"""Text that stands in pictures: lines, what they belong to, and the form they are compared in."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, NamedTuple
from unicodedata import normalize

Corner = tuple[float, float]
Corners = tuple[Corner, Corner, Corner, Corner]

# What a region is. `thing`: the segmenter cut it out. The others are made of lines: `text` is a
# line, or lines, that no mask covers; on pages, blocks of lines by what they are there. A thing on
# a page that holds no lines is a `figure`.
RegionKind = Literal["thing", "text", "heading", "paragraph", "cell", "figure"]
REGION_KINDS: tuple[RegionKind, ...] = (
    "thing", "text", "heading", "paragraph", "cell", "figure",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Line:
    """A line of text as it was read.

    `corners` are x, y in pixels of the upright picture, clockwise in the sense of the writing: the
    first is above the beginning of the line. `score` in [0, 1] is how sure the reader is.
    """

    corners: Corners
    text: str
    score: float


@dataclass(frozen=True, slots=True)
class TextLine:
    """A stored line. `position` numbers the lines of a picture as they are read, from 1;
    `segment_id` is the smallest region that covers it, `element_id` the region that is its element
    of a page, which may be the same; None where that was removed, or is none."""

    id: int
    image_id: int
    segment_id: int | None
    position: int
    line: Line
    element_id: int | None = None

    @property
    def regions(self) -> tuple[int, ...]:
        """The regions that it belongs to, each once, the smallest first."""
        return _regions(self.segment_id, self.element_id)


class LineText(NamedTuple):
    """What a stored line says, and what it belongs to, as `TextLine` has it; not where it is."""

    id: int
    segment_id: int | None
    element_id: int | None
    position: int
    text: str

    @property
    def regions(self) -> tuple[int, ...]:
        """The regions that it belongs to, each once, the smallest first."""
        return _regions(self.segment_id, self.element_id)


def _regions(*numbers: int | None) -> tuple[int, ...]:
    return tuple(dict.fromkeys(number for number in numbers if number is not None))


# Scripts that part no words: Han, kana, Thai, Lao, Khmer, Myanmar, Tibetan.
_UNPARTED = re.compile(
    "([\u0e00-\u0eff\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf"
    "\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff])"
)
# Accents of Latin, Greek and Cyrillic; points of Hebrew and Arabic, and what only lengthens a line.
_ACCENTS = re.compile("[\u0300-\u036f\u0591-\u05bd\u05bf\u05c1\u05c2\u0640\u064b-\u0652\u0670]")


def folded_text(text: str) -> str:
    """What texts are compared by: one form (NFKC), upper and lower case alike, without the accents
    of Latin, Greek and Cyrillic letters and the points of Hebrew and Arabic ones, one space between
    words."""
    if text.isascii():  # the same, at a tenth of the time
        return " ".join(text.lower().split())
    parted = normalize("NFKD", normalize("NFKC", text).casefold())
    return " ".join(normalize("NFC", _ACCENTS.sub("", parted)).split())


def spaced_text(folded: str) -> str:
    """Folded text with each sign of a script that parts no words standing alone: so that whatever
    stands side by side in it is found as a phrase."""
    if folded.isascii():
        return " ".join(folded.split())
    return " ".join(_UNPARTED.sub(r" \1 ", folded).split())
