"""Joins parts of one line of writing that a reader has found apart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.spatial import cKDTree

from segsearch.core.text import Line, spaced_text

TOUCHING = 0.5  # of the height: how far parts of one line are from each other, either way
SAME_HEIGHT = 1.4  # ratio of their heights
SAME_LINE = 0.35  # of the height, that one may stand above the other
SAME_DEGREES = 8.0


@dataclass(frozen=True, slots=True)
class _Part:
    """A line by the middles of its two ends, its height and its angle in degrees."""

    line: Line
    start: tuple[float, float]
    end: tuple[float, float]
    height: float
    degrees: float


def whole_lines(lines: Sequence[Line]) -> list[Line]:
    """The same lines in the same order, with parts of one line joined where the first of them
    stands; its score is that of the least sure part."""
    parts = [_part(line) for line in lines]
    follower = _followers(parts)
    # Where two claim one part, it goes with the nearer; a part that follows itself ends there.
    before: dict[int, int] = {}
    for number, other in follower.items():
        rival = before.get(other)
        if rival is None or _gap(parts[number], parts[other]) < _gap(parts[rival], parts[other]):
            before[other] = number
    after = {number: other for other, number in before.items()}
    joined: dict[int, Line] = {}
    seen: set[int] = set()
    for number in [*(n for n in range(len(parts)) if n not in before), *range(len(parts))]:
        if number in seen:
            continue
        chain = [number]
        while chain[-1] in after and after[chain[-1]] not in {*chain, *seen}:
            chain.append(after[chain[-1]])
        seen.update(chain)
        joined[min(chain)] = _joined([lines[one] for one in chain])
    return [joined[number] for number in sorted(joined)]


def _part(line: Line) -> _Part:
    top_left, top_right, bottom_right, bottom_left = line.corners
    start, end = _middle(top_left, bottom_left), _middle(top_right, bottom_right)
    height = (math.dist(top_left, bottom_left) + math.dist(top_right, bottom_right)) / 2
    degrees = math.degrees(math.atan2(end[1] - start[1], end[0] - start[0]))
    return _Part(line, start, end, height, degrees)


def _middle(one: tuple[float, float], other: tuple[float, float]) -> tuple[float, float]:
    return ((one[0] + other[0]) / 2, (one[1] + other[1]) / 2)


def _gap(part: _Part, other: _Part) -> float:
    return math.dist(part.end, other.start)


def _followers(parts: Sequence[_Part]) -> dict[int, int]:
    """By the number of a part, that of the nearest one that goes on where it ends."""
    placed = [number for number, part in enumerate(parts) if _is_placed(part)]
    if len(placed) < 2:
        return {}
    starts = cKDTree([parts[number].start for number in placed])
    found: dict[int, int] = {}
    for number in placed:
        part = parts[number]
        near = starts.query_ball_point(part.end, part.height)
        others = [placed[place] for place in near]
        fitting = [one for one in others if one != number and _goes_on(part, parts[one])]
        if fitting:
            found[number] = min(fitting, key=lambda one: (_gap(part, parts[one]), one))
    return found


def _is_placed(part: _Part) -> bool:
    return part.height > 0 and all(map(math.isfinite, (*part.start, *part.end, part.height)))


def _goes_on(part: _Part, other: _Part) -> bool:
    low, high = sorted((part.height, other.height))
    if high > SAME_HEIGHT * low:
        return False
    if abs((part.degrees - other.degrees + 180) % 360 - 180) > SAME_DEGREES:
        return False
    turn = math.radians(part.degrees)
    x, y = other.start[0] - part.end[0], other.start[1] - part.end[1]
    along, across = x * math.cos(turn) + y * math.sin(turn), y * math.cos(turn) - x * math.sin(turn)
    return abs(along) < TOUCHING * low and abs(across) < SAME_LINE * low


def _joined(parts: Sequence[Line]) -> Line:
    if len(parts) == 1:
        return parts[0]
    first, last = parts[0], parts[-1]
    corners = (first.corners[0], last.corners[1], last.corners[2], first.corners[3])
    text = first.text
    for part in parts[1:]:
        # No space within a script that parts no words.
        is_unparted = len(spaced_text(text[-1:] + part.text[:1])) == len("a b")
        text += ("" if is_unparted else " ") + part.text
    return Line(corners, text, min(part.score for part in parts))
