"""The grid of answers in a real browser: words, outlines, scrolling, judging, by mouse and keys."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFilter
from playwright.sync_api import Page, expect

from segsearch.core.errors import ModelError
from segsearch.models.protocols import Embedder
from tests.support.clicking_models import ClickModels
from tests.support.page_server import GREEN, HOSTILE, names, ready, search, served
from tests.support.small_models import Shape, SmallModels, paint

pytestmark = pytest.mark.browser
SEARCH = "Search by a picture"


class FailingModels(SmallModels):
    def embedder(self) -> Embedder:
        raise ModelError("The weights are missing: install again.")


@pytest.fixture(scope="module")
def url(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    yield from served(tmp_path_factory.mktemp("grid") / "library", pictures, SmallModels())


@pytest.fixture(scope="module")
def failing_url(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    yield from served(tmp_path_factory.mktemp("failing") / "library", pictures, FailingModels())


@pytest.fixture(scope="module")
def many_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A library large enough to tell chance, with more red things than a window shows."""
    folder = tmp_path_factory.mktemp("many")
    for number in range(300):
        colour = "red" if number % 2 == 0 else ("blue", "green")[number % 4 // 2]
        shapes = [Shape(colour, (4, 4, 14 + number % 17, 30))]
        paint(folder / "pictures" / f"{number:03d}.png", shapes, size=(100 + number, 90))
    yield from served(folder / "library", folder / "pictures", ClickModels())


def drawn_inside(page: Page, card: int) -> np.ndarray[Any, Any]:
    """Where a card's picture is not darkened: bool (H, W) of its canvas."""
    width, height, alpha = page.evaluate(
        """(number) => {
          const canvas = document.querySelectorAll("#results canvas")[number];
          const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
          return [canvas.width, canvas.height, Array.from(data.filter((_, i) => i % 4 === 3))];
        }""",
        card,
    )
    lit: np.ndarray[Any, Any] = np.array(alpha).reshape(height, width) == 0
    return lit


def agrees(lit: np.ndarray[Any, Any], mask: np.ndarray[Any, Any], line: int) -> bool:
    """Whether what is lit is a mask, everywhere but under the line that is drawn along its edge."""
    height, width = lit.shape
    shrunk = Image.fromarray(mask).convert("L").resize((width, height), Image.Resampling.NEAREST)
    inner = np.array(shrunk.filter(ImageFilter.MinFilter(2 * line + 1))) > 0
    outer = np.array(shrunk.filter(ImageFilter.MaxFilter(2 * line + 1))) > 0
    assert inner.any()
    return bool(lit[inner].all() and not lit[~outer].any())


def overlap(drawn: np.ndarray[Any, Any], mask: np.ndarray[Any, Any]) -> float:
    """IoU of what is lit on a canvas with a mask."""
    height, width = drawn.shape
    shrunk = np.array(Image.fromarray(mask).resize((width, height), Image.Resampling.NEAREST)) > 0
    return float((drawn & shrunk).sum() / (drawn | shrunk).sum())


def test_words_give_each_picture_once_with_its_region_lit(page: Page, url: str) -> None:
    search(page, url, "green")
    assert names(page)[0] == "b.png"
    assert agrees(drawn_inside(page, 0), GREEN.mask(200, 320), line=6)


@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_the_drawn_overlay_is_the_apis_mask_however_the_file_is_turned(
    page: Page, tmp_path: Path, orientation: int
) -> None:
    folder = tmp_path / "turned"
    folder.mkdir()
    shape = Shape("red", (300, 100, 1100, 620), "disc")
    painted = Image.open(paint(tmp_path / "upright.png", [shape], size=(1600, 900)))
    turn = {1: None, 3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90}[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    (painted.transpose(turn) if turn is not None else painted).save(
        folder / "t.png", exif=exif.tobytes()
    )
    servers = served(tmp_path / "library", folder, SmallModels())
    url = next(servers)
    page.set_viewport_size({"width": 1900, "height": 1000})
    search(page, url, "red")
    segment = page.locator(".card").first.get_attribute("data-segment")
    mask = page.request.get(f"{url}/v1/segments/{segment}/mask?format=png").body()
    true = np.array(Image.open(io.BytesIO(mask))) > 0
    assert true.shape == (900, 1600)
    drawn = page.evaluate(
        """async (mask) => {
          const { drawRegions } = await import("/static/app/outline.js");
          const canvas = document.createElement("canvas");
          drawRegions(canvas, [mask], { width: 1400, height: 788, line: 0.01 });
          const data = canvas.getContext("2d").getImageData(0, 0, 1400, 788).data;
          return Array.from(data.filter((_, i) => i % 4 === 3), (alpha) => Number(alpha < 70));
        }""",
        page.request.get(f"{url}/v1/segments/{segment}").json(),
    )
    assert overlap(np.array(drawn).reshape(788, 1400) > 0, true) >= 0.98
    assert agrees(drawn_inside(page, 0), true, line=6)
    page.goto("about:blank")
    next(servers, None)


def test_hovering_shows_one_region_alone_and_says_what_it_is(page: Page, tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    left, right = Shape("red", (10, 60, 90, 140)), Shape("red", (230, 60, 310, 140))
    paint(folder / "two.png", [left, right], size=(320, 200))
    servers = served(tmp_path / "library", folder, SmallModels())
    search(page, next(servers), "red")
    card = page.locator(".card").first
    both = drawn_inside(page, 0)
    assert both[:, : both.shape[1] // 2].any()
    assert both[:, both.shape[1] // 2 :].any()
    box = card.bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] * 270 / 320, box["y"] + box["height"] / 2)
    expect(card.locator(".others")).to_have_text("2 of 2")
    page.wait_for_timeout(100)
    alone = drawn_inside(page, 0)
    assert not alone[:, : alone.shape[1] // 2].any()
    assert alone[:, alone.shape[1] // 2 :].any()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 4)
    expect(card.locator(".others")).to_have_text("+ 1 more")
    page.goto("about:blank")
    next(servers, None)


def test_names_of_files_stay_text(page: Page, url: str) -> None:
    search(page, url, "red")
    assert HOSTILE in names(page)
    assert page.locator("#results img[src=x]").count() == 0


def test_no_words_are_asked_for(page: Page, url: str) -> None:
    page.goto(url)
    page.get_by_label("What to look for").fill("   ")
    page.get_by_role("button", name="Search", exact=True).click()
    expect(page.locator(".notice")).to_have_text("Say what to look for first.")
    page.get_by_label("What to look for").fill("-beach")
    page.keyboard.press("Enter")
    expect(page.locator(".notice.bad")).to_contain_text("“-” alone only leaves things out")


def test_what_is_not_wanted_comes_last(page: Page, tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    for number, colour in enumerate(("red", "green", "blue")):
        box = (10 + 90 * number, 10 + 30 * number, 90 + 90 * number, 90)
        paint(folder / f"{colour}.png", [Shape(colour, box)], size=(300, 120 + 60 * number))
    servers = served(tmp_path / "library", folder, SmallModels())
    url = next(servers)
    search(page, url, "red -blue")
    assert names(page)[0] == "red.png"
    assert names(page)[-1] == "blue.png"
    page.goto("about:blank")
    next(servers, None)


def test_a_chosen_picture_stands_in_the_address_and_outlives_a_reload(
    page: Page, url: str, pictures: Path
) -> None:
    page.goto(url)
    ready(page)
    page.get_by_label(SEARCH).set_input_files(pictures / "b.png")
    page.wait_for_url("**/?with=picture-*")
    ready(page)
    assert names(page)[0] == "b.png"
    page.reload()
    ready(page)
    assert names(page)[0] == "b.png"
    page.get_by_role("button", name="Remove the uploaded picture").click()
    expect(page.locator(".term")).to_have_count(0)
    page.go_back()
    expect(page.locator(".term[data-term=picture]")).to_be_visible()


@pytest.mark.parametrize("way", ["drop", "paste"])
def test_a_dropped_or_pasted_picture_is_searched_by(
    page: Page, url: str, pictures: Path, way: str
) -> None:
    page.goto(url)
    ready(page)
    page.evaluate(
        """([bytes, way]) => {
          const carried = new DataTransfer();
          carried.items.add(new File([new Uint8Array(bytes)], "it.png", {type: "image/png"}));
          const options = {bubbles: true, cancelable: true};
          if (way === "paste") document.body.dispatchEvent(
            new ClipboardEvent("paste", {clipboardData: carried, ...options}));
          else for (const type of ["dragover", "drop"]) document.body.dispatchEvent(
            new DragEvent(type, {dataTransfer: carried, ...options}));
        }""",
        [list((pictures / "b.png").read_bytes()), way],
    )
    page.wait_for_url("**/?with=picture-*")
    ready(page)
    assert names(page)[0] == "b.png"


def test_words_that_carry_a_picture_of_them_are_pasted_as_words(page: Page, url: str) -> None:
    page.goto(url)
    ready(page)
    page.evaluate(
        """() => {
          const carried = new DataTransfer();
          carried.items.add(new File(["no picture"], "image.png", {type: "image/png"}));
          carried.setData("text/html", "<p>a red umbrella</p>");
          carried.setData("text/plain", "a red umbrella");
          document.body.dispatchEvent(
            new ClipboardEvent("paste", {clipboardData: carried, bubbles: true}));
        }"""
    )
    page.wait_for_timeout(200)
    expect(page.locator(".term")).to_have_count(0)
    expect(page.locator(".notice")).to_have_count(0)


def test_a_file_that_is_no_picture_is_said(page: Page, url: str, tmp_path: Path) -> None:
    (tmp_path / "no.jpg").write_text("nothing of the kind")
    page.goto(url)
    ready(page)
    page.get_by_label(SEARCH).set_input_files(tmp_path / "no.jpg")
    expect(page.locator(".notice.bad")).to_contain_text("not a picture")
    expect(page.locator(".term")).to_have_count(0)


def test_a_term_weighs_what_its_slider_says(page: Page, url: str) -> None:
    page.goto(f"{url}/?q=red&with=image-1")
    ready(page)
    page.locator(".term .chip").click()
    slider = page.get_by_label("Weight of the picture")
    slider.fill("-0.5")
    slider.dispatch_event("change")
    page.wait_for_url("**with=image-1*-0.5*")
    expect(page.locator(".term.negative")).to_contain_text("not picture")


def test_the_servers_errors_are_shown_and_can_be_tried_again(page: Page, failing_url: str) -> None:
    page.goto(f"{failing_url}/?q=red")
    expect(page.locator("#message")).to_have_text("The weights are missing: install again.")
    expect(page.locator("#message")).to_have_class("bad")
    expect(page.get_by_role("button", name="Try again")).to_be_visible()


def test_a_busy_server_is_asked_again(page: Page, url: str) -> None:
    answers = iter([429, 429])

    def busy(route: Any) -> None:
        status = next(answers, None)
        if status is None:
            route.continue_()
        else:
            route.fulfill(status=429, headers={"Retry-After": "1"}, json={"detail": "Busy."})

    page.route("**/v1/search", busy)
    search(page, url, "red")
    assert names(page)
    assert next(answers, None) is None


def test_an_answer_that_is_cut_short_or_fails_is_said(page: Page, url: str) -> None:
    page.route("**/v1/search", lambda route: route.fulfill(body='{"hits": [{"rank":'))
    page.goto(f"{url}/?q=red")
    message = page.locator("#message")
    expect(message).to_have_text("The server broke off its answer: ask again.")
    page.unroute_all()
    page.route("**/v1/search", lambda route: route.fulfill(status=500, json={"detail": "Broken."}))
    page.get_by_role("button", name="Try again").click()
    expect(message).to_have_text("Broken.")
    page.unroute_all()
    page.route("**/v1/search", lambda route: route.abort())
    page.get_by_role("button", name="Try again").click()
    expect(message).to_contain_text("does not answer")
    page.unroute_all()
    page.get_by_role("button", name="Try again").click()
    ready(page)
    assert names(page)


def test_an_odd_address_is_told_of_and_the_rest_is_shown(page: Page, url: str) -> None:
    page.goto(f"{url}/?q=red&segment=x")
    ready(page)
    expect(page.locator(".odd")).to_contain_text("“segment=x”, expected the number of a region")
    assert names(page)


def test_nothing_matches_is_said_and_the_nearest_are_behind_a_button(
    page: Page, many_url: str
) -> None:
    page.goto(f"{many_url}/?q=yellow")
    expect(page.locator(".nothing")).to_contain_text("Nothing matches “yellow” well.")
    expect(page.locator(".card")).to_have_count(0)
    page.get_by_role("button", name="Show the nearest").click()
    page.wait_for_url("**all=1")
    ready(page)
    assert names(page)


def test_a_scene_says_how_sure_it_is(page: Page, many_url: str) -> None:
    scene = {"slots": [{"name": "blue"}, {"name": "red", "absent": True}], "limit": 200}
    answer = page.request.post(f"{many_url}/v1/search/scene", data=scene).json()
    best = answer["scenes"][0]
    assert best["relevance"] == best["regions"]["blue"]["relevance"] >= 0.9
    page.goto(f"{many_url}/?thing=blue&thing=-red")
    ready(page)
    card = page.locator("#results .card").first
    expect(card.locator(".strip b")).to_have_text("very likely")
    expect(card.locator(".look")).to_have_accessible_name(re.compile(".png, very likely$"))
    card.locator(".look").focus()
    page.keyboard.press("]")
    expect(card.locator(".strip b")).to_have_text("blue, very likely")


def test_cards_are_there_near_the_window_and_their_buttons_where_they_are_met(
    page: Page, many_url: str
) -> None:
    search(page, many_url, "red")
    page.mouse.wheel(0, 3000)
    page.wait_for_function("() => scrollY > 2000")
    ready(page)
    page.mouse.move(1, 1)
    far = page.evaluate(
        """() => [...document.querySelectorAll("#results .card")].filter((card) => {
          const {top, bottom} = card.getBoundingClientRect();
          return top > 2 * innerHeight || bottom < -innerHeight;
        }).length"""
    )
    assert far <= 12  # at most the row of the card that Tab goes to
    before = page.locator("#results .acts").count()
    card = page.locator("#results .card:not(:has(.acts))").first
    name = card.locator(".file").inner_text()
    card.hover()
    met = page.locator("#results .card", has_text=name)
    expect(met.get_by_role("button", name="Wrong: leave it out (-)")).to_be_visible()
    assert page.locator("#results .acts").count() <= before + 2 < page.locator(".card").count()


def test_a_line_is_drawn_where_probably_not_begins(page: Page, many_url: str) -> None:
    search(page, many_url, "red")
    page.keyboard.press("Control+End")
    for _ in range(30):
        page.mouse.wheel(0, 4000)
        page.wait_for_timeout(60)
        if page.locator(".doubt").is_visible():
            break
    expect(page.locator(".doubt")).to_contain_text("probably not")
    shown = int(page.locator("#message").inner_text().split()[0])
    assert 100 < shown <= 150
    page.locator(".doubt button").click()
    page.wait_for_url("**all=1*")
