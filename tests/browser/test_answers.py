"""What lists are made of, and what the page says and offers beside them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.support.clicking_models import ClickModels
from tests.support.page_modules import call
from tests.support.page_server import search, served
from tests.support.painted_library import ask, image_ids, open_grid, paint_library, soon
from tests.support.small_models import Shape, paint

pytestmark = pytest.mark.browser
WORDS = "What to look for"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("answers")
    yield from served(folder / "library", paint_library(folder / "pictures"), ClickModels())


def hit(segment: int, image: int, relevance: float | None) -> dict[str, Any]:
    place = {"image_id": image, "width": 10, "height": 10, "path": "a.png"}
    return {"segment_id": segment, "relevance": relevance, **place}


@pytest.mark.parametrize(
    ("relevances", "right", "kept"),
    [
        ([0.9, 0.4, 0.1], [], [1, 2]),
        ([0.9, 0.01, 0.2], [], [1, 3]),
        ([0.1, 0.01], [], [1]),
        ([0.01, 0.9], [], [2]),
        ([0.9, 0.01], [2], [1, 2]),
        ([None, None], [], [1, 2]),
    ],
    ids=["likely", "in between", "none: the best", "the best is chance", "judged", "unknown"],
)
def test_of_a_picture_only_what_fits_is_outlined(
    page: Page, url: str, relevances: list[float | None], right: list[int], kept: list[int]
) -> None:
    page.goto(url)
    hits = [hit(number, 7, relevance) for number, relevance in enumerate(relevances, 1)]
    items = call(
        page,
        "app/items.js",
        "({itemsOf}, [hits, right]) => itemsOf(hits, false, right)",
        [hits, right],
    )
    assert [region["segment_id"] for region in items[0]["regions"]] == kept


def test_scenes_come_by_the_least_sure_of_their_things(page: Page, url: str) -> None:
    page.goto(url)
    scenes = [
        {**hit(0, image, relevance), "regions": {"dog": hit(image, image, 1.0)}}
        for image, relevance in ((1, 0.2), (2, 0.9), (3, 0.0), (4, 0.9))
    ]
    use = """({scenesOf, isDoubtful}, scenes) =>
        scenesOf(scenes).map((item) => [item.image, isDoubtful(item)])"""
    found = call(page, "app/items.js", use, scenes)
    assert found == [[2, False], [4, False], [1, False], [3, True]]


def test_an_empty_box_and_enter_show_the_library(page: Page, url: str) -> None:
    search(page, url, "red")
    page.get_by_label(WORDS).fill("")
    page.keyboard.press("Enter")
    page.wait_for_url(f"{url}/")
    expect(page.locator("#results .card")).to_have_count(8)
    expect(page.locator(".notice")).to_have_count(0)
    expect(page.get_by_label(WORDS)).to_be_focused()


def test_a_question_is_among_the_recent_once_wherever_it_was_asked(page: Page, url: str) -> None:
    segment = ask(page, url, f"images/{image_ids(page, url)['sun.png']}/segments")["segments"][0]
    for address in ("?q=red", "?q=red&shelf=tags", f"?q=red&wrong={segment['segment_id']}"):
        page.goto(f"{url}/{address}")
        page.wait_for_selector("#results[aria-busy=false]", state="attached")
    page.goto(f"{url}/?with=image-{image_ids(page, url)['bus.png']}")
    page.get_by_role("button", name="Recent and saved searches").click()
    recent = page.locator(".searches .panel li")
    expect(recent).to_have_text(["a picture", "red"])
    expect(recent.first.locator("img")).to_be_visible()


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        ("red without blue", "red -blue"),
        ("red not blue", "red -blue"),
        ("red, but no blue", "red -blue"),
        ("red without a blue", "red -blue"),
    ],
)
def test_a_minus_is_offered_for_words_that_mean_one(
    page: Page, url: str, words: str, meant: str
) -> None:
    search(page, url, words)
    page.get_by_role("button", name=f"Search “{meant}”").click()
    expect(page.get_by_label(WORDS)).to_have_value(meant)
    expect(page.get_by_role("button", name="Search “")).to_have_count(0)


@pytest.mark.parametrize("words", ["red", "notebook", "no", "red knot", "casino blue"])
def test_other_words_offer_none(page: Page, url: str, words: str) -> None:
    search(page, url, words)
    expect(page.locator("#message")).not_to_have_text("Searching …")
    expect(page.get_by_role("button", name="Search “")).to_have_count(0)


def test_a_picture_that_nothing_else_is_like_is_no_find(page: Page, tmp_path: Path) -> None:
    paint(tmp_path / "p" / "red.png", [Shape("red", (10, 10, 60, 60))])
    servers = served(tmp_path / "library", tmp_path / "p", ClickModels())
    url = next(servers)
    page.goto(f"{url}/?with=image-1")
    expect(page.locator("#results .card")).to_have_count(1)
    expect(page.locator("#message")).to_have_text("Nothing else is like it.")
    page.goto("about:blank")
    next(servers, None)


def test_another_window_hears_that_a_picture_was_removed(page: Page, tmp_path: Path) -> None:
    servers = served(tmp_path / "library", paint_library(tmp_path / "p"), ClickModels())
    url = next(servers)
    open_grid(page, url)
    expect(page.locator("#message")).to_have_text("8 pictures")
    page.wait_for_load_state("networkidle")
    gone = image_ids(page, url)["sun.png"]
    ask(page, url, "images/remove", {"image_ids": [gone]})
    expect(page.locator("#message")).to_have_text("7 pictures", timeout=15_000)
    expect(page.locator(f"[data-image='{gone}']")).to_have_count(0)
    page.goto("about:blank")
    next(servers, None)


def test_a_group_that_is_not_there_is_named_as_on_the_page_and_not_tried_again(
    page: Page, url: str
) -> None:
    ask(page, url, "map", {"collection": None})
    assert soon(lambda: bool(ask(page, url, "map")["state"] == "ready"))
    page.goto(f"{url}/?cluster=999")
    expect(page.locator("#message")).to_have_text("The map has no group 1000.")
    expect(page.get_by_role("button", name="Try again")).to_have_count(0)


def test_a_chosen_picture_moves_no_icon_out_of_the_box(page: Page, url: str) -> None:
    page.set_viewport_size({"width": 1280, "height": 800})
    upload = ask(page, url, "images/1")["paths"][0]
    page.goto(url)
    before = page.locator("#bar").bounding_box()
    page.get_by_label("Search by a picture").set_input_files(upload)
    expect(page.locator(".term[data-term=picture]")).to_have_text("picture")
    assert page.locator("#bar").bounding_box() == before
    boxes = [one.bounding_box() for one in page.locator(".ways > *").all()]
    middles = [box["y"] + box["height"] / 2 for box in boxes if box]
    assert max(middles) - min(middles) < 2
