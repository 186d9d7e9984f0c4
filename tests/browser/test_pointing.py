"""Points that cut something out of the open picture: of which kind they are, and the way back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from tests.support.clicking_models import ClickModels
from tests.support.open_picture import click_at, opened
from tests.support.page_server import served

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def url(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    yield from served(tmp_path_factory.mktemp("pointing") / "library", pictures, ClickModels())


def test_points_are_added_taken_away_and_undone_without_keys(page: Page, url: str) -> None:
    """As with a finger, which holds no Shift and no Alt."""
    opened(page, url, "a.png")
    page.get_by_role("button", name="Cut out").click()
    kind = page.get_by_role("group", name="What a point is")
    undo = page.get_by_role("button", name="Undo point")
    expect(undo).to_be_disabled()
    kind.get_by_role("button", name="Take away").click()
    click_at(page, 60, 50)
    expect(page.locator(".notice")).to_contain_text("First click on a thing")

    def sent(x: float, y: float) -> list[int]:
        with page.expect_request("**/v1/segment") as asked:
            click_at(page, x, y)
        labels: list[int] = json.loads(asked.value.post_data or "{}")["labels"]
        return labels

    kind.get_by_role("button", name="New").click()
    assert sent(60, 50) == [1]
    kind.get_by_role("button", name="Add").click()
    assert sent(80, 60) == [1, 1]
    kind.get_by_role("button", name="Take away").click()
    assert sent(250, 100) == [1, 1, 0]
    with page.expect_response("**/v1/segment"):
        undo.click()
    expect(page.locator(".dot")).to_have_count(2)
    with page.expect_response("**/v1/segment"):
        page.keyboard.press("Control+z")
    expect(page.locator(".dot")).to_have_count(1)
    page.keyboard.press("Control+z")
    expect(page.locator(".dot")).to_have_count(0)
    expect(page.locator("#region h3")).to_have_count(0)
    kind.get_by_role("button", name="New").click()
    assert sent(60, 50) == [1]
    assert sent(80, 60) == [1]


def test_where_a_cut_is_under_way_is_told_at_the_point(page: Page, url: str) -> None:
    opened(page, url, "a.png")
    page.get_by_role("button", name="Cut out").click()
    held: list[Route] = []
    page.route("**/v1/segment", lambda route: held.append(route))
    click_at(page, 60, 50)
    label = "getComputedStyle(document.querySelector('.dot'), '::after').content"
    assert page.evaluate(label) == '"Cutting it out …"'
    while not held:
        page.wait_for_timeout(20)
    held[0].continue_()
    expect(page.locator("#region")).to_be_visible()
    assert page.evaluate(label) == "none"


def test_it_is_told_where_no_outline_keeps_to_the_points(page: Page, url: str) -> None:
    """One patch was wanted and then not; what is left misses the first point."""
    opened(page, url, "a.png")
    page.get_by_role("button", name="Cut out").click()
    for keys, x, y in (("", 60, 50), ("Shift", 220, 100)):
        with page.expect_response("**/v1/segment"):
            click_at(page, x, y, keys)
    expect(page.locator("#region")).to_be_visible()
    expect(page.locator(".notice")).to_have_count(0)
    with page.expect_response("**/v1/segment"):
        click_at(page, 80, 60, "Alt")
    expect(page.locator(".notice")).to_contain_text("No outline keeps to all of the points")
