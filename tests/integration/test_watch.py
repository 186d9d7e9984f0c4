"""Watched folders: new files are taken once they keep still, vanished ones are marked."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from segsearch.domain import Skipped
from segsearch.service import SegSearch
from segsearch.settings import Settings
from segsearch.sources.entries import COMPANION
from segsearch.sources.reader import Sources
from segsearch.watch import Watch, is_remote
from tests.integration.ingesting import paint_many
from tests.small_models import Shape, open_small_service, paint

PATIENCE_SECONDS = 60


@contextmanager
def watching(service: SegSearch, folder: Path, *, poll: bool) -> Iterator[list[list[Path]]]:
    """A watch that indexes as the command does; what it was told to look at."""
    seen: list[list[Path]] = []
    stop = threading.Event()
    library = service.settings.library
    watcher = Watch([folder], library, settle_seconds=0.5, poll=poll, rescan=600)

    def run() -> None:
        for paths in watcher.changes(stop):
            seen.append(paths)
            service.index(paths, stop=stop, background="watch", within=[folder])

    thread = threading.Thread(target=run)
    thread.start()
    until(lambda: bool(seen))
    time.sleep(0.5)  # the watch itself begins right after
    try:
        yield seen
    finally:
        stop.set()
        thread.join()


def until(holds: object) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():  # type: ignore[operator]  # a callable without arguments
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("poll", [False, True], ids=["events", "polling"])
def test_new_changed_and_vanished_files_are_followed(poll: bool, tmp_path: Path) -> None:
    folder = paint_many(tmp_path / "pictures", 2)
    with open_small_service(tmp_path / "library") as service:
        with watching(service, folder, poll=poll):
            until(lambda: service.status().segments == 4)
            paint(folder / "new.png", [Shape("purple", (5, 5, 60, 60))])
            until(lambda: service.status().segments == 5)
            paint(folder / "new.png", [Shape("cyan", (5, 5, 60, 60))])
            until(lambda: service.search_text("cyan", limit=1)[0].score > 0.9)
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
