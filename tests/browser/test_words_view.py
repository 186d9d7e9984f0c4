"""Words in pictures: lines are marked, read, copied, asked for; pages lead to their neighbours."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from segsearch.core.arrays import PictureText, PlacedLine
from segsearch.core.text import Line
from tests.support.axe import violations
from tests.support.open_picture import click_at, opened, place
from tests.support.page_server import BLUE, RED, ready, search, served, served_library
from tests.support.pdfs import coloured
from tests.support.small_models import (
    ReadingModels,
    Shape,
    open_small_service,
    paint,
    paint_line,
)
from tests.support.written import READER

pytestmark = pytest.mark.browser
SIZE = (320, 200)
WORDS, AT, HIGH = "open 24 hours", (40, 150), 12
WIDE = 4 * len(WORDS)
WASHED = 77  # alpha of what lies over the words
REPORT = "report [a].pdf"
UPRIGHT = 6  # EXIF: turned by 90 degrees to be upright

Boxes = tuple[int, int, int, int]


def line(text: str, box: Boxes, *, downwards: bool = False) -> Line:
    """A line that fills a box; one that runs downwards begins in its upper right corner."""
    x0, y0, x1, y1 = box
    if downwards:
        return Line(((x1, y0), (x1, y1), (x0, y1), (x0, y0)), text, 0.9)
    return Line(((x0, y0), (x1, y0), (x1, y1), (x0, y1)), text, 0.9)


# A line, and the numbers of its region and of its element of the page.
PAGE_LINES = (
    (line("The lamp", (30, 10, 120, 20)), 0, 0),
    (line("was lit for", (25, 60, 115, 70)), 1, 1),
    (line("the first time", (25, 75, 115, 85)), 1, 1),
    (line("مفتوح", (180, 20, 260, 34)), 2, None),
    (line("出口", (250, 70, 262, 130), downwards=True), 3, None),
    (line("非常", (232, 70, 244, 130), downwards=True), 3, None),
)
REGIONS = [
    Shape("red", (20, 5, 130, 25)), Shape("blue", (20, 50, 120, 90)),
    Shape("green", (170, 10, 270, 40)), Shape("cyan", (225, 60, 270, 140)),
]  # fmt: skip


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Two pictures that show words, one of them turned, one that shows none, and a PDF."""
    folder = tmp_path_factory.mktemp("words")
    pictures = folder / "pictures"
    turned = paint(pictures / "turned.png", [RED], size=SIZE)
    paint_line(turned, WORDS, AT, height=HIGH)
    exif = Image.Exif()
    exif[0x0112] = UPRIGHT
    with Image.open(turned) as upright:
        upright.transpose(Image.Transpose.ROTATE_90).save(turned, exif=exif.tobytes())
    paint_line(paint(pictures / "sign.png", [BLUE], size=SIZE), "Exit", (30, 30), dark=True)
    paint(pictures / "plain.png", [Shape("green", (40, 60, 160, 140))], size=SIZE)
    (pictures / REPORT).write_bytes(coloured("red", "green", "blue"))
    with open_small_service(folder / "library", models=ReadingModels()) as service:
        service.index([pictures])
    yield from served(folder / "library", None, ReadingModels())


@pytest.fixture(scope="module")
def page_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A page of a heading, a paragraph, and signs in scripts that run leftwards and downwards."""
    folder = tmp_path_factory.mktemp("page")
    paint(folder / "pictures" / "page.png", REGIONS, size=SIZE)
    with open_small_service(folder / "library") as service:
        service.index([folder / "pictures"])
        active = service.catalog.active_recipe()
        assert active is not None
        service.catalog.queue_reading(active[0], READER)
        claim = service.catalog.claim(active[0], "pen", 60, "read")
        assert claim is not None
        boxes = [region.mask.box for region in claim.regions]
        found = {(box.x0, box.y0): i for i, box in enumerate(boxes)}
        number = [found[shape.box[:2]] for shape in REGIONS]
        placed = [
            PlacedLine(one, number[region], None if element is None else number[element])
            for one, region, element in PAGE_LINES
        ]
        kinds: list[Any] = ["thing"] * len(REGIONS)
        order: list[int | None] = [None] * len(REGIONS)
        kinds[number[0]], kinds[number[1]] = "heading", "paragraph"
        order[number[0]], order[number[1]] = 1, 2
        text = PictureText(READER, tuple(placed), (), tuple(kinds), tuple(order))
        assert service.catalog.commit_text(claim, text)
        yield from served_library(service)


def drawn(page: Page, selector: str, size: tuple[int, int] = SIZE) -> np.ndarray[Any, Any]:
    """How opaque each pixel of a picture is covered: (H, W) of the upright picture, 0 to 255."""
    page.wait_for_timeout(200)
    width, height, alpha = page.locator(selector).evaluate(
        """(canvas) => {
          const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
          return [canvas.width, canvas.height, Array.from(data.filter((_, i) => i % 4 === 3))];
        }"""
    )
    covered = Image.fromarray(np.array(alpha, np.uint8).reshape(height, width))
    return np.array(covered.resize(size, Image.Resampling.BOX))


def is_ruled(cover: np.ndarray[Any, Any], box: Boxes) -> bool:
    """Whether a rule runs under all of a box, and none above it."""
    x0, y0, x1, y1 = box
    inside = slice(x0 + 2, x1 - 2)
    below, above = cover[y1 - 1 : y1 + 4, inside].max(axis=0), cover[y0 - 3 : y0 + 1, inside]
    return bool((below > 150).all() and (above < 150).all())


FOUND: Boxes = (AT[0], AT[1], AT[0] + WIDE, AT[1] + HIGH)


def panel_lines(page: Page, section: str) -> Locator:
    return page.get_by_label(section, exact=True).locator(".words-read p > *")


# What is found is marked


def test_a_found_line_is_underlined_in_its_picture_where_it_stands_upright(
    page: Page, url: str
) -> None:
    image = opened(page, url, "turned.png", '&q=text:"24 hours"')
    assert (image["width"], image["height"]) == SIZE
    cover = drawn(page, "#picture canvas")
    assert is_ruled(cover, FOUND)
    x0, y0, x1, y1 = FOUND
    assert abs(int(cover[y0 + 4, (x0 + x1) // 2]) - WASHED) < 8, "the words are washed over"
    cover[y0 - 4 : y1 + 6, x0 - 6 : x1 + 6] = 0
    assert not cover.any(), "nothing else is marked"
    opened(page, url, "turned.png")
    assert not drawn(page, "#picture canvas").any()


def test_cards_mark_the_line_by_picture_and_by_region_and_say_the_words(
    page: Page, url: str
) -> None:
    search(page, url, "text:hours")
    card = page.locator(".card")
    expect(card).to_have_count(1)
    expect(card.locator(".look")).to_have_attribute("aria-label", f"turned.png, shows “{WORDS}”")
    expect(card.locator("q")).to_have_text(WORDS)
    x0, y0, x1, y1 = FOUND
    cover = drawn(page, ".card canvas")
    assert abs(int(cover[y0 + 4, (x0 + x1) // 2]) - WASHED) < 12
    assert cover[20, 20] > 120, "the rest is dimmed"
    assert (cover[y1 : y1 + 3, x0 + 4 : x1 - 4].max(axis=0) > 200).all()
    page.get_by_role("button", name="Regions").click()
    page.wait_for_url("**by=region*")
    ready(page)
    alone = drawn(page, ".card.alone canvas", (10 * (x1 - x0), 10 * (y1 - y0)))
    assert (alone[-12:].max(axis=0)[40:-40] > 150).all(), "the cutout's foot is ruled"
    assert not (alone[:40] > 150).any()


def test_other_words_of_the_same_region_are_marked_anew(page: Page, page_url: str) -> None:
    search(page, page_url, "text:lit")
    before = drawn(page, ".card canvas")
    assert page.evaluate("window.here = true")
    page.get_by_label("What to look for").fill("text:first")
    page.keyboard.press("Enter")
    page.wait_for_url("**q=text*first")
    expect(page.locator(".card q")).to_have_text("the first time")
    after = drawn(page, ".card canvas")
    assert page.evaluate("window.here")
    assert before[64, 60] > after[64, 60], "the line that was found before is marked no more"
    assert after[80, 60] > before[80, 60]


# What the panel reads


def test_the_text_is_read_in_order_as_it_is_written(page: Page, page_url: str) -> None:
    opened(page, page_url, "page.png")
    shown = panel_lines(page, "All text")
    expect(shown).to_have_text([one.text for one, *_ in PAGE_LINES])
    assert shown.nth(3).evaluate("(one) => getComputedStyle(one).direction") == "rtl"
    right, edge = shown.nth(3).evaluate(
        """(one) => {
          const range = document.createRange();
          range.selectNodeContents(one);
          return [range.getBoundingClientRect().right, one.getBoundingClientRect().right];
        }"""
    )
    assert edge - right < 2, "it begins on the right"
    first, second = (shown.nth(number).bounding_box() for number in (4, 5))
    assert first
    assert second
    assert first["height"] > first["width"]
    assert second["x"] < first["x"], "columns follow each other to the left"
    lit, time = (shown.nth(number).bounding_box() for number in (1, 2))
    assert lit
    assert time
    assert lit["y"] == time["y"], "a paragraph runs on"
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_all_text_can_be_selected_with_the_mouse_and_copied(page: Page, page_url: str) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    opened(page, page_url, "page.png")
    lines = panel_lines(page, "All text")
    address = page.url
    start, end = lines.nth(0).bounding_box(), lines.nth(1).bounding_box()
    assert start
    assert end
    page.mouse.move(start["x"] + 1, start["y"] + start["height"] / 2)
    page.mouse.down()
    page.mouse.move(end["x"] + end["width"] - 1, end["y"] + end["height"] / 2, steps=6)
    page.mouse.up()
    said = page.evaluate("getSelection().toString()").split("\n")
    assert [part.strip() for part in said if part.strip()] == ["The lamp", "was lit for"]
    assert page.url == address, "to select is not to click"
    page.get_by_role("button", name="Copy all text").click()
    expect(page.locator(".notice")).to_have_text("The text is copied.")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == "\n".join(one.text for one, *_ in PAGE_LINES)


def test_a_line_leads_to_its_region_which_is_named_and_says_its_own_text(
    page: Page, page_url: str
) -> None:
    opened(page, page_url, "page.png")
    panel_lines(page, "All text").nth(1).click()
    page.wait_for_url("**segment=*")
    expect(page.get_by_role("heading", name="Paragraph")).to_be_visible()
    expect(panel_lines(page, "This region")).to_have_text(["was lit for", "the first time"])
    panel_lines(page, "All text").nth(0).focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Heading")).to_be_visible()
    click_at(page, 60, 65)
    expect(page.get_by_role("heading", name="Paragraph")).to_be_visible()
    click_at(page, 60, 15)
    expect(page.get_by_role("heading", name="Heading")).to_be_visible()
    expect(panel_lines(page, "This region")).to_have_text(["The lamp"])
    click_at(page, 200, 27)
    expect(page.get_by_role("heading", name="This region")).to_be_visible()
    expect(panel_lines(page, "This region")).to_have_text(["مفتوح"])


def test_a_line_that_is_pointed_at_is_framed_and_so_it_is_the_other_way_round(
    page: Page, page_url: str
) -> None:
    opened(page, page_url, "page.png")
    lines = panel_lines(page, "All text")
    assert not drawn(page, "#picture canvas").any()
    lines.nth(2).hover()
    cover = drawn(page, "#picture canvas")
    x0, y0, x1, _ = 25, 75, 115, 85
    assert (cover[y0 - 1 : y0 + 2, x0 + 2 : x1 - 2].max(axis=0) > 100).all(), "framed above, too"
    assert abs(int(cover[80, 70]) - WASHED) < 8
    assert cover[65, 70] == 0
    expect(lines.nth(2)).to_have_class("on")
    page.mouse.move(*place(page, 70, 65))
    expect(lines.nth(1)).to_have_class("on")
    expect(lines.nth(2)).not_to_have_class("on")
    expect(page.locator("#picture .hint")).to_have_text("was lit for")
    page.mouse.move(*place(page, 300, 190))
    expect(page.locator(".words-read .on")).to_have_count(0)
    sheet = page.locator("#picture .sheet").bounding_box()
    assert sheet
    page.locator("#picture .frame").focus()
    for _ in range(round(35 * sheet["width"] / SIZE[0] / 10)):  # from the middle, in steps of 10 px
        page.keyboard.press("ArrowUp")
    for _ in range(30):
        page.keyboard.press("ArrowLeft")
        if page.locator(".words-read .on").count():
            break
    expect(lines.nth(1)).to_have_class("on")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Paragraph")).to_be_visible()


def test_a_text_that_no_thing_holds_is_a_region_of_its_own(page: Page, url: str) -> None:
    opened(page, url, "turned.png")
    click_at(page, AT[0] + 20, AT[1] + 5)
    page.wait_for_url("**segment=*")
    expect(page.get_by_role("heading", name="Text", exact=True)).to_be_visible()
    expect(panel_lines(page, "This region")).to_have_text([WORDS])
    expect(page.get_by_label("All text")).to_have_count(0)  # it would say the same again
    opened(page, url, "plain.png")
    expect(page.locator(".words-read")).to_have_count(0)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_of_it_hinders_anybody(page: Page, page_url: str, scheme: Any) -> None:
    page.emulate_media(color_scheme=scheme)
    opened(page, page_url, "page.png", "&q=text:lit")
    panel_lines(page, "All text").nth(1).click()
    panel_lines(page, "All text").nth(2).focus()
    assert violations(page) == []
    page.goto(f"{page_url}/?text=1")
    page.get_by_role("button", name="Filters").click()
    page.get_by_role("button", name="Words", exact=True).click()
    assert violations(page) == []


# How words are asked for


def test_pictures_that_show_words_and_kinds_of_regions_are_filters(page: Page, url: str) -> None:
    page.goto(url)
    ready(page)
    page.get_by_role("button", name="Filters").click()
    page.get_by_role("button", name="Words", exact=True).click()
    page.get_by_label("Shows words").check()
    page.wait_for_url("**/?text=1")
    expect(page.locator(".card")).to_have_count(2)
    page.get_by_label("Text", exact=True).check()
    page.wait_for_url("**kind=text*")
    expect(page.locator(".card .file")).to_have_text(["turned.png"])
    page.reload()
    expect(page.locator(".card .file")).to_have_text(["turned.png"])
    page.get_by_role("button", name="Regions").click()
    expect(page.locator(".card.alone")).to_have_count(1)
    page.get_by_role("button", name="Pictures").click()
    page.get_by_label("Remove the filter text", exact=True).click()
    expect(page.locator(".card")).to_have_count(2)
    page.goto(f"{url}/?kind=banner")
    expect(page.locator(".odd")).to_contain_text("“kind=banner”")


@pytest.mark.parametrize(
    ("typed", "text", "unwanted"),
    [
        ('red -text:"24 hours" -"dark blue" -sea', 'red -text:"24 hours"', ["dark blue", "sea"]),
        ("text:“no -smoking” -sea", "text:“no -smoking”", ["sea"]),
        ("TEXT:exit -TEXT:sold", "TEXT:exit -TEXT:sold", []),
        ("text: -red", "text:", ["red"]),
    ],
)
def test_what_is_asked_of_words_goes_to_the_server_as_it_is_typed(
    page: Page, url: str, typed: str, text: str, unwanted: Sequence[str]
) -> None:
    page.goto(url)
    page.get_by_label("What to look for").fill(typed)
    with page.expect_request("**/v1/search") as asked:
        page.keyboard.press("Enter")
    body = asked.value.post_data_json or {}
    assert body["text"] == text
    assert [term["text"] for term in body.get("terms", [])] == unwanted


def test_words_in_quotes_that_are_no_thing_are_offered_as_words(page: Page, url: str) -> None:
    page.goto(url)
    page.get_by_label("What to look for").fill('"pen 24 hou"')
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Find “pen 24 hou” as words in pictures").click()
    page.wait_for_url("**q=text*")
    assert page.get_by_label("What to look for").input_value() == 'text:"pen 24 hou"'
    expect(page.get_by_role("button", name="as words in pictures")).to_have_count(0)
    expect(page.locator(".nothing")).not_to_contain_text("English")


def test_the_help_says_how_to_search_words(page: Page, url: str) -> None:
    page.goto(url)
    expect(page.get_by_placeholder('text:"exit"')).to_be_visible()
    page.get_by_role("button", name="Keys and help").click()
    expect(page.locator("#help")).to_contain_text('text:"24 hours"')


# Pages


def test_a_page_of_a_pdf_says_which_and_leads_to_its_neighbours(page: Page, url: str) -> None:
    opened(page, url, f"{REPORT}#page=2")
    expect(page.get_by_role("heading", name=f"{REPORT}, page 2")).to_be_visible()
    pages = page.get_by_role("navigation", name="Pages").get_by_role("link")
    expect(pages).to_have_text(["Page 1", "Page 3"])
    pages.nth(1).click()
    expect(page.get_by_role("heading", name=f"{REPORT}, page 3")).to_be_visible()
    expect(pages).to_have_text(["Page 2"])
    page.keyboard.press("Escape")
    expect(page.locator("#picture")).to_have_count(0)
    expect(page.locator(".card .file", has_text=f"{REPORT}, page 1")).to_have_count(1)
