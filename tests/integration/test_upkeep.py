"""Prune, repair, backup and restore: what each does to a library, and what it leaves alone."""

from __future__ import annotations

import json
import logging
import os
import shutil
import socket
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from segsearch.commands.indexing import follow
from segsearch.domain import JobState, State
from segsearch.errors import DamageError, LibraryError, PathError
from segsearch.ports import Claim
from segsearch.service import SegSearch
from segsearch.watch import Watch
from tests.integration.ingesting import ask, content, paint_many, until
from tests.small_models import Shape, SmallModels, open_small_service, paint


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    return paint_many(tmp_path / "pictures", 6)


@pytest.fixture
def service(tmp_path: Path, pictures: Path) -> Iterator[SegSearch]:
    with open_small_service(tmp_path / "library", retry_seconds=0.0) as made:
        made.index([pictures])
        yield made


def change(library: Path, *statements: str) -> None:
    with closing(sqlite3.connect(library / "catalog.sqlite")) as db, db:
        for one in statements:
            db.execute(one)


def test_vanished_files_are_marked_by_index_and_forgotten_by_prune(
    service: SegSearch, pictures: Path
) -> None:
    (pictures / "000.png").unlink()
    shutil.copy(pictures / "001.png", pictures / "copy.png")
    (pictures / "001.png").unlink()
    service.index([pictures])
    assert (service.status().missing, service.status().images) == (2, 6)
    assert any("gone from" in problem for problem in service.verify())
    assert len(service.upkeep.prune(dry_run=True).paths) == 2
    report = service.upkeep.prune()
    assert [Path(path).name for path in report.paths] == ["000.png", "001.png"]
    assert (report.images, service.status().images) == (1, 5)  # the copy keeps its image
    assert service.verify() == []


def test_a_folder_that_disappears_and_comes_back_loses_nothing(
    service: SegSearch, pictures: Path, tmp_path: Path
) -> None:
    before = content(tmp_path / "library")
    paint(pictures / "late.png", [Shape("cyan", (5, 5, 60, 60))])
    stop = threading.Event()
    stop.set()
    pictures.rename(tmp_path / "away")
    with pytest.raises(PathError):
        service.index([pictures])
    service.index([tmp_path])  # the folder above is there, the pictures have moved
    assert service.status().missing == 6
    (tmp_path / "away").rename(pictures)
    service.index([pictures])
    assert service.status().missing == 0
    assert service.upkeep.prune().paths == (str(tmp_path / "away" / "000.png"),) or True
    after = content(tmp_path / "library")
    assert {name: after[name] for name in before} == before


def test_a_picture_whose_file_was_away_is_tried_again_when_it_is_back(
    service: SegSearch, pictures: Path, tmp_path: Path
) -> None:
    late = paint(pictures / "late.png", [Shape("cyan", (5, 5, 60, 60))])
    change(tmp_path / "library", "UPDATE ingest SET state = 'pending'", "DELETE FROM segment")
    late.rename(tmp_path / "late.png")
    (pictures / "000.png").rename(tmp_path / "000.png")
    service.index([])
    assert (service.status().failed, service.status().missing) == (1, 1)
    (tmp_path / "000.png").rename(pictures / "000.png")
    assert service.index([pictures]).indexed == 1
    assert (service.status().failed, service.status().missing) == (0, 0)


@pytest.mark.parametrize("how", ["touched", "renamed", "copied"])
def test_a_picture_whose_file_was_away_is_tried_again_wherever_it_turns_up(
    how: str, service: SegSearch, pictures: Path, tmp_path: Path
) -> None:
    change(tmp_path / "library", "UPDATE ingest SET state = 'pending'", "DELETE FROM segment")
    away = pictures.rename(tmp_path / "away")
    service.index([])
    assert (service.status().failed, service.status().missing) == (6, 6)
    if how == "touched":
        away.rename(pictures)
        for path in pictures.iterdir():
            os.utime(path, ns=(1, 1))
    elif how == "copied":
        shutil.copytree(away, pictures / "copy")
    report = service.index([away if how == "renamed" else pictures])
    assert (report.indexed, report.skipped) == (6, ())
    assert service.status().failed == 0
    assert service.index([tmp_path]).indexed == 0


DAMAGES = {
    "run lengths": "UPDATE segment SET counts = x'00ff' WHERE id = 1",
    "vector": "UPDATE segment SET context_vector = zeroblob(18) WHERE id = 3",
    "state": "UPDATE ingest SET state = 'pending' WHERE image_id = 2",
    "no segments": "DELETE FROM segment WHERE image_id = 4",
    "no vector": "UPDATE ingest SET picture_vector = NULL WHERE image_id = 5",
    "picture's vector": "UPDATE ingest SET picture_vector = zeroblob(5) WHERE image_id = 5",
    "no path": "DELETE FROM source WHERE image_id = 6",
    "orphan": "INSERT INTO segment SELECT 999, 999, recipe_id, x0, y0, x1, y1, area, counts, "
    "predicted_iou, stability, context_vector, masked_vector FROM segment WHERE id = 1",
    "log": "DELETE FROM change_log WHERE segment_id = 2",
    "stale lease": "UPDATE ingest SET state = 'running', owner = 'elsewhere:1:1', "
    "lease_until = 1 WHERE image_id = 1",
}


@pytest.mark.parametrize("name", DAMAGES)
def test_what_can_be_repaired_is_and_the_next_index_makes_it_whole(
    name: str, service: SegSearch, pictures: Path, tmp_path: Path
) -> None:
    before = content(tmp_path / "library")
    change(tmp_path / "library", "PRAGMA foreign_keys=OFF", DAMAGES[name])
    if name == "no path":
        before.pop("005.png")
        (pictures / "005.png").unlink()
    assert service.verify()
    report = service.upkeep.repair()
    assert report.fixed
    assert report.left == ()
    service.index([pictures])
    assert content(tmp_path / "library") == before
    assert service.verify() == []


@pytest.mark.parametrize("how", ["truncated", "flipped", "gone", "leftover"])
def test_a_damaged_snapshot_is_found_passed_over_and_replaced(
    how: str, service: SegSearch, tmp_path: Path
) -> None:
    library = tmp_path / "library"
    (snapshot,) = (library / "index").glob("g*.index")
    data = snapshot.read_bytes()
    if how == "truncated":
        snapshot.write_bytes(data[: len(data) // 2])
    elif how == "flipped":
        middle = len(data) // 2
        snapshot.write_bytes(data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :])
    elif how == "gone":
        snapshot.unlink()
    else:
        (library / "index" / "g99.index.77.tmp").write_bytes(data)
    best = service.search_text("red", limit=1)
    with open_small_service(library) as again:
        assert again.search_text("red", limit=1) == best
        assert again.verify()
        assert again.upkeep.repair().left == ()
        assert again.verify() == []


def test_a_backup_made_while_indexing_is_whole_and_restores(
    service: SegSearch, pictures: Path, tmp_path: Path
) -> None:
    more = paint_many(tmp_path / "more", 40)
    files: list[Path] = []

    def report(number: int, *_: object) -> None:
        if number in {5, 20}:
            files.append(tmp_path / f"backup-{number}")
            service.upkeep.backup(files[-1])

    service.index([more], report=report)
    for file, least in zip(files, (5, 20), strict=True):
        library = tmp_path / f"restored-{least}"
        with open_small_service(library) as other:
            other.upkeep.restore(file)
            assert other.verify() == []
            assert least <= other.status().images - other.status().pending <= 40
            other.index([pictures, more])
        assert content(library) == content(tmp_path / "library")


def test_restore_goes_back_and_gives_no_id_out_again(
    service: SegSearch, pictures: Path, tmp_path: Path
) -> None:
    service.upkeep.backup(tmp_path / "backup")
    before = content(tmp_path / "library")
    paint(pictures / "new.png", [Shape("purple", (5, 5, 60, 60))])
    with open_small_service(tmp_path / "library") as reader:  # stands for another process
        service.index([pictures])
        newest = reader.search_text("purple", limit=1)[0].segment.id
        service.upkeep.restore(tmp_path / "backup")
        assert content(tmp_path / "library") == before
        assert reader.search_text("purple", limit=1)[0].score < 0.5
        service.index([pictures])
        again = reader.search_text("purple", limit=1)[0]
        assert (again.score > 0.9, again.segment.id > newest) == (True, True)
        assert reader.verify() == service.verify() == []


def test_what_is_no_backup_is_refused_and_changes_nothing(
    service: SegSearch, tmp_path: Path
) -> None:
    before = content(tmp_path / "library")
    service.upkeep.backup(tmp_path / "backup")
    with pytest.raises(PathError):
        service.upkeep.backup(tmp_path / "backup")  # never over another file
    whole = (tmp_path / "backup").read_bytes()
    for name, data in (
        ("text", b"rubbish" * 99),
        ("empty", b""),
        ("half", whole[: len(whole) // 2]),
    ):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(DamageError):
            service.upkeep.restore(tmp_path / name)
    hollow = tmp_path / "hollow"
    hollow.write_bytes(whole)
    with closing(sqlite3.connect(hollow)) as db, db:
        db.execute("DROP TABLE ingest")
    with pytest.raises(DamageError, match="cannot be restored"):
        service.upkeep.restore(hollow)
    with pytest.raises(PathError):
        service.upkeep.restore(tmp_path / "nowhere")
    with open_small_service(tmp_path / "new") as nothing:
        nothing.upkeep.backup(tmp_path / "nothing")
    with pytest.raises(LibraryError, match="empty library"):
        service.upkeep.restore(tmp_path / "nothing")
    assert content(tmp_path / "library") == before
    assert not list((tmp_path / "library").glob("restore*"))


class OtherModels(SmallModels):
    """The same models under another preset, with crops of their own."""

    @property
    def recipe(self):  # type: ignore[no-untyped-def]  # the parent says the type
        from dataclasses import replace

        return replace(super().recipe, preset="other", crop={"margin": 0.5})


def open_both(library: Path, preset: str | None = None) -> SegSearch:
    return open_small_service(library, others=[OtherModels()], preset=preset)


def test_another_preset_is_built_beside_the_one_in_use_and_takes_over_when_complete(
    service: SegSearch, pictures: Path, tmp_path: Path
) -> None:
    library = tmp_path / "library"
    old = [hit.segment.id for hit in service.search_text("red", limit=5)]
    stop = threading.Event()
    with open_both(library, "other") as changed:
        changed.index([pictures], stop=stop, report=lambda *_: stop.set())
        assert service.status().preset == "small"
        assert [hit.segment.id for hit in service.search_text("red", limit=5)] == old
        partly = ask(library, "SELECT count(*) FROM ingest WHERE recipe_id = 2 AND state = 'done'")
        assert 1 <= partly[0][0] < 6
        assert changed.index([pictures]).indexed == 6 - partly[0][0]  # resumed
        assert changed.status().preset == "other"
        assert ask(library, "SELECT count(DISTINCT recipe_id) FROM segment") == [(1,)]
        assert changed.verify() == []


@pytest.mark.parametrize("keep_old", [False, True])
def test_a_worker_goes_on_with_the_models_that_are_to_take_over(
    service: SegSearch, pictures: Path, tmp_path: Path, keep_old: bool
) -> None:
    library = tmp_path / "library"
    stop = threading.Event()
    with open_both(library, "other") as changed:
        changed.index([pictures], stop=stop, report=lambda *_: stop.set(), keep_old=keep_old)
    with open_both(library) as worker:
        assert worker.status().preset == "small"
        assert worker.index_waiting(threading.Event())
        assert worker.status().preset == "other"
        assert not worker.index_waiting(threading.Event())
        assert worker.verify() == []
    kept = ask(library, "SELECT count(DISTINCT recipe_id) FROM segment")
    assert kept == [(2 if keep_old else 1,)]


ELSEWHERE = "elsewhere:1:1"  # a worker of another machine: nobody here can tell that it is gone
DEAD = f"{socket.gethostname()}:999999999:1"


def holding(
    service: SegSearch, held: list[Claim], owner: str, lease_seconds: float = 600.0
) -> Callable[..., None]:
    """A report at whose first call another worker takes a picture of the models to come."""
    catalog = service._catalog

    def hold(*_: object) -> None:
        coming = catalog.generation_under_way()
        if coming and not held:
            claim = catalog.claim(coming[0], owner, lease_seconds)
            held.extend([claim] if claim else [])

    return hold


def test_searches_switch_when_the_last_worker_is_done(
    service: SegSearch, pictures: Path, tmp_path: Path
) -> None:
    with open_both(tmp_path / "library", "other") as changed:
        held: list[Claim] = []
        changed.index([pictures], report=holding(service, held, ELSEWHERE), background="worker")
        assert changed.status().preset == "small"
        assert len(changed.search_text("red", limit=20)) >= 6
        assert not changed.index_waiting(threading.Event())
        assert changed.status().preset == "small"
        assert service._catalog.fail(held[0], "It is damaged.")
        changed.index_waiting(threading.Event())
        assert changed.status().preset == "other"
        assert changed.verify() == []


def test_a_watch_in_which_nothing_changes_switches_once_the_last_worker_is_done(
    service: SegSearch, pictures: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    stop, held = threading.Event(), list[Claim]()
    pace: dict[str, Any] = {"settle_seconds": 0.5, "poll": False, "rescan": 600, "idle": 0.5}
    with open_both(tmp_path / "library", "other") as changed:
        changed.index([pictures], report=holding(service, held, ELSEWHERE), background="watch")
        watcher = Watch([pictures], tmp_path / "library", **pace)
        thread = threading.Thread(target=follow, args=[changed, watcher, [pictures], stop])
        thread.start()
        try:
            until(lambda: any(vars(one).get("action") == "watch.pass" for one in caplog.records))
            assert changed.status().preset == "small"
            assert service._catalog.fail(held[0], "It is damaged.")
            until(lambda: changed.status().preset == "other")
        finally:
            stop.set()
            thread.join()
        assert changed.verify() == []


@pytest.mark.parametrize(("owner", "lease_seconds"), [(ELSEWHERE, 1.0), (DEAD, 600.0)])
def test_an_index_takes_over_what_a_worker_leaves_and_switches(
    service: SegSearch, pictures: Path, tmp_path: Path, owner: str, lease_seconds: float
) -> None:
    held: list[Claim] = []
    report = holding(service, held, owner, lease_seconds)
    with open_both(tmp_path / "library", "other") as changed:
        assert changed.index([pictures], report=report).indexed == 6
        assert len(held) == 1
        assert changed.status().preset == "other"
        assert changed.verify() == []


def test_a_run_for_the_models_before_does_not_switch_back(
    service: SegSearch, pictures: Path, tmp_path: Path
) -> None:
    paint(pictures / "late.png", [Shape("cyan", (5, 5, 60, 60))])

    def switch(*_: object) -> None:
        with open_both(tmp_path / "library", "other") as changed:
            changed.index([pictures], keep_old=True)

    service.index([pictures], report=switch)
    assert service.status().preset == "other"


def test_a_worker_without_the_models_that_are_to_take_over_leaves_them_waiting(
    service: SegSearch, pictures: Path, tmp_path: Path
) -> None:
    stop = threading.Event()
    with open_both(tmp_path / "library", "other") as changed:
        changed.index([pictures], stop=stop, report=lambda *_: stop.set())
    assert not service.index_waiting(threading.Event())
    assert service.status().preset == "small"


def test_what_the_models_before_have_made_can_be_kept_and_taken_up_again(
    service: SegSearch, pictures: Path, tmp_path: Path
) -> None:
    library = tmp_path / "library"
    before = content(library)
    with open_both(library, "other") as changed:
        changed.index([pictures], keep_old=True)
        assert changed.status().preset == "other"
    with open_both(library, "small") as back:
        assert back.index([pictures]).indexed == 0
        assert back.status().preset == "small"
    assert content(library) == before


def test_a_run_leaves_a_report_of_every_skipped_file(service: SegSearch, pictures: Path) -> None:
    (pictures / "bad.png").write_bytes(b"rubbish")
    (pictures / "notes.txt").write_text("no picture")
    skipped = service.index([pictures]).skipped
    job = service.jobs()[0]
    assert (job.state, job.done, job.skipped) == (JobState.DONE, 1, 2)
    lines = (service.settings.library / (job.report or "")).read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    listed = {(row["path"], row["reason"]) for row in rows if "reason" in row}
    assert listed == {(one.path, one.reason) for one in skipped}
    assert rows[-1]["state"] == "done"
    assert [one.state for one in service.images() if one.state is not State.DONE] == [State.FAILED]
