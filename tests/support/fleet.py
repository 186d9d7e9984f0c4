"""Workers in two networks fill one library on PostgreSQL, while they are killed and stopped, their
link is cut and their server restarted; then the library is held against that of a calm run."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import psycopg

from segsearch.storage.catalog.backend import Server
from segsearch.storage.catalog.sql_catalog import Catalog
from tests.support.fleet_workers import AGAIN
from tests.support.ingest_processes import ROOT, content, paint_many
from tests.support.small_models import open_small_service
from tests.support.two_networks import NEAR, NetworkLink, linked
from tools.postgres_server import PostgresServer

SLOWER = 6.0  # times: of the worker that is stopped in the middle of a picture
LATE = "another worker has taken it over"  # of the worker's log


@dataclass(frozen=True)
class Trial:
    """How many pictures and workers, how long a picture takes, how often one is killed or stopped
    at random, how long the link is cut the first time, and for how long all may take."""

    pictures: int
    workers: int
    picture_seconds: float
    kills: int
    stops: int
    cut_seconds: float
    patience_seconds: float = 120.0


@dataclass
class Workers:
    """The workers of one network, started by a process there."""

    starter: subprocess.Popen[str]
    running: dict[int, int] = field(default_factory=dict)  # number -> process

    def start(self, number: int) -> None:
        assert self.starter.stdin is not None
        assert self.starter.stdout is not None
        self.starter.stdin.write(f"{number}\n")
        self.starter.stdin.flush()
        self.running[number] = int(self.starter.stdout.readline())

    def send(self, number: int, what: signal.Signals) -> None:
        os.kill(self.running[number], what)


class WorkerFleet:
    """One trial under way."""

    def __init__(
        self, trial: Trial, folder: Path, server: PostgresServer, link: NetworkLink
    ) -> None:
        self.trial = trial
        self.folder = folder
        self.server = server
        self.link = link
        self.address = server.create_database("fleet")
        self.pictures = folder / "pictures"
        self.pictures.mkdir()
        self._coming = sorted((folder / "calm-pictures").iterdir())
        self.bring(trial.pictures // 3)
        self.rng = random.Random(34)
        Catalog(Server(self.address, folder / "first")).close()
        self._watch()

    def _watch(self) -> None:
        """Let the database itself note each picture that is lent or stored again once it was
        done, and each time that one is."""
        with psycopg.connect(self.address) as db:
            db.execute("CREATE TABLE seen(image_id bigint, again boolean)")
            db.execute(
                "CREATE FUNCTION note_seen() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
                "INSERT INTO seen VALUES (OLD.image_id, OLD.state = 'done'); RETURN NULL; END $$"
            )
            db.execute(
                "CREATE TRIGGER once AFTER UPDATE OF state ON ingest FOR EACH ROW "
                "WHEN (OLD.state = 'done' OR NEW.state = 'done') EXECUTE FUNCTION note_seen()"
            )

    def bring(self, count: int) -> None:
        """Put so many more pictures where the workers look for them."""
        for file in self._coming[:count]:
            (self.pictures / file.name).hardlink_to(file)
        del self._coming[:count]

    def ask(self, query: str) -> list[Any]:
        with psycopg.connect(self.address) as db:
            return list(db.execute(query.encode()).fetchall())

    def done(self) -> int:
        return int(self.ask("SELECT count(*) FROM ingest WHERE state = 'done'")[0][0])

    def until(self, holds: Callable[[], bool]) -> None:
        end = time.monotonic() + self.trial.patience_seconds
        while not holds():
            assert time.monotonic() < end, self.ask("SELECT state, count(*) FROM ingest GROUP BY 1")
            time.sleep(0.1)

    def held_by(self, workers: Workers) -> set[int]:
        """Numbers of workers that hold a picture now."""
        owners = self.ask("SELECT DISTINCT owner FROM ingest WHERE state = 'running'")
        held = {int(part) for (owner,) in owners for part in owner.split(":") if part.isdecimal()}
        return {number for number, process in workers.running.items() if process in held}

    def said(self, number: int) -> str:
        """The log of a worker."""
        return (self.folder / f"worker-{number}" / "log").read_text()

    @contextmanager
    def workers(
        self, first: int, count: int, there: NetworkLink | None = None, slowly: float = 1.0
    ) -> Iterator[Workers]:
        """So many workers of this network or the other."""
        address = self.address.replace("127.0.0.1", NEAR) if there else self.address
        seconds = self.trial.picture_seconds * slowly
        words = [str(self.folder), str(self.pictures), address, str(seconds)]
        with subprocess.Popen(
            [sys.executable, "-m", "tests.support.fleet_workers", *words],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            preexec_fn=there.enter if there else None,
        ) as starter:  # fmt: skip
            made = Workers(starter)
            try:
                for number in range(first, first + count):
                    made.start(number)
                yield made
            finally:
                for process in made.running.values():
                    with suppress(ProcessLookupError):
                        os.kill(process, signal.SIGKILL)
                starter.kill()

    def disturb(self, near: Workers, far: Workers) -> None:
        """Kill and stop workers at random, and cut the link in between for longer than a lease;
        restart the server."""
        stopped: dict[int, Workers] = {}
        turns = ["kill"] * self.trial.kills + ["stop"] * self.trial.stops
        self.rng.shuffle(turns)
        turns.insert(len(turns) // 2, "cut")
        turns.insert(len(turns) * 3 // 4, "restart")
        for turn in turns:
            side = self.rng.choice([near, far])
            number = self.rng.choice(sorted(side.running.keys() - stopped.keys()))
            if turn == "kill":
                side.send(number, signal.SIGKILL)
                side.start(number)
            elif turn == "stop":
                side.send(number, signal.SIGSTOP)
                stopped[number] = side
            elif turn == "cut":
                self.link.cut()
                time.sleep(self.trial.cut_seconds)
                self.link.mend()
            else:
                self.server.stop(at_once=True)
                self.server.start()
            time.sleep(self.rng.uniform(0.0, self.trial.picture_seconds))
        for number, side in stopped.items():
            side.send(number, signal.SIGCONT)

    def fence(self, slow: Workers, far: Workers) -> None:
        """Stop a worker in the middle of a picture and cut all of the other network off, until the
        rest have dealt with everything; then those find that they are late."""
        self.bring(self.trial.pictures)
        self.until(lambda: bool(self.held_by(slow) and self.held_by(far)))
        (paused,) = slow.running
        slow.send(paused, signal.SIGSTOP)
        self.link.cut()
        left = {paused, *self.held_by(far)}
        before = {number: len(self.said(number)) for number in left}
        self.until(lambda: self.done() == self.trial.pictures)
        slow.send(paused, signal.SIGCONT)
        self.link.mend()
        for number in left:  # a connection that broke could not even tell it
            self.until(partial(self.has_heard, number, before[number]))

    def has_heard(self, number: int, since: int) -> bool:
        """Whether a worker knows by now that it was left behind."""
        news = self.said(number)[since:]
        return LATE in news or AGAIN in news


def faults_leave_no_trace(trial: Trial, folder: Path) -> None:
    """One whole trial, from within a network of its own."""
    pictures = paint_many(folder / "calm-pictures", trial.pictures)
    with open_small_service(folder / "calm") as service:
        assert service.index([pictures]).indexed == trial.pictures
    with ExitStack() as stack:
        link = stack.enter_context(linked())
        server = stack.enter_context(PostgresServer(beside=NEAR))
        fleet = WorkerFleet(trial, folder, server, link)
        half = trial.workers // 2
        near = stack.enter_context(fleet.workers(1, half - 1))
        slow = stack.enter_context(fleet.workers(0, 1, slowly=SLOWER))
        far = stack.enter_context(fleet.workers(half, trial.workers - half, link))
        fleet.until(lambda: fleet.done() > 0)
        fleet.disturb(near, far)
        fleet.fence(slow, far)
        fleet.until(lambda: fleet.ask("SELECT 1 FROM ingest WHERE owner IS NOT NULL") == [])
        for side in (near, slow, far):
            for number in side.running:
                side.send(number, signal.SIGTERM)
        check(fleet)


def check(fleet: WorkerFleet) -> None:
    """Everything is there once, as of a calm run, and nobody holds anything."""
    count = fleet.trial.pictures
    assert content(Server(fleet.address, fleet.folder / "last")) == content(fleet.folder / "calm")
    assert fleet.ask("SELECT state, count(*) FROM ingest GROUP BY 1") == [("done", count)]
    leases = "SELECT count(*) FROM ingest WHERE owner IS NOT NULL OR lease_until IS NOT NULL"
    assert fleet.ask(leases) == [(0,)]
    stored = "SELECT again, count(*), count(DISTINCT image_id) FROM seen GROUP BY 1"
    assert fleet.ask(stored) == [(False, count, count)], "stored once, and never touched again"
    commits = (
        "SELECT image_id, count(*) FROM change_log LEFT JOIN segment ON segment.id = segment_id "
        "GROUP BY 1 HAVING count(*) <> 2 OR image_id IS NULL"
    )
    assert fleet.ask(commits) == [], "each picture's two regions were added once, none taken away"
    with open_small_service(fleet.folder / "last", address=fleet.address) as service:
        assert service.maintenance.verify() == []
        assert service.status().quarantined == 0
        assert len(service.search_text("red").hits) > 0
