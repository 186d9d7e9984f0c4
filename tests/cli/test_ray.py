"""`segsearch ray` on a cluster of two nodes on this machine, and a real PostgreSQL."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from typer.testing import CliRunner

from segsearch.cli.app import app, settings_of
from segsearch.cli.commands.ray_workers import environment_of
from segsearch.cli.ray_fleet import RayFleet, WorkerOrder, connect, disconnect
from segsearch.core.errors import InputError
from segsearch.storage.catalog.backend import Server
from segsearch.storage.catalog.sql_catalog import Catalog
from tests.support.ingest_processes import ROOT, content, paint_many, until
from tests.support.small_models import open_small_service
from tools.postgres_server import PostgresServer

pytestmark = [pytest.mark.engines, pytest.mark.process, pytest.mark.slow]
PICTURES, SECONDS = 60, 0.5
PASSWORD = "dont-show-me"  # noqa: S105
STORE_BYTES = 80_000_000
STARTS = 3
# Of Ray's own code, in this process.
quiet = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def engine() -> Iterator[PostgresServer]:
    with PostgresServer(password=PASSWORD) as server:
        yield server


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A head without room for workers, and two nodes with room for two each."""
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}:{ROOT}/.types")
    from ray.cluster_utils import Cluster

    options: Any = {"object_store_memory": STORE_BYTES, "include_dashboard": False}
    made = Cluster()
    try:
        for trial in range(STARTS):
            try:
                made.add_node(num_cpus=0, **options)
                break
            except Exception:  # on a busy machine Ray waits for itself no longer than 30 seconds
                if trial + 1 == STARTS:
                    raise
                made.shutdown()  # type: ignore[no-untyped-call]  # Ray's own
                made = Cluster()
        yield made
    finally:
        made.shutdown()  # type: ignore[no-untyped-call]  # Ray's own


def rows(address: str, query: str) -> list[Any]:
    with psycopg.connect(address) as db:
        return list(db.execute(query.encode()).fetchall())


def done(address: str) -> int:
    return int(rows(address, "SELECT count(*) FROM ingest WHERE state = 'done'")[0][0])


@quiet
def test_actors_that_die_are_placed_anew_and_every_picture_is_done_once(
    cluster: Any, engine: PostgresServer, tmp_path: Path
) -> None:
    import ray

    pictures = paint_many(tmp_path / "pictures", PICTURES)
    with open_small_service(tmp_path / "calm") as service:
        service.index([pictures])
    address = engine.create_database("rayed")
    Catalog(Server(address, tmp_path / "first")).close()
    nodes = [cluster.add_node(num_cpus=2, object_store_memory=STORE_BYTES) for _ in range(2)]
    words = ["-m", "tests.support.ray_worker", str(tmp_path), str(pictures), str(SECONDS)]
    order = WorkerOrder(words, {"SEGSEARCH_CATALOG": address})
    assert PASSWORD not in repr(order)
    connect(cluster.address, 2)
    stop = threading.Event()
    try:
        fleet = RayFleet(order, 2)
        thread = threading.Thread(target=fleet.run, args=[stop, 20.0])
        thread.start()
        until(lambda: done(address) > 2)
        first = ray.get([actor.where.remote() for actor in fleet.actors])
        assert len({node for node, _, _ in first}) == 2, "one on each node"

        os.kill(first[0][1], signal.SIGKILL)  # an actor; its worker goes with it
        until(lambda: not Path(f"/proc/{first[0][2]}").exists())
        until(
            lambda: len(places(fleet)) == 2 and first[0][1] not in {p for _, p, _ in places(fleet)}
        )

        gone = nodes[0].node_id
        cluster.remove_node(nodes[0], allow_graceful=False)
        until(lambda: len(places(fleet)) == 2 and gone not in {n for n, _, _ in places(fleet)})
        before = done(address)
        assert before < PICTURES
        until(lambda: done(address) > before)

        stop.set()  # as Ctrl-C does: what was started is finished, or given back
        thread.join()
        left = done(address)
        assert rows(address, "SELECT count(*) FROM ingest WHERE owner IS NOT NULL") == [(0,)]
        assert not [n for _, _, n in places(fleet)]

        stop = threading.Event()
        again = RayFleet(order, 1)
        thread = threading.Thread(target=again.run, args=[stop, 20.0])
        thread.start()
        until(lambda: done(address) == PICTURES)
        assert left <= PICTURES
    finally:
        stop.set()
        thread.join()
        disconnect()
    assert content(Server(address, tmp_path / "last")) == content(tmp_path / "calm")
    logged = rows(address, "SELECT count(*), count(DISTINCT segment_id) FROM change_log")
    assert logged == [(2 * PICTURES, 2 * PICTURES)]
    assert_hidden(Path(cluster.head_node.get_session_dir_path()))


def places(fleet: RayFleet) -> list[tuple[str, int, int | None]]:
    """Where the actors are that run now."""
    import ray

    found = []
    for actor in fleet.actors:
        try:
            place = ray.get(actor.where.remote(), timeout=1)
        except ray.exceptions.RayError:
            continue
        if place[2] is not None:
            found.append(place)
    return found


def assert_hidden(session: Path) -> None:
    """That no log of Ray shows the password."""
    logs = [file for file in (session / "logs").rglob("*") if file.is_file()]
    assert logs
    assert not [file for file in logs if PASSWORD.encode() in file.read_bytes()]


def test_what_workers_are_told_of_a_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEGSEARCH_LANES", "3")
    monkeypatch.setenv("OTHER", "no")
    monkeypatch.setenv("MILVUS_TOKEN", PASSWORD)
    monkeypatch.chdir(tmp_path)
    told = environment_of(settings_of({"library": "mine", "preset": "demo-fast"}))
    assert told["SEGSEARCH_LIBRARY"] == str(tmp_path / "mine")
    assert (told["SEGSEARCH_LANES"], told["SEGSEARCH_PRESET"]) == ("3", "demo-fast")
    assert "OTHER" not in told
    assert told["MILVUS_TOKEN"] == PASSWORD
    opens = ("PGPASSWORD", "MILVUS_TOKEN", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL_S3")
    for name in opens:
        monkeypatch.setenv(name, "word")
    monkeypatch.setenv("AWS_PROFILE", "of this machine alone")
    told = environment_of(settings_of({"library": "mine"}))
    assert [told[name] for name in opens] == ["word"] * len(opens)
    assert "AWS_PROFILE" not in told
    address = f"postgresql://me:{PASSWORD}@db/photos"
    told = environment_of(settings_of({"library": address}))
    assert told["SEGSEARCH_LIBRARY"] == address, "each machine has a folder of its own for it"
    assert "SEGSEARCH_CATALOG" not in told
    told = environment_of(settings_of({"library": str(tmp_path), "catalog": address}))
    assert told["SEGSEARCH_LIBRARY"] == str(tmp_path)
    assert told["SEGSEARCH_CATALOG"] == address


def test_machines_of_a_cluster_need_a_library_that_all_of_them_reach(tmp_path: Path) -> None:
    asked = CliRunner().invoke(
        app, ["--library", str(tmp_path / "mine"), "ray", "--address", "127.0.0.1:1", "/pictures"]
    )
    assert isinstance(asked.exception, InputError)
    assert "name a PostgreSQL database" in str(asked.exception)
    assert not (tmp_path / "mine").exists()
