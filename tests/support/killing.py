"""Kills workers, model processes and the API at random instants, and sees that nothing shows."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sqlite3
import subprocess
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from segsearch.storage.catalog.sql_catalog import Catalog
from tests.support.ingest_processes import ask, children, content, done, finish, paint_many, start
from tests.support.small_models import open_small_service


@dataclass(frozen=True)
class Kills:
    """How many pictures are indexed, and how often what is killed meanwhile."""

    pictures: int
    workers: int
    servers: int
    models: int


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


def kills_leave_no_trace(kills: Kills, folder: Path) -> None:
    """Index pictures while processes are killed, and compare with what a calm run gives."""
    rng = random.Random(6)
    calm, rough = folder / "calm", folder / "rough"
    pictures = paint_many(folder / "pictures", kills.pictures)
    with open_small_service(calm) as service:
        assert service.index([pictures]).indexed == kills.pictures
    watch_for_repeats(rough)
    for mode in ["worker"] * kills.workers + ["serve"] * kills.servers:
        kill_at_a_random_instant(start(mode, rough, pictures), rough, rng)
    assert 0 < done(rough) < kills.pictures
    last = start("worker", rough, pictures)
    killed = 0
    while killed < kills.models and last.poll() is None:
        time.sleep(rng.uniform(0.0, 0.4))
        found = children(last.pid)
        if found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(rng.choice(found), signal.SIGKILL)
                killed += 1
    finish(last)
    assert killed
    assert content(rough) == content(calm)
    assert ask(rough, "SELECT count(*) FROM repeated") == [(0,)]
    adds = ask(rough, "SELECT count(*), count(DISTINCT segment_id) FROM change_log")
    assert adds == ask(rough, "SELECT count(*), count(*) FROM segment")
    with open_small_service(rough) as service:
        assert service.maintenance.verify() == []
        assert service.status().quarantined == 0
        assert {job.state.value for job in service.jobs()} <= {"lost", "done"}
