"""Prune, repair, backup and restore: what each does to a library, and what it leaves alone."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from segsearch.core.errors import DamageError, LibraryError, PathError
from segsearch.core.types import JobState, State
from segsearch.library import SegSearch
from tests.support.ingest_processes import content, paint_many
from tests.support.small_models import Shape, open_small_service, paint

pytestmark = pytest.mark.process


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    return paint_many(tmp_path / "pictures", 6)


def change(library: Path, *statements: str) -> None:
    with closing(sqlite3.connect(library / "catalog.sqlite")) as db, db:
        for statement in statements:
            db.execute(statement)


def test_vanished_files_are_marked_by_index_and_forgotten_by_prune(
    service: SegSearch, pictures: Path
) -> None:
    (pictures / "000.png").unlink()
    shutil.copy(pictures / "001.png", pictures / "copy.png")
    (pictures / "001.png").unlink()
    service.index([pictures])
    assert (service.status().missing, service.status().images) == (2, 6)
    assert any(
        "gone from" in problem and "remove" in problem for problem in service.maintenance.verify()
    )
    looked = service.maintenance.prune(dry_run=True)
    assert service.status().images == 6
    report = service.maintenance.prune()
    assert looked == report
    assert [Path(path).name for path in report.paths] == ["000.png", "001.png"]
    assert (report.images, service.status().images) == (1, 5)  # the copy keeps its image
    assert service.maintenance.verify() == []


@pytest.mark.parametrize("instead", [None, Path.mkdir, os.mkfifo], ids=["link", "folder", "pipe"])
def test_what_leads_to_no_file_any_more_has_vanished(
    instead: Callable[[Path], None] | None, service: SegSearch, pictures: Path, tmp_path: Path
) -> None:
    place = pictures / "000.png"
    if instead is None:
        away = place.rename(tmp_path / "away.png")
        place.symlink_to(away)
        assert service.index([pictures]).skipped == ()
        away.unlink()
    else:
        place.unlink()
        instead(place)
    assert any("gone from" in problem for problem in service.maintenance.verify())
    service.index([pictures])
    assert service.status().missing == 1
    assert service.maintenance.prune().paths == (str(place),)


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
    assert service.maintenance.prune().paths == ()
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
    "vector": "UPDATE segment_vector SET context_vector = zeroblob(18) WHERE segment_id = 3",
    "no vectors": "DELETE FROM segment_vector WHERE segment_id = 3",
    "vectors of none": "INSERT INTO segment_vector VALUES (999, x'00', x'00')",
    "counter": "UPDATE counter SET count = count + 5 WHERE kind = 'segments'",
    "counter gone": "DELETE FROM counter",
    "tenth": "UPDATE segment SET area_tenth = (area_tenth + 1) % 10 WHERE id = 2",
    "state": "UPDATE ingest SET state = 'pending' WHERE image_id = 2",
    "no segments": "DELETE FROM segment WHERE image_id = 4",
    "no vector": "UPDATE ingest SET picture_vector = NULL WHERE image_id = 5",
    "picture's vector": "UPDATE ingest SET picture_vector = zeroblob(5) WHERE image_id = 5",
    "no path": "DELETE FROM source WHERE image_id = 6",
    "orphan": "INSERT INTO segment SELECT 999, 999, recipe_id, x0, y0, x1, y1, area, counts, "
    "predicted_iou, stability, holds, lies_in, area_tenth, kind, reading_order, of_text "
    "FROM segment WHERE id = 1",
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
    assert service.maintenance.verify()
    report = service.maintenance.repair()
    assert report.fixed
    assert report.left == ()
    service.index([pictures])
    assert content(tmp_path / "library") == before
    assert service.maintenance.verify() == []


@pytest.mark.parametrize("how", ["truncated", "flipped", "gone", "leftover"])
def test_a_damaged_snapshot_is_found_passed_over_and_replaced(
    how: str, service: SegSearch, tmp_path: Path
) -> None:
    library = tmp_path / "library"
    (snapshot,) = (library / "index").glob("*.index")
    data = snapshot.read_bytes()
    if how == "truncated":
        snapshot.write_bytes(data[: len(data) // 2])
    elif how == "flipped":
        middle = len(data) // 2
        snapshot.write_bytes(data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :])
    elif how == "gone":
        snapshot.unlink()
    else:
        (library / "index" / "1234.index.77.partial").write_bytes(data)
    best = service.search_text("red", limit=1).hits
    with open_small_service(library) as again:
        assert again.search_text("red", limit=1).hits == best
        assert again.maintenance.verify()
        assert again.maintenance.repair().left == ()
        assert again.maintenance.verify() == []


def test_what_a_killed_restore_left_is_found_and_deleted(
    service: SegSearch, tmp_path: Path
) -> None:
    library = tmp_path / "library"
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    left = {f"restore.{ended.pid}.tmp", f"restore.{ended.pid}.tmp-journal"}
    under_way = library / f"restore.{os.getpid()}.tmp"
    for name in (*left, under_way.name):
        (library / name).write_bytes(b"half")
    assert [problem.split()[2] for problem in service.maintenance.verify()] == sorted(left)
    assert service.maintenance.repair().left == ()
    assert under_way.exists()
    assert not any((library / name).exists() for name in left)


def test_a_backup_made_while_indexing_is_whole_and_restores(
    service: SegSearch, pictures: Path, tmp_path: Path
) -> None:
    more = paint_many(tmp_path / "more", 40)
    files: list[Path] = []

    def report(number: int, *_: object) -> None:
        if number in {5, 20}:
            files.append(tmp_path / f"backup-{number}")
            service.maintenance.backup(files[-1])

    service.index([more], report=report)
    for file, least in zip(files, (5, 20), strict=True):
        library = tmp_path / f"restored-{least}"
        with open_small_service(library) as other:
            other.maintenance.restore(file)
            assert other.maintenance.verify() == []
            assert least <= other.status().images - other.status().pending <= 40
            other.index([pictures, more])
        assert content(library) == content(tmp_path / "library")


def test_restore_goes_back_and_gives_no_id_out_again(
    service: SegSearch, pictures: Path, tmp_path: Path
) -> None:
    service.maintenance.backup(tmp_path / "backup")
    before = content(tmp_path / "library")
    paint(pictures / "new.png", [Shape("purple", (5, 5, 60, 60))])
    with open_small_service(tmp_path / "library") as reader:  # stands for another process
        service.index([pictures])
        newest = reader.search_text("purple", limit=1).hits[0].segment.id
        service.maintenance.restore(tmp_path / "backup")
        assert content(tmp_path / "library") == before
        assert reader.search_text("purple", limit=1).hits[0].score < 0.5
        service.index([pictures])
        again = reader.search_text("purple", limit=1).hits[0]
        assert (again.score > 0.9, again.segment.id > newest) == (True, True)
        assert reader.maintenance.verify() == service.maintenance.verify() == []


def test_what_is_no_backup_is_refused_and_changes_nothing(
    service: SegSearch, tmp_path: Path
) -> None:
    before = content(tmp_path / "library")
    service.maintenance.backup(tmp_path / "backup")
    with pytest.raises(PathError):
        service.maintenance.backup(tmp_path / "backup")  # never over another file
    with pytest.raises(PathError, match="cannot be written"):
        service.maintenance.backup(tmp_path / ("b" * 250))  # no room in a name for a half-made one
    whole = (tmp_path / "backup").read_bytes()
    for name, data in (
        ("text", b"rubbish" * 99),
        ("empty", b""),
        ("half", whole[: len(whole) // 2]),
    ):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(DamageError):
            service.maintenance.restore(tmp_path / name)
    hollow = tmp_path / "hollow"
    hollow.write_bytes(whole)
    with closing(sqlite3.connect(hollow)) as db, db:
        db.execute("DROP TABLE ingest")
    with pytest.raises(DamageError, match="cannot be restored"):
        service.maintenance.restore(hollow)
    with pytest.raises(PathError):
        service.maintenance.restore(tmp_path / "nowhere")
    with open_small_service(tmp_path / "new") as nothing:
        nothing.maintenance.backup(tmp_path / "nothing")
    with pytest.raises(LibraryError, match="empty library"):
        service.maintenance.restore(tmp_path / "nothing")
    assert content(tmp_path / "library") == before
    assert not list((tmp_path / "library").glob("restore*"))


def test_what_a_stopped_run_left_does_not_count_as_unchanged(tmp_path: Path) -> None:
    pictures, stop = paint_many(tmp_path / "pictures", 9), threading.Event()
    with open_small_service(tmp_path / "library", lanes=1) as service:
        report = service.index([pictures], report=lambda *_: stop.set(), stop=stop)
        assert (report.indexed < 9, report.unchanged) == (True, 0)
        assert service.index([pictures]).unchanged == report.indexed
        before = paint_many(tmp_path / "more", 4)
        report = service.index([before, pictures], stop=stop)  # before anything is read
        assert (report.indexed, report.unchanged) == (0, 9)


def test_what_failed_in_an_earlier_run_is_skipped_and_not_unchanged(tmp_path: Path) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_text("no picture")
    shutil.copy(bad, tmp_path / "copy.jpg")
    with open_small_service(tmp_path / "library") as service:
        for _ in range(2):
            report = service.index([bad, tmp_path / "copy.jpg"])
            assert (report.unchanged, len(report.skipped)) == (0, 2)


def test_a_run_elsewhere_that_is_silent_for_minutes_counts_as_lost(tmp_path: Path) -> None:
    library = tmp_path / "library"
    with open_small_service(library) as service:
        service.index([paint_many(tmp_path / "pictures", 1)])
        (own,) = service.jobs()
        with closing(sqlite3.connect(library / "catalog.sqlite")) as db, db:
            put = "INSERT INTO job (kind, owner, paths, state, started_at, updated_at) VALUES "
            row = "('worker', '{}', '[]', 'running', unixepoch() - {}, unixepoch() - {})"
            for owner, silent in (("other:7:1", 240), ("other:7:2", 360), (own.owner, 90_000)):
                db.execute(put + row.format(owner, silent, silent))
        states = [job.state.value for job in service.jobs()]
        assert states == ["running", "lost", "running", "done"]
        service.index([tmp_path / "pictures"])
        with closing(sqlite3.connect(library / "catalog.sqlite")) as db:
            stored = [row[0] for row in db.execute("SELECT state FROM job ORDER BY id")]
        assert stored == ["done", "running", "lost", "running", "done"]


def test_a_run_leaves_a_report_of_every_skipped_file(service: SegSearch, pictures: Path) -> None:
    (pictures / "bad.png").write_bytes(b"rubbish")
    (pictures / "notes.txt").write_text("no picture")
    skipped = service.index([pictures]).skipped
    job = service.jobs()[0]
    assert (job.state, job.done, job.skipped) == (JobState.DONE, 1, 2)
    lines = (service.settings.library / (job.report or "")).read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    listed = {(row["path"], row["reason"]) for row in rows if "reason" in row}
    assert listed == {(file.path, file.reason) for file in skipped}
    assert rows[-1]["state"] == "done"
    states = [image.state for image in service.catalog.images()]
    assert [state for state in states if state is not State.DONE] == [State.FAILED]
