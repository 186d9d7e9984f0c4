"""The map in a real browser: made, drawn, hovered over, and what a lasso and a group lead to."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from segsearch.library import SegSearch
from segsearch.storage.api_keys import KeyRing, Scope
from tests.support.axe import violations
from tests.support.mapped import PICTURES, colours_of, make, mapped_library
from tests.support.page_server import ready, served_library
from tests.support.small_models import open_small_service

pytestmark = [pytest.mark.browser, pytest.mark.slow]
REGIONS = 3 * PICTURES
MAKING_MS = 120_000


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SegSearch]:
    """A library with a map of three colours, and a collection without one."""
    with mapped_library(tmp_path_factory.mktemp("maps")) as made:  # UMAP takes its time
        make(made)
        made.catalog.create_collection("Holidays")
        made.catalog.add_to_collection("Holidays", [1, 2, 3])
        yield made


@pytest.fixture(scope="module")
def url(service: SegSearch) -> Iterator[str]:
    yield from served_library(service)


def opened(page: Page, url: str) -> None:
    page.goto(f"{url}/?view=map")
    expect(page.locator("#map canvas")).to_be_visible()
    page.wait_for_timeout(300)


def canvas(page: Page) -> np.ndarray[Any, Any]:
    """What is drawn, from the top: (H, W, 4)."""
    page.wait_for_timeout(200)
    data: str = page.evaluate("document.querySelector('#map canvas').toDataURL()")
    picture = Image.open(BytesIO(base64.b64decode(data.partition(",")[2])))
    return np.asarray(picture.convert("RGBA"))


def points(service: SegSearch) -> dict[int, tuple[float, float]]:
    """Where each segment lies on the map."""
    found = service.maps.newest().points
    return {
        int(number): (float(x), float(y))
        for number, x, y in zip(found.ids, found.x, found.y, strict=True)
    }


def on_screen(page: Page, x: float, y: float) -> tuple[float, float]:
    """Where in the window a place of the whole map lies."""
    box = page.locator("#map canvas").bounding_box()
    assert box
    half = 0.94 * min(box["width"], box["height"]) / 2
    return box["x"] + box["width"] / 2 + half * x, box["y"] + box["height"] / 2 - half * y


def under_a_label(page: Page, x: float, y: float) -> bool:
    boxes = [label.bounding_box() for label in page.locator(".map-label").all()]
    return any(
        abs(x - box["x"] - box["width"] / 2) < box["width"] / 2 + 20
        and abs(y - box["y"] - box["height"] / 2) < box["height"] / 2 + 5
        for box in boxes
        if box
    )


def lasso(page: Page, corners: list[tuple[float, float]]) -> None:
    page.get_by_role("button", name="Lasso").click()
    page.mouse.move(*corners[-1])
    page.mouse.down()
    for corner in corners:
        page.mouse.move(*corner, steps=6)
    page.mouse.up()


def test_every_region_is_drawn_where_the_map_has_it(
    page: Page, url: str, service: SegSearch
) -> None:
    opened(page, url)
    expect(page.locator("#message")).to_contain_text(f"{REGIONS} regions")
    drawn = canvas(page)[..., 3] > 40
    height, width = drawn.shape
    half = 0.94 * min(width, height) / 2
    missed = 0
    mine = np.zeros_like(drawn)
    for x, y in points(service).values():
        left, top = int(width / 2 + half * x), int(height / 2 - half * y)
        missed += not drawn[max(0, top - 2) : top + 3, max(0, left - 2) : left + 3].any()
        mine[max(0, top - 30) : top + 31, max(0, left - 30) : left + 31] = True
    assert missed == 0
    assert drawn.mean() < 0.3
    assert not (drawn & ~mine).any(), "nothing is drawn where no region is"


def test_what_is_under_the_pointer_is_shown_cut_out_and_a_click_opens_it(
    page: Page, url: str, service: SegSearch
) -> None:
    opened(page, url)
    segment, (x, y) = next(
        (number, place)
        for number, place in points(service).items()
        if not under_a_label(page, *on_screen(page, *place))
    )
    page.mouse.move(*on_screen(page, x, y))
    peek = page.locator(".peek img")
    expect(peek).to_be_visible()
    shown = re.search(r"segments/(\d+)/cutout", peek.get_attribute("src") or "")
    assert shown
    colours = colours_of(service)
    assert colours[int(shown[1])] == colours[segment]
    page.mouse.click(*on_screen(page, x, y))
    page.wait_for_url(f"**&segment={shown[1]}")
    expect(page.locator("#picture .sheet img").first).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#map canvas")).to_be_visible()
    box = page.locator("#map canvas").bounding_box()
    assert box
    page.mouse.move(box["x"] + 2, box["y"] + 2)
    expect(page.locator(".peek")).to_have_count(0)


def test_a_label_leads_to_its_group(page: Page, url: str) -> None:
    opened(page, url)
    label = page.locator(".map-label").first
    box, words = label.bounding_box(), label.inner_text()
    assert box
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    expect(page.locator(".map-label.on")).to_have_text(words)
    expect(page.locator(".peek")).to_have_count(0)
    page.mouse.down()
    page.mouse.up()
    page.wait_for_url("**cluster=*")
    expect(page.locator("#filters .term")).to_have_text(words)


def test_a_lasso_makes_a_list_of_what_lies_in_it(page: Page, url: str, service: SegSearch) -> None:
    opened(page, url)
    colours, places = colours_of(service), points(service)
    reds = np.array([places[number] for number, colour in colours.items() if colour == "red"])
    (x0, y0), (x1, y1) = reds.min(axis=0) - 0.02, reds.max(axis=0) + 0.02
    inside = {n for n, (x, y) in places.items() if x0 <= x <= x1 and y0 <= y <= y1}
    lasso(page, [on_screen(page, x, y) for x, y in ((x0, y0), (x1, y0), (x1, y1), (x0, y1))])
    page.wait_for_url(re.compile("lasso="), timeout=5_000)
    ready(page)
    expect(page.locator("#message")).to_have_text(f"{len(inside)} regions")
    listed = page.locator(".card").evaluate_all("all => all.map((one) => +one.dataset.segment)")
    assert listed
    assert set(listed) <= inside
    was = page.url
    page.reload()
    ready(page)
    assert page.url == was
    page.go_back()
    expect(page.locator("#map canvas")).to_be_visible()


def test_a_drag_moves_the_map_and_the_wheel_enlarges_it(page: Page, url: str) -> None:
    opened(page, url)
    before = canvas(page)
    page.mouse.move(400, 500)
    page.mouse.down()
    page.mouse.move(480, 540, steps=5)
    page.mouse.up()
    moved = canvas(page)
    shifted = np.roll(before, (40, 80), axis=(0, 1))[45:-5, 85:-5, 3].astype(int)
    assert np.abs(moved[45:-5, 85:-5, 3] - shifted).mean() < 3, "by as much as the pointer"
    page.mouse.wheel(0, -600)
    assert (canvas(page) != moved).any()
    page.get_by_role("button", name="The whole map").click()
    assert (canvas(page) == before).mean() > 0.99


def test_a_group_of_the_list_opens_its_regions_by_keyboard(
    page: Page, url: str, service: SegSearch
) -> None:
    opened(page, url)
    groups = page.get_by_role("list", name="Groups").get_by_role("button")
    assert groups.count() >= 2
    everything = (canvas(page)[..., 3] > 200).sum()
    groups.first.focus()
    assert (canvas(page)[..., 3] > 200).sum() < everything, "the others are dimmed"
    many = re.search(r"([\d,]+)\s*$", groups.first.inner_text())
    assert many
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("cluster="), timeout=5_000)
    ready(page)
    expect(page.locator("#message")).to_have_text(f"{many[1]} regions")
    numbers = page.locator(".card").evaluate_all("all => all.map((one) => +one.dataset.segment)")
    cluster = service.maps.newest().points
    of = dict(zip(cluster.ids.tolist(), cluster.cluster.tolist(), strict=True))
    assert len({of[number] for number in numbers}) == 1


def test_without_a_map_one_is_offered_to_who_may_draw_it(
    page: Page, url: str, service: SegSearch
) -> None:
    page.goto(f"{url}/?view=map&collection=Holidays")
    expect(page.locator("#message")).to_contain_text("There is no map yet")
    expect(page.get_by_role("button", name="Draw the map")).to_be_visible()
    expect(page.locator("#map canvas")).to_have_count(0)
    assert violations(page) == []
    _, text = KeyRing(service.settings.library).create("reader", Scope.READ)
    for locked in served_library(service, need_key=True):
        page.goto(f"{locked}/?view=map&collection=Holidays")
        page.get_by_label("Key", exact=True).fill(text)
        page.get_by_role("button", name="Use this key").click()
        expect(page.locator("#message")).to_contain_text("There is no map yet")
        expect(page.get_by_role("button", name="Draw the map")).to_have_count(0)


def test_a_browser_without_webgl_says_so(page: Page, url: str) -> None:
    page.add_init_script("HTMLCanvasElement.prototype.getContext = () => null;")
    page.goto(f"{url}/?view=map")
    expect(page.locator("#message")).to_contain_text("cannot draw the map")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_drawn_map_is_accessible(page: Page, url: str, scheme: Any) -> None:
    page.emulate_media(color_scheme=scheme)
    opened(page, url)
    assert violations(page) == []
    page.set_viewport_size({"width": 390, "height": 844})
    page.wait_for_timeout(300)
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.process
def test_a_map_is_made_with_its_progress_and_drawn_when_it_is_there(
    page: Page, tmp_path: Path
) -> None:
    mapped_library(tmp_path).close()
    with open_small_service(tmp_path / "library") as service:
        for url in served_library(service):
            page.goto(f"{url}/?view=map")
            page.get_by_role("button", name="Draw the map").click()
            bar = page.locator(".making progress")
            expect(bar).to_be_visible()
            assert page.locator(".making").inner_text().strip()
            expect(page.get_by_role("button", name="Draw the map")).to_have_count(0)
            expect(page.locator("#map canvas")).to_be_visible(timeout=MAKING_MS)
            expect(bar).to_have_count(0)
            assert (canvas(page)[..., 3] > 0).any()
