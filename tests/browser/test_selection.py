"""Doing something with several pictures at once, in a real browser."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.support.page_modules import call
from tests.support.painted_library import (
    BEACH,
    CITY,
    UNDO_MS,
    PaintedLibrary,
    ask,
    image_ids,
    let_notices_go,
    names,
    open_grid,
    soon,
    stored,
)

pytestmark = pytest.mark.browser


@pytest.fixture
def url(painted: PaintedLibrary, tmp_path: Path) -> Iterator[str]:
    yield from painted.served(tmp_path / "library")


@pytest.fixture
def page(url: str, page: Page) -> Page:  # noqa: ARG001  it outlives the page
    """A page that is closed before its server is: that waits for who listens to it."""
    return page


@pytest.fixture
def phone(url: str, browser: Browser) -> Iterator[Page]:
    size: Any = {"width": 390, "height": 800}
    context = browser.new_context(viewport=size, has_touch=True, is_mobile=True)
    page = context.new_page()
    open_grid(page, url)
    yield page
    context.close()


def card(page: Page, name: str) -> Locator:
    return page.locator(".card", has=page.locator(".file", has_text=name)).first


def select(page: Page, *chosen: str) -> None:
    for name in chosen:
        card(page, name).hover()
        card(page, name).get_by_role("button", name="Select").click()


def said(page: Page) -> Locator:
    return page.locator("#selection p")


def test_the_keyboard_selects_a_range_all_and_nothing(page: Page, url: str) -> None:
    open_grid(page, url)
    page.locator(".card .look").first.focus()
    page.keyboard.press("Space")
    expect(said(page)).to_have_text("1 picture")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+Space")
    expect(said(page)).to_have_text("3 pictures")
    page.keyboard.press("Control+a")
    expect(said(page)).to_have_text("8 pictures")
    expect(page.get_by_role("button", name="Select all")).to_have_count(0)
    page.keyboard.press("Escape")
    expect(page.locator("#selection")).to_have_count(0)


def test_a_tag_is_given_and_undo_takes_it_from_those_only(page: Page, url: str) -> None:
    ids = image_ids(page, url)
    ask(page, url, "images/tags", {"image_ids": [ids["sun.png"]], "add": ["summer"]})
    open_grid(page, url)
    select(page, "sun.png", "sea.png")
    page.get_by_role("button", name="Tag").click()
    page.get_by_label("Tag", exact=True).fill("Summer")
    page.keyboard.press("Enter")
    expect(page.locator(".notice")).to_contain_text("1 picture tagged Summer")
    assert stored(page, url, tags=["summer"]) == {"sun.png", "sea.png"}
    page.get_by_role("button", name="Undo").click()
    assert soon(lambda: stored(page, url, tags=["summer"]) == {"sun.png"})


def test_a_tag_that_is_there_is_offered_and_can_be_taken_away(page: Page, url: str) -> None:
    ids = image_ids(page, url)
    tagged = [ids["sun.png"], ids["sea.png"]]
    ask(page, url, "images/tags", {"image_ids": tagged, "add": ["summer"]})
    open_grid(page, url, "?tag=summer")
    select(page, "sun.png")
    page.get_by_role("button", name="Tag").click()
    page.get_by_label("Tag", exact=True).fill("summer")
    page.get_by_role("button", name="Take away").click()
    expect(page.locator("#results .file")).to_have_text(["sea.png"])
    assert stored(page, url, tags=["summer"]) == {"sea.png"}
    page.get_by_role("button", name="Undo").click()
    expect(page.locator("#results .card")).to_have_count(2)
    assert stored(page, url, tags=["summer"]) == {"sun.png", "sea.png"}


def test_pictures_are_put_into_a_new_collection_and_an_old_one(page: Page, url: str) -> None:
    open_grid(page, url)
    select(page, "sun.png", "sea.png")
    page.get_by_role("button", name="Collect").click()
    page.get_by_label("Collection", exact=True).fill("Beach days")
    page.get_by_role("button", name="Put in").click()
    expect(page.locator(".notice")).to_contain_text("2 pictures put into Beach days")
    assert stored(page, url, collections=["Beach days"]) == {"sun.png", "sea.png"}
    select(page, "palm.png")
    page.get_by_role("button", name="Collect").click()
    page.locator(".names").get_by_role("button", name="Beach days").click()
    expect(page.locator(".notice").last).to_contain_text("1 picture put into Beach days")
    page.locator(".notice").last.get_by_role("button", name="Undo").click()
    kept = {"sun.png", "sea.png"}
    assert soon(lambda: stored(page, url, collections=["Beach days"]) == kept)
    page.locator(".notice").first.get_by_role("button", name="Undo").click()
    assert soon(lambda: not ask(page, url, "collections")["collections"])


def test_pictures_are_taken_out_of_the_collection_that_is_shown(page: Page, url: str) -> None:
    ids = image_ids(page, url)
    ask(page, url, "collections", {"name": "All"})
    ask(page, url, "collections/All/images", {"image_ids": [*ids.values()]})
    open_grid(page, url, "?collection=All")
    select(page, "sun.png", "bus.png")
    page.get_by_role("button", name="Take out of All").click()
    expect(page.locator("#results .card")).to_have_count(6)
    expect(page.locator("#message")).to_have_text("6 pictures")
    expect(page.locator("#selection")).to_have_count(0)
    assert len(stored(page, url, collections=["All"])) == 6
    page.get_by_role("button", name="Undo").click()
    expect(page.locator("#results .card")).to_have_count(8)
    expect(said(page)).to_have_text("2 pictures")
    assert len(stored(page, url, collections=["All"])) == 8


def test_removed_pictures_go_at_once_and_undo_puts_them_where_they_were(
    page: Page, url: str
) -> None:
    open_grid(page, url)
    page.clock.install()
    before = names(page, 8)
    # The heading of a month passes on from its first picture to the next.
    select(page, before[0], "house.png")
    page.get_by_role("button", name="Remove").click()
    expect(page.locator("#results .card")).to_have_count(6)
    expect(page.locator("#message")).to_have_text("6 pictures")
    expect(page.locator("#results h2")).to_have_text(["July 2024", "May 2024"])
    expect(page.locator("#selection")).to_have_count(0)
    assert len(stored(page, url)) == 8
    page.get_by_role("button", name="Undo").click()
    expect(page.locator("#results .card")).to_have_count(8)
    assert names(page, 8) == before
    expect(said(page)).to_have_text("2 pictures")
    page.clock.fast_forward(UNDO_MS + 100)
    assert len(stored(page, url)) == 8

    page.get_by_role("button", name="Remove").click()
    let_notices_go(page)
    assert stored(page, url) == {*BEACH, *CITY, "bus-small.png"} - {before[0], "house.png"}
    expect(page.locator("#results .card")).to_have_count(6)


def test_removed_pictures_are_gone_when_the_page_is_closed_at_once(page: Page, url: str) -> None:
    other = page.context.new_page()
    open_grid(page, url)
    select(page, "sun.png")
    page.get_by_role("button", name="Remove").click()
    assert "sun.png" in stored(page, url)
    page.close()
    left = {*BEACH, *CITY, "bus-small.png"} - {"sun.png"}
    assert soon(lambda: stored(other, url) == left)


def test_other_lists_lack_what_is_being_removed(page: Page, url: str) -> None:
    open_grid(page, url)
    select(page, "sun.png")
    page.get_by_role("button", name="Remove").click()
    page.get_by_role("link", name="Albums").click()
    page.locator(".tile", has_text="beach").get_by_role("link").click()
    expect(page.locator("#results .card")).to_have_count(3)
    page.get_by_role("button", name="Undo").click()
    expect(page.locator("#results .card")).to_have_count(4)


def test_regions_are_exported_by_themselves(page: Page, url: str) -> None:
    open_grid(page, url, "?q=red&by=region")
    page.locator(".card.alone").first.hover()
    page.locator(".card.alone").first.get_by_role("button", name="Select").click()
    expect(said(page)).to_have_text("1 region")
    # A region cannot be removed from the library, its picture can.
    expect(page.get_by_role("button", name="Remove")).to_have_count(0)
    page.get_by_role("button", name="Export").click()
    with page.expect_download() as saved:
        page.get_by_role("button", name="Cut-outs").click()
    assert saved.value.suggested_filename == "selection-cutouts.zip"
    with zipfile.ZipFile(saved.value.path()) as archive:
        assert sum(name.endswith(".png") for name in archive.namelist()) == 1


def test_pictures_are_exported_as_coco(page: Page, url: str) -> None:
    open_grid(page, url)
    select(page, "bus.png", "sea.png")
    page.get_by_role("button", name="Export").click()
    with page.expect_download() as saved:
        page.get_by_role("button", name="COCO").click()
    assert saved.value.suggested_filename == "selection-coco.json"
    text = saved.value.path().read_text("utf-8")
    assert "bus.png" in text
    assert "sea.png" in text
    assert "tram.png" not in text


def test_the_like_of_several_is_looked_for_and_of_eight_at_most(page: Page, url: str) -> None:
    ids = image_ids(page, url)
    open_grid(page, url)
    select(page, "sun.png", "sea.png")
    page.get_by_role("button", name="Find their like").click()
    expect(page.locator(".term[data-term=image]")).to_have_count(2)
    expect(page.locator("#selection")).to_have_count(0)
    assert f"with=image-{ids['sun.png']}&with=image-{ids['sea.png']}" in page.url
    expect(page.locator("#results .card").nth(1)).to_be_attached()
    first = page.locator("#results .card .file").all_inner_texts()[:2]
    assert set(first) == {"sun.png", "sea.png"}
    page.goto(f"{url}/?q=red&by=region&all=1")
    expect(page.locator(".card.alone").nth(8)).to_be_attached()
    page.locator(".card .look").first.focus()
    page.keyboard.press("Control+a")
    page.get_by_role("button", name="Find their like").click()
    expect(page.locator(".term[data-term=segment]")).to_have_count(8)
    expect(page.locator(".notice")).to_contain_text("The first 8")


@pytest.mark.parametrize(("width", "height"), [(390, 600), (1280, 500)])
def test_the_bar_covers_neither_the_last_row_nor_notices(
    page: Page, url: str, width: int, height: int
) -> None:
    page.set_viewport_size({"width": width, "height": height})
    open_grid(page, url)
    page.locator(".card .look").first.focus()
    page.keyboard.press("Space")
    page.keyboard.press("End")  # the focus is brought above the bar
    page.wait_for_function("() => document.activeElement.closest('.card')")
    top = page.locator("#selection").evaluate("(bar) => bar.getBoundingClientRect().top")
    last = "() => document.activeElement.closest('.card').getBoundingClientRect().bottom"
    page.wait_for_function(f"(top) => ({last})() <= top", arg=top)
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    page.wait_for_function(f"(top) => ({last})() <= top", arg=top)
    page.get_by_role("button", name="Tag").click()
    page.get_by_label("Tag", exact=True).fill("last")
    page.keyboard.press("Enter")
    notice = page.locator(".notice")
    expect(notice).to_be_visible()
    assert notice.evaluate("(line) => line.getBoundingClientRect().bottom") <= top
    # What is opened stays in the window.
    for name in ("Tag", "Collect", "Export"):
        page.get_by_role("button", name=name).click()
        box = page.locator("#selection .panel").bounding_box()
        assert box is not None
        assert 0 <= box["x"] <= box["x"] + box["width"] <= width
        assert box["y"] >= 0
        page.keyboard.press("Escape")
    expect(said(page)).to_have_text("1 picture")  # Escape closed the panel alone


def test_a_long_press_selects_and_a_tap_selects_more(phone: Page) -> None:
    page = phone
    box = page.locator(".card").first.bounding_box()
    assert box is not None
    fingers = page.context.new_cdp_session(page)
    middle = [{"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}]
    fingers.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": middle})
    expect(said(page)).to_have_text("1 picture")
    fingers.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    page.locator(".card .look").nth(1).tap()
    expect(said(page)).to_have_text("2 pictures")
    page.get_by_role("button", name="Clear the selection").tap()
    expect(page.locator("#selection")).to_have_count(0)
    page.locator(".card .look").first.tap()
    expect(page.get_by_role("dialog")).to_be_visible()


def test_controls_are_named_and_large_enough(page: Page, url: str) -> None:
    open_grid(page, url)
    select(page, "sun.png")
    for name in ("Tag", "Collect", "Export"):
        page.get_by_role("button", name=name).click()
        small = page.locator("#selection").evaluate(
            """(bar) => [...bar.querySelectorAll("button, input")].flatMap((control) => {
              const { width, height } = control.getBoundingClientRect();
              const named = control.textContent.trim() || control.ariaLabel
                || control.labels?.length;
              return named && width >= 24 && height >= 24 ? [] : [control.outerHTML];
            })"""
        )
        assert small == []
        page.keyboard.press("Escape")


def test_what_is_selected_and_not_shown_is_told(page: Page, url: str) -> None:
    ask(page, url, "images/tags", {"image_ids": [image_ids(page, url)["sea.png"]], "add": ["seen"]})
    open_grid(page, url)
    select(page, "sun.png", "sea.png")
    for filters, told in (
        ({"tags": ["seen"]}, ", 1 of them not shown here"),
        ({"tags": ["none"]}, ", none of them shown here"),
        ({}, ""),
    ):
        call(page, "app/store.js", "({change}, filters) => change({filters})", filters)
        expect(said(page)).to_have_text(f"2 pictures{told}")


def test_of_answers_what_was_found_is_exported_or_all_regions(page: Page, url: str) -> None:
    open_grid(page, url, "?q=red&copies=1&minarea=0.13")  # its other region is smaller
    select(page, "bus.png")
    page.get_by_role("button", name="Export").click()
    for which, count in (("What was found", 1), ("All regions", 2)):
        page.get_by_role("button", name=which).click()
        with page.expect_download() as saved:
            page.get_by_role("button", name="Cut-outs").click()
        with zipfile.ZipFile(saved.value.path()) as archive:
            assert sum(name.endswith(".png") for name in archive.namelist()) == count
        page.get_by_role("button", name="Export").click()


def test_a_refused_name_stays_to_be_mended(page: Page, url: str) -> None:
    open_grid(page, url)
    select(page, "sun.png")
    page.get_by_role("button", name="Collect").click()
    field = page.get_by_label("Collection", exact=True)
    field.fill("<b>")
    page.keyboard.press("Enter")
    notice = page.locator(".notice")
    expect(notice).to_contain_text("Names have letters, digits")
    expect(field).to_have_value("<b>")
    menu, told = page.locator("#selection .panel").bounding_box(), notice.bounding_box()
    assert menu
    assert told
    assert told["y"] + told["height"] <= menu["y"]
    field.fill("Good")
    page.keyboard.press("Enter")
    expect(page.locator(".notice", has_text="1 picture put into Good.")).to_be_visible()
    expect(field).to_have_count(0)


def test_a_refused_name_of_a_search_is_told_in_words(page: Page, url: str) -> None:
    open_grid(page, url, "?q=red")
    page.get_by_role("button", name="Recent and saved searches").click()
    page.get_by_label("Save this search as").fill("Hund <b> :)")
    page.keyboard.press("Enter")
    expect(page.locator(".notice")).to_contain_text("Names have letters, digits")
    expect(page.get_by_label("Save this search as")).to_have_value("Hund <b> :)")
