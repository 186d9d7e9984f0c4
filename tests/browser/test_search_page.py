"""The page in a real browser, beyond words: clicks, verdicts, pages, additions, jobs."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import Page, Route, expect

from segsearch.core.arrays import BoolArray
from segsearch.ingest.job_log import UPDATE_SECONDS, JobLog
from segsearch.ingest.worker import Step
from segsearch.models.pipeline import Pipeline
from segsearch.models.segment.prompts import Prompts
from segsearch.storage.catalog.sql_catalog import Catalog
from tests.support.clicking_models import ClickModels, ClickSegmenter, ColourPatches
from tests.support.page_server import BLUE, RED, ready, search, served
from tests.support.small_models import ColourEmbedder, Shape, SmallModels, open_small_service, paint

pytestmark = pytest.mark.browser


def test_what_is_being_indexed_is_shown_while_it_goes_on(
    page: Page, pictures: Path, tmp_path: Path
) -> None:
    servers = served(tmp_path / "library", pictures, SmallModels())
    url = next(servers)
    page.goto(url)
    ready(page)
    expect(page.locator("#job")).to_be_hidden()
    new = paint(tmp_path / "new" / "d.png", [RED])
    with open_small_service(tmp_path / "library") as service:
        service.index([new.parent])
        catalog = Catalog(tmp_path / "library" / "catalog.sqlite")
        with JobLog(catalog, "index", [new], threading.Event()) as log:
            log.begin_work(7)
            expect(page.locator("#job")).to_have_text("Indexing 0 of 7 pictures · 0 regions")
            time.sleep(UPDATE_SECONDS)  # more often it is not written down
            log.note(Step(str(new), 3, None))
            line = "Indexing 1 of 7 pictures · 3 regions · d.png"
            expect(page.locator("#job")).to_have_text(line)
            expect(page.locator("#job-bar")).to_have_attribute("value", "1")
    expect(page.locator("#job")).to_be_hidden()
    expect(page.locator("#library")).to_contain_text("4 pictures")
    expect(page.locator(".card .file", has_text="d.png")).to_be_visible()
    page.goto("about:blank")
    next(servers, None)


def index_beside(page: Page, library: Path, new: Path) -> None:
    """Index one picture in another process's name, and wait until the page has heard of it."""
    with open_small_service(library) as service:
        service.index([new.parent])
    catalog = Catalog(library / "catalog.sqlite")
    with JobLog(catalog, "index", [new], threading.Event()) as log:
        log.begin_work(1)
        time.sleep(UPDATE_SECONDS)  # more often it is not written down
        log.note(Step(str(new), 1, None))
        expect(page.locator("#job-bar")).to_have_attribute("value", "1")
    expect(page.locator(".card .file", has_text=new.name)).to_be_visible()


def test_what_is_typed_and_the_focus_stay_while_pictures_are_indexed(
    page: Page, pictures: Path, tmp_path: Path
) -> None:
    servers = served(tmp_path / "library", pictures, SmallModels())
    page.goto(next(servers))
    ready(page)
    words = page.get_by_label("What to look for")
    words.fill("half a sent")
    index_beside(page, tmp_path / "library", paint(tmp_path / "1" / "d.png", [RED]))
    expect(words).to_have_value("half a sent")
    expect(words).to_be_focused()
    first = page.get_by_role("button", name="a.png. Show its regions.")
    first.focus()
    index_beside(page, tmp_path / "library", paint(tmp_path / "2" / "e.png", [BLUE]))
    expect(first).to_be_focused()
    expect(words).to_have_value("half a sent")
    names = page.locator(".card .file").all_inner_texts()
    assert (len(names), names[-2:]) == (5, ["d.png", "e.png"])
    page.goto("about:blank")
    next(servers, None)


def test_the_gallery_passes_over_what_failed_and_says_what_waits(
    page: Page, tmp_path: Path
) -> None:
    (tmp_path / "new").mkdir()
    for number in range(48):  # as many as the gallery shows
        (tmp_path / "new" / f"{number:02d}.png").write_bytes(b"no picture: %d" % number)
    library = tmp_path / "library"
    servers = served(library, tmp_path / "new", SmallModels())
    url = next(servers)
    message = page.locator("#message")
    page.goto(url)
    expect(message).to_have_text("None of the pictures could be indexed.")
    added = paint(tmp_path / "z.png", [RED])
    page.locator("#add").set_input_files(added)
    expect(message).to_contain_text("1 new picture to be indexed")
    page.goto(url)
    expect(message).to_contain_text("being indexed; each appears here")
    expect(page.locator("#library")).to_contain_text("1 waiting")
    index_beside(page, library, paint(tmp_path / "last" / "y.png", [BLUE]))
    expect(page.locator(".card")).to_have_count(2)
    expect(message).to_contain_text("Say what to look for")
    page.goto("about:blank")
    next(servers, None)


def test_more_is_added_than_one_form_may_hold(page: Page, tmp_path: Path) -> None:
    new = [paint(tmp_path / f"{n}.png", [Shape("red", (1, 1, 20 + n, 30))]) for n in range(3)]
    for path in new:
        with path.open("ab") as file:
            file.truncate(30_000_000)  # what stands behind a PNG's end is passed over
    (tmp_path / "no.jpg").write_bytes(b"x" * 30_000_000)
    servers = served(tmp_path / "library", None, SmallModels())
    page.goto(next(servers))
    ready(page)
    forms: list[str] = []
    page.on("request", lambda asked: forms.append(asked.url) if asked.method == "POST" else None)
    page.locator("#add").set_input_files([*new, tmp_path / "no.jpg"])
    expect(page.locator("#message")).to_contain_text(
        "3 new pictures to be indexed · 1 refused", timeout=30_000
    )
    assert len(forms) == 4  # a second file would make each larger than 50 MB
    page.goto("about:blank")
    next(servers, None)


@pytest.fixture(scope="module")
def many_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A library large enough to tell chance, with more red things than a page shows."""
    folder = tmp_path_factory.mktemp("many")
    for number in range(150):
        colour = "red" if number % 5 == 0 else ("blue", "green")[number % 2]
        side = 10 + number % 17
        shapes = [Shape(colour, (4, 4, 4 + side, 30))]
        paint(folder / "pictures" / f"{number:03d}.png", shapes, size=(100 + number, 90))
    (folder / "pictures" / "broken.png").write_bytes(b"no picture")
    yield from served(folder / "library", folder / "pictures", ClickModels())


def test_what_no_region_covers_is_cut_out_where_it_is_clicked(page: Page, many_url: str) -> None:
    page.goto(f"{many_url}/?image=2")
    ready(page)
    box = page.locator("#whole-masks").bounding_box()
    assert box is not None
    page.locator("#whole-masks").click(position={"x": box["width"] * 0.9, "y": box["height"] * 0.9})
    page.wait_for_url("**/?image=2&at=*")
    ready(page)
    expect(page.locator("#question")).to_contain_text("Like what lies at")
    expect(page.locator("#whole-masks")).to_be_visible()
    expect(page.locator("#message")).to_contain_text("Nothing in the library matches")
    page.get_by_role("button", name="Show the nearest anyway").click()
    page.wait_for_url("**&all=1")
    ready(page)
    expect(page.locator(".card").first).to_be_visible()
    choices = page.locator("#candidates button")
    expect(choices).to_have_count(3)
    other = page.locator("#candidates button[aria-pressed=false]").first
    other.click()
    page.wait_for_url("**&candidate=*")
    ready(page)
    expect(page.locator("#candidates button[aria-pressed=true]")).to_have_count(1)


class HalfBlindSegmenter(ClickSegmenter):
    """As the one that can be pointed at, but there is nothing in the left half."""

    def _thing(
        self, picture: ColourPatches, prompts: Prompts, box: NDArray[np.float64] | None
    ) -> BoolArray:
        if prompts.points[0][0] < picture.size[1] / 2:
            return np.zeros(picture.size, dtype=bool)
        return super()._thing(picture, prompts, box)


class HalfBlindModels(SmallModels):
    def pipeline(self) -> Pipeline:
        return Pipeline(HalfBlindSegmenter(), ColourEmbedder(), self.crop)


def test_where_nothing_is_found_one_can_point_elsewhere(
    page: Page, pictures: Path, tmp_path: Path
) -> None:
    servers = served(tmp_path / "library", pictures, HalfBlindModels())
    page.goto(f"{next(servers)}/?image=1&at=10,190")
    message, whole = page.locator("#message"), page.locator("#whole-masks")
    expect(message).to_have_text("The segmenter finds no region there: point elsewhere.")
    expect(message).to_have_class("bad")
    width = page.locator("#whole-picture").bounding_box()["width"]  # type: ignore[index]  # it is seen
    whole.click(position={"x": width * 0.9, "y": 5})
    page.wait_for_url("**/?image=1&at=28*")
    ready(page)
    expect(page.get_by_role("application")).to_have_accessible_name("What you pointed at, outlined")
    expect(message).not_to_have_class("bad")
    page.goto("about:blank")
    next(servers, None)


def test_more_is_appended_until_the_end(page: Page, many_url: str) -> None:
    search(page, many_url, "red")
    expect(page.locator(".card")).to_have_count(24)
    before = page.locator(".cutout").evaluate_all("links => links.map((link) => link.href)")
    while page.locator("#more").is_visible():
        page.locator("#more").click()
        expect(page.locator("#more")).to_be_enabled()
    after = page.locator(".cutout").evaluate_all("links => links.map((link) => link.href)")
    assert after[:24] == before
    assert len(set(after)) == len(after) > 24


def test_a_thumb_down_leaves_a_hit_out_and_a_thumb_up_stays(page: Page, many_url: str) -> None:
    search(page, many_url, "red")
    links = page.locator(".cutout")
    wrong = links.first.get_attribute("href")
    page.locator(".card .wrong").first.click()
    page.wait_for_url("**unlike=*")
    ready(page)
    assert wrong not in links.evaluate_all("links => links.map((one) => one.getAttribute('href'))")
    expect(page.locator("#question")).to_contain_text("what you said of 1 region")
    page.locator(".card .right").first.click()
    page.wait_for_url("**&like=*")
    ready(page)
    pressed = page.locator(".right[aria-pressed=true]")
    expect(pressed).to_have_count(1)
    pressed.click()
    ready(page)
    expect(page.locator(".right[aria-pressed=true]")).to_have_count(0)


def test_of_too_many_verdicts_the_oldest_is_left_out(page: Page, many_url: str) -> None:
    known = page.request.get(f"{many_url}/v1/images/1/segments").json()["segments"][0]
    ids = range(known["segment_id"], known["segment_id"] + 40)
    many = "&".join(f"{('like', 'unlike')[one % 2]}={one}" for one in ids)
    page.goto(f"{many_url}/?q=red&all=1&{many}")
    ready(page)
    expect(page.locator("#question")).to_contain_text("what you said of 31 regions")
    pressed = page.locator(".card", has=page.locator(".wrong[aria-pressed=false]")).first
    newest = pressed.get_attribute("data-segment")
    pressed.locator(".wrong").click()
    page.wait_for_url(f"**&unlike={newest}")
    ready(page)
    expect(page.locator(".card").first).to_be_visible()
    judged = page.evaluate(
        "[...new URLSearchParams(location.search)].slice(2).map(([, id]) => Number(id))"
    )
    rest = [one for one in ids if str(one) != newest]
    assert judged == [*rest[-30:], int(newest or 0)]


def test_nothing_matches_is_said_and_the_nearest_can_be_seen_anyway(
    page: Page, many_url: str
) -> None:
    search(page, many_url, "yellow")
    expect(page.locator("#message")).to_contain_text("Nothing in the library matches")
    expect(page.locator(".card")).to_have_count(0)
    page.get_by_role("button", name="Show the nearest anyway").click()
    page.wait_for_url("**all=1")
    ready(page)
    expect(page.locator(".card").first).to_be_visible()
    expect(page.locator("#message")).to_contain_text("0 of them likely")
    assert page.locator(".card.unlikely").count() == page.locator(".card").count()


def test_what_is_likely_is_what_the_server_says(page: Page, many_url: str) -> None:
    def all_by_chance(route: Route) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, json={**answer.json(), "min_relevance": 2})

    page.route("**/v1/search", all_by_chance)
    search(page, many_url, "red")
    expect(page.locator("#message")).to_contain_text("0 of them likely")
    assert "below 200 % it may be chance" in str(
        page.locator(".score").first.get_attribute("title")
    )


def test_back_asks_for_a_picture_again(page: Page, many_url: str, tmp_path: Path) -> None:
    page.goto(many_url)
    ready(page)
    page.locator("#file").set_input_files(paint(tmp_path / "q.png", [RED]))
    expect(page.locator("#question")).to_have_text("Like the picture q.png")
    ready(page)
    page.locator(".card .right").first.click()
    page.wait_for_url("**like=*")
    ready(page)
    page.go_back()
    expect(page.locator(".right[aria-pressed=true]")).to_have_count(0)
    expect(page.locator("#question")).to_have_text("Like the picture q.png")
    expect(page.locator(".card .cutout").first).to_be_visible()
    page.go_back()
    expect(page.locator("#asked")).to_be_hidden()
    page.go_forward()
    expect(page.locator("#asked")).to_be_visible()
    expect(page.locator(".card .cutout").first).to_be_visible()


def test_more_that_is_given_up_half_read_says_nothing(page: Page, many_url: str) -> None:
    search(page, many_url, "red")
    page.evaluate(
        """() => {
          const real = window.fetch;
          window.fetch = (path, options) => {
            if (!String(options?.body).includes("cursor")) return real(path, options);
            const start = (body) =>
              options.signal.addEventListener("abort", () => body.error(options.signal.reason));
            return Promise.resolve(new Response(new ReadableStream({ start })));
          };
        }"""
    )
    page.locator("#more").click()
    page.locator("#home").click()
    expect(page.locator("#message")).to_contain_text("Say what to look for")


def test_a_picture_that_is_gone_has_no_other_pictures_masks(page: Page, many_url: str) -> None:
    page.route("**/v1/images/3/thumbnail?side=1024", lambda route: route.fulfill(status=422))
    page.goto(f"{many_url}/?image=2")
    ready(page)
    assert page.locator("#whole-masks").evaluate("canvas => canvas.width") > 0
    page.evaluate(
        "history.pushState(null, '', '?image=3'); dispatchEvent(new PopStateEvent('popstate'))"
    )
    shown = "v1/images/3/thumbnail?side=1024"
    expect(page.locator("#whole-picture")).to_have_attribute("src", shown)
    ready(page)
    assert page.locator("#whole-masks").evaluate("canvas => canvas.width") == 0


def test_what_waits_is_asked_for_by_one_timer(page: Page, many_url: str) -> None:
    page.add_init_script(
        """const set = setTimeout, clear = clearTimeout;
        window.waiting = new Set();
        window.setTimeout = (act, pause) => {
          const id = set(() => { waiting.delete(id); act(); }, pause);
          if (pause === 3000) waiting.add(id);
          return id;
        };
        window.clearTimeout = (id) => { waiting.delete(id); clear(id); };
        window.EventSource = class {
          close() {}
          addEventListener(_name, told) {
            let done = 0;
            window.advance = () => {
              done += 1;
              const jobs = [{ total: 9, done, segments: 0, skipped: 0 }];
              told({ data: JSON.stringify({ jobs }) });
            };
          }
        };"""
    )
    status = {"images": 9, "segments": 9, "pending": 5, "failed": 0}
    page.route("**/v1/status", lambda route: route.fulfill(json=status))
    page.goto(many_url)
    expect(page.locator("#library")).to_contain_text("5 waiting")
    for _ in range(4):
        with page.expect_response("**/readyz"):
            page.evaluate("advance()")
    page.wait_for_timeout(100)
    assert page.evaluate("waiting.size") <= 1


def test_a_picture_that_failed_says_why(page: Page, many_url: str) -> None:
    page.goto(many_url)
    ready(page)
    listed = page.evaluate("fetch('v1/images?state=failed').then((answer) => answer.json())")
    page.goto(f"{many_url}/?image={listed['images'][0]['image_id']}")
    expect(page.locator("#message")).to_contain_text("not a picture")
    expect(page.locator("#message")).to_have_class("bad")


def test_added_pictures_are_taken_and_rubbish_is_refused(
    page: Page, pictures: Path, tmp_path: Path
) -> None:
    servers = served(tmp_path / "library", pictures, SmallModels())
    page.goto(next(servers))
    ready(page)
    new = paint(tmp_path / "new.png", [BLUE], size=(300, 200))
    bad = [tmp_path / name for name in ("no.jpg", "empty.png", "c.gif", "d.gif", "e.gif")]
    for path in bad:
        path.write_text("" if path.stem == "empty" else "nothing of the kind")
    page.locator("#add").set_input_files([new, pictures / "a.png", *bad])
    message = page.locator("#message")
    expect(message).to_contain_text("1 new picture to be indexed · 1 known already · 5 refused: ")
    expect(message).to_contain_text("no.jpg (The file is not a picture")
    expect(message).to_contain_text("empty.png (The file is empty (0 bytes)), c.gif")
    expect(message).to_contain_text(") and 2 more")
    expect(page.locator("#library")).to_contain_text("4 pictures")
    expect(page.locator("#library")).to_contain_text("1 waiting")
    page.goto("about:blank")
    next(servers, None)
