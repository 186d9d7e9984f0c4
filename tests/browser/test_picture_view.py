"""The picture view: open, zoom, walk, click, cut out, and what stands beside the picture."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, Route, expect

from segsearch.core.types import Origin
from segsearch.masks.polygons import svg_document
from segsearch.masks.rle import decode, from_coco
from tests.support.clicking_models import ClickModels
from tests.support.open_picture import click_at, image_of, opened, place, seen_in_chip
from tests.support.page_server import BLUE, RED, ready, search, served_library
from tests.support.small_models import Shape, open_small_service, paint

pytestmark = pytest.mark.browser
CUT_FILES = [
    ("Cutout", "cutout.png"), ("Mask", "mask.png"), ("SVG", "mask.svg"), ("COCO", "mask.json"),
]  # fmt: skip
SAID = "A <b>red</b> box on a white ground."
INNER = Shape("red", (60, 40, 120, 90), "disc")


@pytest.fixture(scope="module")
def url(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    paint(pictures / "nested.png", [Shape("green", (40, 20, 280, 180)), INNER], size=(320, 200))
    folder = tmp_path_factory.mktemp("picture") / "library"
    with open_small_service(folder) as service:
        service.index([pictures])
        red = service.search_text("red", limit=9).hits
        number = next(hit.segment.id for hit in red if hit.image.paths[0].endswith("a.png"))
        service.catalog.add_caption(number, SAID, Origin("a model", "a host", "ab" * 32))
    with open_small_service(folder, models=ClickModels()) as service:
        yield from served_library(service)


def lines(page: Page) -> np.ndarray[Any, Any]:
    """Where something is drawn over the open picture: bool (H, W)."""
    page.wait_for_timeout(150)
    width, height, alpha = page.evaluate(
        """() => {
          const canvas = document.querySelector("#picture canvas");
          const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
          return [canvas.width, canvas.height, Array.from(data.filter((_, i) => i % 4 === 3))];
        }"""
    )
    return np.array(alpha).reshape(height, width) > 0


def test_a_click_on_an_answer_opens_its_picture_with_the_region_and_keeps_the_query(
    page: Page, url: str
) -> None:
    search(page, url, "blue")
    page.locator(".look").first.click()
    page.wait_for_url("**/?q=blue&image=*&segment=*")
    expect(page.get_by_role("heading", name="a.png")).to_be_visible()
    expect(page.get_by_role("heading", name="This region")).to_be_visible()
    drawn = lines(page)
    ys, xs = np.nonzero(drawn)
    scale = drawn.shape[1] / 320
    x0, y0, x1, y1 = (edge * scale for edge in BLUE.box)
    assert np.allclose([xs.min(), ys.min(), xs.max(), ys.max()], [x0, y0, x1, y1], atol=8)
    middle = drawn[int((y0 + y1) / 2), int((x0 + x1) / 2)]
    assert not middle, "nothing is tinted"
    page.keyboard.press("Escape")
    page.wait_for_url("**/?q=blue")
    expect(page.locator(".look").first).to_be_focused()


def test_the_next_and_the_one_before_are_the_answers_neighbours(page: Page, url: str) -> None:
    search(page, url, "red")
    order = page.locator(".card").evaluate_all("cards => cards.map((card) => card.dataset.image)")
    page.locator(".look").first.click()
    expect(page.get_by_role("dialog")).to_be_focused()
    for number in (1, 2):
        page.keyboard.press("ArrowRight")
        page.wait_for_url(f"**&image={order[number]}*")
    page.keyboard.press("ArrowLeft")
    page.wait_for_url(f"**&image={order[1]}*")
    expect(page.locator("#picture .top")).to_contain_text(f"2 of {len(order)}")
    page.go_back()
    expect(page.locator("#picture")).to_have_count(0)


def test_a_click_on_a_thing_chooses_it_and_its_like_is_found(page: Page, url: str) -> None:
    opened(page, url, "a.png")
    page.mouse.move(*place(page, 220, 100))
    assert lines(page).any(), "the region under the pointer is outlined"
    page.mouse.move(*place(page, 150, 190))
    assert not lines(page).any()
    click_at(page, 220, 100)
    page.wait_for_url("**&segment=*")
    segment = page.evaluate("new URLSearchParams(location.search).get('segment')")
    found = page.request.get(f"{url}/v1/segments/{segment}").json()
    assert tuple(found["box"]) == BLUE.box
    page.get_by_role("button", name="Find its like", exact=True).click()
    page.wait_for_url(f"**/?with=segment-{segment}")
    ready(page)
    expect(page.locator(".card").first).to_have_attribute("data-segment", segment)
    page.go_back()
    expect(page.locator("#picture")).to_be_visible()


def test_the_smallest_region_comes_first_and_keys_lead_to_what_holds_it(
    page: Page, url: str
) -> None:
    image = opened(page, url, "nested.png")
    listed = page.request.get(f"{url}/v1/images/{image['image_id']}/segments").json()["segments"]
    inner, outer = sorted(listed, key=lambda segment: int(segment["area"]))[:2]
    click_at(page, 90, 65)
    page.wait_for_url(f"**&segment={inner['segment_id']}")
    page.keyboard.press("]")
    page.wait_for_url(f"**&segment={outer['segment_id']}")
    page.keyboard.press("[")
    page.wait_for_url(f"**&segment={inner['segment_id']}")
    page.keyboard.down("Alt")
    page.mouse.wheel(0, -100)
    page.keyboard.up("Alt")
    page.wait_for_url(f"**&segment={outer['segment_id']}")


def test_where_no_region_lies_a_click_cuts_out_afresh(page: Page, url: str) -> None:
    opened(page, url, "a.png")
    with page.expect_response("**/v1/segment") as answer:
        click_at(page, 300, 190)
    masks = answer.value.json()["objects"][0]["masks"]
    assert len(masks) == 3
    expect(page.get_by_role("heading", name="What you cut out")).to_be_visible()
    which = page.get_by_role("group", name="Which of the masks")
    expect(which.get_by_role("button")).to_have_text(["part", "thing", "whole"])
    before = page.locator("#region .quiet").first.inner_text()
    which.get_by_role("button", name="whole").click()
    largest = max(masks, key=lambda mask: int(mask["area"]))
    expect(page.locator("#region .quiet").first).to_contain_text(
        f"{largest['box'][2] - largest['box'][0]} × "
    )
    page.get_by_role("button", name="Find its like", exact=True).click()
    page.wait_for_url("**/?with=cut-*_p300.190_c*")
    ready(page)
    expect(page.locator(".term[data-term=cut]")).to_be_visible()
    assert before


def test_what_was_said_of_a_region_is_shown_under_the_pointer_and_beside_it(
    page: Page, url: str
) -> None:
    opened(page, url, "a.png")  # it answers nothing
    hint = page.locator("#picture .hint")
    left, top, right, bottom = RED.box
    page.mouse.move(*place(page, (left + right) / 2, (top + bottom) / 2))
    expect(hint).to_have_text(SAID)
    page.mouse.move(*place(page, 300, 190))
    expect(hint).to_contain_text("Click a thing to choose it")
    click_at(page, (left + right) / 2, (top + bottom) / 2)
    expect(page.locator("#region .caption")).to_have_text(SAID)
    click_at(page, 220, 100)
    expect(page.locator("#region")).to_be_visible()
    expect(page.locator("#region .caption")).to_have_count(0)


def test_points_are_added_and_taken_away_and_a_box_is_drawn(page: Page, url: str) -> None:
    opened(page, url, "a.png")
    sent: list[dict[str, Any]] = []
    page.on(
        "request",
        lambda asked: (
            sent.append(json.loads(asked.post_data or "{}"))
            if asked.url.endswith("/v1/segment")
            else None
        ),
    )
    page.get_by_role("button", name="Cut out").click()
    for keys, x, y in (("", 60, 50), ("Shift", 80, 60), ("Alt", 250, 100)):
        with page.expect_response("**/v1/segment"):
            click_at(page, x, y, keys)
    assert sent[-1]["points"] == [[60, 50], [80, 60], [250, 100]]
    assert sent[-1]["labels"] == [1, 1, 0]
    expect(page.locator(".dot.not")).to_have_count(1)
    with page.expect_response("**/v1/segment"):
        page.mouse.move(*place(page, 10, 10))
        page.mouse.down()
        page.mouse.move(*place(page, 100, 70))
        page.mouse.move(*place(page, 130, 95))
        page.mouse.up()
    (box,) = sent[-1]["boxes"]
    assert np.allclose(box, [10, 10, 130, 95], atol=2)
    page.keyboard.press("Escape")  # first what was cut out, then the picture
    expect(page.locator("#picture")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#picture")).to_have_count(0)


def test_a_region_is_added_to_the_query_or_left_out_of_it(page: Page, url: str) -> None:
    image = image_of(page, url, "a.png")
    segment = page.request.get(f"{url}/v1/images/{image['image_id']}/segments").json()["segments"][
        0
    ]["segment_id"]
    opened(page, url, "a.png", f"&q=green&segment={segment}")
    page.get_by_role("button", name="Add to the query").click()
    page.wait_for_url(f"**/?q=green&with=segment-{segment}*0.5")
    opened(page, url, "a.png", f"&q=green&segment={segment}")
    page.get_by_role("button", name="Not this").click()
    page.wait_for_url(f"**/?q=green&wrong={segment}")


def test_the_wheel_zooms_about_the_pointer_and_the_original_comes(page: Page, url: str) -> None:
    image = opened(page, url, "a.png")
    x, y = place(page, 250, 150)
    page.mouse.move(x, y)
    with page.expect_response(f"**/v1/images/{image['image_id']}/file*"):
        page.mouse.wheel(0, -900)
    page.wait_for_timeout(100)
    assert place(page, 250, 150) == pytest.approx((x, y), abs=2)
    wide = page.locator("#picture .sheet").bounding_box()
    assert wide
    page.mouse.down()
    page.mouse.move(x - 60, y - 30, steps=4)
    page.mouse.up()
    moved = page.locator("#picture .sheet").bounding_box()
    assert moved
    assert moved["x"] == pytest.approx(wide["x"] - 60, abs=6)
    assert "segment=" not in page.url, "a drag is no click"
    page.keyboard.press("0")
    page.wait_for_function(
        "(width) => document.querySelector('.sheet').getBoundingClientRect().width < width / 2",
        arg=wide["width"],
    )


def test_the_whole_view_works_by_keyboard(page: Page, url: str) -> None:
    opened(page, url, "a.png")
    frame = page.get_by_role("application")
    frame.focus()
    expect(page.locator(".cross")).to_have_count(0)
    for _ in range(6):
        page.keyboard.press("ArrowRight")
    expect(page.locator(".cross")).to_be_visible()
    box = page.locator("#picture .sheet").bounding_box()
    cross = page.locator(".cross").bounding_box()
    assert box
    assert cross
    step = (cross["x"] + cross["width"] / 2) - (box["x"] + box["width"] / 2)
    assert step == pytest.approx(60, abs=2)
    while step < 60 / 320 * box["width"]:  # to the middle of the blue disc
        page.keyboard.press("ArrowRight")
        step += 10
    page.keyboard.press("Enter")
    page.wait_for_url("**&segment=*")
    strip = page.locator(".strip-of-regions")
    assert strip.locator("[tabindex='0']").count() == 1
    strip.locator("[tabindex='0']").focus()
    was = page.url
    page.keyboard.press("ArrowLeft")
    page.wait_for_function("(was) => location.href !== was", arg=was)
    page.keyboard.press("f")
    page.wait_for_url("**/?with=segment-*")


def test_nothing_below_the_picture_can_be_reached(page: Page, url: str) -> None:
    search(page, url, "red")
    page.locator(".look").first.click()
    expect(page.locator("#picture")).to_be_visible()
    for _ in range(40):
        page.keyboard.press("Tab")
        inside = page.evaluate(
            "document.activeElement === document.body || "
            "document.activeElement.closest('#picture, #notices') !== null"
        )
        assert inside


def test_downloads_carry_the_pictures_name(page: Page, url: str) -> None:
    image = image_of(page, url, "a.png")
    segment = page.request.get(f"{url}/v1/images/{image['image_id']}/segments").json()["segments"][
        0
    ]["segment_id"]
    opened(page, url, "a.png", f"&segment={segment}")
    for name, ending in (("Cutout", "cutout.png"), ("Mask", "mask.png"), ("SVG", "mask.svg")):
        with page.expect_download() as download:
            page.get_by_role("link", name=name, exact=True).click()
        assert download.value.suggested_filename == f"a-{segment}-{ending}"


def test_tags_are_given_and_taken(page: Page, url: str) -> None:
    image = opened(page, url, "b.png")
    page.get_by_label("Add a tag").fill("<b>fun</b>, holiday")
    page.keyboard.press("Enter")
    expect(page.locator(".tags .term")).to_have_count(2)
    tags = page.request.get(f"{url}/v1/images/{image['image_id']}").json()["tags"]
    assert sorted(tags) == ["<b>fun</b>", "holiday"]
    assert page.locator(".tags b").count() == 0
    page.get_by_role("button", name="Remove the tag holiday").click()
    expect(page.locator(".tags .term")).to_have_count(1)


def test_a_picture_that_is_gone_or_unknown_says_so(page: Page, url: str) -> None:
    page.goto(f"{url}/?image=9999")
    expect(page.locator("#picture .hint")).to_have_text("There is no picture 9999 in the library.")
    page.keyboard.press("Escape")
    expect(page.locator("#picture")).to_have_count(0)
    image = image_of(page, url, "b.png")
    page.route("**/thumbnail*", lambda route: route.fulfill(status=422))
    page.goto(f"{url}/?image={image['image_id']}")
    expect(page.locator("#picture .gone")).to_contain_text("cannot be loaded")


def test_what_is_cut_out_of_one_picture_is_never_shown_on_another(page: Page, url: str) -> None:
    search(page, url, "red")
    page.locator(".look").first.click()
    expect(page.locator("#picture .sheet img")).to_be_visible()

    def slow(route: Route) -> None:
        page.wait_for_timeout(700)
        route.continue_()

    page.route("**/v1/segment", slow)
    page.get_by_role("button", name="Cut out").click()
    box = page.locator("#picture .sheet").bounding_box()
    assert box
    page.mouse.click(box["x"] + 5, box["y"] + 5)
    page.get_by_role("button", name="The next one (Right)").click()
    page.wait_for_timeout(1500)
    expect(page.get_by_role("heading", name="What you cut out")).to_have_count(0)
    expect(page.locator(".dot")).to_have_count(0)


def test_a_quick_second_escape_leaves_the_grid_where_it_is(page: Page, url: str) -> None:
    search(page, url, "red")
    search(page, url, "blue")
    page.locator(".look").first.click()
    expect(page.get_by_role("dialog")).to_be_focused()
    page.evaluate(
        """() => { for (let i = 0; i < 3; i++) dispatchEvent(
          new KeyboardEvent("keydown", {key: "Escape", bubbles: true, cancelable: true})); }"""
    )
    expect(page.locator("#picture")).to_have_count(0)
    page.wait_for_timeout(200)
    assert page.url.endswith("/?q=blue")


def test_what_was_cut_out_can_be_saved(page: Page, url: str, tmp_path: Path) -> None:
    opened(page, url, "a.png")
    page.get_by_role("button", name="Cut out").click()
    with page.expect_response("**/v1/segment") as answer:
        click_at(page, 220, 100)  # the blue disc
    cut = answer.value.json()["objects"][0]["masks"][0]
    for name, ending in CUT_FILES:
        with page.expect_download() as download:
            page.locator(".downloads").get_by_role("button", name=name, exact=True).click()
        assert download.value.suggested_filename == f"a-cut-{ending}"
        download.value.save_as(tmp_path / ending)
    mask = np.array(Image.open(tmp_path / "mask.png").convert("L")) > 0
    assert np.array_equal(mask, decode(from_coco(cut["mask"])))
    x0, y0, x1, y1 = cut["box"]
    cutout = np.array(Image.open(tmp_path / "cutout.png"))
    assert np.array_equal(cutout[..., 3] > 0, mask[y0:y1, x0:x1])
    red, green, blue = cutout[cutout[..., 3] > 0][:, :3].mean(axis=0)
    assert blue > 150
    assert max(red, green) < 90
    assert (tmp_path / "mask.svg").read_text() == svg_document(from_coco(cut["mask"]))
    saved = json.loads((tmp_path / "mask.json").read_text())
    assert saved["segmentation"] == cut["mask"]
    assert saved["bbox"] == [x0, y0, x1 - x0, y1 - y0]
    page.get_by_role("button", name="Find its like", exact=True).click()
    ready(page)
    half = 0.6 * max(x1 - x0, y1 - y0)
    x, y = (x0 + x1) / 2, (y0 + y1) / 2
    around = [x - half, y - half, x + half, y + half]
    assert np.allclose(seen_in_chip(page), around, atol=2)
    page.reload()  # the address alone: the mask comes with the answer
    ready(page)
    assert np.allclose(seen_in_chip(page), around, atol=2)
