"""Filters, scenes, recent and saved searches: chips that a person sets, and the address keeps."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.support.clicking_models import ClickModels
from tests.support.page_server import names, ready, search, served
from tests.support.small_models import Shape, paint

pytestmark = pytest.mark.browser
EVIL = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Two albums; in one picture red lies left of blue, in another right of it."""
    folder = tmp_path_factory.mktemp("refining")
    red, blue = (10, 30, 60, 90), (200, 30, 260, 90)
    tall = [Shape("red", (230, 40, 290, 200)), Shape("blue", (20, 150, 90, 230))]
    paint(
        folder / "p" / "beach" / "left.png",
        [Shape("red", red), Shape("blue", blue)],
        size=(320, 120),
    )
    paint(folder / "p" / "park" / "right.png", tall, size=(320, 240))
    paint(folder / "p" / "park" / "red.png", [Shape("red", (100, 10, 220, 110))], size=(320, 120))
    yield from served(folder / "library", folder / "p", ClickModels())


def test_a_filter_is_set_shown_and_taken_away(page: Page, url: str) -> None:
    search(page, url, "red")
    page.get_by_role("button", name="Filters").click()
    page.get_by_role("button", name="Album", exact=True).click()
    page.get_by_label("park").check()
    page.wait_for_url("**album=park*")
    ready(page)
    assert set(names(page)) == {"right.png", "red.png"}
    page.keyboard.press("Escape")
    page.reload()
    ready(page)
    assert set(names(page)) == {"right.png", "red.png"}
    page.get_by_role("button", name="Remove the filter park").click()
    expect(page.locator(".card")).to_have_count(3)


def test_where_and_how_large_a_thing_is_can_be_said(page: Page, url: str) -> None:
    search(page, url, "red")
    page.get_by_role("button", name="Filters").click()
    page.get_by_role("button", name="Place", exact=True).click()
    page.get_by_role("button", name="left", exact=True).click()
    page.wait_for_url("**place=left*")
    ready(page)
    expect(page.locator(".term", has_text="left")).to_be_visible()
    expect(page.locator(".card .file").first).to_have_text("left.png")
    expect(page.locator(".card .file", has_text="red.png")).to_have_count(0)
    page.get_by_role("button", name="left", exact=True).click()
    ready(page)
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Size", exact=True).click()
    page.get_by_label("large: above 25 %").check()
    page.wait_for_url("**minarea=0.25*")
    expect(page.locator(".card")).to_have_count(1)
    assert names(page) == ["red.png"]


def test_a_filter_that_nothing_passes_says_so_and_offers_the_way_out(page: Page, url: str) -> None:
    page.goto(f"{url}/?q=red&tag=nowhere")
    expect(page.locator(".nothing")).to_contain_text("No region passes the filters.")
    page.get_by_role("button", name="Search without the filters").click()
    expect(page.locator(".card")).to_have_count(3)


def test_a_scene_is_built_of_chips_and_found(page: Page, url: str) -> None:
    page.goto(url)
    ready(page)
    page.get_by_role("button", name="Scene").click()
    for name in ("red", "blue"):
        page.get_by_label("A thing").fill(name)
        page.get_by_role("button", name="Must be there").click()
    page.wait_for_url("**thing=red&thing=blue")
    ready(page)
    assert set(names(page)) == {"left.png", "right.png"}
    page.locator(".panel").get_by_role("button", name="Must lie so").click()
    page.wait_for_url("**where=red%7Eleft+of%7Eblue")
    ready(page)
    expect(page.locator(".card .file").first).to_have_text("left.png")
    expect(page.locator(".card .strip b").first).to_have_text("red")
    page.get_by_role("button", name="Remove red left of blue").click()
    expect(page.locator(".card")).to_have_count(2)
    page.keyboard.press("Escape")
    words = page.get_by_label("What to look for")
    words.fill("-green")
    page.keyboard.press("Enter")
    page.wait_for_url("**thing=-green*")
    expect(page.locator(".term.negative")).to_contain_text("no green")


def test_searches_are_remembered_and_saved(page: Page, url: str) -> None:
    search(page, url, "red")
    search(page, url, "blue -red")
    opener = page.get_by_role("button", name="Recent and saved searches")
    opener.click()
    page.get_by_role("button", name="red", exact=True).click()
    page.wait_for_url("**/?q=red")
    ready(page)
    opener.click()
    page.get_by_label("Save this search as").fill("My reds")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("heading", name="Saved")).to_be_visible()
    page.keyboard.press("Escape")
    page.locator("#home").click()
    ready(page)
    opener.click()
    page.get_by_role("button", name="My reds").first.click()
    page.wait_for_url("**/?q=red")
    ready(page)
    opener.click()
    page.get_by_role("button", name="Forget My reds").click()
    expect(page.locator(".notice")).to_contain_text("no longer saved")
    expect(page.get_by_role("heading", name="Saved")).to_have_count(0)
    with page.expect_response("**/v1/searches/My%20reds"):
        page.get_by_role("button", name="Undo").click()
    opener.click()
    expect(page.get_by_role("heading", name="Saved")).to_be_visible()


def test_what_others_named_stays_text(page: Page, url: str) -> None:
    page.request.post(f"{url}/v1/collections", data={"name": EVIL})
    page.request.post(f"{url}/v1/images/1/tags", data={"add": [EVIL]})
    page.request.put(f"{url}/v1/searches/evil", data={"address": f"?q={EVIL}"})
    page.goto(f"{url}/?q=red&tag={EVIL}&image=1")
    expect(page.locator("#picture .tags .term")).to_contain_text(EVIL)
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Filters").click()
    page.get_by_role("button", name="Tag", exact=True).click()
    expect(page.get_by_role("checkbox", name=EVIL)).to_be_visible()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Recent and saved searches").click()
    expect(page.locator(".panel")).to_contain_text(EVIL)
    assert page.locator("img[src=x]").count() == 0


def test_words_that_say_how_things_lie_are_offered_as_a_scene(page: Page, url: str) -> None:
    search(page, url, "red left of blue")
    page.get_by_role("button", name="Search it as a scene").click()
    page.wait_for_url("**/?thing=red&thing=blue&where=red%7Eleft+of%7Eblue")
    ready(page)
    expect(page.locator(".card .file").first).to_have_text("left.png")


def test_the_nearest_are_shown_for_one_question_only(page: Page, url: str) -> None:
    page.goto(f"{url}/?q=red&all=1")
    ready(page)
    page.get_by_label("What to look for").fill("blue")
    page.keyboard.press("Enter")
    page.wait_for_url("**/?q=blue")
    page.goto(f"{url}/?q=red&all=1")
    page.get_by_role("button", name="Only what is likely").click()
    page.wait_for_url("**/?q=red")
