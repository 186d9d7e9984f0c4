"""Runs that read text are killed at random instants: nothing is read twice, nothing is left out."""

from __future__ import annotations

import random
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.ingest_processes import ask, finish, start
from tests.support.small_models import (
    ReadingModels,
    Shape,
    open_small_service,
    paint,
    paint_line,
)

pytestmark = pytest.mark.process

PICTURES, KILLS = 12, 2


def test_killed_while_reading_nothing_is_read_twice(tmp_path: Path) -> None:
    rng = random.Random(3)
    folder, library = tmp_path / "pictures", tmp_path / "library"
    for number in range(PICTURES):
        path = paint(folder / f"{number:02}.png", [Shape("red", (5, 5, 40, 5 + number + 10))])
        paint_line(path, f"Page {number}", (60, 20))
    with open_small_service(library) as service:
        service.index([folder])
    with closing(sqlite3.connect(library / "catalog.sqlite")) as db, db:
        db.execute("CREATE TABLE repeated(image_id INTEGER)")
        db.execute(
            "CREATE TRIGGER once AFTER UPDATE OF state ON reading WHEN OLD.state = 'done' "
            "BEGIN INSERT INTO repeated VALUES (OLD.image_id); END"
        )
    for _ in range(KILLS):
        before = read(library)
        process = start("read", library, folder)
        deadline = time.monotonic() + 60
        while read(library) == before and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.1))
        process.kill()
        process.communicate()
    assert 0 < read(library) < PICTURES
    finish(start("read", library, folder))
    assert read(library) == PICTURES
    assert ask(library, "SELECT count(*) FROM repeated") == [(0,)]
    lines = "SELECT text, count(*), min(segment_id) > 0 FROM text_line GROUP BY text"
    assert sorted(ask(library, lines)) == sorted((f"Page {n}", 1, 1) for n in range(PICTURES))
    with open_small_service(library, models=ReadingModels()) as service:
        assert service.maintenance.verify() == []
        assert service.index_state().rows == 2 * PICTURES


def read(library: Path) -> int:
    return int(ask(library, "SELECT count(*) FROM reading WHERE state = 'done'")[0][0])
