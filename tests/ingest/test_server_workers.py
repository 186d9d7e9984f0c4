"""Workers on one PostgreSQL are killed and stopped at random instants; nothing shows in the end."""

from __future__ import annotations

import contextlib
import random
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from segsearch.core.types import FileStamp
from segsearch.ingest.background import index_in_turn
from segsearch.storage.catalog.backend import Server
from segsearch.storage.catalog.sql_catalog import Catalog
from tests.support.described import RECIPE, describe
from tests.support.ingest_processes import content, finish, paint_many, start, until
from tests.support.small_models import open_small_service
from tools.postgres_server import PostgresServer

pytestmark = [pytest.mark.engines, pytest.mark.process]

PICTURES, WORKERS, KILLS, STOPS = 60, 3, 5, 2
LEASE_SECONDS = 2.0  # the driver's


@pytest.fixture(scope="module")
def engine() -> Iterator[PostgresServer]:
    with PostgresServer() as server:
        yield server


def watch_for_repeats(address: str) -> None:
    """Let the database itself note each picture that is lent or stored again once it was done."""
    with psycopg.connect(address) as db:
        db.execute("CREATE TABLE repeated(image_id bigint)")
        db.execute(
            "CREATE FUNCTION note_repeated() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            "INSERT INTO repeated VALUES (OLD.image_id); RETURN NULL; END $$"
        )
        db.execute(
            "CREATE TRIGGER once AFTER UPDATE OF state ON ingest FOR EACH ROW "
            "WHEN (OLD.state = 'done') EXECUTE FUNCTION note_repeated()"
        )


def ask(address: str, query: str) -> list[Any]:
    with psycopg.connect(address) as db:
        return list(db.execute(query.encode()).fetchall())


def done(address: str) -> int:
    return int(ask(address, "SELECT count(*) FROM ingest WHERE state = 'done'")[0][0])


def wait_for_another(address: str, process: subprocess.Popen[str]) -> None:
    """Until another picture is done, or the process has ended."""
    before = done(address)
    with contextlib.suppress(AssertionError):
        until(lambda: done(address) > before or process.poll() is not None)


def test_workers_that_are_killed_and_stopped_lose_and_repeat_nothing(
    engine: PostgresServer, tmp_path: Path
) -> None:
    rng = random.Random(8)
    pictures = paint_many(tmp_path / "pictures", PICTURES)
    with open_small_service(tmp_path / "calm") as service:
        assert service.index([pictures]).indexed == PICTURES
    address = engine.create_database("rough")
    Catalog(Server(address, tmp_path / "first")).close()
    watch_for_repeats(address)

    def worker(number: int) -> subprocess.Popen[str]:
        return start("worker", tmp_path / f"node-{number}", pictures, address)

    running = {number: worker(number) for number in range(WORKERS)}
    until(lambda: done(address) > 0)
    for turn in range(KILLS + STOPS):
        number = rng.randrange(WORKERS)
        process = running[number]
        if turn % 3 == 1:  # longer than its lease: its pictures pass to others
            process.send_signal(signal.SIGSTOP)
            time.sleep(LEASE_SECONDS + 1)
            process.send_signal(signal.SIGCONT)
        else:
            wait_for_another(address, process)
            time.sleep(rng.uniform(0.0, 0.1))
            process.kill()
            process.communicate()
            running[number] = worker(number)
    for process in running.values():
        finish(process)
    finish(worker(99))
    server = Server(address, tmp_path / "last")
    assert content(server) == content(tmp_path / "calm")
    assert ask(address, "SELECT count(*) FROM repeated") == [(0,)]
    logged = ask(address, "SELECT count(*), count(DISTINCT segment_id) FROM change_log")
    assert logged == ask(address, "SELECT count(*), count(*) FROM segment")
    with open_small_service(tmp_path / "last", address=address) as service:
        assert service.maintenance.verify() == []
        assert service.status().quarantined == 0
        words = service.search_text("red").hits
        assert words


def test_a_server_that_is_restarted_meanwhile_costs_nothing(tmp_path: Path) -> None:
    pictures = paint_many(tmp_path / "pictures", PICTURES)
    stop = threading.Event()
    with PostgresServer() as own:
        address = own.create_database("photos")
        settings: dict[str, Any] = {"lease_seconds": LEASE_SECONDS, "lanes": 1}
        with open_small_service(tmp_path / "node", address=address, **settings) as service:

            def work() -> None:
                while not stop.is_set():
                    index_in_turn(service.ingest, [pictures], stop)
                    stop.wait(0.1)

            thread = threading.Thread(target=work)
            thread.start()
            until(lambda: done(address) > PICTURES // 10)
            own.stop(at_once=True)
            time.sleep(1)
            own.start()
            until(lambda: done(address) == PICTURES)
            stop.set()
            thread.join()
            assert service.maintenance.verify() == []
            assert service.status().segments == 2 * PICTURES


def test_a_worker_that_comes_back_too_late_stores_nothing(
    engine: PostgresServer, tmp_path: Path
) -> None:
    """As after a cut link: its lease has ended by the database's clock, whatever its own says."""
    server = Server(engine.create_database("late"), tmp_path)
    one, other = Catalog(server), Catalog(server)
    one.register_recipe(RECIPE)
    one.record_file("/a.jpg", FileStamp(1, 1), "0" * 64, 1)
    late = one.claim(1, "late", 0.2)
    assert late is not None
    assert other.claim(1, "early", 60) is None
    time.sleep(0.4)
    second = other.claim(1, "early", 60)
    assert second is not None
    assert not one.commit(late, describe(1, 3))
    assert other.commit(second, describe(2, 5))
    assert one.counts()["segments"] == 5
    one.close()
    other.close()
