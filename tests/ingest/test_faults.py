"""Disks, clocks, files and other processes misbehave; the library does not."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from segsearch.core.errors import DiskFullError, ReadOnlyError
from segsearch.core.types import State
from segsearch.export.captioning import CaptionOptions, caption
from segsearch.export.vision_chat import Endpoint
from segsearch.ingest.worker import Step
from segsearch.storage.api_keys import KeyRing, Scope
from segsearch.storage.catalog import portable, queue
from tests.support.ingest_processes import ask, content, finish, paint_many, start
from tests.support.small_models import Shape, open_small_service, paint
from tests.support.vision import vision_endpoint

pytestmark = pytest.mark.process

SMALL_DISK_BYTES = 24_000_000  # the log grows to 16 MB before it is emptied


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of its own that holds little."""
    folder = tmp_path / "disk"
    folder.mkdir()
    options = f"size={SMALL_DISK_BYTES}"
    command = ["mount", "-t", "tmpfs", "-o", options, "none", str(folder)]
    mounted = subprocess.run(command, capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("this user may mount no disk")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def fill_up(filler: Path) -> None:
    """Leave no room on the disk; a library there may take some of it meanwhile."""
    with contextlib.suppress(OSError), filler.open("wb") as file:
        free = os.statvfs(filler.parent).f_bavail * os.statvfs(filler.parent).f_frsize
        file.write(bytes(free))


def test_on_a_full_disk_nothing_is_called_damaged(small_disk: Path, tmp_path: Path) -> None:
    library, filler = small_disk / "library", small_disk / "filler"
    with open_small_service(library) as service:
        service.index([paint_many(tmp_path / "pictures", 3)])
        service.maintenance.backup(tmp_path / "backup")
        everything = list(service.select())
    fill_up(filler)
    with pytest.raises(DiskFullError, match="is full"), open_small_service(library):
        pass
    with pytest.raises(DiskFullError, match="No space left"):
        KeyRing(library).create("laptop", Scope.READ)
    filler.unlink()
    with open_small_service(library) as service:
        fill_up(filler)
        with pytest.raises(DiskFullError, match="nothing has changed"):
            service.maintenance.restore(tmp_path / "backup")
        filler.unlink()
        assert list(service.select()) == everything
        assert service.maintenance.verify() == []


def test_a_disk_that_fills_up_loses_nothing_that_was_stored(
    small_disk: Path, tmp_path: Path
) -> None:
    pictures = paint_many(tmp_path / "pictures", 30)
    library = small_disk / "library"
    filler = small_disk / "filler"
    steps: list[Step] = []

    def fill(_done: int, _total: int, step: Step) -> None:
        steps.append(step)
        if len(steps) == 5:
            fill_up(filler)

    with open_small_service(library, lanes=1, lease_seconds=0.5) as service:
        with pytest.raises(DiskFullError, match="is full"):
            service.index([pictures], report=fill)
        assert service.status().pending >= 20
        filler.unlink()
        time.sleep(1)  # the full disk kept what this process held from being given back
        assert service.index([pictures]).skipped == ()
        assert service.maintenance.verify() == []
    with open_small_service(tmp_path / "calm") as calm:
        calm.index([pictures])
    assert content(library) == content(tmp_path / "calm")


@pytest.mark.parametrize("log_left", [False, True], ids=["closed", "with its log"])
def test_a_read_only_library_can_be_searched_and_says_it_cannot_be_changed(
    log_left: bool, small_disk: Path, tmp_path: Path
) -> None:
    pictures = paint_many(tmp_path / "pictures", 3)
    library = small_disk / "library"
    with open_small_service(tmp_path / "library") as service:
        service.index([pictures])
        if log_left:
            shutil.copytree(tmp_path / "library", library)
    if not log_left:
        shutil.copytree(tmp_path / "library", library)
    assert (library / "catalog.sqlite-wal").exists() == log_left
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with open_small_service(library) as service:
        assert service.search_text("red", limit=3).hits
        assert service.status().images == 3
        assert service.maintenance.verify() == []
        service.maintenance.backup(tmp_path / "backup")
        with pytest.raises(ReadOnlyError, match="can be searched, not changed"):
            service.index([pictures])
        with vision_endpoint() as server:
            to = Endpoint(server.url, server.model)
            with pytest.raises(ReadOnlyError, match="can be searched, not changed"):
                caption(
                    service.select(),
                    service.region_sources(),
                    service.catalog,
                    to,
                    CaptionOptions(),
                )
            assert server.asked == []  # nothing is paid for that cannot be kept
    with open_small_service(tmp_path / "restored") as other:
        other.maintenance.restore(tmp_path / "backup")
    assert content(tmp_path / "restored") == content(tmp_path / "library")


def test_a_log_left_behind_by_a_dead_process_is_read(tmp_path: Path) -> None:
    pictures = paint_many(tmp_path / "pictures", 4)
    with open_small_service(tmp_path / "library") as service:
        service.index([pictures])
        # As a power cut leaves it: the log is whole, and not yet in the file.
        left = shutil.copytree(tmp_path / "library", tmp_path / "left")
        (left / "catalog.sqlite-shm").unlink()
        assert (left / "catalog.sqlite-wal").stat().st_size > 0
    with open_small_service(left) as service:
        assert service.maintenance.verify() == []
        assert service.status().images == 4
    assert content(left) == content(tmp_path / "library")


def test_the_end_of_a_log_cut_off_by_a_power_cut_costs_only_what_it_held(tmp_path: Path) -> None:
    pictures = paint_many(tmp_path / "pictures", 8)
    with open_small_service(tmp_path / "library") as service:
        service.index([pictures])
        left = shutil.copytree(tmp_path / "library", tmp_path / "left")
    log = left / "catalog.sqlite-wal"
    (left / "catalog.sqlite-shm").unlink()
    log.write_bytes(log.read_bytes()[: log.stat().st_size * 4 // 5])
    # What was held at the cut seems to be held by this very process: its lease has to end.
    with closing(sqlite3.connect(left / "catalog.sqlite")) as db, db:
        db.execute("UPDATE ingest SET lease_until = 1 WHERE state = 'running'")
    with open_small_service(left) as service:
        service.index([pictures])
        assert service.maintenance.verify() == []
    assert content(left) == content(tmp_path / "library")


def test_two_workers_share_one_library(tmp_path: Path) -> None:
    pictures = paint_many(tmp_path / "pictures", 40)
    with open_small_service(tmp_path / "calm") as service:
        service.index([pictures])
    library = tmp_path / "library"
    both = [start("worker", library, pictures) for _ in range(2)]
    shares = [finish(worker)["indexed"] for worker in both]
    assert sum(shares) == 40
    assert content(library) == content(tmp_path / "calm")
    with open_small_service(library) as service:
        assert service.maintenance.verify() == []
    logged = "SELECT count(*), count(DISTINCT segment_id) FROM change_log"
    assert ask(library, logged) == ask(library, "SELECT count(*), count(*) FROM segment")


@pytest.mark.parametrize("hours", [-240, -1, 1, 240])
def test_a_clock_that_jumps_holds_nothing_up_and_repeats_nothing(
    hours: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = paint_many(tmp_path / "pictures", 12)
    now = portable.NOW
    with open_small_service(tmp_path / "library", lanes=1, lease_seconds=0.3) as service:

        def jump(number: int, *_: object) -> None:
            if number == 4:
                shifted: sa.ColumnElement[float] = now + hours * 3600.0
                monkeypatch.setattr(queue, "NOW", shifted)

        assert service.index([pictures], report=jump).indexed == 12
        assert service.maintenance.verify() == []
    logged = "SELECT count(*), count(DISTINCT segment_id) FROM change_log"
    assert ask(tmp_path / "library", logged) == [(24, 24)]


def test_a_lease_or_pause_from_before_the_clock_was_set_back_is_over(tmp_path: Path) -> None:
    pictures = paint_many(tmp_path / "pictures", 2)
    library = tmp_path / "library"
    with open_small_service(library) as service:
        service.index([pictures])
        with closing(sqlite3.connect(library / "catalog.sqlite")) as db, db:
            db.execute("DELETE FROM segment")
            db.execute("DELETE FROM change_log")
            now = "(julianday('now') - 2440587.5) * 86400.0"
            db.execute(
                f"UPDATE ingest SET state = 'running', owner = 'elsewhere:1:1', "  # noqa: S608
                f"lease_until = {now} + 864000 WHERE image_id = 1"
            )
            db.execute(
                f"UPDATE ingest SET state = 'pending', retry_at = {now} + 7200 "  # noqa: S608
                "WHERE image_id = 2"
            )
        assert service.index([pictures]).indexed == 2


def test_a_file_that_changes_while_it_is_read_gives_its_last_content(tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    turning = pictures / "turning.png"
    colours = ("red", "green", "blue", "yellow")
    spare = tmp_path / "spare.png"
    ended = threading.Event()

    def turn() -> None:
        number = 0
        while not ended.is_set():
            number += 1
            shape = Shape(colours[number % 4], (number % 60, 5, number % 60 + 30, 60))
            data = paint(spare, [shape]).read_bytes()
            with turning.open("wb") as file:  # in two halves, as a slow copy does
                file.write(data[: len(data) // 2])
                file.flush()
                file.write(data[len(data) // 2 :])

    paint(turning, [Shape("red", (5, 5, 60, 60))])
    with open_small_service(tmp_path / "library") as service:
        thread = threading.Thread(target=turn)
        thread.start()
        try:
            for _ in range(15):
                service.index([pictures])
        finally:
            ended.set()
            thread.join()
        paint(turning, [Shape("purple", (5, 5, 60, 60))])
        service.index([pictures])
        (image,) = service.catalog.images()
        assert image.state is State.DONE
        assert service.search_text("purple", limit=1).hits[0].score > 0.9
        assert service.maintenance.verify() == []
