"""The page while its server is killed, slow or strict, or takes a key back: a real process."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, Response, Route, expect

from segsearch.storage.api_keys import KeyRing, Scope
from tests.support.page_process import PageProcess
from tests.support.page_server import GREEN, PATIENCE_MS, names, ready, search, served_library
from tests.support.small_models import Shape, SmallModels, open_small_service, paint

pytestmark = [pytest.mark.browser, pytest.mark.process]
MANY = 60
AWAY = "The server does not answer"


@pytest.fixture(scope="module", autouse=True)
def patience() -> Iterator[None]:
    """A server that comes back is seen at the next look, seconds later."""
    expect.set_options(timeout=30_000)
    yield
    expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library of many pictures with something red in each, and one that is green."""
    folder = tmp_path_factory.mktemp("robust")
    for number in range(MANY):
        shapes = [Shape("red", (10, 10, 60 + number, 70)), Shape("blue", (4, 80, 30 + number, 88))]
        paint(folder / "pictures" / f"{number:02}.png", shapes, size=(160, 100))
    paint(folder / "pictures" / "green.png", [GREEN], size=(200, 320))
    with open_small_service(folder / "library") as service:
        service.index([folder / "pictures"])
    return folder


@pytest.fixture
def server(folder: Path) -> Iterator[PageProcess]:
    process = PageProcess(folder / "library")
    process.start()
    yield process
    process.kill()


@pytest.fixture(scope="module")
def url(folder: Path) -> Iterator[str]:
    with open_small_service(folder / "library", models=SmallModels()) as service:
        yield from served_library(service)


def ask(page: Page, words: str) -> None:
    page.get_by_label("What to look for").fill(words)
    page.keyboard.press("Enter")


def test_a_server_that_is_killed_and_comes_back(page: Page, server: PageProcess) -> None:
    search(page, server.url, "red")
    server.kill()
    away = page.locator(".working", has_text=AWAY)
    expect(away).to_contain_text("This page goes on when it is back.")
    assert len(names(page)) > 5, "what was found stays"
    ask(page, "green")
    expect(page.locator("#message")).to_contain_text(f"{AWAY}. Is segsearch still running?")
    server.start()
    expect(away).to_have_count(0)
    expect(page.locator("#message")).not_to_have_class(re.compile("bad"))
    ready(page)
    assert names(page)[0] == "green.png"
    ask(page, "blue")
    page.wait_for_url("**/?q=blue")
    ready(page)
    assert "green.png" not in names(page)


def test_what_was_asked_while_it_was_away_comes_by_itself(page: Page, server: PageProcess) -> None:
    search(page, server.url, "red")
    server.kill()
    ask(page, "green")
    expect(page.locator("#message")).to_contain_text(AWAY)
    server.start()
    expect(page.locator("#message")).not_to_have_class(re.compile("bad"))
    ready(page)
    assert names(page)[0] == "green.png"


def test_thumbnails_that_did_not_come_are_asked_for_again(page: Page, server: PageProcess) -> None:
    page.route("**/thumbnail*", lambda route: route.abort())
    search(page, server.url, "red")
    expect(page.locator(".card.gone").first).to_be_visible()
    page.unroute("**/thumbnail*")
    server.kill()
    expect(page.locator(".working")).to_contain_text(AWAY)
    server.start()
    expect(page.locator(".card.gone")).to_have_count(0)
    ready(page)


def test_an_upload_that_is_cut_is_told_and_sent_again(
    page: Page, server: PageProcess, tmp_path: Path
) -> None:
    page.goto(server.url)
    expect(page.locator(".card").first).to_be_visible()
    chosen = [paint(tmp_path / f"new {i}.png", [Shape("cyan", (5, 5, 50 + i, 60))]) for i in (1, 2)]

    def cut(route: Route) -> None:
        server.kill()
        route.continue_()

    page.route(
        "**/v1/images",
        lambda route: cut(route) if route.request.method == "POST" else None,
        times=1,
    )
    page.get_by_title("Add pictures or a folder").click()
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Pictures…").click()
    chooser.value.set_files(chosen)
    told = page.get_by_role("alert").filter(has_text="2 files of 2 not sent yet.")
    expect(told).to_contain_text(AWAY)
    page.get_by_role("button", name="Try again").last.click()
    expect(told).to_be_visible()  # it is away still
    server.start()
    # Sent by itself once the server is back; nobody has to click.
    expect(page.locator(".notice", has_text="2 pictures were added.")).to_be_visible()
    expect(told).to_have_count(0)
    expect(page.locator("#message")).to_have_text(f"{MANY + 3} pictures")


def held(page: Page, words: str) -> Callable[[], None]:
    """Hold searches for some words up until what comes back is called."""
    waiting: list[Route] = []

    def hold(route: Route) -> None:
        if f'"{words}"' in (route.request.post_data or ""):
            waiting.append(route)
        else:
            route.continue_()

    def release() -> None:
        for route in waiting:
            route.continue_()
        waiting.clear()

    page.route("**/v1/search", hold)
    return release


def test_a_slow_answer_is_waited_for_in_words(page: Page, url: str) -> None:
    search(page, url, "red")
    release = held(page, "green")
    ask(page, "green")
    expect(page.locator("#message")).to_have_text("Searching …")
    expect(page.locator("#results")).to_have_attribute("aria-busy", "true")
    assert len(names(page)) > 5, "what was found before stays until then"
    release()
    ready(page)
    assert names(page)[0] == "green.png"


def test_a_second_question_replaces_the_first(page: Page, url: str) -> None:
    page.goto(url)
    release = held(page, "red")
    with page.expect_event(
        "requestfailed", lambda failed: failed.url.endswith("/v1/search")
    ) as given_up:
        ask(page, "red")
        page.wait_for_url("**/?q=red")
        ask(page, "green")
    assert '"red"' in (given_up.value.post_data or "")
    page.wait_for_url("**/?q=green")
    ready(page)
    assert names(page)[0] == "green.png"
    release()
    page.wait_for_timeout(300)
    assert names(page)[0] == "green.png", "no answer that comes late wins"
    expect(page.locator("#message")).not_to_have_class(re.compile("bad"))
    page.go_back()  # what was given up is asked for anew
    page.unroute("**/v1/search")
    ready(page)
    expect(page.locator(".card")).not_to_have_count(1)


def test_an_error_of_the_server_is_told_and_the_page_goes_on(page: Page, url: str) -> None:
    search(page, url, "red")
    page.route("**/v1/search", lambda route: route.fulfill(status=500, body="<b>oops</b>"), times=1)
    ask(page, "green")
    expect(page.locator("#message")).to_have_text("The server answered 500.")
    page.get_by_role("button", name="Try again").click()
    ready(page)
    assert names(page)[0] == "green.png"


@pytest.fixture(scope="module")
def locked(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, KeyRing]]:
    """A server that wants keys, and allows each few requests."""
    library = tmp_path_factory.mktemp("locked") / "library"
    with open_small_service(library) as service:
        service.index([folder / "pictures"])
    with open_small_service(library, models=SmallModels(), rate_per_minute=240) as service:
        for url in served_library(service, need_key=True):
            yield url, KeyRing(library)


def use(page: Page, key: str) -> None:
    page.get_by_label("Key", exact=True).fill(key)
    page.get_by_role("button", name="Use this key").click()


def test_after_another_key_one_is_where_one_was(page: Page, locked: tuple[str, KeyRing]) -> None:
    url, ring = locked
    made, text = ring.create("first", Scope.WRITE)
    _, other = ring.create("second", Scope.WRITE)
    page.goto(f"{url}/?q=red&by=region")
    use(page, text)
    ready(page)
    page.locator(".look").nth(2).click()
    page.wait_for_url("**&image=*&segment=*")
    expect(page.locator("#picture .sheet img").first).to_be_visible()
    where = page.url
    ring.revoke(made.id)
    expect(page.get_by_label("Key", exact=True)).to_be_focused()
    expect(page.locator("#picture")).to_have_count(0)
    use(page, other)
    expect(page.locator("#picture .sheet img").first).to_be_visible()
    assert page.url == where
    page.keyboard.press("Escape")
    ready(page)
    assert len(names(page)) > 5


def test_who_may_only_read_is_offered_nothing_that_is_refused(
    page: Page, locked: tuple[str, KeyRing]
) -> None:
    url, ring = locked
    _, text = ring.create("reader", Scope.READ)
    refused: list[str] = []

    def note(answer: Response) -> None:
        if answer.status >= 400 and answer.status != 429:  # which is waited for
            refused.append(f"{answer.status} {answer.url}")

    page.goto(f"{url}/?q=red")
    use(page, text)
    ready(page)
    page.on("response", note)
    never = re.compile(r"^(Add|Tag|Remove|Save|Collect|Delete|Draw|Try)\b(?! to the query)")
    views = ("/?q=red", "/", "/?shelf=albums", "/?shelf=tags", "/?shelf=collections",
             "/?shelf=things", "/?shelf=duplicates", "/?view=map", "/?view=status",
             "/?q=red&image=1&segment=1")  # fmt: skip
    offered: list[str] = []
    for view in views:
        page.goto(url + view)
        expect(page.locator("main, #picture").first).to_be_visible()
        page.wait_for_timeout(500)
        for found in (
            page.get_by_role("button", name=never),
            page.get_by_role("textbox", name=never),
        ):
            offered += [f"{view}: {name}" for name in found.all_text_contents()]
        if page.locator(".bad:visible").count():
            offered.append(f"{view}: {page.locator('.bad:visible').first.inner_text()}")
    page.goto(f"{url}/?q=red")
    ready(page)
    page.locator(".card").first.hover()
    page.locator(".card .choose").first.click()
    bar = page.locator("#selection")
    expect(bar).to_be_visible()
    offered += bar.get_by_role("button", name=never).all_text_contents()
    page.get_by_role("button", name=re.compile("earches")).first.click()
    page.wait_for_timeout(300)
    offered += page.get_by_role("button", name=never).all_text_contents()
    assert not offered
    assert not refused


def test_pictures_do_not_count_among_a_keys_requests(
    page: Page, locked: tuple[str, KeyRing]
) -> None:
    url, ring = locked
    _, text = ring.create("scrolls", Scope.READ)
    pictures: list[int] = []
    others: list[tuple[int, str]] = []

    def note(answer: Response) -> None:
        status, at = answer.status, answer.url
        if "/thumbnail" in at:
            pictures.append(status)
        elif "/v1/" in at:
            others.append((status, at))

    page.goto(f"{url}/?q=red&by=region")
    page.on("response", note)
    use(page, text)
    ready(page)
    for _ in range(12):
        page.mouse.move(500, 500)
        page.mouse.wheel(0, 900)
        page.wait_for_timeout(60)
    page.goto(f"{url}/")
    ready(page)
    for _ in range(12):
        page.mouse.wheel(0, 900)
        page.wait_for_timeout(60)
    assert len(pictures) >= MANY / 2
    assert not [status for status in pictures if status >= 400]
    search(page, url, "green")
    assert names(page)[0] == "green.png"
    assert [one for one in others if one[0] == 429] == []


def test_who_asks_too_often_is_served_a_little_later(
    page: Page, locked: tuple[str, KeyRing]
) -> None:
    url, ring = locked
    _, text = ring.create("hasty", Scope.READ)
    page.goto(f"{url}/?q=red")
    use(page, text)
    ready(page)
    slowed = page.evaluate(
        """async () => {
          const all = await Promise.all(Array.from({length: 60}, () => fetch("v1/facets")));
          return all.filter(({status}) => status === 429).length;
        }"""
    )
    assert slowed, "the rate is used up"
    ask(page, "green")
    page.wait_for_url("**/?q=green")
    ready(page)
    assert names(page)[0] == "green.png"
    expect(page.locator("#message")).not_to_have_class(re.compile("bad"))
