"""Moving through the grid in a real browser: scrolling, coming back, judging, keys, the focus."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from tests.support.clicking_models import ClickModels
from tests.support.page_server import names, ready, search, served
from tests.support.small_models import Shape, SmallModels, paint

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def url(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    yield from served(tmp_path_factory.mktemp("grid") / "library", pictures, SmallModels())


@pytest.fixture(scope="module")
def many_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A library large enough to tell chance, with more red things than a window shows."""
    folder = tmp_path_factory.mktemp("many")
    for number in range(300):
        colour = "red" if number % 2 == 0 else ("blue", "green")[number % 4 // 2]
        shapes = [Shape(colour, (4, 4, 14 + number % 17, 30))]
        paint(folder / "pictures" / f"{number:03d}.png", shapes, size=(100 + number, 90))
    yield from served(folder / "library", folder / "pictures", ClickModels())


def test_only_what_is_near_the_window_is_asked_for_and_kept(page: Page, many_url: str) -> None:
    asked: list[str] = []
    page.on("request", lambda sent: asked.append(sent.url) if "/thumbnail" in sent.url else None)
    page.goto(f"{many_url}/?q=red&all=1")
    ready(page)
    at_first = len(asked)
    cards = page.locator(".card").count()
    assert 10 < cards < 120
    assert at_first <= cards + 5
    for _ in range(12):
        page.mouse.wheel(0, 1500)
        page.wait_for_timeout(80)
    ready(page)
    assert page.locator(".card").count() < 120
    page.wait_for_function("() => Number(new URLSearchParams(location.search).get('at')) > 40")


def test_back_reload_and_sharing_come_to_the_same_place(page: Page, many_url: str) -> None:
    page.goto(f"{many_url}/?q=red&all=1")
    ready(page)
    for _ in range(14):
        page.mouse.wheel(0, 1200)
        page.wait_for_timeout(80)
    page.wait_for_function("() => new URLSearchParams(location.search).get('at') > 60")
    page.wait_for_timeout(400)
    ready(page)

    def top() -> int:
        at = int(page.evaluate("new URLSearchParams(location.search).get('at')"))
        expect(page.locator(f"[aria-posinset='{at + 1}']")).to_be_in_viewport()
        return at

    before = top()
    address = page.url
    page.reload()
    page.wait_for_function("() => scrollY > 300")
    ready(page)
    assert abs(top() - before) < 8  # answers that fit alike may change places in a row
    page.locator("#home").click()
    page.wait_for_function("() => scrollY === 0")
    page.go_back()
    page.wait_for_function("() => scrollY > 300")
    ready(page)
    assert abs(top() - before) < 8  # answers that fit alike may change places in a row
    other = page.context.new_page()
    other.goto(address)
    other.wait_for_function("() => scrollY > 300")
    other.close()


def test_a_thumb_is_told_moves_the_answers_and_can_be_undone(page: Page, many_url: str) -> None:
    search(page, many_url, "red")
    card = page.locator(".card").first
    wrong = card.get_attribute("data-segment")
    card.hover()
    card.get_by_role("button", name="Wrong: leave it out (-)").click()
    page.wait_for_url(f"**wrong={wrong}*")
    ready(page)
    expect(page.locator(f".card[data-segment='{wrong}']")).to_have_count(0)
    expect(page.locator(".notice")).to_contain_text("Left out")
    page.get_by_role("button", name="Undo").click()
    ready(page)
    expect(page.locator(f".card[data-segment='{wrong}']")).to_have_count(1)


def test_a_thumb_up_stays_pressed_and_is_taken_back_by_a_second_press(page: Page, url: str) -> None:
    search(page, url, "red")
    card = page.locator(".card").first
    right = card.get_attribute("data-segment")
    card.hover()
    card.get_by_role("button", name="Right: find more such (+)").click()
    page.wait_for_url(f"**right={right}*")
    ready(page)
    pressed = page.locator(f".card[data-segment='{right}'] .acts [aria-pressed=true]")
    expect(pressed).to_have_count(1)
    expect(page.locator(".term", has_text="1 right")).to_be_visible()
    page.locator(f".card[data-segment='{right}']").hover()
    pressed.click()
    expect(page.locator(".term")).to_have_count(0)


def test_judgements_of_what_was_deleted_are_left_out(
    page: Page, pictures: Path, tmp_path: Path
) -> None:
    servers = served(tmp_path / "library", pictures, SmallModels())
    url = next(servers)
    kept, gone = (
        page.request.get(f"{url}/v1/images/{image_id}/segments").json()["segments"][0]["segment_id"]
        for image_id in (1, 2)
    )
    page.request.delete(f"{url}/v1/images/2")
    page.goto(f"{url}/?q=red&right={gone}-{kept}")
    ready(page)
    expect(page.locator("#message")).to_contain_text("1 judged region is gone, and left out")
    assert names(page)
    page.goto("about:blank")
    next(servers, None)


def test_the_grid_is_one_tab_stop_and_the_arrow_keys_walk(page: Page, many_url: str) -> None:
    search(page, many_url, "red")
    assert page.locator("#results [tabindex='0'], #results button:not([tabindex])").count() == 1
    page.keyboard.press("/")
    for _ in range(14):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.matches('.look')"):
            break
    place = (
        "Number(document.activeElement.closest('[aria-posinset]')?.getAttribute('aria-posinset'))"
    )
    assert page.evaluate(place) == 1
    page.keyboard.press("ArrowRight")
    page.wait_for_function(f"() => {place} === 2")
    page.keyboard.press("ArrowDown")
    page.wait_for_function(f"() => {place} > 3")
    for _ in range(90):  # more is fetched on the way
        page.keyboard.press("ArrowDown")
        page.wait_for_timeout(40)
        if page.evaluate(place) > 60:
            break
    assert page.evaluate(place) > 60
    focused = page.locator(".look:focus")
    expect(focused).to_be_in_viewport(ratio=0.9)
    bar = page.locator("#bar").bounding_box()
    box = focused.bounding_box()
    assert bar
    assert box
    assert box["y"] >= bar["height"] - 1
    page.keyboard.press("Home")
    page.wait_for_function(f"() => {place} === 1")
    page.keyboard.press("Enter")
    page.wait_for_url("**image=*")
    page.keyboard.press("Escape")
    expect(page.locator("#picture")).to_have_count(0)
    page.wait_for_function(f"() => {place} === 1")
    segment = page.locator(".card").first.get_attribute("data-segment")
    page.keyboard.press("f")
    page.wait_for_url(f"**with=segment-{segment}*")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_focus_is_seen_over_the_picture(page: Page, url: str, scheme: Any) -> None:
    page.emulate_media(color_scheme=scheme)
    search(page, url, "red")
    page.mouse.move(5, 5)
    look = page.locator(".look").first
    card = page.locator(".card").first
    plain = np.array(Image.open(io.BytesIO(card.screenshot())).convert("RGB")).astype(int)
    page.keyboard.press("Tab")
    page.evaluate("document.querySelector('.look').focus({focusVisible: true})")
    expect(look).to_be_focused()
    ringed = np.array(Image.open(io.BytesIO(card.screenshot())).convert("RGB")).astype(int)
    changed = np.abs(ringed - plain).max(axis=2) > 60
    edge = np.concatenate(
        [changed[1:3].ravel(), changed[:, 1:3].ravel(), changed[:, -3:-1].ravel()]
    )
    assert edge.mean() > 0.9


def test_a_title_and_counts_say_what_is_shown(page: Page, url: str) -> None:
    search(page, url, "red")
    assert page.title() == "red · segsearch"
    expect(page.locator("#message")).to_contain_text("pictures · ")
    page.get_by_role("button", name="Regions").click()
    page.wait_for_url("**by=region*")
    ready(page)
    expect(page.locator("#message")).to_contain_text("regions · ")
    assert page.locator(".card.alone img[src*='cutout.png']").count() >= 2
