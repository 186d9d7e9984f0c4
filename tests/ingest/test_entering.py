"""Files are entered in batches, a transaction each; models start on the first ones meanwhile."""

from __future__ import annotations

import math
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from segsearch.core.errors import DiskFullError
from segsearch.core.settings import Settings
from segsearch.ingest import scan as scanning
from segsearch.ingest.run import one_pass
from segsearch.ingest.scan import Entered, Scan
from segsearch.media.sources.reader import Sources
from segsearch.storage.catalog.sql_catalog import Catalog
from tests.support.described import RECIPE
from tests.support.ingest_processes import ask, content, paint_many
from tests.support.query_plans import scans
from tests.support.small_models import open_small_service

PATIENCE_SECONDS = 60


@contextmanager
def counted() -> Iterator[Counter[str]]:
    """How many statements are run and how many transactions of writers are stored meanwhile."""
    found: Counter[str] = Counter()

    def run(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        del connection, cursor
        found["statements"] += 1
        found["writers"] += statement.startswith("BEGIN IMMEDIATE")

    sa.event.listen(sa.Engine, "before_cursor_execute", run)
    try:
        yield found
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", run)


def files_in(folder: Path, count: int) -> Path:
    """So many small files of different bytes, and every tenth the same as its neighbour."""
    folder.mkdir()
    for number in range(count):
        text = number - 1 if number % 10 == 9 else number
        (folder / f"{number:04}.png").write_bytes(f"picture {text}".encode())
    return folder


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    catalog = Catalog(tmp_path / "catalog.sqlite")
    catalog.register_recipe(RECIPE)
    yield catalog
    catalog.close()


def test_a_thousand_files_are_four_transactions(
    catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scanning, "BATCH_SECONDS", math.inf)
    folder = files_in(tmp_path / "pictures", 1000)
    scan = Scan(catalog, Sources(Settings(library=tmp_path)))
    listing = scan.find([folder])
    look, entered = scan.look([folder], listing), Entered()
    queued: list[int] = []
    with counted() as found, scans() as read_whole:
        scan.enter(look.new, 1, entered, lambda: False, queued.append)
    assert len(look.new) == 1000
    assert found["writers"] == len(queued) == 4
    assert found["statements"] <= 10 * 4
    assert read_whole == []
    assert entered.queued == sum(queued) == catalog.waiting(1) == 900
    assert len(dict(catalog.known_files())) == 1000
    again = scan.look([folder], listing)
    assert (again.new, again.changed) == ({}, {})


def test_changed_copied_and_moved_files_may_share_a_batch(catalog: Catalog, tmp_path: Path) -> None:
    folder = files_in(tmp_path / "pictures", 9)
    scan = Scan(catalog, Sources(Settings(library=tmp_path)))
    scan.enter(scan.look([folder], scan.find([folder])).new, 1, Entered(), lambda: False)
    (first,) = catalog.find_images([str(folder / "0000.png")])
    catalog.tag_images([first], add=["kept"])
    (folder / "0001.png").write_bytes(b"picture 0")  # a copy of another by now
    (folder / "0000.png").write_bytes(b"something else entirely")
    (folder / "0002.png").rename(folder / "moved.png")
    look = scan.look([folder], scan.find([folder]))
    assert sorted(Path(path).name for path in look.changed) == ["0000.png", "0001.png"]
    assert len(look.new) == 1
    scan.enter({**look.changed, **look.new}, 1, Entered(), lambda: False)
    (copy,) = catalog.find_images([str(folder / "0001.png")])
    assert copy == first  # its bytes are still there, under the other name
    (new,) = catalog.find_images([str(folder / "0000.png")])
    assert new != first
    assert catalog.image(new).tags == ("kept",)
    paths = [str(folder / "0002.png"), str(folder / "moved.png")]
    assert len(catalog.find_images(paths)) == 1
    assert catalog.waiting(1) == 9  # one edited, and what 0001.png held is nowhere any more


def test_models_start_on_the_first_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scanning, "BATCH_FILES", 5)
    pictures = paint_many(tmp_path / "pictures", 40)
    first_done, read = threading.Event(), []
    digest = Sources.digest

    def late(self: Sources, path: str, *given: Any) -> tuple[str, int]:
        read.append(path)
        if len(read) > 20:  # the others come once a picture is done
            assert first_done.wait(PATIENCE_SECONDS)
        return digest(self, path, *given)

    monkeypatch.setattr(Sources, "digest", late)
    totals: list[int] = []

    def report(_done: int, total: int, _step: object) -> None:
        totals.append(total)
        first_done.set()

    with open_small_service(tmp_path / "library") as service:
        answer = service.index([pictures], report=report)
        assert (answer.indexed, answer.unchanged, answer.skipped) == (40, 0, ())
        assert totals[0] <= 25
        assert totals[-1] == 40
        assert [(job.total, job.done) for job in service.jobs()] == [(40, 40)]
        assert service.index([pictures]).unchanged == 40
        assert service.maintenance.verify() == []


@pytest.mark.parametrize("problem", [KeyboardInterrupt(), DiskFullError("The disk is full.")])
def test_what_ends_entering_costs_the_last_batch_only(
    problem: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scanning, "BATCH_FILES", 5)
    monkeypatch.setattr(scanning, "BATCH_SECONDS", math.inf)
    pictures, library = paint_many(tmp_path / "pictures", 20), tmp_path / "library"
    read: list[str] = []
    digest = Sources.digest

    def ended(self: Sources, path: str, *given: Any) -> tuple[str, int]:
        read.append(path)
        if len(read) == 13:
            raise problem
        return digest(self, path, *given)

    with open_small_service(library) as service:
        monkeypatch.setattr(Sources, "digest", ended)
        with pytest.raises(type(problem)):
            service.index([pictures])
        monkeypatch.setattr(Sources, "digest", digest)
        assert ask(library, "SELECT count(*) FROM source") == [(10,)]
        assert service.index([pictures]).skipped == ()
        assert service.maintenance.verify() == []
    with open_small_service(tmp_path / "calm") as calm:
        calm.index([pictures])
    assert content(library) == content(tmp_path / "calm")


def test_a_stop_leaves_what_is_not_entered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scanning, "BATCH_FILES", 5)
    pictures = paint_many(tmp_path / "pictures", 20)
    stop, read = threading.Event(), []
    digest = Sources.digest

    def stopping(self: Sources, path: str, *given: Any) -> tuple[str, int]:
        read.append(path)
        if len(read) == 12:
            stop.set()
        return digest(self, path, *given)

    with open_small_service(tmp_path / "library") as service:
        with monkeypatch.context() as patch:
            patch.setattr(Sources, "digest", stopping)
            first = service.index([pictures], stop=stop, mode=one_pass("worker"))
        assert len(read) == 12
        assert first.files == 20
        assert first.unchanged == 0
        second = service.index([pictures])
        assert first.indexed + second.indexed == 20
