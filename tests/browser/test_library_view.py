"""The library without a query, in a real browser: its shelves, and what is done on them."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

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
HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture
def url(painted: PaintedLibrary, tmp_path: Path) -> Iterator[str]:
    yield from painted.served(tmp_path / "library")


@pytest.fixture
def page(url: str, page: Page) -> Page:  # noqa: ARG001  it outlives the page
    """A page that is closed before its server is: that waits for who listens to it."""
    return page


def test_pictures_stand_under_their_months_the_newest_first(page: Page, url: str) -> None:
    open_grid(page, url)
    expect(page.locator("#results h2")).to_have_text(["July 2024", "May 2024"])
    assert set(names(page, 8)[: len(BEACH)]) == set(BEACH)
    expect(page.locator("#message")).to_have_text("8 pictures")
    page.get_by_label("Order").select_option("oldest first")
    expect(page.locator("#results h2")).to_have_text(["May 2024", "July 2024"])
    page.get_by_label("Order").select_option("by name")
    expect(page.locator("#results h2")).to_have_count(0)
    assert names(page, 8) == sorted([*BEACH, *CITY, "bus-small.png"])
    page.reload()
    expect(page.get_by_label("Order")).to_have_value("name")


def test_an_album_opens_its_pictures_and_back_leads_to_the_albums(page: Page, url: str) -> None:
    open_grid(page, url)
    page.get_by_role("link", name="Albums").click()
    tiles = page.locator(".tile")
    expect(tiles).to_have_count(2)
    expect(tiles.first).to_contain_text("beach")
    expect(tiles.first).to_contain_text("4 pictures")
    cover = tiles.first.locator("img")
    expect(cover).to_be_visible()
    assert cover.evaluate("async (image) => { await image.decode(); return image.naturalWidth; }")
    tiles.first.get_by_role("link").click()
    expect(page.locator("#message")).to_have_text("4 pictures")
    assert set(names(page, 4)) == set(BEACH)
    page.go_back()
    expect(tiles).to_have_count(2)
    expect(page.get_by_role("link", name="Albums")).to_have_attribute("aria-current", "page")


def test_tags_that_nobody_gave_say_how_they_come(page: Page, url: str) -> None:
    page.goto(f"{url}/?shelf=tags")
    expect(page.locator(".empty")).to_contain_text("choose Tag")
    ids = image_ids(page, url)
    ask(page, url, "images/tags", {"image_ids": [ids["sea.png"]], "add": [HOSTILE]})
    page.reload()
    expect(page.locator(".tile .title")).to_have_text([HOSTILE])
    page.locator(".tile").get_by_role("link").click()
    expect(page.locator("#message")).to_have_text("1 picture")
    assert names(page, 1) == ["sea.png"]


def test_a_collection_is_made_renamed_and_opened(page: Page, url: str) -> None:
    page.goto(f"{url}/?shelf=collections")
    name = page.get_by_label("A new collection")
    name.fill(HOSTILE)
    page.keyboard.press("Enter")
    expect(page.locator(".notice.bad").last).to_contain_text("letters, digits, spaces")
    name.fill("R&D &amp more")
    page.keyboard.press("Enter")
    expect(page.locator(".tile .title")).to_have_text(["R&D &amp more"])
    name.fill("R&D &amp more")
    page.keyboard.press("Enter")
    expect(page.locator(".notice.bad").last).to_contain_text("already")
    page.get_by_role("button", name="What can be done with").click()
    page.get_by_label("Name", exact=True).fill("Blue things")
    page.keyboard.press("Enter")
    expect(page.locator(".tile .title")).to_have_text(["Blue things"])
    page.get_by_role("button", name="Undo").click()
    expect(page.locator(".tile .title")).to_have_text(["R&D &amp more"])


def test_a_deleted_collection_comes_back_with_undo(page: Page, url: str) -> None:
    ask(page, url, "collections", {"name": "Blue"})
    page.clock.install()
    page.goto(f"{url}/?shelf=collections")
    delete = page.get_by_role("button", name="Delete the collection")
    page.get_by_role("button", name="What can be done with").click()
    delete.click()
    expect(page.locator(".tile")).to_have_count(0)
    assert ask(page, url, "collections/Blue")
    page.get_by_role("button", name="Undo").click()
    expect(page.locator(".tile .title")).to_have_text(["Blue"])
    page.clock.fast_forward(UNDO_MS + 100)
    assert ask(page, url, "collections/Blue")

    page.get_by_role("button", name="What can be done with").click()
    delete.click()
    let_notices_go(page)
    assert not ask(page, url, "collections")["collections"]
    expect(page.locator(".empty")).to_contain_text("No collections yet")


def test_what_was_deleted_is_gone_once_the_page_is_left(page: Page, url: str) -> None:
    ask(page, url, "collections", {"name": "Blue"})
    page.goto(f"{url}/?shelf=collections")
    page.get_by_role("button", name="What can be done with").click()
    page.get_by_role("button", name="Delete the collection").click()
    assert ask(page, url, "collections")["collections"]
    page.goto(f"{url}/docs")
    assert soon(lambda: not ask(page, url, "collections")["collections"])


def test_a_collections_cut_outs_are_saved_under_its_name(page: Page, url: str) -> None:
    ids = image_ids(page, url)
    ask(page, url, "collections", {"name": "City"})
    chosen = [ids["tram.png"], ids["house.png"]]
    ask(page, url, "collections/City/images", {"image_ids": chosen})
    page.goto(f"{url}/?shelf=collections")
    page.get_by_role("button", name="What can be done with").click()
    with page.expect_download() as saved:
        page.get_by_role("button", name="Cut-outs").click()
    assert saved.value.suggested_filename == "City-cutouts.zip"
    with zipfile.ZipFile(saved.value.path()) as archive:
        pictures = [name for name in archive.namelist() if name.endswith(".png")]
    assert len(pictures) == 4  # two of each
    expect(page.locator(".notice")).to_contain_text("City-cutouts.zip is written")


@contextmanager
def away(file: Path) -> Iterator[None]:
    """A file is not there for a while."""
    elsewhere = file.rename(file.with_suffix(".away"))
    try:
        yield
    finally:
        elsewhere.rename(file)


def test_an_export_that_is_refused_says_why(page: Page, url: str, painted: PaintedLibrary) -> None:
    ids = image_ids(page, url)
    ask(page, url, "collections", {"name": "City"})
    ask(page, url, "collections/City/images", {"image_ids": [ids["tram.png"]]})
    with away(painted.pictures / "city" / "tram.png"):
        page.goto(f"{url}/?shelf=collections")
        page.get_by_role("button", name="What can be done with").click()
        page.get_by_role("button", name="Cut-outs").click()
        expect(page.locator(".notice.bad")).to_contain_text("No picture is there")


def test_things_are_grouped_on_demand_and_a_group_opens_its_regions(page: Page, url: str) -> None:
    page.goto(f"{url}/?shelf=things")
    page.get_by_role("button", name="Group the things").click()
    tiles = page.locator(".tiles.things .tile")
    expect(tiles.first).to_be_visible(timeout=60_000)
    groups = ask(page, url, "map")["clusters"]
    expect(tiles).to_have_count(len(groups))
    largest = max(groups, key=lambda group: group["regions"])
    expect(tiles.first).to_contain_text(f"{largest['regions']} region")
    expect(tiles.first.locator("img")).to_have_count(len(largest["examples"]))
    tiles.first.get_by_role("link").click()
    expect(page.locator("#results .card.alone")).to_have_count(largest["regions"])
    assert page.url.endswith(f"?cluster={largest['cluster']}")


def test_copies_stand_side_by_side_and_the_largest_can_be_kept(page: Page, url: str) -> None:
    page.clock.install()
    page.goto(f"{url}/?shelf=duplicates")
    copies = page.locator(".copy")
    expect(copies).to_have_count(2)
    expect(copies.first).to_contain_text("bus.png")
    expect(copies.first).to_contain_text("160 × 120 px")
    expect(copies.first).to_contain_text("largest")
    expect(copies.first.locator(".folder")).to_contain_text("/pictures/city/")
    keep = page.get_by_role("button", name="Keep the largest")
    keep.click()
    expect(copies).to_have_count(0)
    assert "bus-small.png" in stored(page, url)
    page.get_by_role("button", name="Undo").click()
    expect(copies).to_have_count(2)
    page.get_by_role("button", name="Remove bus.png").click()
    page.get_by_role("button", name="Undo").click()
    keep.click()
    let_notices_go(page)
    assert stored(page, url) == {*BEACH, *CITY}
    expect(page.locator(".empty")).to_contain_text("No duplicates")


def test_a_copy_opens_and_back_leads_to_the_copies(page: Page, url: str) -> None:
    page.goto(f"{url}/?shelf=duplicates")
    page.get_by_role("link", name="Open bus-small.png").click()
    expect(page.get_by_role("dialog", name="bus-small.png")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator(".copy")).to_have_count(2)


def test_a_shelf_that_cannot_be_filled_says_so_and_is_tried_again(page: Page, url: str) -> None:
    def fail(route: Route) -> None:
        route.abort()

    for shelf, path in (("albums", "facets"), ("duplicates", "duplicates*"), ("things", "map")):
        page.route(f"**/v1/{path}", fail)
        page.goto(f"{url}/?shelf={shelf}")
        expect(page.locator("#message.bad")).to_contain_text("does not answer")
        page.unroute(f"**/v1/{path}")
        page.get_by_role("button", name="Try again").click()
        expect(page.locator(".tile, .copy, .empty").first).to_be_visible()


def test_many_names_can_be_searched_among(page: Page, url: str) -> None:
    ids = sorted(image_ids(page, url).values())
    for number in range(20):
        tag = f"tag {number}"
        ask(page, url, "images/tags", {"image_ids": ids[: 1 + number % 3], "add": [tag]})
    page.goto(f"{url}/?shelf=tags")
    expect(page.locator(".tile")).to_have_count(20)
    page.get_by_label("Find a name").fill("TAG 1")
    expect(page.locator(".tile")).to_have_count(11)
    expect(page.locator(".finding")).to_contain_text("11 tags")
