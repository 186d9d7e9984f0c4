"""PDFs that give no pages, or say so; and files that are called as pages are."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path

import pytest

from segsearch.core.types import State
from segsearch.media import pdf as pages
from segsearch.media.sources import base as reasons
from tests.support.pdfs import coloured, locked, of_kids, questions, write
from tests.support.shelf import Shelf, touch
from tests.support.small_models import Shape, paint

RED = Shape("red", (10, 10, 50, 40))


def test_what_gives_no_pages_is_said_once_and_the_rest_goes_on(place: Shelf) -> None:
    folder = place.folder
    write(folder / "a.pdf", b"%PDF-1.4\nrubbish")
    write(folder / "b.pdf", locked())
    write(folder / "c.pdf", coloured("green")[:200])
    write(folder / "d.pdf", b"")
    write(folder / "e.pdf", coloured("blue"))
    write(folder / "f.jpg", coloured("red"))
    paint(folder / "g.png", [RED]).rename(folder / "g.pdf")  # a picture by its content
    report = place.service.index([folder])
    said = {Path(one.path).name: one.reason for one in report.skipped}
    assert sorted(said) == ["a.pdf", "b.pdf", "c.pdf", "d.pdf", "f.jpg"]
    assert "damaged" in said["a.pdf"]
    assert "password" in said["b.pdf"]
    assert "damaged" in said["c.pdf"]
    assert "empty" in said["d.pdf"]
    assert "its pages are" in said["f.jpg"]
    assert report.indexed == 2
    with questions() as asked:
        again = place.service.index([folder])
        assert asked == [], "nothing is tried at each run"
    assert (again.files, again.unchanged, len(again.skipped)) == (7, 2, 5)
    write(folder / "b.pdf", coloured("yellow", "purple"))
    assert place.service.index([folder]).indexed == 2
    assert {"b.pdf#page=1", "b.pdf#page=2"} <= set(place.paths())
    assert "b.pdf" not in place.paths()
    write(folder / "b.pdf", locked())
    touch(folder / "b.pdf")
    place.service.index([folder])
    assert place.paths()["b.pdf"] is State.FAILED
    # What cannot be opened, perhaps for a moment, costs no page what is known of it.
    assert place.paths()["b.pdf#page=1"] is State.DONE
    write(folder / "b.pdf", coloured("yellow"))
    touch(folder / "b.pdf")
    place.service.index([folder])
    assert {"b.pdf", "b.pdf#page=2"}.isdisjoint(place.paths())
    assert place.paths()["b.pdf#page=1"] is State.DONE


def test_a_pdf_that_counts_wrong_is_one_sentence(place: Shelf) -> None:
    write(place.folder / "says.pdf", of_kids(b"3 0 R 4 0 R", b"9999"))
    write(place.folder / "none.pdf", of_kids(b"9 0 R " * 50, b"9999"))
    report = place.service.index([place.folder])
    assert place.paths() == {
        "says.pdf#page=1": State.DONE,
        "says.pdf#page=2": State.DONE,
        "says.pdf#page=3": State.FAILED,
        "none.pdf": State.FAILED,
    }
    said = {Path(one.path).name: one.reason for one in report.skipped}
    assert "it says that it has 9,999" in said["says.pdf#page=3"]
    assert "None of the 9,999 pages" in said["none.pdf"]
    with questions() as asked:
        place.service.index([place.folder])
        assert asked == []


def test_a_pdf_that_could_not_be_opened_is_tried_again_when_asked(
    place: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(place.folder / "a.pdf", coloured("red", "green"))
    monkeypatch.setattr(pages, "MOST_PAGES", 1)  # as if that were the trouble
    assert "more than the 1" in place.service.index([place.folder]).skipped[0].reason
    monkeypatch.undo()
    assert place.service.index([place.folder]).indexed == 0
    assert place.service.index([place.folder], retry_failed=True).indexed == 2
    assert place.paths() == {"a.pdf#page=1": State.DONE, "a.pdf#page=2": State.DONE}


def test_files_that_are_called_as_pages_are_taken_for_none(place: Shelf) -> None:
    folder, service = place.folder, place.service
    write(folder / "x.pdf", coloured("red", "green"))
    for name in ("x.pdf#page=1.png", "x.pdf#page=2 of 2.png"):
        paint(folder / name, [Shape("blue", (10, 10, 50, 40))])
    write(folder / "x.pdf#page=1", (folder / "x.pdf#page=1.png").read_bytes())
    write(folder / "gone.pdf#page=7", coloured("red"))
    paint(folder / "y.pdf#page=3" / "a.png", [Shape("yellow", (10, 10, 50, 40))])
    with tarfile.open(folder / "shard.tar", "w") as shard:
        shard.add(folder / "x.pdf#page=1", "x.pdf#page=1")
    report = service.index([folder])
    named = {os.path.relpath(one.path, folder): one.reason for one in report.skipped}
    unnamed = ["gone.pdf#page=7", "shard.tar/x.pdf#page=1", "x.pdf#page=1"]
    assert named == dict.fromkeys(unnamed, reasons.PAGE_NAME)
    taken = {
        "x.pdf#page=1", "x.pdf#page=2", "x.pdf#page=1.png", "x.pdf#page=2 of 2.png",
        "y.pdf#page=3/a.png",
    }  # fmt: skip
    assert set(place.paths()) == taken
    assert place.found("red")[0] == "x.pdf#page=1", "the page, and not the file"
    with questions() as asked:
        assert service.index([folder]).indexed == 0
        assert asked == []
    for path in ("x.pdf#page=1", "gone.pdf#page=7"):
        (said,) = service.index([folder / path]).skipped
        assert said.reason == reasons.PAGE_NAME, "named outright, too"
    assert service.index([folder / "y.pdf#page=3"]).files == 1
    assert set(place.found("red", paths=("x.pdf",))) == {"x.pdf#page=1", "x.pdf#page=2"}
    assert "x.pdf#page=1.png" in place.found("blue", paths=("x.pdf#*",))
    service.remove(paths=[folder / "x.pdf"])
    assert set(place.paths()) == {name for name in taken if not name[-1].isdigit()}
