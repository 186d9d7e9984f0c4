"""The status says who works, how the index stands, and each problem with what helps."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from segsearch.core.errors import ModelMissingError
from segsearch.core.mix import Mix
from segsearch.core.settings import USUAL_MIX, Settings
from segsearch.core.status import LibraryProblem, Severity, Status
from segsearch.core.types import FileStamp, State
from segsearch.ingest import overview
from segsearch.ingest.overview import Overview
from segsearch.library import SegSearch
from segsearch.models.pipeline import Models
from segsearch.storage.catalog.sql_catalog import Catalog
from segsearch.storage.index.synced import SyncedIndex
from segsearch.storage.owners import owner_of_this_process
from tests.support.exact_index import ExactIndexFactory
from tests.support.ingest_processes import paint_many
from tests.support.large_catalog import fill
from tests.support.query_plans import machine_steps, scans, statements
from tests.support.small_models import SmallModels, open_small_service

MIX = Mix(*USUAL_MIX)


class Usage(NamedTuple):
    """What a disk holds, in bytes."""

    total: int
    used: int
    free: int


ROOMY = Usage(500_000_000_000, 0, 400_000_000_000)


@pytest.fixture(autouse=True)
def roomy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk with room, wherever the tests run."""
    monkeypatch.setattr(shutil, "disk_usage", lambda _: ROOMY)


@pytest.fixture
def filled(tmp_path: Path) -> Iterator[SegSearch]:
    with open_small_service(tmp_path / "library") as service:
        service.index([paint_many(tmp_path / "pictures", 4)])
        yield service


def problems(service: SegSearch) -> dict[str, LibraryProblem]:
    found = service.status().problems
    for problem in found:
        assert problem.what.endswith(".")
        assert problem.fix.endswith(".")
    by_code = {problem.code: problem for problem in found}
    assert len(by_code) == len(found)
    return by_code


def test_all_is_well_with_a_new_library_and_a_filled_one(filled: SegSearch, tmp_path: Path) -> None:
    status = filled.status()
    assert status.problems == ()
    assert (status.paused, status.read_only, status.workers) == (False, False, ())
    assert (status.disk.total_bytes, status.disk.free_bytes) == (ROOMY.total, ROOMY.free)
    with open_small_service(tmp_path / "new") as new:
        assert (new.status().problems, new.status().index) == ((), None)


def test_the_index_is_told_of_without_loading_it(filled: SegSearch) -> None:
    here = filled.status().index
    assert here is not None
    assert (here.regions, here.behind, here.layout, here.loaded) == (8, 0, "flat", True)
    with open_small_service(filled.settings.library) as other:
        there = other.status().index
        assert there is not None
        assert (there.regions, there.behind, there.loaded) == (8, 0, False)
        assert there.generation == here.generation == filled.catalog.newest_change()
        other.catalog.remove_segments([1, 2])
        behind = other.status().index
        assert behind is not None
        assert (behind.regions, behind.behind, behind.loaded) == (8, 2, False)
        other.search_text("red")
        loaded = other.status().index
        assert loaded is not None
        assert (loaded.regions, loaded.behind, loaded.loaded) == (6, 0, True)
    shutil.rmtree(filled.settings.library / "index")
    with open_small_service(filled.settings.library) as other:
        gone = other.status().index
        assert gone is not None
        assert (gone.regions, gone.generation, gone.layout) == (0, None, None)
        assert not other.status().problems  # a small one is built in no time


def test_an_index_far_behind_is_told(filled: SegSearch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overview, "BEHIND_CHANGES", 1)
    assert problems(filled) == {}
    filled.catalog.remove_segments([1, 2])
    assert "2 changes behind" in problems(filled)["index_behind"].what
    filled.catalog.begin_job("index", "elsewhere:1:1", None, [])
    assert problems(filled) == {}  # a run saves it at its end
    with open_small_service(filled.settings.library) as other:
        other.catalog.finish_job(2, other.job(1).state)
        assert "index_behind" in problems(other)
        other.search_text("red")
        assert problems(other) == {}


@pytest.mark.parametrize("damage", ["short file", "no manifest"])
def test_a_damaged_snapshot_is_told(damage: str, filled: SegSearch) -> None:
    folder = filled.settings.library / "index"
    (manifest,) = folder.glob("g*.json")
    if damage == "no manifest":
        manifest.write_text("{")
    else:
        (file,) = folder.glob("*.index")
        file.write_bytes(file.read_bytes()[:-9])
    with open_small_service(filled.settings.library) as other:
        assert problems(other)["index_damaged"].severity is Severity.WARNING
        assert other.search_text("red").hits
        other.maintenance.repair()
        assert problems(other) == {}


def test_pictures_that_failed_and_files_that_are_gone_are_told(
    filled: SegSearch, tmp_path: Path
) -> None:
    pictures = tmp_path / "pictures"
    (pictures / "bad.png").write_text("no picture")
    (pictures / "000.png").unlink()
    filled.index([pictures])
    assert problems(filled).keys() == {"pictures_failed", "files_missing"}
    assert problems(filled)["pictures_failed"].what == "1 picture could not be indexed."
    for way in ('"Try all again"', "`segsearch index --retry-failed`", "POST /v1/images/retry"):
        assert way in problems(filled)["pictures_failed"].fix
    assert "1 known file " in problems(filled)["files_missing"].what
    assert filled.runs.retry() == 1
    claim = filled.catalog.claim(1, "me", 60)
    assert claim is not None
    filled.catalog.quarantine(claim, "It fell.")
    filled.maintenance.prune()
    assert problems(filled).keys() == {"pictures_quarantined"}
    assert [image.state for image in filled.catalog.images(state=State.QUARANTINED)]


@pytest.mark.parametrize(
    ("free", "total", "severity"),
    [
        (1_900_000_000, 20_000_000_000, "warning"),
        (40_000_000_000, 1_000_000_000_000, "warning"),
        (60_000_000_000, 1_000_000_000_000, None),
        (2_100_000_000, 20_000_000_000, None),
        (100_000_000, 20_000_000_000, "error"),
    ],
)
def test_a_disk_that_is_nearly_full_is_told(
    free: int,
    total: int,
    severity: str | None,
    filled: SegSearch,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(total, total - free, free))
    found = problems(filled).get("disk_nearly_full")
    assert (found.severity.value if found else None) == severity


def test_missing_models_and_a_library_that_is_read_only_are_told_worst_first(
    filled: SegSearch,
) -> None:
    def missing(_: str | None) -> Models:
        raise ModelMissingError("The model clip is not here: run `segsearch models pull clip`.")

    filled.catalog.read_only = True  # permissions do not bind root
    status = Overview(filled.settings, filled.catalog, filled._index, missing).status()
    told = [(problem.code, problem.severity.value) for problem in status.problems]
    assert told == [("models_missing", "error"), ("read_only", "warning")]
    assert "'small'" in status.problems[0].what
    assert status.read_only


def test_who_holds_pictures_is_told_in_words(tmp_path: Path) -> None:
    pictures = paint_many(tmp_path / "pictures", 6)
    with open_small_service(tmp_path / "library", lanes=1) as service:
        seen: list[Status] = []
        service.index([pictures], report=lambda *_: seen.append(service.status()))
        (worker,) = seen[0].workers
        assert worker.who == f"process {worker.process} on this machine, models on cpu"
        assert (worker.process, worker.device) == (os.getpid(), "cpu")
        assert (worker.pictures, worker.since) == (1, seen[0].jobs[0].started_at)
        assert service.status().workers == ()
        gone = owner_of_this_process() + "1"  # a process of our number that was another
        for number, owner in enumerate(("other:17:3", "other:17:3", "made up", "::", gone)):
            path = f"/elsewhere/{number}.jpg"
            service.catalog.record_file(path, FileStamp(1, 1), f"{number:064}", 1)
            assert service.catalog.claim(1, owner, 60)
        (worker,) = service.status().workers
        assert (worker.who, worker.pictures) == ("process 17 on other", 2)
        assert (worker.device, worker.since) == (None, None)


def overview_of(catalog: Catalog) -> Overview:
    """The status of a library that nobody has opened an index of."""

    def no_models(_: str | None) -> SmallModels:
        return SmallModels()

    index = SyncedIndex(catalog, ExactIndexFactory(), catalog.folder / "index", lambda _: MIX)
    return Overview(Settings(library=catalog.folder), catalog, index, no_models)


def test_the_status_takes_as_much_of_a_large_library_as_of_a_small_one(
    tmp_path: Path,
) -> None:
    taken = []
    for pictures in (10, 2_000):
        made = tmp_path / str(pictures)
        made.mkdir()
        one = fill(made / "catalog.sqlite", pictures, 50)
        overview = overview_of(one)
        overview.status()
        one.begin_job("index", "other:1:1", None, [])  # what was kept is asked for again
        with statements() as sent, scans() as found, machine_steps() as steps:
            assert overview.status().segments
        assert found == []
        taken.append((len(sent), steps[0]))
        one.close()
    (few, short), (many, long) = taken
    assert few == many < 40
    assert long < 1.5 * short + 10
