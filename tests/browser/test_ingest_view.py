"""Pictures added from the page in a real browser: what is sent, what is told while they are
indexed, and what is left to do when something goes wrong."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Dialog, Page, Route, ViewportSize, expect

from segsearch.core.names import VIDEO_SUFFIXES
from segsearch.media.decode import RAW_SUFFIXES, SUFFIXES
from segsearch.media.pdf import PDF_SUFFIXES
from tests.support.gated_models import Gate, GatedModels
from tests.support.page_modules import call
from tests.support.page_server import BLUE, GREEN, HOSTILE, PATIENCE_MS, RED, working_server
from tests.support.small_models import Shape, paint

pytestmark = pytest.mark.browser

DRAGS = 200
NARROW: ViewportSize = {"width": 390, "height": 844}
LONG = "a picture with a name that is much longer than any telephone is wide, and then some.png"


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Gate:
    return Gate(tmp_path_factory.mktemp("gate"))


@pytest.fixture(scope="module", autouse=True)
def patience() -> Iterator[None]:
    """Model processes begin slowly where others compute."""
    expect.set_options(timeout=40_000)
    yield
    expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture
def url(tmp_path: Path, gate: Gate) -> Iterator[str]:
    with working_server(tmp_path / "library", GatedModels(gate.folder)) as url:
        yield url
        gate.reset()  # or the server would not end


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Three pictures, no two alike."""
    folder = tmp_path / "chosen"
    return [
        paint(folder / "a.png", [RED], size=(320, 200)),
        paint(folder / "b.png", [GREEN], size=(200, 320)),
        paint(folder / HOSTILE, [BLUE, Shape("red", (5, 5, 14, 14))], size=(320, 200)),
    ]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with pictures, one of them deeper, one that is none, and what is passed over."""
    folder = tmp_path / "holiday"
    paint(folder / "a.png", [RED], size=(320, 200))
    paint(folder / "deep" / "er" / "b.png", [GREEN], size=(200, 320))
    (folder / "deep" / "<b>no<i>.jpg").write_text("nothing of the kind")
    (folder / "notes.txt").write_text("no picture by its name")
    paint(folder / ".hidden" / "c.png", [BLUE])
    paint(folder / ".d.png", [BLUE])
    return folder


def choose(page: Page, button: str, chosen: list[Path] | Path, collection: str = "") -> None:
    page.get_by_title("Add pictures or a folder").click()
    page.get_by_label("Into a collection").fill(collection)
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name=f"{button}…").click()
    chooser.value.set_files(chosen)


def drop(page: Page, path: Path, at: str) -> None:
    """Drop a file or a folder of this disk, as a person does, on the middle of an element."""
    devtools = page.context.new_cdp_session(page)
    data = {"items": [], "files": [str(path)], "dragOperationsMask": 1}

    def drag(kind: str, over: str) -> None:
        box = page.locator(over).first.bounding_box()
        assert box
        place = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
        devtools.send("Input.dispatchDragEvent", {"type": kind, "data": data, **place})

    page.evaluate("() => addEventListener('drop', () => { globalThis.dropped = true; }, true)")
    for _ in range(DRAGS):
        drag("dragEnter", "main")
        for _ in range(DRAGS):  # a person, too, holds it until the page shows that it takes it
            drag("dragOver", "main")
            if page.locator("body.dropping").count():
                break
            page.wait_for_timeout(100)
        drag("dragOver", at)
        page.wait_for_timeout(100)
        drag("drop", at)
        # The browser may hear late that it may be dropped here: then the page hears of no drop, but
        # that it was taken away again.
        for _ in range(10):
            page.wait_for_timeout(100)
            if page.evaluate("() => globalThis.dropped === true"):
                return
    raise AssertionError("The browser has not let it be dropped.")


def stored(page: Page, query: str = "") -> list[str]:
    """Names of the library's pictures."""
    images = page.evaluate(
        "(query) => fetch(`v1/images?${query}`).then((answer) => answer.json())", query
    )["images"]
    return sorted(path.rpartition("/")[2] for image in images for path in image["paths"])


def albums(page: Page) -> set[str]:
    """Those of the pictures that are done or wait."""
    images = page.evaluate("() => fetch('v1/images').then((answer) => answer.json())")["images"]
    return {album for image in images for album in image["albums"]}


def test_chosen_pictures_are_sent_and_each_step_is_told(
    page: Page, url: str, gate: Gate, files: list[Path]
) -> None:
    gate.shut("loading")
    page.goto(f"{url}/?view=map")  # the line stands under the bar of each view
    choose(page, "Pictures", files)
    expect(page.locator(".notice").first).to_have_text("3 pictures were added.")
    line = page.locator(".working")
    expect(line).to_contain_text("Loading the models")
    gate.shut("pictures")
    gate.open("loading")
    expect(line).to_contain_text("Indexing 0 of 3 pictures")
    gate.open("pictures")
    expect(page.locator(".notice").last).to_have_text("3 pictures can be searched now.")
    expect(line).to_have_count(0)
    assert stored(page, "state=done") == sorted(file.name for file in files)
    choose(page, "Pictures", files)
    expect(page.locator(".notice").last).to_have_text("All 3 pictures were there already.")


def test_the_grid_shows_what_was_added_without_being_asked(
    page: Page, url: str, files: list[Path]
) -> None:
    page.goto(url)
    choose(page, "Pictures", files)
    expect(page.locator("#results .card")).to_have_count(len(files))
    expect(page.locator("#results .card .file", has_text=HOSTILE)).to_have_text(HOSTILE)


def test_a_folder_goes_into_a_collection_that_is_made_for_it(
    page: Page, url: str, folder: Path
) -> None:
    page.goto(f"{url}/?view=map")
    choose(page, "A folder", folder, "June & July")
    told = page.locator(".sent")
    expect(told).to_contain_text("2 pictures were added to “June & July”. 1 file was refused.")
    expect(told).to_contain_text("3 files of the folder were passed over")
    reasons = told.get_by_role("listitem")
    expect(reasons).to_have_count(1)
    expect(reasons.locator("b")).to_have_text("<b>no<i>.jpg")
    expect(reasons).to_contain_text("not a picture")
    assert stored(page, "collection=June%20%26%20July") == ["a.png", "b.png"]
    assert albums(page) == {"er", "holiday"}
    told.get_by_role("button", name="Close").click()
    expect(told).to_have_count(0)


def test_a_dropped_folder_is_walked_through(page: Page, url: str, folder: Path) -> None:
    page.goto(f"{url}/?view=status")
    drop(page, folder, "main")
    expect(page.locator(".sent")).to_contain_text("2 pictures were added. 1 file was refused.")
    expect(page.locator(".figures")).to_contain_text("2 pictures that can be searched")
    assert stored(page) == ["a.png", "b.png"]
    assert albums(page) == {"er", "holiday"}  # as `segsearch index` names them


def test_a_single_picture_is_added_where_the_page_says_so(
    page: Page, url: str, files: list[Path]
) -> None:
    page.goto(f"{url}/?view=map")
    expect(page.get_by_title("Add pictures or a folder")).to_be_visible()
    place = page.locator(".drop-add")
    expect(place).to_be_hidden()
    drop(page, files[0], ".drop-add")
    expect(page.locator(".notice").first).to_have_text("1 picture was added.")
    assert stored(page) == ["a.png"]


def test_indexing_is_stopped_and_goes_on(page: Page, url: str, gate: Gate, tmp_path: Path) -> None:
    files = [paint(tmp_path / f"{i}.png", [RED], size=(300 + i, 200)) for i in range(12)]
    gate.shut("pictures")
    page.goto(f"{url}/?view=map")
    choose(page, "Pictures", files)
    line = page.locator(".working")
    expect(line).to_contain_text("Indexing 0 of 12 pictures")
    line.get_by_role("button", name="Stop").click()
    expect(line).to_contain_text("Stopping after the pictures under way")
    gate.open("pictures")
    expect(line).to_contain_text("Indexing was stopped")
    left = len(stored(page, "state=pending"))
    assert left > 0
    line.get_by_role("button", name="Go on").click()
    expect(page.locator(".notice").last).to_contain_text("can be searched now")
    assert len(stored(page, "state=done")) == len(files)


def test_skipped_files_are_told_of_and_lead_to_the_reasons(
    page: Page, url: str, gate: Gate, files: list[Path]
) -> None:
    gate.shut("broken")
    page.goto(f"{url}/?view=map")
    choose(page, "Pictures", files[:2])
    notice = page.locator(".notice", has_text="2 files could not be indexed.")
    notice.get_by_role("button", name="Show").click()
    page.wait_for_url("**/?view=status")
    failed = page.locator(".failed")
    expect(failed).to_have_count(2)
    expect(failed.first).to_contain_text("The test has broken the models.")


def test_what_could_not_be_sent_is_kept_and_sent_again(
    page: Page, url: str, files: list[Path]
) -> None:
    def refuse(route: Route) -> None:
        if route.request.method == "POST":
            route.abort()
        else:
            route.continue_()

    page.goto(f"{url}/?view=map")
    page.route("**/v1/images", refuse)
    choose(page, "Pictures", files)
    line = page.locator(".working")
    expect(line).to_contain_text("The server does not answer")
    expect(line).to_contain_text("3 files of 3 not sent yet")
    assert stored(page) == []
    page.unroute("**/v1/images")
    line.get_by_role("button", name="Try again").click()
    expect(page.locator(".notice").first).to_have_text("3 pictures were added.")


def test_a_file_that_is_gone_does_not_keep_the_others(
    page: Page, url: str, files: list[Path]
) -> None:
    page.goto(f"{url}/?view=map")
    page.route("**/v1/images", lambda route: route.abort(), times=1)
    choose(page, "Pictures", files)
    expect(page.locator(".working")).to_contain_text("not sent yet")
    files[1].unlink()  # the browser finds out when it reads the file again
    page.locator(".working").get_by_role("button", name="Try again").click()
    told = page.locator(".sent")
    expect(told).to_contain_text("2 pictures were added. 1 file was refused.")
    expect(told.get_by_role("listitem")).to_contain_text("b.png It cannot be read")


def test_leaving_while_files_are_sent_is_asked_about(
    browser: Browser, url: str, files: list[Path]
) -> None:
    context = browser.new_context()
    page = context.new_page()
    asked: list[str] = []

    def stay(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.dismiss()

    page.on("dialog", stay)
    page.goto(f"{url}/?view=map")
    page.route("**/v1/images", lambda _: None)  # it hangs
    choose(page, "Pictures", files)
    expect(page.locator(".working")).to_contain_text("Sending 1 of 3 files")
    page.close(run_before_unload=True)
    expect(page.locator(".working")).to_contain_text("Sending 1 of 3 files")
    assert asked == ["beforeunload"]
    page.locator(".working").get_by_role("button", name="Stop").click()
    expect(page.locator(".notice")).to_contain_text("Stopped: 0 of 3 files were sent.")
    expect(page.locator(".working")).to_have_count(0)
    page.goto("about:blank")
    assert asked == ["beforeunload"], "nothing is lost any more"
    context.close()


def test_the_page_says_that_the_server_is_away_and_goes_on_when_it_is_back(
    page: Page, url: str
) -> None:
    page.goto(f"{url}/?view=status")
    expect(page.locator(".figures")).to_be_visible()
    page.route("**/v1/**", lambda route: route.abort())
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")  # a new stream
    expect(page.locator(".working")).to_contain_text("The server does not answer")
    page.unroute("**/v1/**")
    expect(page.locator(".working")).to_have_count(0, timeout=15_000)


def test_those_who_follow_are_told_once_in_a_while_that_pictures_came(
    page: Page, url: str, files: list[Path]
) -> None:
    page.goto(f"{url}/?view=map")
    page.evaluate(
        """async () => {
          window.changes = 0;
          (await import("/static/app/jobs.js")).followJobs(() => window.changes++);
        }"""
    )
    choose(page, "Pictures", files)
    expect(page.locator(".notice").last).to_contain_text("can be searched now")
    page.wait_for_function("window.changes > 0")
    assert page.evaluate("window.changes") <= len(files)


def test_folders_are_taken_by_the_same_endings_as_by_the_command(page: Page, url: str) -> None:
    page.goto(f"{url}/docs")
    endings = call(page, "app/sending.js", "({ENDINGS}) => ENDINGS")
    taken_here = SUFFIXES | RAW_SUFFIXES | PDF_SUFFIXES | VIDEO_SUFFIXES
    assert {f".{ending}" for ending in endings} == taken_here
    taken = call(
        page, "app/sending.js", "({isTaken}, paths) => paths.filter(isTaken)",
        ["a/b.JPG", "b.heic", "a/.b.jpg", ".a/b.jpg", "a/b.txt", "jpg", "a.jpg/b"],
    )  # fmt: skip
    assert taken == ["a/b.JPG", "b.heic"]


def test_the_line_fits_on_a_telephone(page: Page, url: str, gate: Gate, tmp_path: Path) -> None:
    page.set_viewport_size(NARROW)
    page.goto(f"{url}/?view=map")
    gate.shut("broken")
    picture = paint(tmp_path / LONG, [RED], size=(320, 200))
    page.get_by_title("Add pictures or a folder").click()
    panel = page.locator(".add .panel").bounding_box()
    assert panel
    assert panel["x"] >= 0
    assert panel["x"] + panel["width"] <= NARROW["width"]
    page.keyboard.press("Escape")
    choose(page, "Pictures", [picture])
    expect(page.locator(".notice", has_text="could not be indexed")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"]
