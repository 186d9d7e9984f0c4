"""Parts of one line are one line; what stands beside it, above it or at another size is not."""

from __future__ import annotations

import math

import pytest

from segsearch.core.text import Line
from segsearch.masks.line_parts import whole_lines


def line(text: str, x: float, y: float, width: float, height: float = 20, turn: float = 0) -> Line:
    sine, cosine = math.sin(math.radians(turn)), math.cos(math.radians(turn))
    flat = ((x, y), (x + width, y), (x + width, y + height), (x, y + height))
    first, second, third, fourth = (
        (across * cosine - down * sine, across * sine + down * cosine) for across, down in flat
    )
    return Line((first, second, third, fourth), text, 0.9 - 0.01 * len(text))


@pytest.mark.parametrize("turn", [0, 12, -70, 170])
def test_parts_that_touch_or_overlap_a_little_are_one_line(turn: float) -> None:
    parts = [
        line("hours", 184, 3, 70, turn=turn),
        line("Above", 0, -40, 60, turn=turn),
        line("open", 0, 0, 90, turn=turn),
        line("24", 88, 1, 92, turn=turn),
    ]
    found = whole_lines(parts)
    assert [one.text for one in found] == ["open 24 hours", "Above"]
    assert found[0].corners == (
        parts[2].corners[0], parts[0].corners[1], parts[0].corners[2], parts[2].corners[3],
    )  # fmt: skip
    assert found[0].score == min(one.score for one in parts[:1] + parts[2:])


@pytest.mark.parametrize(
    "other",
    [
        line("far", 120, 0, 50),
        line("large", 102, -5, 90, 40),
        line("lower", 102, 10, 50),
        line("turned", 102, 0, 50, turn=30),
        line("around", 0, 0, 100, turn=180),
    ],
    ids=lambda one: one.text,
)
def test_others_stay_by_themselves(other: Line) -> None:
    assert whole_lines([line("one", 0, 0, 100), other]) == [line("one", 0, 0, 100), other]


def test_scripts_without_spaces_are_joined_without() -> None:
    parts = [line("\u975e\u5e38", 0, 0, 40), line("\u51fa\u53e3", 42, 0, 40)]
    assert [one.text for one in whole_lines(parts)] == ["\u975e\u5e38\u51fa\u53e3"]


def test_odd_lines_are_kept_each_once() -> None:
    nowhere = float("nan")
    odd = [
        Line(((0, 0),) * 4, "point", 0.5),
        Line(((nowhere, 0), (1, 0), (1, 1), (0, 1)), "none", 0.5),
        *(line(f"same{n}", 0, 0, 1) for n in range(3)),
    ]
    found = whole_lines(odd)
    words = sorted(word for one in found for word in one.text.split())
    assert words == sorted(one.text for one in odd)
