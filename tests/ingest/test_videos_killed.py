"""Runs over a video are killed while it is looked through, in the middle of a shot, and between
two: each shot is indexed once, and one that was done is not claimed again."""

from __future__ import annotations

import os
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.clips import Take, write
from tests.support.ingest_processes import ask, children, content, done, finish, start, until
from tests.support.killing import watch_for_repeats
from tests.support.small_models import open_small_service

pytestmark = pytest.mark.process

GROUNDS = ("red", "green", "blue", "white")  # grey and black ground end the driver's models
SHOTS = [Take(GROUNDS[number % len(GROUNDS)], 20 + number) for number in range(10)]
CLAIMS = "SELECT image_id, count(*) FROM claimed GROUP BY image_id"
RUNNING = "SELECT image_id FROM ingest WHERE state = 'running'"
DONE = "SELECT image_id FROM ingest WHERE state = 'done'"


def watch_for_claims(library: Path) -> None:
    """Let the database note each claim."""
    watch_for_repeats(library)
    with closing(sqlite3.connect(library / "catalog.sqlite")) as db, db:
        db.execute("CREATE TABLE claimed(image_id INTEGER)")
        db.execute(
            "CREATE TRIGGER claims AFTER UPDATE OF state ON ingest WHEN NEW.state = 'running' "
            "BEGIN INSERT INTO claimed VALUES (NEW.image_id); END"
        )


def ids(library: Path, query: str) -> set[int]:
    return {int(row[0]) for row in ask(library, query)}


def kill(process: subprocess.Popen[str]) -> None:
    assert process.poll() is None, "it is killed on its way"
    process.kill()
    process.communicate()


def lookers(process: int) -> list[int]:
    """Processes that a process looks through videos with."""
    return children(process, "segsearch.media.video_child")


def test_killed_within_a_shot_and_between_two_each_shot_is_indexed_once(tmp_path: Path) -> None:
    folder, calm, rough = tmp_path / "films", tmp_path / "calm", tmp_path / "rough"
    folder.mkdir()
    write(folder / "film.mp4", SHOTS)
    with open_small_service(calm) as service:
        assert service.index([folder]).indexed == len(SHOTS)
    watch_for_claims(rough)
    claims: dict[int, int] = dict.fromkeys(range(1, len(SHOTS) + 1), 1)
    for mode, is_within in (("worker", True), ("index", False)):
        before = done(rough)
        process = start(mode, rough, folder)
        until(lambda before=before: done(rough) > before)  # type: ignore[misc]
        if is_within:
            until(lambda: bool(ids(rough, RUNNING)))
        kill(process)
        assert before < done(rough) < len(SHOTS)
        for image_id in ids(rough, RUNNING):
            claims[image_id] += 1
    finished = ids(rough, DONE)
    last = finish(start("worker", rough, folder))
    assert last["indexed"] == len(SHOTS) - len(finished)
    assert dict(ask(rough, CLAIMS)) == claims
    assert ask(rough, "SELECT count(*) FROM repeated") == [(0,)]
    assert content(rough) == content(calm)
    with open_small_service(rough) as service:
        assert service.maintenance.verify() == []
        assert service.index([folder]).unchanged == len(SHOTS)


def test_killed_during_the_first_look_a_video_is_entered_whole_by_the_next_run(
    tmp_path: Path,
) -> None:
    folder, library = tmp_path / "films", tmp_path / "library"
    folder.mkdir()
    write(folder / "film.mp4", [Take("red", 3000), Take("blue", 30)])
    process = start("index", library, folder)
    until(lambda: bool(lookers(process.pid)))
    looking = lookers(process.pid)
    kill(process)
    assert ask(library, "SELECT count(*) FROM image") == [(0,)]
    assert ask(library, "SELECT count(*) FROM video") == [(0,)]
    until(lambda: not any(_is_there(number) for number in looking))
    assert finish(start("index", library, folder)) == {"indexed": 2, "skipped": 0}
    assert ask(library, "SELECT count(*) FROM shot") == [(2,)]
    with open_small_service(library) as service:
        assert service.maintenance.verify() == []


def _is_there(number: int) -> bool:
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    return True
