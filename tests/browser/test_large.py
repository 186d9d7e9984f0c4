"""A hundred thousand pictures, and one of 24 megapixels, in a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from tests.support.clicking_models import ClickModels
from tests.support.large_catalog import fill
from tests.support.page_server import served, served_library
from tests.support.small_models import COLOURS, open_small_service

pytestmark = [pytest.mark.browser, pytest.mark.slow]
PICTURES = 100_000
CARDS = 120  # in the document at most; a window shows some thirty
HEAP_MB = 150
PER_PAGE = 1_000
TURNED = 6  # EXIF: the camera was held a quarter turn to the right
LONG, SHORT = 6000, 4000
THING = (800, 4200, 2000, 5400)  # half-open, in the upright picture of 4000 x 6000


class Listing:
    """What the page asks of the list of pictures."""

    def __init__(self, page: Page) -> None:
        self.asked: list[dict[str, Any]] = []
        page.on("request", self._note)

    def _note(self, request: Any) -> None:
        if request.url.endswith("/v1/browse"):
            self.asked.append(request.post_data_json)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A library of made-up rows: there are no files of its pictures."""
    folder = tmp_path_factory.mktemp("large")
    fill(folder / "catalog.sqlite", PICTURES, 1).close()
    with open_small_service(folder) as service:
        yield from served_library(service)


def first_seen(page: Page) -> int:
    """The number of the first card in the window, from 1."""
    found: int = page.evaluate(
        """() => Math.min(...[...document.querySelectorAll(".card")]
          .filter((card) => {
            const {top, bottom} = card.getBoundingClientRect();
            return bottom > document.getElementById("bar").offsetHeight + 12 && top < innerHeight;
          }).map((card) => Number(card.getAttribute("aria-posinset"))))"""
    )
    return found


def heap_mb(page: Page) -> float:
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.collectGarbage")
    used: int = session.send("Runtime.getHeapUsage")["usedSize"]
    return used / 1e6


def card(page: Page, number: int) -> Any:
    return page.locator(f"[aria-posinset='{number}']")


def test_the_library_opens_by_a_small_page_and_scrolls_far_with_few_cards(
    page: Page, large: str
) -> None:
    listing = Listing(page)
    page.goto(large)
    expect(card(page, 1)).to_be_visible()
    expect(page.locator("#message")).to_have_text("100,000 pictures")
    expect(card(page, 1)).to_have_attribute("aria-setsize", str(PICTURES))
    assert len(listing.asked) <= 3
    for _ in range(30):
        page.mouse.move(500, 500)
        page.mouse.wheel(0, 3_000)
        page.wait_for_timeout(60)
        assert page.locator(".card").count() <= CARDS
    page.wait_for_load_state("networkidle")
    assert first_seen(page) > 300
    assert all(one["limit"] <= PER_PAGE for one in listing.asked)
    assert heap_mb(page) < HEAP_MB


def test_an_address_leads_into_the_middle_by_one_page(page: Page, large: str) -> None:
    listing = Listing(page)
    page.goto(f"{large}/?at=50000")
    expect(card(page, 50_001)).to_be_visible()
    assert abs(first_seen(page) - 50_001) <= 8, "the row that it stands in is at the top"
    page.wait_for_load_state("networkidle")
    assert sum(one["limit"] for one in listing.asked) <= PER_PAGE
    assert page.locator(".card").count() <= CARDS
    assert heap_mb(page) < HEAP_MB
    page.reload()
    expect(card(page, 50_001)).to_be_visible()
    page.goto(f"{large}/?at=9999999")  # there were more once
    expect(card(page, PICTURES)).to_be_visible()
    expect(card(page, PICTURES + 1)).to_have_count(0)


def test_what_lies_before_comes_as_one_scrolls_up_and_nothing_jumps(page: Page, large: str) -> None:
    listing = Listing(page)
    page.goto(f"{large}/?at=50000")
    expect(card(page, 50_001)).to_be_visible()
    page.mouse.move(500, 500)
    seen = [first_seen(page)]
    for _ in range(24):
        page.mouse.wheel(0, -400)
        page.wait_for_timeout(120)
        seen.append(first_seen(page))
    assert any(one.get("offset", 0) < 49_880 for one in listing.asked), "more was fetched"
    steps = -np.diff(seen)
    assert steps.min() >= 0, f"it only ever goes up: {seen}"
    assert steps.max() <= 40, f"and nothing is passed over: {seen}"
    assert seen[-1] < 49_880
    page.wait_for_timeout(400)
    page.reload()
    expect(card(page, seen[-1])).to_be_visible()


def test_home_leads_from_the_middle_to_the_very_first(page: Page, large: str) -> None:
    page.goto(f"{large}/?at=50000")
    expect(card(page, 50_001)).to_be_visible()
    card(page, 50_001).locator(".look").focus()
    page.keyboard.press("Home")
    expect(card(page, 1).locator(".look")).to_be_focused()
    assert "at=" not in page.url
    page.go_back()
    expect(card(page, 50_001)).to_be_visible()


@pytest.fixture(scope="module")
def photograph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 megapixels with a red square, stored lying as a camera that was turned stores it."""
    upright = Image.new("RGB", (SHORT, LONG), COLOURS["white"])
    upright.paste(COLOURS["red"], THING)
    upright.paste(COLOURS["blue"], (2600, 600, 3400, 1400))
    exif = Image.Exif()
    exif[0x0112] = TURNED
    file = tmp_path_factory.mktemp("photograph") / "large.jpg"
    upright.transpose(Image.Transpose.ROTATE_90).save(file, quality=90, exif=exif)
    return file


@pytest.fixture(scope="module")
def url(photograph: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    yield from served(tmp_path_factory.mktemp("one") / "library", photograph.parent, ClickModels())


def place(page: Page, x: float, y: float) -> tuple[float, float]:
    """Where in the window a pixel of the open picture lies."""
    box = page.locator("#picture .sheet").bounding_box()
    assert box
    return box["x"] + x / SHORT * box["width"], box["y"] + y / LONG * box["height"]


def test_a_large_turned_photograph_is_outlined_enlarged_and_cut_where_it_is_clicked(
    page: Page, url: str
) -> None:
    page.goto(f"{url}/?image=1")
    expect(page.locator("#picture .sheet img").first).to_be_visible()
    page.wait_for_load_state("networkidle")
    box = page.locator("#picture .sheet").bounding_box()
    assert box
    assert box["width"] / box["height"] == pytest.approx(SHORT / LONG, rel=0.01)
    middle = ((THING[0] + THING[2]) / 2, (THING[1] + THING[3]) / 2)
    page.mouse.move(*place(page, *middle))
    page.wait_for_timeout(200)
    width, height, alpha = page.evaluate(
        """() => {
          const canvas = document.querySelector("#picture canvas");
          const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
          return [canvas.width, canvas.height, Array.from(data.filter((_, i) => i % 4 === 3))];
        }"""
    )
    drawn = np.array(alpha).reshape(height, width) > 0
    ys, xs = np.nonzero(drawn)
    scale = width / SHORT
    assert np.allclose(
        [xs.min(), ys.min(), xs.max(), ys.max()], [edge * scale for edge in THING], atol=8
    )
    assert width * height < 8e6, "the canvas is the window's size, not the picture's"
    with page.expect_response("**/v1/segment") as cut:
        page.get_by_role("button", name="Cut out").click()
        page.mouse.click(*place(page, *middle))
    masks = cut.value.json()["objects"][0]["masks"]
    assert np.allclose(masks[0]["box"], THING, atol=8)
    expect(page.get_by_role("heading", name="What you cut out")).to_be_visible()
    page.mouse.move(*place(page, *middle))
    with page.expect_response("**/v1/images/1/file*") as file:
        page.mouse.wheel(0, -1500)
    assert file.value.ok
    page.wait_for_function(
        "(long) => [...document.querySelectorAll('#picture .sheet img')]"
        ".some((image) => image.complete && image.naturalHeight === long)",
        arg=LONG,
    )
    shown = page.locator("#picture .sheet").bounding_box()
    assert shown
    assert shown["width"] > 3 * box["width"]
    page.wait_for_timeout(400)
    x, y = place(page, *middle)
    colour = pixel(page, x, y)
    assert np.allclose(colour, COLOURS["red"], atol=40), "zoomed about the place it was"


def pixel(page: Page, x: float, y: float) -> list[int]:
    """The colour that the browser paints at a place of the window."""
    around = page.screenshot(clip={"x": x - 12, "y": y - 12, "width": 24, "height": 24})
    pixels = np.asarray(Image.open(BytesIO(around)).convert("RGB"))
    found: list[int] = np.median(pixels.reshape(-1, 3), axis=0).astype(int).tolist()
    return found
