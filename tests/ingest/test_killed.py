"""Workers, model processes and the API are killed at random instants; nothing shows in the end."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path

import pytest

from segsearch.storage.catalog.sql_catalog import Catalog
from tests.support.ingest_processes import ask, children, content, done, finish, paint_many, start
from tests.support.small_models import open_small_service

pytestmark = pytest.mark.process

PICTURES = 60
KILLED_WORKERS, KILLED_SERVERS, KILLED_MODELS = 12, 8, 10


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return paint_many(tmp_path_factory.mktemp("pictures"), PICTURES)


def watch_for_repeats(library: Path) -> None:
    """Let the database itself note each picture that is lent or stored again once it was done."""
    library.mkdir()
    Catalog(library / "catalog.sqlite").close()
    with closing(sqlite3.connect(library / "catalog.sqlite")) as db, db:
        db.execute("CREATE TABLE repeated(image_id INTEGER)")
        db.execute(
            "CREATE TRIGGER once AFTER UPDATE OF state ON ingest WHEN OLD.state = 'done' "
            "BEGIN INSERT INTO repeated VALUES (OLD.image_id); END"
        )


def kill_at_a_random_instant(
    process: subprocess.Popen[str], library: Path, rng: random.Random
) -> None:
    """Sometimes while it starts, else within a few pictures."""
    if rng.random() < 0.25:
        time.sleep(rng.uniform(0.0, 1.5))
    else:
        before, deadline = done(library), time.monotonic() + 60
        while done(library) == before and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(rng.uniform(0.0, 0.06))
    process.kill()
    process.communicate()


def test_thirty_kills_leave_no_trace(pictures: Path, tmp_path: Path) -> None:
    rng = random.Random(6)
    calm, rough = tmp_path / "calm", tmp_path / "rough"
    with open_small_service(calm) as service:
        assert service.index([pictures]).indexed == PICTURES
    watch_for_repeats(rough)
    for mode in ["worker"] * KILLED_WORKERS + ["serve"] * KILLED_SERVERS:
        kill_at_a_random_instant(start(mode, rough, pictures), rough, rng)
    assert 0 < done(rough) < PICTURES
    last = start("worker", rough, pictures)
    killed = 0
    while killed < KILLED_MODELS and last.poll() is None:
        time.sleep(rng.uniform(0.0, 0.4))
        found = children(last.pid)
        if found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(rng.choice(found), signal.SIGKILL)
                killed += 1
    finish(last)
    assert content(rough) == content(calm)
    assert ask(rough, "SELECT count(*) FROM repeated") == [(0,)]
    adds = ask(rough, "SELECT count(*), count(DISTINCT segment_id) FROM change_log")
    assert adds == ask(rough, "SELECT count(*), count(*) FROM segment")
    with open_small_service(rough) as service:
        assert service.maintenance.verify() == []
        assert service.status().quarantined == 0
        assert {job.state.value for job in service.jobs()} <= {"lost", "done"}
