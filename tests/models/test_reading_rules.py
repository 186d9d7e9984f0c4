"""What is decided about lines without a model: looks, pieces, order, and what is no text."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from benchmarks.text import scores
from benchmarks.text.drawing import DrawnLine
from segsearch.core.arrays import Pixels
from segsearch.core.text import Corners, Line
from segsearch.masks.quads import Quad
from segsearch.models.read import detection, recognition
from segsearch.models.read.detection import FoundLine, Heat, find_lines
from segsearch.models.read.lines import in_order, is_believed, may_be_line
from segsearch.models.read.recognition import ReadText, read_strips


def box(x: float, y: float, width: float, height: float) -> Quad:
    return np.array([[x, y], [x + width, y], [x + width, y + height], [x, y + height]], np.float32)


def ink(pixels: Pixels) -> Heat:
    """A detector that finds what is black."""
    assert all(side % detection.STEP_PX == 0 for side in pixels.shape[:2])
    assert max(pixels.shape[:2]) <= detection.LOOK_PX
    return np.asarray(pixels.max(axis=2) < 60, np.float32)


def one_box(heat: Heat, size: tuple[int, int]) -> list[FoundLine]:
    """The box of all that was found, as one line."""
    ys, xs = np.nonzero(heat)
    if not len(ys):
        return []
    tall, wide = size[0] / heat.shape[0], size[1] / heat.shape[1]
    x, y = float(xs.min()) * wide, float(ys.min()) * tall
    quad = box(x, y, float(np.ptp(xs) + 1) * wide, float(np.ptp(ys) + 1) * tall)
    return [FoundLine(quad, 1.0)]


@settings(max_examples=25, deadline=None)
@given(height=st.integers(8, 2500), width=st.integers(8, 2500), data=st.data())
def test_a_bar_is_found_where_it_lies_in_a_picture_of_any_size(
    height: int, width: int, data: st.DataObject
) -> None:
    tall, wide = max(4, height // 5), max(6, width // 3)
    y = data.draw(st.integers(0, height - tall))
    x = data.draw(st.integers(0, width - wide))
    pixels = np.full((height, width, 3), 255, np.uint8)
    pixels[y : y + tall, x : x + wide] = 0
    quad = find_lines(pixels, ink, one_box)[0].quad
    slack = 3 / detection.first_scale(height, width)
    assert np.abs(quad - box(x, y, wide, tall)).max() <= max(2.0, slack)


def test_lines_that_a_closer_look_shows_again_are_left_out() -> None:
    rng = np.random.default_rng(3)
    boxes = np.concatenate([rng.uniform(0, 100, (400, 2)), rng.uniform(1, 20, (400, 2))], axis=1)
    each = [FoundLine(box(*sides), 1.0) for sides in boxes.tolist()]
    lines, others = each[:200], each[200:]

    def is_among(one: FoundLine, other: FoundLine) -> bool:
        (a, b, c, d), (e, f, g, h) = (
            (*line.quad.min(axis=0), *line.quad.max(axis=0)) for line in (one, other)
        )
        shared = max(0.0, min(c, g) - max(a, e)) * max(0.0, min(d, h) - max(b, f))
        return bool(shared > 0.5 * min((c - a) * (d - b), (g - e) * (h - f)))

    expected = [one for one in lines if not any(is_among(one, other) for other in others)]
    assert 0 < len(expected) < len(lines)
    left = detection.not_among(lines, others)
    assert [id(one) for one in left] == [id(one) for one in expected]
    assert len(detection.not_among(lines, [])) == len(lines)
    assert detection.not_among([], others) == []


@pytest.mark.parametrize("size", [(20, 20_000), (20_000, 20), (6000, 8000), (30, 300_000)])
def test_work_on_large_pictures_is_bounded(size: tuple[int, int]) -> None:
    looks: list[int] = []

    def counted(pixels: Pixels) -> Heat:
        looks.append(pixels.shape[0] * pixels.shape[1])
        return np.full(pixels.shape[:2], 0.4, np.float32)  # text everywhere, and no line

    stripe = FoundLine(box(0, 0, 60, 6), 1.0)
    find_lines(np.zeros((*size, 3), np.uint8), counted, lambda *_: [stripe] * 50)
    assert 1 <= len(looks) <= 2 * detection.MOST_LOOKS
    assert max(looks) <= detection.LOOK_PX**2


@given(height=st.integers(1, 5000), width=st.integers(1, 5000))
def test_looks_cover_a_picture(height: int, width: int) -> None:
    seen = np.zeros((math.ceil(height / 8), math.ceil(width / 8)), bool)
    for y0, y1, x0, x1 in detection.grid(height, width):
        assert 0 <= y0 < y1 <= height
        assert 0 <= x0 < x1 <= width
        assert max(y1 - y0, x1 - x0) <= detection.LOOK_PX
        seen[y0 // 8 : math.ceil(y1 / 8), x0 // 8 : math.ceil(x1 / 8)] = True
    assert seen.all()


def letters(strips: NDArray[np.uint8]) -> list[ReadText]:
    """A recogniser that names each block of a strip by its grey, from a to y."""
    read = []
    for strip in strips:
        row = strip[24, :, 0].astype(int)
        starts = np.flatnonzero(np.diff(np.pad((row < 120).astype(int), 1)) == 1)
        read.append(ReadText("".join(chr(97 + row[start] // 4) for start in starts), 0.9))
    return read


@settings(max_examples=30, deadline=None)
@given(st.lists(st.lists(st.integers(0, 24), min_size=1, max_size=90), max_size=9))
def test_strips_of_any_width_are_read_whole_and_in_order(texts: list[list[int]]) -> None:
    strips = []
    for text in texts:
        strip = np.full((48, 60 * len(text), 3), 255, np.uint8)
        for number, letter in enumerate(text):
            strip[6:42, 60 * number + 4 : 60 * number + 56] = letter * 4
        strips.append(strip)
    read = [said.text.replace(" ", "") for said in read_strips(strips, letters)]
    assert read == ["".join(chr(97 + letter) for letter in text) for text in texts]


def test_each_width_has_a_bucket() -> None:
    widths = recognition.WIDTHS_PX
    assert [recognition.bucket(width) for width in (8, 320, 321, widths[-1])] == [
        320, 320, 480, widths[-1],
    ]  # fmt: skip


def test_what_is_read_is_one_line_of_signs_that_are_shown() -> None:
    said = "\u202ea\x1b[31mb\x00\n c\t\u2066d  "
    assert recognition.cleaned(said) == "ab c d"


def test_lines_come_from_the_top_and_from_the_left() -> None:
    boxes = [box(300, 12, 90, 20), box(10, 40, 90, 20), box(10, 8, 90, 20), box(200, 44, 50, 18)]
    order = [line.quad[0].tolist() for line in in_order([FoundLine(quad, 1.0) for quad in boxes])]
    assert order == [[10, 8], [300, 12], [10, 40], [200, 44]]
    assert in_order([]) == []


@pytest.mark.parametrize(
    ("quad", "text", "score", "known"),
    [
        (box(0, 0, 200, 30), "Open daily", 0.66, True),
        (box(0, 0, 200, 30), "Open daily", 0.64, False),
        (box(0, 0, 40, 30), "24", 0.89, False),
        (box(0, 0, 40, 30), "24", 0.91, True),
        (box(0, 0, 300, 30), "一", 0.99, False),  # one letter cannot be so long
        (box(0, 0, 300, 30), "wwwwwwwwwwwwwwm", 0.99, False),
        (box(0, 0, 120, 30), "88:88", 0.99, True),
        (box(0, 0, 30, 30), "●", 0.99, False),
        (box(0, 0, 400, 200), "SALE", 0.80, False),  # large in its picture
        (box(0, 0, 400, 200), "SALE", 0.95, True),
        (box(0, 0, 200, 30), "", 0.99, False),
    ],
)
def test_what_is_believed(quad: Quad, text: str, score: float, known: bool) -> None:
    assert is_believed(quad, ReadText(text, score), 400) is known


def test_a_thing_that_fills_the_picture_is_no_line() -> None:
    assert not may_be_line(box(0, 0, 300, 260), 300)
    assert may_be_line(box(0, 0, 600, 260), 300)
    assert may_be_line(box(0, 0, 100, 100), 300)


@pytest.mark.parametrize(
    ("first", "second", "known"),
    [("", "", 0), ("abc", "abc", 0), ("abc", "", 3), ("kitten", "sitting", 3), ("ab", "ba", 2)],
)
def test_edits_are_counted(first: str, second: str, known: int) -> None:
    assert scores.edits(first, second) == scores.edits(second, first) == known


def test_a_read_line_counts_for_the_oblique_one_that_it_lies_on() -> None:
    def oblique(y: float) -> Corners:
        return ((0, y), (300, y + 90), (300, y + 110), (0, y + 20))

    drawn = [DrawnLine(oblique(40 * i), text, "Latin", 15) for i, text in enumerate("abc")]
    read = [Line(line.corners, line.text.upper(), 1.0) for line in reversed(drawn)]
    scored = scores.score(drawn, read, "sign")
    assert [one.read for one in scored] == ["A", "B", "C"]
    assert not any(one.is_exact for one in scored)
    assert all(one.is_findable for one in scored)
    assert [one.error_rate for one in scored] == [1, 1, 1]
