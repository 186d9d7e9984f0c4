"""The grid of answers in a real browser: words, outlines, scrolling, judging, by mouse and keys."""

from __future__ import annotations

import io
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
from tests.support.page_server import BLUE, HOSTILE, names, ready, search, served
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
    search(page, url, "blue")
    assert names(page)[0] == "a.png"
    assert agrees(drawn_inside(page, 0), BLUE.mask(320, 200), line=6)


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
        paint(folder / f"{colour}.png", [Shape(colour, (10, 10, 90 + number, 80))])
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
    assert page.evaluate("Number(new URLSearchParams(location.search).get('at'))") > 40


def test_back_reload_and_sharing_come_to_the_same_place(page: Page, many_url: str) -> None:
    page.goto(f"{many_url}/?q=red&all=1")
    ready(page)
    for _ in range(14):
        page.mouse.wheel(0, 1200)
        page.wait_for_timeout(80)
    page.wait_for_function("() => new URLSearchParams(location.search).get('at') > 60")
    page.wait_for_timeout(400)
    ready(page)

    def top() -> str:
        found: str = page.evaluate(
            """() => [...document.querySelectorAll(".card")].find((card) =>
              card.getBoundingClientRect().bottom > 150).getAttribute("aria-posinset")"""
        )
        return found

    before = top()
    address = page.url
    page.reload()
    page.wait_for_function("() => scrollY > 300")
    ready(page)
    assert top() == before
    page.locator("#home").click()
    page.wait_for_function("() => scrollY === 0")
    page.go_back()
    page.wait_for_function("() => scrollY > 300")
    ready(page)
    assert top() == before
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
        "Number(document.activeElement.closest('[aria-posinset]').getAttribute('aria-posinset'))"
    )
    assert page.evaluate(place) == 1
    page.keyboard.press("ArrowRight")
    page.wait_for_function(f"() => {place} === 2")
    page.keyboard.press("ArrowDown")
    page.wait_for_function(f"() => {place} > 3")
    for _ in range(25):
        page.keyboard.press("ArrowDown")
        page.wait_for_timeout(30)
    page.wait_for_function(f"() => {place} > 60")
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
