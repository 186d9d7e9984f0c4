"""Buckets of callers that the nodes of a library on a server share."""

from __future__ import annotations

import threading
import time
from collections import Counter
from pathlib import Path

import psycopg
import pytest

from segsearch.core.errors import LibraryError
from segsearch.storage.catalog import request_limits
from segsearch.storage.catalog.backend import Server
from segsearch.storage.catalog.engine import SCHEMA
from segsearch.storage.catalog.sql_catalog import Catalog
from tests.support.older_server import make_older
from tests.support.query_plans import statements


def test_what_callers_ask_of_several_nodes_comes_out_of_one_bucket(
    server: Server, catalog: Catalog
) -> None:
    other = Catalog(server)
    assert catalog.settle_requests({"a": 4, "b": 1}, per_second=0.0, most=10.0) == {"a": 6, "b": 9}
    assert other.settle_requests({"a": 5}, per_second=0.0, most=10.0) == {"a": 1}
    assert catalog.settle_requests({"a": 3}, per_second=0.0, most=10.0) == {"a": -2}
    assert other.settle_requests({"b": 1}, per_second=0.0, most=10.0) == {"b": 8}
    other.close()


def test_a_bucket_fills_by_the_clock_of_the_server_and_never_runs_over(
    server: Server, catalog: Catalog
) -> None:
    catalog.settle_requests({"a": 10, "b": 2}, per_second=1.0, most=10.0)
    with psycopg.connect(server.address) as db:
        db.execute("UPDATE request_count SET at = at - 4.0")
    filled = catalog.settle_requests({"a": 1, "b": 1}, per_second=1.0, most=10.0)
    assert filled["a"] == pytest.approx(3.0, abs=0.5)
    assert filled["b"] == 9.0
    with psycopg.connect(server.address) as db:
        db.execute("UPDATE request_count SET at = at + 1000")  # a clock that was set back
    assert catalog.settle_requests({"b": 1}, per_second=1.0, most=10.0) == {"b": 8.0}


def test_many_callers_are_one_statement_and_nodes_never_wait_in_a_circle(
    server: Server, catalog: Catalog
) -> None:
    with statements() as sent:
        catalog.settle_requests({f"{n}": 1 for n in range(2)}, per_second=1.0, most=5.0)
    few = len(sent)
    catalog._settlements = 0
    with statements() as sent:
        catalog.settle_requests({f"{n}": 1 for n in range(500)}, per_second=1.0, most=5.0)
    assert len(sent) == few
    nodes = [Catalog(server) for _ in range(4)]
    steps = (1, 3, 7, 9)

    def asked(step: int, turn: int) -> list[str]:
        return [f"key {(number * step + turn) % 101}" for number in range(60)]

    def settle(node: Catalog, step: int) -> None:
        for turn in range(20):
            spent = dict.fromkeys(asked(step, turn), 1)
            node.settle_requests(spent, per_second=0.0, most=100.0)

    threads = [
        threading.Thread(target=settle, args=pair) for pair in zip(nodes, steps, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for node in nodes:
        node.close()
    times = Counter(name for step in steps for turn in range(20) for name in asked(step, turn))
    left = catalog.settle_requests(dict.fromkeys(times, 0), per_second=0.0, most=100.0)
    assert left == {name: 100.0 - count for name, count in times.items()}


def test_what_nobody_asks_about_any_more_is_forgotten(server: Server, catalog: Catalog) -> None:
    catalog.settle_requests({"gone": 1, "here": 1}, per_second=1.0, most=5.0)
    with psycopg.connect(server.address) as db:
        db.execute("UPDATE request_count SET at = at - 100 WHERE caller = 'gone'")
    for _ in range(request_limits.FORGETS_EVERY):
        catalog.settle_requests({"here": 1}, per_second=1.0, most=5.0)
    with psycopg.connect(server.address) as db:
        assert db.execute("SELECT caller FROM request_count").fetchall() == [("here",)]


def test_a_server_that_is_slow_is_given_up_soon(server: Server, catalog: Catalog) -> None:
    catalog.settle_requests({"a": 1}, per_second=1.0, most=5.0)
    with psycopg.connect(server.address) as db:
        db.execute("SELECT 1 FROM request_count WHERE caller = 'a' FOR UPDATE")
        started = time.monotonic()
        with pytest.raises(LibraryError):
            catalog.settle_requests({"a": 1}, per_second=1.0, most=5.0)
        assert time.monotonic() - started < 20, "not the 30 seconds that a writer waits"
        db.rollback()
    assert catalog.settle_requests({"a": 1}, per_second=0.0, most=5.0)


def test_a_file_shares_nothing(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path / "catalog.sqlite")
    assert not catalog.shares_limits
    assert catalog.settle_requests({"a": 1}, per_second=1.0, most=5.0) == {}
    catalog.close()


def test_a_library_of_the_version_before_gets_the_table(server: Server) -> None:
    make_older(server.address)
    catalog = Catalog(server)
    assert catalog.schema() == SCHEMA
    assert catalog.settle_requests({"a": 1}, per_second=0.0, most=5.0) == {"a": 4.0}
    with psycopg.connect(server.address) as db:
        kind = db.execute("SELECT relpersistence FROM pg_class WHERE relname = 'request_count'")
        assert kind.fetchone() == ("u",)
    catalog.close()
