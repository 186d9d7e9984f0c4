"""PDFs in a library: a picture a page, opened once, entered whole, followed when they change."""

from __future__ import annotations

import os
import signal
import tarfile
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

from segsearch.core.downloads import file_name, stem_of
from segsearch.core.errors import PathError
from segsearch.core.names import page_name, split_page
from segsearch.core.query import Query, TextTerm
from segsearch.core.settings import Settings
from segsearch.core.types import State
from segsearch.ingest.run import one_pass
from segsearch.ingest.scan import Entered, Scan
from segsearch.media.pdf import NO_PDF
from segsearch.media.sources import base as reasons
from segsearch.media.sources.reader import Sources
from segsearch.storage.catalog.sql_catalog import Catalog
from tests.support.described import RECIPE
from tests.support.ingest_processes import ask, children, content, done, finish, start
from tests.support.pdfs import coloured, of_pages, questions, rectangle, write
from tests.support.shelf import MAX_PIXELS, Shelf, touch
from tests.support.small_models import Shape, open_small_service, paint

SMALL = {**os.environ, "SEGSEARCH_MAX_PIXELS": str(MAX_PIXELS)}
RED = Shape("red", (10, 10, 50, 40))


def without_pdfium(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the extra were not installed."""
    monkeypatch.setattr(
        "segsearch.media.sources.reader.find_spec",
        lambda name: None if name == "pypdfium2" else find_spec(name),
    )


def test_each_page_is_a_picture_and_an_unchanged_pdf_is_not_opened_again(place: Shelf) -> None:
    write(place.folder / "in" / "Report.pdf", coloured("red", "green", "blue"))
    paint(place.folder / "a.png", [RED])
    with questions() as asked:
        report = place.service.index([place.folder])
    assert (report.files, report.indexed, report.skipped) == (4, 4, ())
    assert asked.count({}) == 1
    assert sum("page" in question for question in asked) == 3, "drawn once each"
    names = [f"in/Report.pdf#page={n}" for n in (1, 2, 3)]
    assert place.paths() == dict.fromkeys(["a.png", *names], State.DONE)
    assert place.found("green")[0] == names[1]
    hit = place.service.search(Query((TextTerm("blue"),))).hits[0]
    assert (hit.image.width, hit.image.height, hit.image.format) == (160, 120, "PDF")
    with questions() as asked:
        report = place.service.index([place.folder])
        assert asked == []
    assert (report.files, report.indexed, report.unchanged) == (4, 0, 4)
    assert place.service.maintenance.prune(dry_run=True).paths == ()
    assert place.service.maintenance.verify() == []


def test_a_changed_pdf_gives_up_what_it_no_longer_holds(place: Shelf) -> None:
    file = write(place.folder / "a.pdf", coloured("red", "green", "blue"))
    place.service.index([place.folder])
    place.service.tag(paths=[f"{file}#page=2"], add=["mine"])
    write(file, coloured("red", "yellow"))
    touch(file)
    report = place.service.index([place.folder])
    assert (report.files, report.indexed) == (2, 2), "the bytes of the file are part of each page"
    assert place.paths() == {"a.pdf#page=1": State.DONE, "a.pdf#page=2": State.DONE}
    assert place.found("yellow")[0] == "a.pdf#page=2"
    assert place.service.catalog.image(place.service.catalog.find_images([str(file)])[1]).tags == (
        "mine",
    )
    touch(file)
    report = place.service.index([place.folder])
    assert (report.indexed, report.unchanged) == (0, 2), "only the time differs"


def test_a_pdf_that_is_copied_moved_or_gone_is_followed(place: Shelf) -> None:
    file = write(place.folder / "a.pdf", coloured("red", "green"))
    place.service.index([place.folder])
    write(place.folder / "copy.pdf", file.read_bytes())
    file.rename(place.folder / "moved.pdf")
    report = place.service.index([place.folder])
    assert (report.files, report.indexed) == (4, 0)
    assert place.service.status().images == 2
    assert place.service.catalog.missing_paths() == [f"{file}#page=1", f"{file}#page=2"]
    assert place.service.maintenance.prune().paths == (f"{file}#page=1", f"{file}#page=2")
    for name in ("copy.pdf", "moved.pdf"):
        (place.folder / name).unlink()
    paint(place.folder / "b.png", [RED])
    place.service.index([place.folder])
    assert len(place.service.catalog.missing_paths()) == 4
    place.service.maintenance.prune()
    assert place.paths() == {"b.png": State.DONE}


def test_a_page_can_be_named_and_its_pdf_be_taken_later(place: Shelf) -> None:
    file = write(place.folder / "Prüfung.pdf", coloured("red", "green", "blue"))
    assert place.service.index([f"{file}#page=1"]).indexed == 1
    assert place.paths() == {"Prüfung.pdf#page=1": State.DONE}
    assert place.service.index([f"file://{file}#page=2"]).indexed == 1
    assert place.service.index([file]).indexed == 1
    with questions() as asked:
        assert place.service.index([file]).unchanged == 3
        assert asked == []
    report = place.service.index([f"{file}#page=9"])
    assert "no page 9" in report.skipped[0].reason
    with pytest.raises(PathError):
        place.service.index([place.folder / "none.pdf#page=1"])


def test_pages_are_found_removed_and_left_out_by_their_pdf(place: Shelf) -> None:
    file = write(place.folder / "in" / "Report.PDF", coloured("red", "green"))
    other = write(place.folder / "in" / "Report.pdf.pdf", coloured("blue"))
    place.service.index([place.folder])
    pages_of_file = [f"in/Report.PDF#page={n}" for n in (1, 2)]
    assert place.found("red", paths=("report.pdf",)) == pages_of_file
    assert len(place.found("red", paths=("*.pdf",))) == 3
    assert place.found("red", paths=("report.pdf#page=2",)) == pages_of_file[1:]
    assert len(place.found("red", albums=("in",))) == 3, "the folder, not the PDF"
    assert place.found("red", albums=("Report.PDF",)) == []
    assert place.service.catalog.find_paths([str(file)]) == [f"{file}#page=1", f"{file}#page=2"]
    library = place.service.settings.library
    with open_small_service(library, exclude=("report.pdf",), max_pixels=MAX_PIXELS) as service:
        assert service.index([place.folder]).excluded == 2
    assert place.service.status().excluded == 2
    place.service.index([place.folder])
    assert place.service.status().excluded == 0
    place.service.catalog.forget_paths(place.service.catalog.find_paths([str(file)]))
    assert list(place.paths()) == [os.path.relpath(other, place.folder) + "#page=1"]


def test_a_page_that_was_removed_comes_back_with_the_next_run(place: Shelf) -> None:
    file = write(place.folder / "a.pdf", coloured("red", "green", "blue"))
    place.service.index([place.folder])
    place.service.catalog.forget_paths([f"{file}#page=2"])
    assert place.service.index([place.folder]).indexed == 1


def test_pdfs_in_archives_are_read_in_place(place: Shelf) -> None:
    write(place.folder / "made" / "a.pdf", coloured("red", "green"))
    with tarfile.open(place.folder / "s.tar", "w") as archive:
        archive.add(place.folder / "made" / "a.pdf", "in/a.pdf")
    (place.folder / "made" / "a.pdf").unlink()
    assert place.service.index([place.folder]).indexed == 2
    assert place.found("green")[0] == "s.tar/in/a.pdf#page=2"
    with questions() as asked:
        assert place.service.index([place.folder]).unchanged == 2
        assert asked == []


def test_where_pdfs_are_not_read_a_sentence_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "a.pdf", coloured("red"))
    write(tmp_path / "b.jpg", b"a")
    sources = Sources(Settings(library=tmp_path / "library", allow_urls=True))
    web = sources.find(["https://example.org/a.pdf"])
    assert [one.reason for one in web.skipped] == [reasons.REMOTE_PDF]
    without_pdfium(monkeypatch)
    without = sources.find([tmp_path])
    assert list(without.files) == [str(tmp_path / "b.jpg")]
    assert [one.reason for one in without.skipped] == [NO_PDF]


def test_without_the_package_what_is_known_stays(
    place: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(place.folder / "a.pdf", coloured("red"))
    paint(place.folder / "b.png", [RED])
    place.service.index([place.folder])
    without_pdfium(monkeypatch)
    report = place.service.index([place.folder])
    assert [one.reason for one in report.skipped] == [NO_PDF]
    assert place.paths() == {"a.pdf#page=1": State.DONE, "b.png": State.DONE}
    assert place.service.status().missing == 0


def test_two_thousand_pages_are_entered_at_once_and_drawn_one_by_one(tmp_path: Path) -> None:
    numbered = [rectangle("red", (n % 200, n // 200, 9, 9)) for n in range(2000)]
    file = write(tmp_path / "in" / "book.pdf", of_pages(numbered))
    catalog = Catalog(tmp_path / "catalog.sqlite")
    catalog.register_recipe(RECIPE)
    scan = Scan(catalog, Sources(Settings(library=tmp_path)))
    look, entered = scan.look([file], scan.find([file])), Entered()
    queued: list[int] = []
    with questions() as asked:
        scan.enter(look.new, 1, entered, lambda: False, queued.append)
        assert asked == [{}], "opened once, and nothing is drawn"
    assert (queued, entered.queued, catalog.waiting(1)) == ([2000], 2000, 2000)
    with questions() as asked:
        again = scan.look([file], scan.find([file]))
        assert asked == []
    assert (again.new, again.changed, len(again.listing.files)) == ({}, {}, 2000)
    assert list(entered.files(look.listing)) == [page_name(str(file), n + 1) for n in range(2000)]
    catalog.close()


@pytest.mark.process
def test_a_run_that_is_killed_between_two_pages_goes_on_there(tmp_path: Path) -> None:
    colours = ("red", "green", "blue", "yellow")
    made = coloured(*(colours[n % 4] for n in range(12)))
    write(tmp_path / "in" / "a.pdf", made)
    write(tmp_path / "in" / "b.pdf", coloured("green", "purple"))  # purple is not mostly there
    calm, rough = tmp_path / "calm", tmp_path / "rough"
    with open_small_service(calm, max_pixels=MAX_PIXELS) as service:
        assert service.index([tmp_path / "in"]).indexed == 14
    for mode, least in (("index", 2), ("worker", 5)):
        process = start(mode, rough, tmp_path / "in", env=SMALL)
        while done(rough) < least and process.poll() is None:
            time.sleep(0.01)
        process.kill()
        process.communicate()
    before = ask(rough, "SELECT image_id, attempt FROM ingest WHERE state = 'done'")
    assert 5 <= len(before) < 14
    assert finish(start("index", rough, tmp_path / "in", env=SMALL))["skipped"] == 0
    after = set(ask(rough, "SELECT image_id, attempt FROM ingest WHERE state = 'done'"))
    assert len(after) == 14
    assert set(before) <= after, "nothing is done twice"
    assert content(rough) == content(calm)


def test_a_crash_between_entering_and_forgetting_is_mended(
    place: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(place.folder / "a.pdf", coloured("red", "green", "blue"))
    place.service.index([place.folder])
    write(file, coloured("yellow"))
    touch(file)

    def die(*_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(Catalog, "forget_paths", die)
    with pytest.raises(KeyboardInterrupt):
        place.service.index([place.folder])
    monkeypatch.undo()
    place.service.index([place.folder])
    assert place.paths() == {"a.pdf#page=1": State.DONE}


@pytest.mark.process
def test_a_killed_pdfium_costs_no_page(tmp_path: Path) -> None:
    write(tmp_path / "in" / "a.pdf", coloured(*["red", "green", "blue"] * 20))
    process = start("worker", tmp_path / "library", tmp_path / "in", env=SMALL)
    killed = 0
    while process.poll() is None and killed < 2:
        for model in children(process.pid):
            for folder in Path("/proc").glob("[0-9]*"):
                try:
                    parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                    command = (folder / "cmdline").read_text()
                except OSError:
                    continue
                if parent == model and "pdf_child" in command:
                    os.kill(int(folder.name), signal.SIGKILL)
                    killed += 1
                    time.sleep(1)
        time.sleep(0.05)
    assert killed == 2
    assert finish(process) == {"indexed": 60, "skipped": 0}


def test_a_watched_pdf_is_taken_and_what_vanished_is_marked(place: Shelf) -> None:
    file = write(place.folder / "a.pdf", coloured("red", "green"))
    mode = one_pass("watch", [place.folder])
    assert place.service.index([file], mode=mode).indexed == 2
    assert place.service.index([file], mode=mode).indexed == 0
    file.unlink()
    place.service.index([place.folder], mode=mode)
    assert place.service.status().missing == 2


def test_pages_full_of_print_are_no_near_duplicates(place: Shelf) -> None:
    write(place.folder / "a.pdf", coloured("red", "red"))
    place.service.index([place.folder])
    images = place.service.catalog.images()
    assert [image.near_duplicates for image in images] == [(), ()]
    assert {image.info.perceptual_hash for image in images if image.info} == {None}


def test_files_that_leave_are_called_after_the_page() -> None:
    assert file_name("/a/Report.pdf#page=3") == "Report.pdf"
    assert stem_of("/a/Report.pdf#page=3") == "Report-page-3"
    assert stem_of("/a/" + "x" * 200 + ".pdf#page=12").endswith("x-page-12")
    assert stem_of("/a/b.jpg") == "b"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("/a/b.pdf#page=3", ("/a/b.pdf", 3)),
        ("/a/b.PDF#page=12", ("/a/b.PDF", 12)),
        ("/a/b#1.pdf#page=1", ("/a/b#1.pdf", 1)),
        ("/a/b.pdf", None),
        ("/a/b.pdf#page=0", None),
        ("/a/b.pdf#page=01", None),
        ("/a/b.jpg#page=1", None),
        ("/a/b.pdf#page=1/c.jpg", None),
    ],
)
def test_names_of_pages_are_split(name: str, expected: tuple[str, int] | None) -> None:
    assert split_page(name) == expected
    if expected:
        assert page_name(*expected) == name
