"""The elements of a page, from its lines and masks: blocks of lines, cells of tables, figures; and
the order in which they are read.

Bottom-up as in O'Gorman's docstrum (IEEE TPAMI 15(11), 1993), the order by recursive cuts along
white space (Nagy & Seth, ICPR 1984). Lines are levelled by their usual angle first.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from segsearch.core.text import Corners, Line, RegionKind

LEAST_LINES = 6  # of a page
LEAST_SHARE = 0.04  # of the picture's area, that the lines of a page cover
LEVEL_DEGREES = 15.0  # that lines may stand off their usual angle
LEVEL_SHARE = 0.8  # of the lines, that do not
MOST_DEGREES = 45.0  # of the usual angle
SAME_HEIGHT = 1.45  # ratio of two lines' heights in one block
LINE_GAP = 1.1  # of the height, between lines of one block
WORD_GAP = 1.2  # ... between parts of one line, which a reader has parted
ROW_OVERLAP = 0.5  # of the lower part, that parts of one row share
ROW_GAP = 3.0  # of the height, between rows of a table
COLUMN_OVERLAP = 0.3  # of the narrower line, that lines of one block share
FILLED_SHARE = 0.7  # of a column's width: text fills its columns, cells do not
HEADING_HEIGHT = 1.25  # of the usual height
HEADING_LINES = 3
_RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufeff]")
_LETTER = re.compile(r"[^\W\d_]")

Span = tuple[float, float]
Rect = tuple[float, float, float, float]  # x0, y0, x1, y1 in the levelled picture


@dataclass(slots=True)
class Element:
    """A part of a page: `lines` by their numbers; `figure` is the number of the mask that it is,
    where it holds no lines. Cells of one table have its number."""

    kind: RegionKind
    box: Rect
    lines: list[int] = field(default_factory=list)
    figure: int | None = None
    table: int | None = None

    @property
    def across(self) -> Span:
        return self.box[0], self.box[2]

    @property
    def down(self) -> Span:
        return self.box[1], self.box[3]


@dataclass(frozen=True, slots=True)
class Page:
    """The elements of a page in the order of reading, and `corners` of a box of theirs in the
    picture as it is."""

    elements: list[Element]
    corners: Callable[[Rect], Corners]


def page_of(
    lines: Sequence[Line], figures: Sequence[tuple[int, Corners]], size: tuple[int, int]
) -> Page | None:
    """The page that a picture (H, W) shows; None where it is no page: too few lines, or at all
    angles. `figures` are masks without lines, by number, and the corners of their boxes."""
    if len(lines) < LEAST_LINES:
        return None
    corners = np.array([line.corners for line in lines], np.float64)
    if not np.isfinite(corners).all():
        return None
    along = corners[:, 1] - corners[:, 0]
    angles = np.degrees(np.arctan2(along[:, 1], along[:, 0]))
    angle = float(np.median(angles))
    level = np.abs((angles - angle + 180) % 360 - 180) <= LEVEL_DEGREES
    turn, back = _turns(np.radians(angle), size)
    boxes = _boxes(turn(corners))
    areas = np.array([(x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in boxes])
    if level.mean() < LEVEL_SHARE or abs(angle) > MOST_DEGREES:
        return None
    if level.sum() < LEAST_LINES or areas[level].sum() < LEAST_SHARE * size[0] * size[1]:
        return None
    elements = list(_blocks(boxes, [len(line.text) for line in lines]))
    for number, outline in figures:
        (box,) = _boxes(turn(np.array([outline], np.float64)))
        elements.append(Element("figure", box, figure=number))
    usual = float(np.median([y1 - y0 for _, y0, _, y1 in boxes]))
    from_right = _is_from_right(lines)
    ordered = list(_ordered(elements, usual, from_right=from_right))

    def placed(box: Rect) -> Corners:
        x0, y0, x1, y1 = box
        four = back(np.array([[[x0, y0], [x1, y0], [x1, y1], [x0, y1]]]))[0].tolist()
        first, second, third, fourth = ((x, y) for x, y in four)
        return (first, second, third, fourth)

    return Page(ordered, placed)


def _turns(
    radians: float, size: tuple[int, int]
) -> tuple[Callable[[NDArray[np.float64]], NDArray[np.float64]], ...]:
    """What levels points (n, 4, 2) that stand at an angle, and what turns them back."""
    middle = np.array([size[1] / 2, size[0] / 2])

    def turned(by: float) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
        turn = np.array([[np.cos(by), -np.sin(by)], [np.sin(by), np.cos(by)]])
        return lambda points: (points - middle) @ turn.T + middle

    return turned(-radians), turned(radians)


def _boxes(corners: NDArray[np.float64]) -> list[Rect]:
    """The boxes around corners (n, 4, 2)."""
    low, high = corners.min(axis=1).tolist(), corners.max(axis=1).tolist()
    return [(x0, y0, x1, y1) for (x0, y0), (x1, y1) in zip(low, high, strict=True)]


def _is_from_right(lines: Sequence[Line]) -> bool:
    text = "".join(line.text for line in lines)
    return 2 * len(_RIGHT_TO_LEFT.findall(text)) > len(_LETTER.findall(text))


def _shared(one: Span, other: Span) -> float:
    """The length two spans share; below 0, the gap between them."""
    return min(one[1], other[1]) - max(one[0], other[0])


def _blocks(boxes: Sequence[Rect], letters: Sequence[int]) -> Iterator[Element]:
    """Parts of rows as cells where they stand in a table, other lines joined to blocks; `letters`
    of each line say which height is usual."""
    heights = np.array([_height(box) for box in boxes])
    order = np.argsort(heights)
    counted = np.cumsum(np.maximum(np.array(letters)[order], 1))
    usual = float(heights[order][np.searchsorted(counted, counted[-1] / 2)])
    tables = _tables(boxes)
    for number, cells in enumerate(tables):
        for cell in cells:
            yield Element("cell", _around(boxes, cell), cell, table=number)
    taken = {line for cells in tables for cell in cells for line in cell}
    free = [number for number in range(len(boxes)) if number not in taken]
    for group in _joined(free, lambda one, other: _is_one_block(boxes[one], boxes[other])):
        group.sort(key=lambda number: (round(boxes[number][1] / usual), boxes[number][0]))
        is_large = float(np.median(heights[group])) >= HEADING_HEIGHT * usual
        is_heading = is_large and len(group) <= HEADING_LINES
        yield Element("heading" if is_heading else "paragraph", _around(boxes, group), group)


def _height(box: Rect) -> float:
    return box[3] - box[1]


def _around(boxes: Sequence[Rect], numbers: Sequence[int]) -> Rect:
    x0, y0, x1, y1 = zip(*(boxes[number] for number in numbers), strict=True)
    return (min(x0), min(y0), max(x1), max(y1))


def _joined(numbers: Sequence[int], fits: Callable[[int, int], bool]) -> list[list[int]]:
    """Groups of numbers that fit pairwise, directly or by others."""
    left, groups = list(numbers), []
    while left:
        group, new = [], [left.pop(0)]
        while new:
            one = new.pop()
            group.append(one)
            near = {other for other in left if fits(one, other)}
            left = [other for other in left if other not in near]
            new += near
        groups.append(sorted(group))
    return groups


def _is_one_block(one: Rect, other: Rect) -> bool:
    """Whether two lines follow each other in one block, or are parts of one line."""
    low, high = sorted((_height(one), _height(other)))
    if high > SAME_HEIGHT * low:
        return False
    across, down = _shared(one[::2], other[::2]), _shared(one[1::2], other[1::2])
    if down > ROW_OVERLAP * low:
        return across > -WORD_GAP * low
    narrow = min(one[2] - one[0], other[2] - other[0])
    return down > -LINE_GAP * low and across > COLUMN_OVERLAP * narrow


def _tables(boxes: Sequence[Rect]) -> list[list[list[int]]]:
    """Cells of each table, row by row: two rows or more of two parts or more, one below the other
    in the same columns, which they do not fill as text would."""
    found: list[list[list[int]]] = []
    run: list[list[list[int]]] = []
    for row in [*_rows(boxes), []]:
        if run and not (len(row) > 1 and _is_aligned(boxes, run[-1], row)):
            if len(run) > 1 and not _is_filled(boxes, run):
                found.append([cell for cells in run for cell in cells])
            run = []
        if len(row) > 1:
            run.append(row)
    return found


def _rows(boxes: Sequence[Rect]) -> list[list[list[int]]]:
    """Rows from the top, each of parts from the left; parts that nearly touch are one."""

    def beside(one: int, other: int) -> bool:
        low = min(_height(boxes[one]), _height(boxes[other]))
        return _shared(boxes[one][1::2], boxes[other][1::2]) > ROW_OVERLAP * low

    rows = []
    for row in _joined(range(len(boxes)), beside):
        row.sort(key=lambda number: boxes[number][0])
        parts = [[row[0]]]
        for number in row[1:]:
            last, box = boxes[parts[-1][-1]], boxes[number]
            if box[0] - last[2] > WORD_GAP * min(_height(last), _height(box)):
                parts.append([number])
            else:
                parts[-1].append(number)
        rows.append(parts)
    return sorted(rows, key=lambda parts: boxes[parts[0][0]][1])


def _is_aligned(
    boxes: Sequence[Rect], upper: Sequence[Sequence[int]], lower: Sequence[Sequence[int]]
) -> bool:
    """Whether two rows stand close below each other and share two columns at least."""
    above, below = ([_around(boxes, part) for part in row] for row in (upper, lower))
    gap = min(box[1] for box in below) - max(box[3] for box in above)
    shared = sum(any(_shared(one[::2], other[::2]) > 0 for one in above) for other in below)
    return gap < ROW_GAP * min(map(_height, above)) and shared > 1


def _is_filled(boxes: Sequence[Rect], rows: Sequence[Sequence[Sequence[int]]]) -> bool:
    """Whether parts fill their columns, as lines of text in columns do."""
    shares = []
    for row in rows:
        for part, following in pairwise(row):
            left, _, right, _ = _around(boxes, part)
            shares.append((right - left) / (boxes[following[0]][0] - left))
    return float(np.median(shares)) > FILLED_SHARE


def _ordered(elements: Sequence[Element], gap: float, *, from_right: bool) -> Iterator[Element]:
    """Elements as they are read: columns beside each other one after the other, tables by rows."""
    tables = sorted({one.table for one in elements if one.table is not None})
    atoms = [[one for one in elements if one.table == number] for number in tables]
    atoms += [[one] for one in elements if one.table is None]
    for atom in _cut([(atom, _outline(atom)) for atom in atoms], gap, from_right=from_right):
        yield from _by_rows(atom, from_right=from_right)


def _by_rows(cells: Sequence[Element], *, from_right: bool) -> Iterator[Element]:
    side = -1 if from_right else 1

    def beside(one: int, other: int) -> bool:
        return _shared(cells[one].down, cells[other].down) > 0

    rows = [[cells[one] for one in row] for row in _joined(range(len(cells)), beside)]
    for row in sorted(rows, key=lambda row: min(one.box[1] for one in row)):
        yield from sorted(row, key=lambda one: side * one.box[0])


def _outline(atom: Sequence[Element]) -> Rect:
    return _around([one.box for one in atom], range(len(atom)))


Atom = tuple[list[Element], Rect]


def _cut(atoms: Sequence[Atom], gap: float, *, from_right: bool) -> Iterator[list[Element]]:
    """Along white space: strips that together leave a column free are read by columns."""
    if len(atoms) < 2:
        yield from (atom for atom, _ in atoms)
        return
    columns = _parted(atoms, 0, gap)
    if len(columns) > 1:
        for column in reversed(columns) if from_right else columns:
            yield from _cut(column, gap, from_right=from_right)
        return
    strips = _parted(atoms, 1, 0.0)
    if len(strips) == 1:  # what overlaps is read from the top
        yield from (atom for atom, _ in sorted(atoms, key=lambda one: (one[1][1], one[1][0])))
        return
    groups: list[list[Atom]] = []
    for strip in strips:
        together = [*groups[-1], *strip] if groups else strip
        if groups and len(_parted(together, 0, gap)) > 1 and _has_columns(groups[-1], gap):
            groups[-1] = together
        else:
            groups.append(list(strip))
    for group in groups:
        yield from _cut(group, gap, from_right=from_right)


def _has_columns(group: Sequence[Atom], gap: float) -> bool:
    return len(_parted(group, 0, gap)) > 1


def _parted(atoms: Sequence[Atom], axis: int, gap: float) -> list[list[Atom]]:
    """Atoms parted along an axis (0 across, 1 down) where more than a gap is free of all."""
    parts: list[list[Atom]] = []
    end = -np.inf
    for atom in sorted(atoms, key=lambda one: one[1][axis]):
        low, high = atom[1][axis], atom[1][axis + 2]
        if not parts or low > end + gap:
            parts.append([])
        parts[-1].append(atom)
        end = max(end, high)
    return parts
