"""The status view in a real browser: what is indexed, what went wrong and what helps."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, Route, ViewportSize, expect

from tests.support.gated_models import BROKEN, Gate, GatedModels
from tests.support.page_server import BLUE, GREEN, HOSTILE, PATIENCE_MS, RED, working_server
from tests.support.small_models import open_small_service, paint

pytestmark = pytest.mark.browser

NARROW: ViewportSize = {"width": 390, "height": 844}
LOOK_MS = 15_000  # between two looks of the view at what others do
NO_PICTURE = "no picture <b>at all.jpg"


@pytest.fixture(scope="module", autouse=True)
def patience() -> Iterator[None]:
    """Model processes begin slowly where others compute."""
    expect.set_options(timeout=40_000)
    yield
    expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Gate:
    return Gate(tmp_path_factory.mktemp("gate"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, gate: Gate) -> Path:
    """A library of three pictures that work, one of which is known at a path that is gone, and of
    three that failed, one of them because it is no picture."""
    folder = tmp_path_factory.mktemp("status")
    pictures = folder / "pictures"
    paint(pictures / "a.png", [RED], size=(320, 200))
    paint(pictures / "b.png", [GREEN], size=(200, 320))
    paint(pictures / "c.png", [BLUE], size=(320, 200))
    models = GatedModels(gate.folder)
    with open_small_service(folder / "library", models=models, retry_seconds=0.0) as service:
        service.index([pictures])
        (pictures / "c.png").unlink()
        paint(pictures / HOSTILE, [RED, GREEN], size=(320, 200))
        paint(pictures / "e.png", [RED, BLUE], size=(320, 200))
        (pictures / NO_PICTURE).write_text("nothing of the kind")
        gate.shut("broken")
        service.index([pictures])
        gate.reset()
    return folder


@pytest.fixture(scope="module")
def url(folder: Path, gate: Gate) -> Iterator[str]:
    with working_server(folder / "library", GatedModels(gate.folder)) as url:
        yield url
        gate.reset()


def part(page: Page, title: str) -> Locator:
    """A part of the view by its heading."""
    return page.locator(f"section:has(> h2:text-is('{title}'))")


def test_the_view_says_what_there_is(page: Page, url: str, folder: Path) -> None:
    page.goto(f"{url}/?view=status")
    library = part(page, "The library")
    expect(library).to_contain_text("3 pictures that can be searched")
    expect(library).to_contain_text("3 regions in them")
    expect(library).to_contain_text("3 could not be indexed")
    mark = page.get_by_role("button", name="Status").locator(".mark")
    expect(mark).to_have_attribute("title", "3 pictures could not be indexed")
    expect(library).to_contain_text("1 file was not found when last looked for")
    expect(part(page, "Under way")).to_contain_text("Nothing is being indexed.")
    models = part(page, "Models")
    expect(models).to_contain_text("colour-segmenter")
    expect(models).to_contain_text("small")
    disk = part(page, "Index and disk")
    expect(disk).to_contain_text("3 regions; a search compares with each of them.")
    expect(disk).to_contain_text(str(folder / "library"))
    expect(part(page, "Keys")).to_contain_text("No key is needed here")


def test_problems_come_with_what_helps(page: Page, url: str) -> None:
    page.goto(f"{url}/?view=status")
    problems = page.locator(".problem")
    failed = problems.filter(has_text="3 pictures could not be indexed.")
    expect(failed.get_by_role("button", name="Try all again")).to_be_visible()
    missing = problems.filter(has_text="1 known file could not be found any more.")
    expect(missing.locator("code")).to_have_text("segsearch prune")


def test_what_was_skipped_is_listed_with_the_reasons_as_text(page: Page, url: str) -> None:
    page.goto(f"{url}/?view=status")
    runs = page.locator(".run")
    expect(runs).to_have_count(2)
    expect(runs.first).to_contain_text("By hand")
    runs.first.get_by_role("button", name="3 files could not be indexed").click()
    rows = runs.first.locator(".reasons li")
    expect(rows).to_have_count(3)
    expect(rows.locator("b", has_text=NO_PICTURE)).to_have_text(NO_PICTURE)
    expect(rows.filter(has_text=HOSTILE)).to_contain_text(BROKEN)


def test_failed_pictures_are_tried_again_one_by_one_and_all(
    page: Page, url: str, gate: Gate
) -> None:
    page.goto(f"{url}/?view=status")
    failed = page.locator(".failed")
    expect(failed).to_have_count(3)
    hostile = failed.filter(has_text=HOSTILE)
    expect(hostile).to_contain_text(BROKEN)
    expect(hostile.locator(".face img")).to_be_visible()
    gate.shut("pictures")
    hostile.get_by_role("button", name=f"Try {HOSTILE} again").click()
    expect(failed).to_have_count(2)
    expect(part(page, "Under way")).to_contain_text("Indexing 0 of 1 picture")
    gate.open("pictures")
    expect(part(page, "The library")).to_contain_text("4 pictures that can be")
    page.get_by_role("button", name="Try all again").click()
    expect(part(page, "The library")).to_contain_text("5 pictures that can be")
    expect(failed).to_have_count(1)
    expect(failed).to_contain_text(NO_PICTURE)
    expect(failed).to_contain_text("not a picture")
    expect(page.locator(".run")).to_have_count(4)


def test_a_picture_that_is_no_use_is_removed_unless_that_is_undone(page: Page, url: str) -> None:
    page.goto(f"{url}/?view=status")
    failed = page.locator(".failed", has_text=NO_PICTURE)
    remove = failed.get_by_role("button", name=f"Remove {NO_PICTURE}")
    remove.click()
    expect(failed).to_have_count(0)
    page.get_by_role("button", name="Undo").click()
    expect(failed).to_have_count(1)
    page.reload()
    remove.click()
    expect(failed).to_have_count(0)
    page.reload()  # leaving the page carries it out
    expect(part(page, "The library")).to_contain_text("5 pictures that can be")
    expect(part(page, "Pictures that failed")).to_have_count(0)


def test_each_problem_of_a_server_is_shown_errors_first(page: Page, url: str) -> None:
    """What the server may say, whatever it is: sentences, with commands set apart."""

    def worse(route: Route) -> None:
        answer = route.fetch()
        document = answer.json()
        document["problems"] = [
            {"code": "models_missing", "severity": "error", "what": "No <b>models</b> are here.",
             "fix": "Fetch them by `segsearch models pull`."},
            {"code": "disk_nearly_full", "severity": "warning", "what": "1.2 GB are left.",
             "fix": "Make room."},
        ]  # fmt: skip
        document["index"]["behind"] = 30_000
        document["index"]["layout"] = "lists"
        route.fulfill(response=answer, body=json.dumps(document))

    page.route("**/v1/status", worse)
    page.goto(f"{url}/?view=status")
    problems = page.locator(".problem")
    expect(problems).to_have_count(2)
    expect(problems.first).to_contain_text("Error: No <b>models</b> are here.")
    expect(problems.first.locator("code")).to_have_text("segsearch models pull")
    disk = part(page, "Index and disk")
    expect(disk).to_contain_text("a search looks at a part of them")
    expect(disk).to_contain_text("30,000 changes behind")
    page.unroute_all(behavior="ignoreErrors")  # one may be under way


def test_a_run_of_another_process_is_followed(page: Page, url: str, folder: Path) -> None:
    page.clock.install()
    page.goto(f"{url}/?view=status")
    expect(part(page, "Under way")).to_contain_text("Nothing is being indexed.")
    paint(folder / "later" / "f.png", [GREEN, BLUE], size=(320, 200))
    with open_small_service(folder / "library") as other:
        other.index([folder / "later"])
    page.clock.fast_forward(LOOK_MS)
    expect(page.locator(".run", has_text="later")).to_contain_text("By hand · done")


def test_the_view_fits_on_a_telephone(page: Page, url: str) -> None:
    page.set_viewport_size(NARROW)
    page.goto(f"{url}/?view=status")
    expect(page.locator(".run").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"]
