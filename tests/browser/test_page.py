"""The page in a real browser: a person types words and sees regions marked in pictures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, Route, expect
from pycocotools import mask as coco

from segsearch.core.errors import ModelError
from segsearch.models.protocols import Embedder
from tests.support.page_server import BLUE, HOSTILE, ready, search, served
from tests.support.small_models import SmallModels

pytestmark = pytest.mark.browser

NARROW = {"width": 360, "height": 740}


class FailingModels(SmallModels):
    def embedder(self) -> Embedder:
        raise ModelError("The weights are missing: install again.")


@pytest.fixture(scope="module")
def url(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    yield from served(tmp_path_factory.mktemp("page") / "library", pictures, SmallModels())


@pytest.fixture(scope="module")
def empty_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    yield from served(tmp_path_factory.mktemp("empty") / "library", None, SmallModels())


@pytest.fixture(scope="module")
def failing_url(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    yield from served(tmp_path_factory.mktemp("failing") / "library", pictures, FailingModels())


def alpha_of(page: Page, card: int) -> np.ndarray[Any, Any]:
    """How dark a card's canvas makes its picture: its alpha channel (H, W)."""
    width, height, values = page.evaluate(
        """(number) => {
          const canvas = document.querySelectorAll("#results canvas")[number];
          const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
          return [canvas.width, canvas.height, Array.from(data.filter((_, i) => i % 4 === 3))];
        }""",
        card,
    )
    return np.array(values).reshape(height, width)


def test_words_give_the_region_lit_in_its_darkened_picture(page: Page, url: str) -> None:
    search(page, url, "blue")
    first = page.locator(".card").first
    expect(first.locator(".file")).to_have_text("a.png")
    assert 0 < float(first.locator(".score").inner_text()) <= 1
    dark = alpha_of(page, 0) > 0
    inside = BLUE.mask(320, 200)
    assert dark.shape == inside.shape
    assert not dark[inside].any()
    assert dark[~inside].all()


def test_a_click_finds_more_like_it_and_back_returns(page: Page, url: str) -> None:
    search(page, url, "red")
    page.locator(".card .look").first.click()
    page.wait_for_url("**/?segment=*")
    ready(page)
    expect(page.locator("#question")).to_have_text("Like this region")
    expect(page.locator("#sample")).to_be_visible()
    assert float(page.locator(".score").first.inner_text()) > 0.8
    page.go_back()
    ready(page)
    expect(page.get_by_label("What to look for")).to_have_value("red")


def test_a_chosen_picture_is_searched_by(page: Page, url: str, pictures: Path) -> None:
    page.goto(url)
    ready(page)
    page.locator("#file").set_input_files(pictures / "b.png")
    expect(page.locator("#question")).to_have_text("Like the picture b.png")
    ready(page)
    expect(page.locator(".card .file").first).to_have_text("b.png")


def test_a_dropped_picture_is_searched_by(page: Page, url: str, pictures: Path) -> None:
    page.goto(url)
    ready(page)
    page.evaluate(
        """(bytes) => {
          const carried = new DataTransfer();
          carried.items.add(new File([new Uint8Array(bytes)], "dropped.png"));
          for (const type of ["dragover", "drop"]) document.body.dispatchEvent(
            new DragEvent(type, { dataTransfer: carried, bubbles: true, cancelable: true }));
        }""",
        list((pictures / "b.png").read_bytes()),
    )
    expect(page.locator("#question")).to_have_text("Like the picture dropped.png")
    ready(page)
    expect(page.locator(".card .file").first).to_have_text("b.png")


def test_a_file_that_is_no_picture_is_said(page: Page, url: str, tmp_path: Path) -> None:
    (tmp_path / "no.jpg").write_text("nothing of the kind")
    page.goto(url)
    page.locator("#file").set_input_files(tmp_path / "no.jpg")
    expect(page.locator("#message")).to_contain_text("not a picture")
    expect(page.locator(".card")).to_have_count(0)


def test_the_first_look_shows_the_pictures_and_a_picture_its_regions(page: Page, url: str) -> None:
    page.goto(url)
    ready(page)
    expect(page.locator("#library")).to_contain_text("3 pictures · 4 segments")
    expect(page.locator(".card")).to_have_count(3)
    page.get_by_role("button", name="a.png. Show its regions.").click()
    page.wait_for_url("**/?image=*")
    ready(page)
    expect(page.locator(".card")).to_have_count(2)
    box = page.locator("#whole-masks").bounding_box()
    assert box is not None
    middle = {"x": 220 / 320 * box["width"], "y": 100 / 200 * box["height"]}  # of the blue disc
    page.locator("#whole-masks").click(position={"x": middle["x"], "y": middle["y"]})
    page.wait_for_url("**/?segment=*")
    ready(page)
    assert not (alpha_of(page, 0) > 0)[BLUE.mask(320, 200)].any()


def test_the_whole_search_works_by_keyboard(page: Page, url: str) -> None:
    page.goto(url)
    ready(page)
    page.keyboard.type("green")  # the search box has the focus from the start
    page.keyboard.press("Enter")
    page.wait_for_url("**/?q=green")
    ready(page)
    for _ in range(4):  # past the button, the file chooser and whatever is clear
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.classList.contains('look')"):
            break
    page.keyboard.press("Enter")
    page.wait_for_url("**/?segment=*")


def test_names_of_files_stay_text(page: Page, url: str) -> None:
    search(page, url, "red")
    expect(page.locator(".file", has_text=HOSTILE)).to_have_count(1)


def test_a_late_gallery_does_not_overwrite_what_was_said_meanwhile(page: Page, url: str) -> None:
    held: list[Route] = []
    page.route("**/v1/images?*", lambda route: held.append(route))
    page.goto(url)
    page.get_by_role("button", name="Search", exact=True).click()
    expect(page.locator("#message")).to_have_text("Say what to look for first.")
    assert held
    with page.expect_response("**/v1/images?*"):
        held.pop().continue_()
    expect(page.locator("#results > *").first).to_be_visible()
    expect(page.locator("#message")).to_have_text("Say what to look for first.")


@pytest.mark.parametrize("words", ["", "   "])
def test_no_words_are_asked_for(page: Page, url: str, words: str) -> None:
    page.goto(url)
    page.get_by_label("What to look for").fill(words)
    page.get_by_role("button", name="Search", exact=True).click()
    expect(page.locator("#message")).to_have_text("Say what to look for first.")


def test_an_empty_library_says_how_to_fill_it(page: Page, empty_url: str) -> None:
    page.goto(empty_url)
    expect(page.locator("#message")).to_contain_text("segsearch index")
    search(page, empty_url, "red")
    expect(page.locator("#message")).to_contain_text("segsearch index")


def test_the_servers_errors_are_shown(page: Page, failing_url: str) -> None:
    search(page, failing_url, "red")
    expect(page.locator("#message")).to_have_text("The weights are missing: install again.")
    expect(page.locator("#message")).to_have_class("bad")


def test_a_server_that_went_away_is_said(page: Page, url: str) -> None:
    page.goto(url)
    ready(page)
    page.route("**/v1/search", lambda route: route.abort())
    page.get_by_label("What to look for").fill("red")
    page.keyboard.press("Enter")
    expect(page.locator("#message")).to_contain_text("does not answer")


@pytest.mark.parametrize("path", ["", "/?q=red", "/?image=1", "/docs"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_small_screen_shows_everything_readably(
    browser: Browser, url: str, path: str, scheme: Any
) -> None:
    context = browser.new_context(viewport=NARROW, color_scheme=scheme)  # type: ignore[arg-type]  # a TypedDict
    page = context.new_page()
    page.goto(url + path)
    page.wait_for_selector("#results[aria-busy=false], #operations details", state="attached")
    assert page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"]
    assert worst_contrast(page) >= 4.5
    labels = page.locator(".button span").evaluate_all("all => all.map((one) => one.offsetHeight)")
    assert max(labels, default=0) < 30  # one line each
    context.close()


def worst_contrast(page: Page) -> float:
    """The least contrast of any text with what lies behind it (WCAG 2.2, 1.4.3)."""
    found: float = page.evaluate(
        """() => {
          const parse = (text) => text.match(/[\\d.]+/g).map(Number);
          const light = (rgb) => rgb.slice(0, 3).map((c) => c / 255)
            .map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
            .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
          const behind = (node) => {
            for (let at = node; at; at = at.parentElement) {
              const colour = parse(getComputedStyle(at).backgroundColor);
              if (colour.length === 3 || colour[3] > 0) return colour;
            }
            return [255, 255, 255];
          };
          const texts = [...document.body.querySelectorAll("*")].filter((node) =>
            node.checkVisibility() && [...node.childNodes].some((child) =>
              child.nodeType === 3 && child.textContent.trim()));
          const hinting = [...document.querySelectorAll("[placeholder]")];
          const styles = [...texts.map((node) => [node, getComputedStyle(node)]),
            ...hinting.map((node) => [node, getComputedStyle(node, "::placeholder")])];
          return Math.min(...styles.map(([node, { color }]) => {
            const pair = [light(parse(color)), light(behind(node))];
            return (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05);
          }));
        }"""
    )
    return found


def test_the_pages_masks_are_those_of_pycocotools(page: Page, url: str) -> None:
    page.goto(url)
    random = np.random.default_rng(7)
    for height, width in ((1, 1), (7, 5), (40, 61), (200, 33)):
        for share in (0.02, 0.5, 0.98):
            array = random.random((height, width)) < share
            array[0, 0] = True
            encoded = coco.encode(np.asfortranarray(array.astype(np.uint8)))
            mask = {"size": [height, width], "counts": encoded["counts"].decode()}
            drawn = page.evaluate(
                """async ([mask, width, height]) => {
                  const { sample } = await import("/static/masks.js");
                  return Array.from(sample(mask, width, height));
                }""",
                [mask, width, height],
            )
            assert np.array_equal(np.array(drawn).reshape(height, width), array)


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("image=", "The address says “image=”, expected the number of a picture."),
        ("segment=x", "The address says “segment=x”, expected the number of a region."),
        (
            "image=1&at=5",
            "The address says “at=5”, expected a place in the picture, such as 320,200.",
        ),
        ("at=5,5", "The address says a place, but not in which picture."),
        (
            "image=1&at=5,5&candidate=64",
            "The address says “candidate=64”, expected the number of a mask.",
        ),
    ],
)
def test_an_odd_address_is_refused_in_plain_words(
    page: Page, url: str, address: str, said: str
) -> None:
    page.goto(f"{url}/?{address}")
    expect(page.locator("#message")).to_have_text(said)


def test_odd_judgements_are_passed_over(page: Page, url: str) -> None:
    page.goto(f"{url}/?q=red&like=1,x,-2&unlike=")
    ready(page)
    expect(page.locator("#question")).to_contain_text("what you said of 1 region")
    expect(page.locator(".card").first).to_be_visible()


def test_an_unknown_segment_is_said(page: Page, url: str) -> None:
    page.goto(f"{url}/?segment=999")
    expect(page.locator("#message")).to_have_text("There is no segment 999 in the library.")
