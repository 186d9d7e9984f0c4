"""What once went wrong on the page, in a real browser: each with the way that led there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Request, Route, ViewportSize, expect

from tests.support.clicking_models import ClickModels
from tests.support.page_modules import call
from tests.support.page_server import served
from tests.support.painted_library import ask, image_ids, open_grid, paint_library, soon, stored
from tests.support.small_models import Shape, paint

pytestmark = pytest.mark.browser

NARROW: ViewportSize = {"width": 390, "height": 844}
HELD = """
  window.held = [];
  const {webkitGetAsEntry} = DataTransferItem.prototype;
  DataTransferItem.prototype.webkitGetAsEntry = function () {
    const entry = webkitGetAsEntry.call(this);
    const reader = Object.getPrototypeOf(entry.createReader()), {readEntries} = reader;
    if (!window.holds) reader.readEntries = function (...told) {
      window.held.push(() => readEntries.apply(this, told));
    };
    window.holds = true;
    return entry;
  };
"""


# The page takes what is dropped once it knows what its key may do.
TAKES = """() => {
  const data = new DataTransfer();
  data.items.add(new File([""], "a.png"));
  const drag = new DragEvent("dragover", {dataTransfer: data, cancelable: true, bubbles: true});
  return !document.body.dispatchEvent(drag);
}"""


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("mended")
    yield from served(folder / "library", paint_library(folder / "pictures"), ClickModels())


@pytest.fixture
def mapped(page: Page, url: str) -> list[dict[str, Any]]:
    """The groups of a map of the whole library, which is there."""
    if ask(page, url, "map")["state"] == "none":
        ask(page, url, "map", {"collection": None})
    assert soon(lambda: ask(page, url, "map")["state"] == "ready")
    groups: list[dict[str, Any]] = ask(page, url, "map")["clusters"]
    return groups


def posts(page: Page, path: str) -> list[Request]:
    """The requests that the page posts there from now on."""
    seen: list[Request] = []
    page.on("request", lambda one: seen.append(one) if _is_post(one, path) else None)
    return seen


def _is_post(request: Request, path: str) -> bool:
    return request.method == "POST" and request.url.endswith(path)


def assert_sent(page: Page, seen: list[Request], many: int) -> None:
    """Requests are told of while the page is asked something."""
    assert soon(lambda: page.evaluate("true") and len(seen) >= many)
    assert len(seen) == many


def ask_for(page: Page, changes: dict[str, Any]) -> None:
    """What the page asks for is changed, and the view stays."""
    call(page, "app/store.js", "({change}, changes) => change(changes)", changes)


def test_stop_ends_what_looks_through_folders(page: Page, url: str, tmp_path: Path) -> None:
    folder = tmp_path / "holiday"
    for place in (folder, folder / "deep", folder / "deep" / "er"):
        paint(place / "a.png", [Shape("red", (5, 5, 50, 50))], size=(80, 60))
    page.add_init_script(HELD)
    page.goto(f"{url}/?view=status")
    page.route("**/v1/images", lambda _: None)  # it hangs
    sent = posts(page, "/v1/images")
    page.wait_for_function(TAKES)
    devtools = page.context.new_cdp_session(page)
    data = {"items": [], "files": [str(folder)], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        devtools.send("Input.dispatchDragEvent", {"type": kind, "x": 500, "y": 500, "data": data})
    for _ in range(2):  # the folder, and that there is no more in it
        page.wait_for_function("() => window.held.length > 0")
        page.evaluate("held.shift()()")
    page.wait_for_function("() => window.held.length > 0")
    expect(page.locator(".working")).to_contain_text("looking for more")
    page.locator(".working").get_by_role("button", name="Stop").click()
    expect(page.locator(".notice")).to_contain_text("Stopped: 0 of 1 file")
    page.evaluate("for (; held.length; ) held.shift()()")
    page.wait_for_function("() => window.held.length > 0")
    page.evaluate("held.shift()()")
    expect(page.locator(".working")).to_have_count(0)
    assert len(sent) == 1


def test_what_is_handed_over_while_sending_stops_is_sent(page: Page, url: str) -> None:
    page.goto(f"{url}/?view=status")
    sent = posts(page, "/v1/images")
    page.route("**/v1/images", lambda route: None if len(sent) < 2 else route.abort())
    use = """async ({send, stopSending, sending}) => {
      const file = (name) => new File(["nothing"], name, {type: "image/png"});
      void send([file("a.png"), file("b.png")]);
      await new Promise((resolve) => setTimeout(resolve));
      stopSending();
      await send([file("c.png")]);
      return sending().waiting.map(({file: {name}}) => name);
    }"""
    call(page, "app/sending.js", use)
    assert_sent(page, sent, 2)


def test_the_map_is_there_again_after_a_collection_without_one(
    page: Page, url: str, mapped: list[dict[str, Any]]
) -> None:
    assert mapped
    ask(page, url, "collections", {"name": "Bare"})
    page.goto(f"{url}/?view=map&q=red")
    expect(page.locator("#map canvas")).to_be_visible()
    ask_for(page, {"filters": {"collections": ["Bare"]}})
    expect(page.locator("#map #message")).to_contain_text("There is no map yet")
    ask_for(page, {"filters": {}})
    expect(page.locator("#map canvas")).to_be_visible()
    expect(page.locator("#map #message")).to_contain_text("what looks alike lies together")


def test_a_map_that_is_made_is_looked_at_until_the_server_answers(
    page: Page, url: str, mapped: list[dict[str, Any]]
) -> None:
    assert mapped
    document = ask(page, url, "map")
    answers: list[dict[str, Any]] = [
        {"json": {**document, "state": "making", "made_at": None, "progress": 0.5}},
        {"status": 500, "json": {}},
    ]

    def answer(route: Route) -> None:
        route.fulfill(**answers.pop(0)) if answers else route.continue_()

    page.route("**/v1/map", answer)
    made = posts(page, "/v1/map")
    page.goto(f"{url}/?view=map")
    expect(page.locator("#map canvas")).to_be_visible()
    assert not answers
    page.unroute("**/v1/map")
    page.route("**/v1/map", lambda route: route.abort())
    page.goto(f"{url}/?view=map&all=1")
    expect(page.locator("#map #message.bad")).to_contain_text("does not answer")
    page.unroute("**/v1/map")
    page.locator("#map").get_by_role("button", name="Try again").click()
    expect(page.locator("#map canvas")).to_be_visible()
    assert not made, "the map was only not to be had"


def test_what_stands_out_on_the_map_follows_what_is_asked_for(
    page: Page, url: str, mapped: list[dict[str, Any]]
) -> None:
    page.goto(f"{url}/?view=map")
    expect(page.locator("#map canvas")).to_be_visible()
    watch = """({Points}) => {
      const {mark} = Points.prototype;
      Points.prototype.mark = function (marked) {
        window.marked = marked.reduce((sum, one) => sum + one, 0);
        return mark.call(this, marked);
      };
    }"""
    call(page, "app/points.js", watch)
    ask_for(page, {"words": "red"})
    page.wait_for_function("() => window.marked > 0")
    regions = sum(group["regions"] for group in mapped)
    assert page.evaluate("window.marked") <= regions
    ask_for(page, {"words": ""})
    page.wait_for_function("() => window.marked === 0")


def test_a_group_of_the_map_is_named_by_its_words(
    page: Page, url: str, mapped: list[dict[str, Any]]
) -> None:
    group = next(group for group in mapped if group["words"])
    said = ", ".join(group["words"][:2])
    asked: list[str] = []
    page.on("request", lambda one: asked.append(one.url) if one.url.endswith("/map") else None)
    open_grid(page, url, f"?cluster={group['cluster']}")
    expect(page.locator("#filters .term").first).to_have_text(said)
    expect(page.get_by_role("button", name=f"Remove the filter {said}")).to_be_visible()
    ask_for(page, {"filters": {"map_cluster": group["cluster"], "min_width": 1}})
    expect(page.locator("#filters .term")).to_have_count(2)
    assert len(asked) == 1


def test_a_picture_from_another_page_is_searched_by_and_not_added(page: Page, url: str) -> None:
    open_grid(page, url)
    added = posts(page, "/v1/images")
    page.evaluate(
        """async () => {
          const canvas = Object.assign(document.createElement("canvas"), {width: 40, height: 40});
          canvas.getContext("2d").fillRect(5, 5, 20, 20);
          const blob = await new Promise((resolve) => canvas.toBlob(resolve));
          const dataTransfer = new DataTransfer();
          dataTransfer.items.add(new File([blob], "a.png", {type: "image/png"}));
          dataTransfer.items.add("http://localhost/a.png", "text/uri-list");
          document.querySelector("main").dispatchEvent(
            new DragEvent("drop", {dataTransfer, bubbles: true, cancelable: true}));
        }"""
    )
    page.wait_for_url("**/?with=picture-*")
    assert not added


def test_a_pinch_cuts_nothing_out_though_one_finger_leaves_first(
    url: str, browser: Browser
) -> None:
    context = browser.new_context(viewport=NARROW, has_touch=True, is_mobile=True)
    page = context.new_page()
    image = image_ids(page, url)["bus.png"]
    page.goto(f"{url}/?image={image}")
    page.get_by_role("button", name="Cut out").click()
    box = page.locator("#picture .sheet").bounding_box()
    assert box
    cut = posts(page, "")
    fingers = context.new_cdp_session(page)
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    def touch(kind: str, *steps: float) -> None:
        points = [{"x": x + step, "y": y + step / 2, "id": i} for i, step in enumerate(steps)]
        fingers.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", -20)
    touch("touchStart", -20, 20)
    touch("touchMove", -40, 40)
    touch("touchEnd", -40)
    touch("touchMove", -90)
    expect(page.locator("#picture i.box")).to_have_count(0)
    touch("touchEnd")
    touch("touchStart", -20)
    touch("touchMove", 40)
    expect(page.locator("#picture i.box")).to_have_count(1)
    assert not cut
    touch("touchEnd")
    assert_sent(page, cut, 1)
    context.close()


def test_lists_follow_tags_and_a_collection_is_chosen_without_the_facets(
    page: Page, url: str
) -> None:
    ids = image_ids(page, url)
    pair = [ids["sun.png"], ids["sea.png"]]
    ask(page, url, "images/tags", {"image_ids": pair, "add": ["summer"]})
    ask(page, url, "collections", {"name": "Kept"})
    page.route("**/v1/facets", lambda route: route.abort())
    open_grid(page, url, "?tag=summer")
    expect(page.locator("#results .card")).to_have_count(2)
    page.locator(".card", has_text="sun.png").locator(".look").click()
    page.get_by_role("button", name="Collect").click()
    page.get_by_label("A new collection").fill("Kept")
    page.keyboard.press("Enter")
    expect(page.locator(".notice")).to_contain_text("1 picture put into Kept.")
    assert stored(page, url, collections=["Kept"]) == {"sun.png"}
    page.locator(".notice").get_by_role("button", name="Undo").click()
    assert soon(lambda: not stored(page, url, collections=["Kept"]))
    page.get_by_role("button", name="Remove the tag summer").click()
    expect(page.get_by_role("button", name="Remove the tag summer")).to_have_count(0)
    page.keyboard.press("Escape")
    expect(page.locator("#results .file")).to_have_text(["sea.png"])


def test_what_can_be_undone_stays_though_more_is_told(page: Page, url: str) -> None:
    open_grid(page, url)
    use = """({notify}) => {
      window.done = [];
      const removal = (n) => notify(`removal ${n}`, {undo() {}, done: () => done.push(n)});
      notify("writing", {stay: true, act: {text: "Stop", run() {}}});
      removal(0);
      for (const n of [1, 2, 3, 4]) notify(`word ${n}`);
      window.removal = removal;
    }"""
    call(page, "app/ui.js", use)
    notices = page.locator(".notice > span")
    expect(notices).to_have_text(["writing", "removal 0", "word 4"])
    page.evaluate("() => { for (let n = 1; n < 8; n++) removal(n); }")
    expect(notices).to_have_text(["writing", *(f"removal {n}" for n in range(1, 8))])
    assert page.evaluate("done") == [0], "what cannot be undone any more is carried out"


def test_a_page_that_is_closed_removes_more_than_one_request_holds(page: Page, url: str) -> None:
    open_grid(page, url)
    page.route("**/v1/images/remove", lambda route: route.fulfill(json={"removed": 0}))
    sent = posts(page, "/v1/images/remove")
    ids = list(range(100_001, 112_002))
    call(page, "app/arranging.js", "({removeImages}, ids) => removeImages(ids)", ids)
    page.evaluate("dispatchEvent(new PageTransitionEvent('pagehide'))")
    assert_sent(page, sent, 3)
    parts = [json.loads(one.post_data or "")["image_ids"] for one in sent]
    assert [len(part) for part in parts] == [5_000, 5_000, 2_001]
    assert sorted(number for part in parts for number in part) == ids


def test_an_undo_that_is_refused_says_so(page: Page, url: str) -> None:
    page.goto(f"{url}/?q=red")
    clock = page.get_by_title("Recent and saved searches")
    clock.click()
    page.get_by_label("Save this search as").fill("Reds")
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_role("button", name="Forget Reds").click()
    page.route("**/v1/searches/Reds", lambda route: route.abort())
    page.locator(".notice").get_by_role("button", name="Undo").click()
    expect(page.locator(".notice.bad")).to_contain_text("does not answer")


def test_each_menu_stays_within_a_narrow_window(page: Page, url: str) -> None:
    page.set_viewport_size(NARROW)
    saved = {
        "address": "?q=a%20search%20that%20is%20much%20longer%20than%20a%20telephone%20is%20wide"
    }
    assert page.request.put(f"{url}/v1/searches/Long", data=saved).ok
    page.goto(f"{url}/?q=red&thing=dog&thing=a%20very%20long%20name%20of%20a%20thing")
    page.get_by_role("button", name="Filters").click()
    menus = page.locator("#bar .menu > button:visible")
    expect(menus.nth(10)).to_be_visible()  # of the filters eight, and the scene, searches, adding
    for number in range(menus.count()):
        menu = menus.nth(number)
        menu.click()
        panel = page.locator("#bar .menu .panel")
        expect(panel).to_be_visible()
        page.wait_for_load_state("networkidle")
        box = panel.bounding_box()
        assert box
        name = menu.inner_text()
        assert box["x"] >= 0, name
        assert box["x"] + box["width"] <= NARROW["width"], name
        assert box["y"] + box["height"] <= NARROW["height"], name
        page.keyboard.press("Escape")
        expect(panel).to_have_count(0)
