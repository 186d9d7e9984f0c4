"""The page over time: tabs that nobody sees, servers that go and come, files that change."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.support.page_server import RED, ready, search, served
from tests.support.small_models import SmallModels, open_small_service, paint

pytestmark = pytest.mark.browser

# Streams that a test can break and mend, and a tab it can hide.
STREAMS = """
  window.streams = [];
  const Real = EventSource;
  window.EventSource = class extends Real {
    constructor(path) { super(path); streams.push(this); }
  };
  let hidden = false;
  Object.defineProperty(document, "hidden", { get: () => hidden });
  window.hide = (now) => { hidden = now; document.dispatchEvent(new Event("visibilitychange")); };
"""
OPEN, CLOSED = 1, 2


@pytest.fixture(scope="module")
def url(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    yield from served(tmp_path_factory.mktemp("staying") / "library", pictures, SmallModels())


def test_a_hidden_tab_leaves_its_connection_and_catches_up(
    page: Page, pictures: Path, tmp_path: Path
) -> None:
    page.add_init_script(STREAMS)
    servers = served(tmp_path / "library", pictures, SmallModels())
    page.goto(next(servers))
    ready(page)
    page.wait_for_function(f"streams[0].readyState === {OPEN}")
    page.evaluate("hide(true)")
    assert page.evaluate("streams.map((one) => one.readyState)") == [CLOSED]
    with open_small_service(tmp_path / "library") as service:
        service.index([paint(tmp_path / "new" / "d.png", [RED]).parent])
    page.evaluate("hide(false)")
    expect(page.locator("#library")).to_contain_text("4 pictures")
    expect(page.locator(".card .file", has_text="d.png")).to_be_visible()
    page.goto("about:blank")
    next(servers, None)


def test_a_server_that_goes_and_comes_is_noticed(page: Page, url: str) -> None:
    page.add_init_script(STREAMS)
    page.goto(url)
    ready(page)
    page.wait_for_function(f"streams[0].readyState === {OPEN}")
    line = page.locator("#library")
    expect(line).to_contain_text("3 pictures")
    page.route("**/v1/status", lambda route: route.abort())
    page.evaluate("streams[0].dispatchEvent(new Event('error'))")
    expect(line).to_contain_text("does not answer")
    page.unroute("**/v1/status")
    page.evaluate("streams[0].dispatchEvent(new Event('open'))")
    expect(line).to_contain_text("3 pictures")


def test_pictures_that_a_server_away_did_not_give_come_when_it_is_back(
    page: Page, url: str
) -> None:
    page.add_init_script(STREAMS)
    page.route("**/thumbnail*", lambda route: route.abort())
    page.goto(url)
    ready(page)
    expect(page.locator(".card.gone")).to_have_count(3)
    page.route("**/v1/status", lambda route: route.abort())
    page.evaluate("streams[0].dispatchEvent(new Event('error'))")
    expect(page.locator("#library")).to_contain_text("does not answer")
    page.unroute_all()
    page.evaluate("streams[0].dispatchEvent(new Event('open'))")
    expect(page.locator("#library")).to_contain_text("3 pictures")
    expect(page.locator(".card.gone")).to_have_count(0)
    page.wait_for_function(
        "() => [...document.querySelectorAll('.card img')].every((image) => image.naturalWidth > 0)"
    )


def test_a_gallery_of_many_pictures_shows_more_and_stays_so(page: Page, tmp_path: Path) -> None:
    page.add_init_script(STREAMS)
    folder = tmp_path / "many"
    for number in range(50):
        paint(folder / f"{number:02}.png", [RED], size=(160 + number, 100))
    servers = served(tmp_path / "library", folder, SmallModels())
    page.goto(next(servers))
    ready(page)
    expect(page.locator(".card")).to_have_count(48)
    page.get_by_role("button", name="Show more").click()
    expect(page.locator(".card")).to_have_count(50)
    expect(page.get_by_role("button", name="Show more")).to_be_hidden()
    assert page.evaluate("document.activeElement.closest('.card').textContent").count("48.png")
    paint(folder / "50.png", [RED], size=(300, 100))
    with open_small_service(tmp_path / "library") as service:
        service.index([folder])
    page.evaluate("streams[0].dispatchEvent(new Event('error'))")
    expect(page.locator(".card")).to_have_count(51)
    page.get_by_label("What to look for").fill("red")
    page.keyboard.press("Enter")
    page.wait_for_url("**/?q=red")
    ready(page)
    page.go_back()
    expect(page.locator(".card")).to_have_count(51)
    page.goto("about:blank")
    next(servers, None)


def test_an_answer_that_is_cut_short_is_said(page: Page, url: str) -> None:
    page.route("**/v1/search", lambda route: route.fulfill(body='{"hits": [{"rank":'))
    search(page, url, "red")
    expect(page.locator("#message")).to_have_text("The server broke off its answer: ask again.")


def test_a_chosen_file_that_went_away_is_said(page: Page, url: str, tmp_path: Path) -> None:
    chosen = paint(tmp_path / "q.png", [RED])
    page.goto(url)
    ready(page)
    page.locator("#file").set_input_files(chosen)
    expect(page.locator("#question")).to_have_text("Like the picture q.png")
    ready(page)
    chosen.unlink()
    page.locator(".card .right").first.click()
    expect(page.locator("#message")).to_contain_text("q.png cannot be read, or has changed")


def test_a_whole_picture_whose_file_is_gone_says_so(page: Page, url: str) -> None:
    page.route(
        "**/v1/images/1/thumbnail?side=1024",
        lambda route: route.fulfill(
            status=422, json={"code": "picture_error", "detail": "The file is gone."}
        ),
    )
    page.goto(f"{url}/?image=1")
    expect(page.locator("#message")).to_have_text("The file is gone.")
    expect(page.locator("#message")).to_have_class("bad")


@pytest.mark.parametrize(("words", "searched"), [(True, False), (False, True)])
def test_words_that_carry_a_picture_of_them_are_pasted_as_words(
    page: Page, url: str, words: bool, searched: bool
) -> None:
    page.goto(url)
    ready(page)
    page.evaluate(
        """(words) => {
          const carried = new DataTransfer();
          carried.items.add(new File(["no picture"], "image.png", { type: "image/png" }));
          carried.setData("text/html", "<p>a red umbrella</p>");
          if (words) carried.setData("text/plain", "a red umbrella");
          document.body.dispatchEvent(
            new ClipboardEvent("paste", { clipboardData: carried, bubbles: true }));
        }""",
        words,
    )
    expect(page.locator("#asked")).to_be_visible(visible=searched)


def test_judgements_of_what_was_deleted_elsewhere_are_left_out(
    page: Page, pictures: Path, tmp_path: Path
) -> None:
    servers = served(tmp_path / "library", pictures, SmallModels())
    url = next(servers)
    kept, gone = (
        page.request.get(f"{url}/v1/images/{image_id}/segments").json()["segments"][0]["segment_id"]
        for image_id in (1, 2)
    )
    page.request.delete(f"{url}/v1/images/2")
    page.goto(f"{url}/?q=red&like={gone}&unlike=99&like={kept}")
    ready(page)
    message = page.locator("#message")
    expect(message).to_contain_text(" · 2 judged regions are gone, and left out")
    expect(page.locator("#question")).to_contain_text("what you said of 1 region")
    expect(page.locator(".card").first).to_be_visible()
    assert page.url.endswith(f"?q=red&like={kept}")
    page.goto("about:blank")
    next(servers, None)


def test_counts_follow_when_something_is_found_to_be_gone(
    page: Page, pictures: Path, tmp_path: Path
) -> None:
    servers = served(tmp_path / "library", pictures, SmallModels())
    url = next(servers)
    page.goto(url)
    ready(page)
    page.request.delete(f"{url}/v1/images/2")
    page.get_by_role("button", name="b.png. Show its regions.").click()
    expect(page.locator("#message")).to_have_text("There is no image 2 in the library.")
    expect(page.locator("#library")).to_contain_text("2 pictures · 3 segments")
    page.go_back()
    expect(page.locator(".card")).to_have_count(2)
    page.goto("about:blank")
    next(servers, None)
