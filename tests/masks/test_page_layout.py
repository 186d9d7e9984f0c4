"""Pages fall into their elements, which are read in the order in which people read them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from segsearch.core.text import Corners, Line
from segsearch.core.types import Mask
from segsearch.masks import page_layout, rle
from segsearch.masks.text_layout import MOST_ADDED, Placed, mask_of, place

SIZE = (1100, 800)  # H, W
HEIGHT, PITCH = 16, 24


def line(text: str, x: float, y: float, width: float, height: float = HEIGHT) -> Line:
    return Line(((x, y), (x + width, y), (x + width, y + height), (x, y + height)), text, 0.9)


def block(name: str, x: float, y: float, width: float, count: int) -> list[Line]:
    """So many lines below each other, the last of them short."""
    return [
        line(f"{name}{number} is a line", x, y + number * PITCH, width * (0.5 if last else 1))
        for number in range(count)
        for last in [number == count - 1]
    ]


def turned(lines: Sequence[Line], degrees: float) -> list[Line]:
    """The same on a page that stands askew."""
    sine, cosine = math.sin(math.radians(degrees)), math.cos(math.radians(degrees))
    middle_x, middle_y = SIZE[1] / 2, SIZE[0] / 2

    def turn(corners: Corners) -> Corners:
        first, second, third, fourth = (
            (
                middle_x + (x - middle_x) * cosine - (y - middle_y) * sine,
                middle_y + (x - middle_x) * sine + (y - middle_y) * cosine,
            )
            for x, y in corners
        )
        return (first, second, third, fourth)

    return [Line(turn(one.corners), one.text, one.score) for one in lines]


def rectangle(x0: int, y0: int, x1: int, y1: int) -> Mask:
    window = np.ones((y1 - y0, x1 - x0), dtype=bool)
    mask = rle.encode(window, origin=(x0, y0), size=SIZE)
    assert mask is not None
    return mask


def read(placed: Placed) -> list[tuple[str, list[str]]]:
    """The elements in their order: what each is, and the names of its lines."""
    numbers = [number for number, place in enumerate(placed.order) if place is not None]
    numbers.sort(key=lambda number: placed.order[number] or 0)
    return [
        (
            placed.kinds[number],
            [one.line.text.split()[0] for one in placed.lines if one.element == number],
        )
        for number in numbers
    ]


TITLE = line("Title", 80, 60, 500, 34)
LEFT = [*block("a", 80, 140, 300, 6), *block("b", 80, 330, 300, 5)]
RIGHT = [*block("c", 430, 140, 300, 5), *block("d", 430, 306, 300, 6)]
COLUMNS = [
    ("heading", ["Title"]),
    ("paragraph", [f"a{n}" for n in range(6)]),
    ("paragraph", [f"b{n}" for n in range(5)]),
    ("paragraph", [f"c{n}" for n in range(5)]),
    ("paragraph", [f"d{n}" for n in range(6)]),
]


@pytest.mark.parametrize("degrees", [0, 3, -8])
def test_columns_are_read_one_after_the_other_below_their_title(degrees: float) -> None:
    lines = turned([*RIGHT, TITLE, *LEFT], degrees)
    placed = place(lines, [], SIZE)
    assert read(placed) == COLUMNS
    texts = [one.line.text.split()[0] for one in placed.lines]
    assert texts == [name for _, names in COLUMNS for name in names]
    assert len(placed.masks) == len(COLUMNS)


def test_a_heading_between_two_columned_parts_parts_them() -> None:
    below = [*block("e", 80, 620, 300, 4), *block("f", 430, 620, 300, 4)]
    middle = line("Middle", 80, 560, 640, 30)
    placed = place([*below, middle, *RIGHT, *LEFT], [], SIZE)
    names = [names[0] for _, names in read(placed)]
    assert names == ["a0", "b0", "c0", "d0", "Middle", "e0", "f0"]


def test_a_table_is_read_by_rows_and_its_cells_are_regions() -> None:
    rows = [
        line(f"{name}{number}", x, 300 + number * PITCH, width)
        for number in range(4)
        for name, x, width in (("name", 80, 90), ("count", 330, 40), ("price", 560, 50))
    ]
    lines = [*block("a", 80, 140, 600, 5), *rows, *block("z", 80, 460, 600, 4)]
    found = read(place(lines, [], SIZE))
    cells = [names[0] for kind, names in found if kind == "cell"]
    assert cells == [f"{name}{n}" for n in range(4) for name in ("name", "count", "price")]
    assert [kind for kind, _ in found] == ["paragraph", *["cell"] * 12, "paragraph"]


def test_figures_and_boxes_are_the_masks_that_are_there() -> None:
    figure, inside = rectangle(430, 480, 730, 700), rectangle(450, 500, 520, 600)
    ground, box = rectangle(0, 0, 800, 1100), rectangle(78, 326, 384, 448)
    masks = [ground, figure, inside, box]
    lines = [TITLE, *LEFT, *RIGHT]
    placed = place(lines, masks, SIZE)
    assert placed.kinds[:4] == ("thing", "figure", "thing", "paragraph")
    assert placed.order[0] is None
    assert placed.order[2] is None
    assert placed.order[3] == 3
    assert placed.order[1] == 6  # last of the right column
    assert len(placed.masks) == 4  # the box around b is the mask that was there


def test_lines_that_are_masks_of_their_own_stay_in_their_elements() -> None:
    lines = [TITLE, *LEFT, *RIGHT]
    masks = [mask_of(one.corners, SIZE) for one in lines]
    placed = place(lines, [mask for mask in masks if mask is not None], SIZE)
    assert read(placed) == COLUMNS
    for one in placed.lines:
        assert one.region == lines.index(one.line)
        assert one.element is not None
        assert one.element == one.region or one.element >= len(lines)
    assert len(placed.masks) == len(COLUMNS) - 1  # the title's mask is its element
    assert "text" not in placed.kinds


def test_a_piece_of_paper_that_cuts_through_a_line_holds_none() -> None:
    """The segmenter cuts pages anywhere: here through the third line of the left column."""
    lines = [TITLE, *LEFT, *RIGHT]
    placed = place(lines, [rectangle(70, 130, 400, 196)], SIZE)
    by_name = {one.line.text.split()[0]: one for one in placed.lines}
    for name in ("a0", "a1", "a2"):
        assert by_name[name].region == by_name[name].element != 0
    assert read(placed) == COLUMNS


def test_a_paragraph_may_fill_most_of_its_page() -> None:
    lines = block("a", 40, 40, 720, 42)
    placed = place(lines, [rectangle(0, 0, 800, 1100)], SIZE)
    assert placed.kinds == ("thing", "paragraph")
    assert placed.masks[0].area > 0.6 * SIZE[0] * SIZE[1]
    assert {(one.region, one.element) for one in placed.lines} == {(1, 1)}


def test_a_letter_of_lines_that_stand_alone_keeps_its_paragraphs_apart() -> None:
    alone = [line(name, 80, 60 + 80 * n, 200) for n, name in enumerate(["Date", "Dear"])]
    body = [*block("a", 80, 260, 600, 3), *block("b", 80, 260 + 2 * PITCH + 34, 600, 2)]
    ends = [line(name, 80, 500 + 80 * n, 200) for n, name in enumerate(["Yours", "Name", "Encl"])]
    assert [names for _, names in read(place([*alone, *body, *ends], [], SIZE))] == [
        ["Date"], ["Dear"], ["a0", "a1", "a2"], ["b0", "b1"], ["Yours"], ["Name"], ["Encl"],
    ]  # fmt: skip


def test_a_line_outside_the_picture_belongs_to_nothing() -> None:
    lines = block("a", 80, 920, 600, 9)
    placed = place(lines, [], SIZE)
    below = [one for one in placed.lines if one.line.corners[0][1] > SIZE[0]]
    assert [(one.region, one.element) for one in below] == [(None, None)]
    assert {(one.region, one.element) for one in placed.lines} == {(0, 0), (None, None)}


@pytest.mark.parametrize("said", ["leaves much of its column free", "この行は列の中に空きを残す"])
def test_sparse_columns_are_no_table(said: str) -> None:
    lines = [
        line(f"{name}{number} {said}", x, 140 + number * PITCH, 180)
        for number in range(8)
        for name, x in (("l", 80), ("r", 410))
    ]
    found = read(place(lines, [], SIZE))
    assert found == [("paragraph", [f"{name}{n}" for n in range(8)]) for name in "lr"]


def test_short_cells_in_two_columns_are_a_table() -> None:
    lines = [
        line(text, x, 140 + number * PITCH, 150)
        for number in range(16)
        for text, x in ((f"name{number}", 80), (f"{number} kg", 410))
    ]
    assert [kind for kind, _ in read(place(lines, [], SIZE))] == ["cell"] * 32


def test_long_neighbours_in_a_table_are_cells_of_their_own() -> None:
    """Their boxes are as close as words are, but other rows have a gap there."""
    numbers = [(row, column) for row in range(6) for column in range(4)]
    lines = [
        line(f"{row}{column}", 40 + 180 * column, 100 + 80 * row, 150 if row == column else 70, 40)
        for row, column in numbers
    ]
    cells = [("cell", [f"{row}{column}"]) for row, column in numbers]
    assert read(place(lines, [], SIZE)) == cells


def test_words_of_one_cell_stay_together() -> None:
    lines = [
        line(f"{row}{name}", x, 100 + 80 * row, width, 40)
        for row in range(6)
        for name, x, width in [("new", 40, 80), ("york", 150, 80), ("total", 500, 120)]
    ]
    cells = [
        ("cell", [f"{n}{name}" for name in names])
        for n in range(6)
        for names in (["new", "york"], ["total"])
    ]
    assert read(place(lines, [], SIZE)) == cells


@pytest.mark.parametrize("marker", ["{}.", "{})", "\u2022", "\u2013", "-"])
def test_markers_of_a_list_stand_before_their_lines(marker: str) -> None:
    texts = [line(f"t{n} stands here", 128, 140 + n * PITCH, 300) for n in range(8)]
    markers = [line(marker.format(n), 84, 140 + n * PITCH, 12) for n in range(8)]
    placed = place([*markers, *texts], [], SIZE)
    assert [kind for kind, _ in read(placed)] == ["paragraph"]
    assert [one.line for one in placed.lines] == [
        one for pair in zip(markers, texts, strict=True) for one in pair
    ]


def test_arabic_columns_are_read_from_the_right() -> None:
    lines = [
        Line(one.corners, "\u0645\u0631\u062d\u0628\u0627 " + one.text[:2], 0.9)
        for one in [*LEFT, *RIGHT]
    ]
    placed = place(lines, [], SIZE)
    assert [one.line.text[-2:] for one in placed.lines][:2] == ["c0", "c1"]


def test_a_sign_is_no_page_and_keeps_the_order_it_was_read_in() -> None:
    lines = [line("Open", 300, 400, 200, 60), line("24", 320, 480, 80, 60)]
    placed = place(lines, [], SIZE)
    assert placed.kinds == ("text", "text")
    assert placed.order == (None, None)
    assert [one.region for one in placed.lines] == [0, 1]


def test_lines_at_all_angles_are_no_page() -> None:
    lines = [
        one for number in range(12) for one in turned(block("a", 200, 300, 300, 2), 30 * number)
    ]
    assert set(place(lines, [], SIZE).kinds) == {"text"}


def test_a_line_belongs_to_the_smallest_region_that_holds_it() -> None:
    small, large, half = (
        rectangle(100, 100, 210, 130),
        rectangle(50, 50, 400, 400),
        rectangle(100, 500, 140, 530),
    )
    ground = rectangle(0, 0, 800, 1000)
    lines = [line("in", 104, 106, 100), line("half", 100, 506, 100)]
    placed = place(lines, [ground, large, small, half], SIZE)
    assert [one.region for one in placed.lines] == [2, 4]
    own = mask_of(lines[1].corners, SIZE)
    assert placed.masks == (own,)


@pytest.mark.parametrize(
    "mask",
    [(90, 90, 310, 146), (90, 135, 310, 220), (90, 90, 280, 220), (130, 90, 310, 220)],
    ids=["upper part", "lower part", "beginning", "end"],
)
@pytest.mark.parametrize("quarters", range(4))
def test_a_mask_that_cuts_through_letters_holds_no_line(
    mask: tuple[int, int, int, int], quarters: int
) -> None:
    written = line("STRAWBERRY", 100, 120, 200, 40)
    corners = (*written.corners[quarters:], *written.corners[:quarters])
    written = Line((corners[0], corners[1], corners[2], corners[3]), written.text, 0.9)
    outline = mask_of(written.corners, SIZE)
    cut, whole = rectangle(*mask), rectangle(80, 80, 400, 400)
    assert outline is not None
    assert rle.intersection(outline, cut) >= 0.6 * outline.area
    for masks, region in (([cut], 1), ([cut, whole], 1)):
        placed = place([written], masks, SIZE)
        assert [one.region for one in placed.lines] == [region]
    assert place([written], [cut], SIZE).masks == (outline,)


def test_a_mask_as_tight_as_its_letters_holds_their_line() -> None:
    written = line("STRAWBERRY", 100, 120, 200, 40)
    letters = rectangle(105, 126, 297, 154)
    outline = mask_of(written.corners, SIZE)
    assert outline is not None
    assert 0.6 * outline.area < rle.intersection(outline, letters) < 0.7 * outline.area
    assert place([written], [letters, rectangle(0, 0, 400, 400)], SIZE).lines[0].region == 0


def test_lines_of_no_height_or_length_belong_to_what_covers_them() -> None:
    box = rectangle(50, 50, 400, 400)
    for width, height in ((100, 0), (0, 16), (0, 0), (1, 1), (3, 60)):
        (placed,) = place([line("i", 100, 120, width, height)], [box], SIZE).lines
        assert placed.region in {None, 0}


def test_what_shows_of_the_table_around_a_page_is_no_figure() -> None:
    window = np.zeros(SIZE, bool)
    window[:, :60] = window[1000:, :400] = True
    rim, part = rle.encode(window), rectangle(0, 1010, 380, 1090)
    assert rim is not None
    figure, bleed = rectangle(430, 480, 730, 700), rectangle(420, 900, 800, 1100)
    placed = place([TITLE, *LEFT, *RIGHT], [rim, part, figure, bleed], SIZE)
    assert placed.kinds[:4] == ("thing", "thing", "figure", "figure")


def test_a_thousand_lines_at_once() -> None:
    rng = np.random.default_rng(4)
    lines = [
        line("word", *rng.uniform(0, 700, 2).tolist(), *rng.uniform(1, 60, 2).tolist())
        for _ in range(1000)
    ]
    placed = place(lines, [], SIZE)
    assert sum(len(one.line.text.split()) for one in placed.lines) == 1000
    assert all(one.region is not None for one in placed.lines)


def dense() -> list[Line]:
    """A page of 1,000 short lines, each an element of its own, of different lengths."""
    return [
        line(f"{row}-{column}", 40 + 75 * column, 20 + 10 * row, 20 + row % 7, 4)
        for row in range(100)
        for column in range(10)
    ]


def test_what_a_dense_page_costs_grows_with_its_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[Mask] = []
    pairs: list[int] = []
    decode, beside = rle.decode_crop, page_layout._are_beside

    def counted_decode(mask: Mask) -> object:
        decoded.append(mask)
        return decode(mask)

    def counted_beside(one: object, others: np.ndarray) -> object:
        pairs.append(len(others))
        return beside(one, others)  # type: ignore[arg-type]  # passed on as they come

    monkeypatch.setattr(rle, "decode_crop", counted_decode)
    monkeypatch.setattr(page_layout, "_are_beside", counted_beside)
    lines = dense()
    blocks = [
        rectangle(30 + 40 * column, 15 + 64 * row, 150 + 40 * column, 180 + 64 * row)
        for row in range(15)
        for column in range(16)
    ]
    placed = place(lines, blocks, SIZE)
    assert len(placed.lines) == 1000
    assert len(decoded) < 4 * (len(lines) + len(blocks))  # of 240,000 pairs
    assert sum(pairs) < 50 * len(lines)  # of a million


def test_reading_adds_a_hundred_regions_at_most() -> None:
    lines = dense()
    placed = place(lines, [], SIZE)
    assert len(placed.masks) == MOST_ADDED == 100
    assert all(one.region is not None for one in placed.lines)
    rest = placed.masks[-1]
    assert placed.kinds[-1] == "text"
    assert placed.order == (*range(1, MOST_ADDED), None)
    left = [one.line for one in placed.lines if one.region == MOST_ADDED - 1]
    assert len(left) == 1000 - (MOST_ADDED - 1)
    for one in left:
        mask = mask_of(one.corners, SIZE)
        assert mask is not None
        assert rle.intersection(mask, rest) == mask.area
        assert mask.area <= min(other.area for other in placed.masks[:-1])
