"""The page without a mouse: the order of its controls, and pointing at things in a picture."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.support.clicking_models import ClickModels
from tests.support.page_server import BLUE, ready, served
from tests.support.small_models import Shape, paint

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def url(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    yield from served(tmp_path_factory.mktemp("keys") / "library", pictures, ClickModels())


def tab_to(page: Page, selector: str) -> None:
    for _ in range(12):
        page.keyboard.press("Tab")
        if page.evaluate("(selector) => document.activeElement.matches(selector)", selector):
            return
    pytest.fail(f"No Tab leads to {selector}.")


def test_the_controls_come_in_the_order_they_are_seen_in(page: Page, url: str) -> None:
    page.goto(url)
    ready(page)
    for control in ("#form .main", "#file", "#add", ".look"):
        page.keyboard.press("Tab")
        expect(page.locator(f"{control}:focus")).to_have_count(1)


def test_the_arrow_keys_move_a_crosshair_and_enter_chooses_a_region(page: Page, url: str) -> None:
    page.goto(f"{url}/?image=1")
    ready(page)
    picture = page.get_by_role("application", name="Its regions, each in a colour")
    expect(picture).to_have_accessible_description(re.compile("arrow keys .* Enter points"))
    cross = page.locator("#crosshair")
    expect(cross).to_be_hidden()
    tab_to(page, "#whole-masks")
    expect(cross).to_be_visible()
    expect(page.get_by_text("The arrow keys move the crosshair")).to_be_visible()
    box, start = picture.bounding_box(), cross.bounding_box()
    assert box
    assert start
    middle = start["x"] + start["width"] / 2, start["y"] + start["height"] / 2
    assert middle == pytest.approx(
        (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2), abs=1
    )
    for _ in range(round(60 / 320 * box["width"] / 10)):  # to the middle of the blue disc
        page.keyboard.press("ArrowRight")
    moved = cross.bounding_box()
    assert moved
    assert moved["x"] > start["x"] + 50
    page.keyboard.press("Enter")
    page.wait_for_url("**/?segment=*")
    found = page.evaluate(
        "fetch(`v1/segments/${location.search.slice(9)}`).then((one) => one.json())"
    )
    assert tuple(found["box"]) == BLUE.box


def test_the_keys_stay_on_the_picture_from_point_to_point(page: Page, url: str) -> None:
    page.goto(f"{url}/?image=1")
    ready(page)
    tab_to(page, "#whole-masks")
    page.keyboard.press("Enter")  # between the regions
    page.wait_for_url("**/?image=1&at=160*2C100")
    ready(page)
    picture = page.get_by_role("application", name="What you pointed at, outlined")
    expect(picture).to_be_focused()
    expect(page.locator("#crosshair")).to_be_visible()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Shift+ArrowUp")
    page.keyboard.press("Enter")
    page.wait_for_url("**/?image=1&at=156*2C100")
    ready(page)
    expect(picture).to_be_focused()
    for _ in range(90):
        page.keyboard.press("ArrowRight")
    for _ in range(60):
        page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_url("**/?image=1&at=319*2C199")


@pytest.fixture(scope="module")
def list_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A library with more red things than a small window shows."""
    folder = tmp_path_factory.mktemp("list")
    for number in range(20):
        red, blue = Shape("red", (4, 4, 24 + number, 40)), Shape("blue", (60, 50, 70 + number, 80))
        paint(folder / "pictures" / f"{number}.png", [red, blue], size=(120 + number, 90))
    yield from served(folder / "library", folder / "pictures", ClickModels())


@pytest.mark.parametrize("size", [(320, 480), (740, 320), (320, 640), (1100, 700)])
def test_what_has_the_focus_is_not_behind_the_search_bar(
    page: Page, list_url: str, size: tuple[int, int]
) -> None:
    page.set_viewport_size({"width": size[0], "height": size[1]})
    page.goto(f"{list_url}/?q=red&like=1")
    ready(page)
    page.locator("#results .wrong").last.focus()
    presses, where = 0, "below"
    while where == "below":
        page.keyboard.press("Shift+Tab")
        presses += 1
        where = page.evaluate(
            """() => {
              const bar = document.querySelector("search"), now = document.activeElement;
              if (bar.contains(now)) return "in it";
              const top = now.getBoundingClientRect().top;
              return top < bar.getBoundingClientRect().bottom ? "behind it" : "below";
            }"""
        )
    assert where == "in it"
    assert presses > 15, "the list was too short to scroll"


def test_the_focus_stays_on_the_thumb_that_was_pressed(page: Page, list_url: str) -> None:
    page.goto(f"{list_url}/?q=red")
    ready(page)
    third = page.locator(".card").nth(2)
    segment = third.get_attribute("data-segment")
    third.locator(".right").focus()
    page.keyboard.press("Enter")
    page.wait_for_url(f"**like={segment}")
    ready(page)
    thumb = page.locator(f".card[data-segment='{segment}'] .right[aria-pressed=true]")
    expect(thumb).to_be_focused()
    expect(thumb).to_be_in_viewport()
    third.locator(".wrong").focus()  # its region is left out, and another takes its place
    page.keyboard.press("Enter")
    page.wait_for_url("**unlike=*")
    ready(page)
    expect(third.locator(".wrong")).to_be_focused()
