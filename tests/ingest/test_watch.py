"""Watched folders: new files are taken once they keep still, vanished ones are marked."""

from __future__ import annotations

import shutil
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import event

from segsearch.core.errors import RecipeError
from segsearch.core.settings import Settings
from segsearch.core.types import Recipe, Skipped
from segsearch.ingest.background import index_changes, index_in_turn
from segsearch.ingest.watch import Watch, WatchTimes, is_remote
from segsearch.library import SegSearch
from segsearch.media.sources.base import COMPANION
from segsearch.media.sources.reader import Sources
from tests.support.clips import write
from tests.support.ingest_processes import paint_many, until
from tests.support.small_models import Shape, SmallModels, open_small_service, paint

pytestmark = pytest.mark.slow


class Seeing(Watch):
    """A watch that keeps what it has told."""

    seen: list[list[Path]]

    def changes(self, stop: threading.Event) -> Iterator[list[Path]]:
        for paths in super().changes(stop):
            self.seen.append(paths)
            yield paths


TIMES = WatchTimes(0.5, idle_seconds=1.0)


def seeing(service: SegSearch, folder: Path, *, poll: bool, times: WatchTimes = TIMES) -> Seeing:
    library = service.settings.library
    watcher = Seeing([folder], library, times, poll=poll)
    watcher.seen = []
    return watcher


@contextmanager
def watching(
    service: SegSearch, folder: Path, *, poll: bool, times: WatchTimes = TIMES
) -> Iterator[list[list[Path]]]:
    """A watch that indexes; what it was told to look at."""
    stop = threading.Event()
    watcher = seeing(service, folder, poll=poll, times=times)
    thread = threading.Thread(target=index_changes, args=[service.ingest, watcher, stop])
    thread.start()
    until(lambda: bool(watcher.seen))
    time.sleep(0.5)  # the watch itself begins right after
    try:
        yield watcher.seen
    finally:
        stop.set()
        thread.join()


@pytest.mark.parametrize("poll", [False, True], ids=["events", "polling"])
def test_new_changed_and_vanished_files_are_followed(poll: bool, tmp_path: Path) -> None:
    folder = paint_many(tmp_path / "pictures", 2)
    with open_small_service(tmp_path / "library") as service:
        with watching(service, folder, poll=poll):
            until(lambda: service.status().segments == 4)
            paint(folder / "new.png", [Shape("purple", (5, 5, 60, 60))])
            until(lambda: service.status().segments == 5)
            paint(folder / "new.png", [Shape("cyan", (5, 5, 60, 60))])
            until(lambda: service.search_text("cyan", limit=1).hits[0].score > 0.9)
            (folder / "new.png").unlink()
            until(lambda: service.status().missing == 1)
        assert service.status().images == 3


def test_a_file_that_still_grows_is_left_until_it_keeps_still(tmp_path: Path) -> None:
    folder = paint_many(tmp_path / "pictures", 1)
    data = paint(tmp_path / "slow.png", [Shape("purple", (5, 5, 60, 60))]).read_bytes()
    with open_small_service(tmp_path / "library") as service:
        with watching(service, folder, poll=False) as seen:
            until(lambda: service.status().segments == 2)
            with (folder / "slow.png").open("wb") as file:
                for start in range(0, len(data), len(data) // 8 + 1):
                    file.write(data[start : start + len(data) // 8 + 1])
                    file.flush()
                    time.sleep(0.15)
            until(lambda: service.status().segments == 3)
        assert sum(folder / "slow.png" in paths for paths in seen) == 1
        assert service.status().failed == 0


def test_looks_at_the_whole_folder_leave_a_recording_until_it_ends(tmp_path: Path) -> None:
    folder = paint_many(tmp_path / "films", 1)
    data = write(tmp_path / "film.mkv").read_bytes()
    times = WatchTimes(settle_seconds=1.5, rescan_seconds=0.2, idle_seconds=1.0)
    with (
        open_small_service(tmp_path / "library") as service,
        (folder / "film.mkv").open("wb") as file,
    ):
        file.write(data[: len(data) // 2])
        file.flush()
        with watching(service, folder, poll=False, times=times) as seen:
            for part in (data[at : at + 200] for at in range(len(data) // 2, len(data), 200)):
                file.write(part)
                file.flush()
                time.sleep(0.05)
            assert seen.count([folder]) > 2
            until(lambda: len(service.catalog.videos()) == 1)
            until(lambda: service.status().pending == 0)
        assert max(image.id for image in service.catalog.images()) == 4, "entered once, whole"
        (video,) = service.catalog.videos()
        assert (video.seconds, video.lost) == (4.0, None)


def test_a_file_that_came_just_before_the_watch_is_taken_once_it_keeps_still(
    tmp_path: Path,
) -> None:
    with open_small_service(tmp_path / "library") as service:
        folder = paint_many(tmp_path / "pictures", 1)
        times = WatchTimes(settle_seconds=3.0, idle_seconds=1.0)
        with watching(service, folder, poll=False, times=times) as seen:
            until(lambda: service.status().segments == 2)
        assert seen[0] == [folder]
        assert [folder / "000.png"] in seen


def test_a_folder_that_disappears_and_comes_back_is_watched_on(tmp_path: Path) -> None:
    folder = paint_many(tmp_path / "pictures", 2)
    with (
        open_small_service(tmp_path / "library") as service,
        watching(service, folder, poll=True),
    ):
        until(lambda: service.status().segments == 4)
        folder.rename(tmp_path / "away")
        time.sleep(1)
        paint(tmp_path / "away" / "new.png", [Shape("purple", (5, 5, 60, 60))])
        (tmp_path / "away").rename(folder)
        until(lambda: service.status().segments == 5)
        assert service.status().images == 3


@pytest.mark.parametrize("watched", [False, True], ids=["worker", "watch"])
def test_folders_that_are_away_keep_nothing_waiting(watched: bool, tmp_path: Path) -> None:
    there = paint_many(tmp_path / "there", 1)
    upload = paint(tmp_path / "upload.png", [Shape("purple", (5, 5, 60, 60))])
    (tmp_path / "empty").mkdir()
    with open_small_service(tmp_path / "library") as service, upload.open("rb") as file:
        service.uploads.add(file)
        if watched:
            with watching(service, tmp_path / "away", poll=True):
                until(lambda: service.status().segments == 1)
        else:
            paths = [tmp_path / "away", tmp_path / "empty", there]
            index_in_turn(service.ingest, paths, threading.Event())
            assert service.status().segments == 3


def test_local_folders_are_watched_by_events(tmp_path: Path) -> None:
    assert not is_remote(tmp_path)


def test_what_a_look_at_the_folder_passes_by_is_passed_by_when_it_changes(tmp_path: Path) -> None:
    folder = paint_many(tmp_path / "pictures", 1)
    (folder / "left").mkdir()
    with open_small_service(tmp_path / "library", exclude=("left/",)) as service:
        with watching(service, folder, poll=False) as seen:
            until(lambda: service.status().segments == 2)
            (folder / "notes.txt").write_text("no picture")
            paint(folder / ".hidden.png", [Shape("purple", (5, 5, 60, 60))])
            paint(folder / "left" / "out.png", [Shape("purple", (5, 5, 60, 60))])
            until(lambda: any(folder / "left" / "out.png" in paths for paths in seen))
            (folder / "left" / "out.png").rename(folder / "left" / "still.png")
            until(lambda: any(folder / "left" in paths for paths in seen))
            paint(folder / "new.png", [Shape("cyan", (5, 5, 60, 60))])
            until(lambda: service.status().segments == 3)
        assert (service.status().images, service.status().failed) == (2, 0)
        assert not any(".hidden" in path.name for paths in seen for path in paths)


def test_a_library_inside_the_watched_folder_is_not_watched(tmp_path: Path) -> None:
    folder = paint_many(tmp_path / "pictures", 1)
    library = folder / "library"
    with open_small_service(library) as service:
        with watching(service, folder, poll=False) as seen:
            until(lambda: service.status().segments == 2)
            paint(folder / "new.png", [Shape("cyan", (5, 5, 60, 60))])
            until(lambda: service.status().segments == 3)
            time.sleep(2)  # longer than settling: what the library wrote would be taken now
        assert not any(path.is_relative_to(library) for paths in seen for path in paths)
        assert (service.status().images, service.status().failed) == (2, 0)
        service.index([folder])
        assert service.status().images == 2


def test_a_raw_file_that_settles_beside_its_picture_stays_a_companion(tmp_path: Path) -> None:
    paint(tmp_path / "one.JPG", [Shape("cyan", (5, 5, 60, 60))])
    raw = tmp_path / "One.dng"
    raw.write_bytes(b"camera")
    sources = Sources(Settings(library=tmp_path / "library"))
    assert sources.find([raw], within=[tmp_path]).skipped == (Skipped(str(raw), COMPANION),)


def test_what_comes_while_another_process_holds_the_library_is_tried_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = paint_many(tmp_path / "pictures", 1)
    with open_small_service(tmp_path / "library") as service:
        service.index([folder])
        engine = service.catalog._engine
        event.listen(
            engine, "checkout", lambda connection, *_: connection.execute("PRAGMA busy_timeout = 1")
        )
        with watching(service, folder, poll=False) as seen:
            catalog = tmp_path / "library" / "catalog.sqlite"
            with closing(sqlite3.connect(catalog, isolation_level=None)) as holder:
                holder.execute("BEGIN IMMEDIATE")
                shutil.copy(folder / "000.png", folder / "copy.png")  # needs no model
                until(lambda: "Tried again shortly: Another process" in caplog.text)
            until(lambda: len(service.catalog.image(1).paths) == 2)
        assert sum(folder / "copy.png" in paths for paths in seen) == 1


class ChangedModels(SmallModels):
    """The same models under the same name, with crops of their own."""

    @property
    def recipe(self) -> Recipe:
        return replace(super().recipe, crop={"margin": 0.5})


def test_a_watch_of_a_library_made_by_other_models_of_that_name_ends(tmp_path: Path) -> None:
    folder = paint_many(tmp_path / "pictures", 1)
    with open_small_service(tmp_path / "library") as service:
        service.index([folder])
    with open_small_service(tmp_path / "library", models=ChangedModels()) as changed:
        watcher = seeing(changed, folder, poll=False)
        with pytest.raises(RecipeError, match="--rebuild"):
            index_changes(changed.ingest, watcher, threading.Event())
