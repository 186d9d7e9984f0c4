"""The elements of a page, from its lines and masks: blocks of lines, cells of tables, figures; and
the order in which they are read.

Bottom-up as in O'Gorman's docstrum (IEEE TPAMI 15(11), 1993), the order by recursive cuts along
white space (Nagy & Seth, ICPR 1984). Lines are levelled by their usual angle first.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from unicodedata import east_asian_width

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from segsearch.core.text import Corners, Line, RegionKind

LEAST_LINES = 6  # of a page
LEAST_SHARE = 0.04  # of the picture's area, that the lines of a page cover
LEVEL_DEGREES = 15.0  # that lines may stand off their usual angle
LEVEL_SHARE = 0.8  # of the lines, that do not
MOST_DEGREES = 45.0  # of the usual angle
SAME_HEIGHT = 1.45  # ratio of two lines' heights in one block
LINE_PITCH = 1.35  # of the usual distance to the line below, between lines of one block
MOST_PITCH = 2.2  # of the height, the same
WORD_GAP = 1.2  # ... between parts of one line, which a reader has parted
ROW_OVERLAP = 0.5  # of the lower part, that parts of one row share
ROW_GAP = 3.0  # of the height, between rows of a table
COLUMN_OVERLAP = 0.3  # of the narrower line, that lines of one block share
FILLED_SHARE = 0.7  # of a column's width: text fills its columns, cells do not
TABLE_COLUMNS = 3  # so many parts in a row are cells, however long they are
CELL_LETTERS = 16  # ... of fewer, a usual one is no longer: two columns of text may be sparse
MARKER_GAP = 4.0  # of the height, between the marker of an item in a list and its text
HEADING_HEIGHT = 1.25  # of the usual height
HEADING_LINES = 3
_RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufeff]")
_LETTER = re.compile(r"[^\W\d_]")
_MARKER = re.compile(r"\(?\d{1,3}[.)]|[-*\u2010-\u2015\u2022\u2023\u2043\u00b7\u25a0-\u25cf\u25e6]")

Span = tuple[float, float]
Rect = tuple[float, float, float, float]  # x0, y0, x1, y1 in the levelled picture
Sides = NDArray[np.float64]  # (4,) or (n, 4): the same of one box, or of several


@dataclass(slots=True)
class Element:
    """A part of a page: `lines` by their numbers; `figure` is the number of the mask that it is,
    where it holds no lines. Cells of one table have its number, and that of their row."""

    kind: RegionKind
    box: Rect
    lines: list[int] = field(default_factory=list)
    figure: int | None = None
    table: int | None = None
    row: int = 0


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
    elements = list(_blocks(boxes, [line.text for line in lines]))
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
    """Boxes of nearly level corners (n, 4, 2), in the order of `Line.corners`: as high as the line
    is in its middle, however long it is."""
    left, right = corners[:, [0, 3], 0].mean(axis=1), corners[:, [1, 2], 0].mean(axis=1)
    top, bottom = corners[:, [0, 1], 1].mean(axis=1), corners[:, [2, 3], 1].mean(axis=1)
    sides = np.stack([left, top, np.maximum(left, right), np.maximum(top, bottom)], axis=1)
    return [(x0, y0, x1, y1) for x0, y0, x1, y1 in sides.tolist()]


def _is_from_right(lines: Sequence[Line]) -> bool:
    text = "".join(line.text for line in lines)
    return 2 * len(_RIGHT_TO_LEFT.findall(text)) > len(_LETTER.findall(text))


def _shared(one: Span, other: Span) -> float:
    """The length two spans share; below 0, the gap between them."""
    return min(one[1], other[1]) - max(one[0], other[0])


def _blocks(boxes: Sequence[Rect], texts: Sequence[str]) -> Iterator[Element]:
    """Parts of rows as cells where they stand in a table, other lines joined to blocks; the letters
    of each line say which height is usual."""
    heights = np.array([_height(box) for box in boxes])
    order = np.argsort(heights)
    counted = np.cumsum(np.maximum([len(texts[number]) for number in order], 1))
    usual = float(heights[order][np.searchsorted(counted, counted[-1] / 2)])
    items = _items(boxes, texts)
    letters = [sum(_letters(texts[number]) for number in item) for item in items]
    boxes = [_around(boxes, item) for item in items]
    heights = np.array([_height(box) for box in boxes])
    tables = _tables(boxes, letters)
    for number, rows in enumerate(tables):
        for row, cells in enumerate(rows):
            for cell in cells:
                lines = [line for item in cell for line in items[item]]
                yield Element("cell", _around(boxes, cell), lines, table=number, row=row)
    taken = {item for rows in tables for cells in rows for cell in cells for item in cell}
    free = [number for number in range(len(boxes)) if number not in taken]
    pitch = _usual_pitch(np.array([boxes[number] for number in free]).reshape(-1, 4))
    for group in _joined(boxes, free, MOST_PITCH, partial(_are_one_block, pitch=pitch)):
        parts = [item for row in _rows(boxes, group) for part in row for item in part]
        is_large = float(np.median(heights[group])) >= HEADING_HEIGHT * usual
        is_heading = is_large and len(group) <= HEADING_LINES
        lines = [line for item in parts for line in items[item]]
        yield Element("heading" if is_heading else "paragraph", _around(boxes, group), lines)


def _letters(text: str) -> int:
    """Its length in letters that are as wide as Latin ones."""
    return sum(2 if east_asian_width(sign) in "WF" else 1 for sign in text)


def _items(boxes: Sequence[Rect], texts: Sequence[str]) -> list[list[int]]:
    """Each line alone, or behind the bare marker of a list ("1.", a dash) that stands before it, no
    farther than what stands before the marker."""
    sides = np.array(boxes)
    after: dict[int, int] = {}
    for number, text in enumerate(texts):
        if not _MARKER.fullmatch(text.strip()):
            continue
        one = sides[number]
        beside = _are_beside(one, sides)
        to_right, to_left = sides[:, 0] - one[2], one[0] - sides[:, 2]
        to_right[~beside | (sides[:, 0] <= one[0])] = np.inf
        to_left[~beside | (sides[:, 0] >= one[0])] = np.inf
        other = int(to_right.argmin())
        gap = min(MARKER_GAP * _height(boxes[number]), float(to_left.min()))
        if to_right[other] <= gap and not _MARKER.fullmatch(texts[other].strip()):
            after.setdefault(other, number)
    marked = set(after.values())
    return [
        [after[number], number] if number in after else [number]
        for number in range(len(boxes))
        if number not in marked
    ]


def _usual_pitch(sides: Sides) -> float:
    """The usual distance from a line to the next below it, where that is close enough to be of its
    block: a letter is mostly lines that stand alone. Infinite where none is."""
    distances = []
    for one in sides:
        height = one[3] - one[1]
        below = (sides[:, 1] > one[1] + 0.5 * height) & (sides[:, 1] < one[1] + MOST_PITCH * height)
        below &= np.minimum(one[2], sides[:, 2]) > np.maximum(one[0], sides[:, 0])
        if below.any():
            distances.append(float((sides[below, 1] - one[1]).min()))
    return float(np.median(distances)) if distances else np.inf


def _height(box: Rect) -> float:
    return box[3] - box[1]


def _around(boxes: Sequence[Rect], numbers: Sequence[int]) -> Rect:
    x0, y0, x1, y1 = zip(*(boxes[number] for number in numbers), strict=True)
    return (min(x0), min(y0), max(x1), max(y1))


def _joined(
    boxes: Sequence[Rect],
    numbers: Sequence[int],
    reach: float,
    fits: Callable[[Sides, Sides], NDArray[np.bool_]],
) -> list[list[int]]:
    """Groups of boxes that fit pairwise, directly or by others. `fits` is asked for one and several
    that it may fit: those whose middle is within `reach` of the height, or that share a row."""
    sides = np.array([boxes[number] for number in numbers]).reshape(-1, 4)
    # Spans of those that are asked for meet: sorted by their beginnings, few follow each.
    half, middle = (sides[:, 3] - sides[:, 1]) / 2, (sides[:, 1] + sides[:, 3]) / 2
    low, high = middle - max(reach, 1.0) * half, middle + max(reach, 1.0) * half
    order = np.argsort(low, kind="stable")
    ends = np.searchsorted(low[order], high[order])
    pairs = []
    for place, one in enumerate(order):
        near = order[place + 1 : ends[place]]
        if near.size:
            fitting = near[fits(sides[one], sides[near])]
            pairs.append(np.stack([np.full(fitting.size, one), fitting]))
    first, second = np.concatenate([np.empty((2, 0), np.intp), *pairs], axis=1)
    links = coo_array((np.ones(first.size), (first, second)), shape=(len(sides), len(sides)))
    groups: dict[int, list[int]] = {}
    for number, label in zip(numbers, connected_components(links, directed=False)[1], strict=True):
        groups.setdefault(int(label), []).append(number)
    return list(groups.values())


def _are_beside(one: Sides, others: Sides) -> NDArray[np.bool_]:
    """Whether others (n, 4) share a row with one (4,)."""
    low = np.minimum(one[3] - one[1], others[:, 3] - others[:, 1])
    down = np.minimum(one[3], others[:, 3]) - np.maximum(one[1], others[:, 1])
    return np.asarray(down > ROW_OVERLAP * low)


def _are_one_block(one: Sides, others: Sides, pitch: float) -> NDArray[np.bool_]:
    """Whether other lines (n, 4) follow one (4,) in its block, or are parts of one line with it."""
    height, heights = one[3] - one[1], others[:, 3] - others[:, 1]
    low, high = np.minimum(height, heights), np.maximum(height, heights)
    across = np.minimum(one[2], others[:, 2]) - np.maximum(one[0], others[:, 0])
    narrow = np.minimum(one[2] - one[0], others[:, 2] - others[:, 0])
    distance = np.abs(one[1] + one[3] - others[:, 1] - others[:, 3]) / 2
    follows = distance < np.minimum(LINE_PITCH * pitch, MOST_PITCH * low)
    follows &= across > COLUMN_OVERLAP * narrow
    fits = np.where(_are_beside(one, others), across > -WORD_GAP * low, follows)
    return np.asarray(fits & (high <= SAME_HEIGHT * low))


def _tables(boxes: Sequence[Rect], letters: Sequence[int]) -> list[list[list[list[int]]]]:
    """The rows of cells of each table: two rows or more of two parts or more, one below the other
    in the same columns, which they do not fill as text would."""
    found: list[list[list[list[int]]]] = []
    run: list[list[list[int]]] = []
    for row in [*_rows(boxes, range(len(boxes))), []]:
        if run and not (len(row) > 1 and _is_aligned(boxes, run[-1], row)):
            if len(run) > 1 and _are_cells(run, letters) and not _is_filled(boxes, run):
                found.append(list(_parted_cells(boxes, run)))
            run = []
        if len(row) > 1:
            run.append(row)
    return found


def _parted_cells(
    boxes: Sequence[Rect], rows: Sequence[Sequence[list[int]]]
) -> Iterator[list[list[int]]]:
    """The rows of a table; what nearly touches is parted where most of the others have a gap."""
    ends = [[_around(boxes, part)[::2] for part in row] for row in rows]
    gaps = [[(one[1], other[0]) for one, other in pairwise(row)] for row in ends]
    for row in rows:
        cells = [[part[0]] for part in row]
        for cell, part in zip(list(cells), row, strict=True):
            for one, other in pairwise(part):
                between = (boxes[one][2], boxes[other][0])
                met = sum(any(_shared(between, gap) > 0 for gap in spans) for spans in gaps)
                if 2 * met >= len(rows):  # its own has none there
                    cell = [other]
                    cells.append(cell)
                else:
                    cell.append(other)
        yield sorted(cells, key=lambda cell: boxes[cell[0]][0])


def _rows(boxes: Sequence[Rect], numbers: Sequence[int]) -> list[list[list[int]]]:
    """Rows of some lines from the top, each of parts from the left; parts that nearly touch are
    one."""
    rows = []
    for row in _joined(boxes, numbers, 1.0, _are_beside):
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


def _are_cells(rows: Sequence[Sequence[Sequence[int]]], letters: Sequence[int]) -> bool:
    """Whether rows may be those of a table: of three parts, or of short ones."""
    if float(np.median([len(row) for row in rows])) >= TABLE_COLUMNS:
        return True
    lengths = [sum(letters[number] for number in part) for row in rows for part in row]
    return float(np.median(lengths)) <= CELL_LETTERS


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
    outlined = [(atom, _around([one.box for one in atom], range(len(atom)))) for atom in atoms]
    for atom in _cut(outlined, gap, from_right=from_right):
        side = -1 if from_right else 1
        yield from sorted(atom, key=lambda one: (one.row, side * one.box[0]))


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
        if groups and all(len(_parted(one, 0, gap)) > 1 for one in (together, groups[-1])):
            groups[-1] = together
        else:
            groups.append(list(strip))
    for group in groups:
        yield from _cut(group, gap, from_right=from_right)


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
