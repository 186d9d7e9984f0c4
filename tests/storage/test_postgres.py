"""What PostgreSQL is asked besides the contract: many at once, faults, and the same language."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from segsearch.core.errors import (
    EngineError,
)
from segsearch.core.names import folded
from segsearch.core.types import FileStamp
from segsearch.media.sources.paths import album_of
from segsearch.storage.catalog.backend import Server
from segsearch.storage.catalog.filtering import kilometres
from segsearch.storage.catalog.portable import regex_of_glob
from segsearch.storage.catalog.postgres import backend, schema
from segsearch.storage.catalog.sql_catalog import Catalog
from tests.support.catalog_calls import CALLS
from tests.support.described import RECIPE, describe
from tests.support.query_plans import LARGE, SMALL
from tools.postgres_server import PostgresServer

STAMP = FileStamp(1, 1)


@contextmanager
def connected(server: Server) -> Iterator[psycopg.Connection[Any]]:
    """Another client of a database."""
    with psycopg.connect(server.address) as db:
        yield db


def store(catalog: Catalog, number: int) -> int:
    catalog.record_file(f"/{number}.jpg", STAMP, f"{number:064x}", 1)
    claim = catalog.claim(1, "me", 60)
    assert claim is not None
    assert catalog.commit(claim, describe(number, 3))
    return claim.image_id


def queue(catalog: Catalog, pictures: int) -> None:
    for number in range(pictures):
        catalog.record_file(f"/{number}.jpg", STAMP, f"{number:064x}", 1)


# Many at once


def test_workers_that_claim_at_once_get_each_picture_once(server: Server, catalog: Catalog) -> None:
    queue(catalog, 60)
    lent: list[int] = []

    def work(name: str) -> None:
        own = Catalog(server)
        while claim := own.claim(1, name, 60):
            lent.append(claim.image_id)
            assert own.commit(claim, describe(claim.image_id, 3))
        own.close()

    threads = [threading.Thread(target=work, args=[f"worker {number}"]) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(lent) == list(range(1, 61))
    counts = catalog.counts()
    assert (counts["images"], counts["segments"], counts["pending"]) == (60, 180, 0)
    assert list(catalog.problems((1, RECIPE))) == []
    changes = catalog.changes(1, 0)
    assert changes is not None
    assert (changes.added.size, changes.seq) == (180, 180)


def test_a_claim_waits_for_nobody_who_writes_or_claims(server: Server, catalog: Catalog) -> None:
    queue(catalog, 3)
    with connected(server) as db, connected(server) as writer:
        db.execute("SELECT * FROM ingest WHERE image_id = 1 FOR UPDATE")  # as a claim holds it
        writer.execute("SELECT pg_advisory_xact_lock(%s)", [backend.WRITERS])
        claim = catalog.claim(1, "me", 60)
        assert claim is not None
        assert claim.image_id == 2
        catalog.extend([claim], 60)
        assert catalog.counts()["pending"] == 3


def test_a_heartbeat_passes_by_what_a_writer_holds(server: Server, catalog: Catalog) -> None:
    queue(catalog, 2)
    first, second = (catalog.claim(1, "me", 60) for _ in range(2))
    assert first is not None
    assert second is not None
    with connected(server) as db:
        leases = "SELECT lease_until - extract(epoch FROM now()) FROM ingest ORDER BY image_id"
        db.execute("SELECT * FROM ingest WHERE image_id = 1 FOR UPDATE")  # as one who forgets it
        catalog.extend([first, second], 3_600)
        short, longer = (seconds for (seconds,) in db.execute(leases))
        db.commit()
        assert (short < 100, longer > 3_000) == (True, True)
        catalog.extend([first, second], 3_600)
        assert all(seconds > 3_000 for (seconds,) in db.execute(leases))


def test_changes_are_logged_in_the_order_in_which_they_are_committed(
    server: Server, catalog: Catalog
) -> None:
    """An index that has read up to a change would never look for one of before that comes later."""
    first = store(catalog, 1)
    started, seen = threading.Event(), list[int]()

    def remove() -> None:
        started.set()
        other.remove_images([first])

    other = Catalog(server)
    with connected(server) as db:
        db.execute("SELECT pg_advisory_xact_lock(%s)", [backend.WRITERS])
        thread = threading.Thread(target=remove)
        thread.start()
        started.wait()
        time.sleep(0.3)
        db.execute("INSERT INTO change_log (recipe_id, op, segment_id) VALUES (1, 'add', 99)")
        seen.append(catalog.newest_change())
        db.commit()
        thread.join()
    other.close()
    changes = catalog.changes(1, seen[0])
    assert changes is not None
    assert changes.added.tolist() == [99]
    assert changes.removed.tolist() == [1, 2, 3]


def test_one_who_stops_in_the_middle_of_a_transaction_is_put_out(
    server: Server, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a worker does that is suspended, or whose link is cut."""
    limits = {**backend.SESSION, "idle_in_transaction_session_timeout": "2s"}
    monkeypatch.setattr(backend, "SESSION", limits)
    queue(catalog, 1)
    stuck = Catalog(server)
    claim = stuck.claim(1, "stuck", 60)
    assert claim is not None

    def write() -> None:
        with stuck._writing() as db:
            db.execute(sa.text("UPDATE image SET camera = 'half'"))
            catalog.create_collection("meanwhile")  # waits until the other one is out
            db.execute(sa.text("UPDATE image SET camera = 'whole'"))

    with pytest.raises(EngineError):
        write()
    assert catalog.image(1).info is None
    assert stuck.commit(claim, describe(1, 3)), "its lease has not ended"
    stuck.close()


def test_numbers_that_are_kept_are_added_up_now_and_then(
    server: Server, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    with connected(server) as db:
        for number in range(20):
            store(catalog, number)
        rows = "SELECT count(*), sum(count) FROM counter WHERE kind = 'segments'"
        many = db.execute(rows).fetchone()
        db.commit()
        monkeypatch.setattr(backend, "COMPACTED_WRITES", 1)
        catalog.create_collection("another write")
        few = db.execute(rows).fetchone()
        db.commit()
        monkeypatch.undo()
        store(catalog, 20)
        for number in range(3):  # processes that end soon, and write once
            once = Catalog(server)
            once.create_collection(f"of {number}")
            once.close()
        still = db.execute(rows).fetchone()
    assert (many, few) == ((20, 60), (1, 60)), "a row for each picture, then one"
    assert still == (1, 63), "at the first write of a process, too"
    assert catalog.counts()["segments"] == 63
    assert list(catalog.problems((1, RECIPE))) == []


def test_what_another_one_commits_is_seen_at_once(server: Server, catalog: Catalog) -> None:
    other = Catalog(server)
    before = catalog.version()
    assert (catalog.newest_change(), catalog.version()) == (0, before)
    store(other, 1)
    assert catalog.newest_change() == 3
    assert catalog.version() != before
    other.close()


# Nothing is read whole


def tables_read_whole(plan: dict[str, Any], *, limited: bool = False) -> Iterator[str]:
    """Large tables of which a plan reads all rows, or all of an index, without an end to it."""
    table, kind = plan.get("Relation Name"), plan["Node Type"]
    limited |= kind == "Limit"
    is_cut = "Index Cond" in plan or plan.get("Index Name") in SMALL or limited
    if table in LARGE and (kind == "Seq Scan" or ("Index" in kind and not is_cut)):
        yield str(table)
    for part in plan.get("Plans", ()):
        yield from tables_read_whole(part, limited=limited)


def test_no_call_reads_a_large_table_whole(catalog: Catalog) -> None:
    """With all but the needed scans forbidden, a plan that still has one lacks an index."""
    for number in range(6):
        store(catalog, number)
    for name in ("kept", "gone"):
        catalog.create_collection(name)
    catalog.add_to_collection("kept", [1])
    found: list[str] = []

    def note(connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        given = parameters[0] if isinstance(parameters, list) and parameters else parameters
        if not statement.lstrip().upper().startswith(("SELECT", "UPDATE", "DELETE", "INSERT")):
            return
        with connection.connection.driver_connection.cursor() as own:
            for way in ("seqscan", "hashjoin", "mergejoin"):  # as good for a few rows
                own.execute(f"SET LOCAL enable_{way} = off")
            own.execute(f"EXPLAIN (FORMAT json) {statement}", given)
            ((plans,),) = own.fetchall()
            whole = tables_read_whole(plans[0]["Plan"])
            found.extend(f"{table}: {' '.join(statement.split())}" for table in whole)

    sa.event.listen(catalog._engine, "before_cursor_execute", note)
    for name, call in CALLS.items():
        if name in {"problems", "repair", "backup", "restore"}:
            continue  # they look a library through
        call(catalog)
    assert found == [], "\n".join(found)


# The same language


@pytest.fixture(scope="module")
def speaking(postgres: PostgresServer) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(postgres.address(), autocommit=True) as db:
        yield db


@settings(max_examples=300, deadline=None)
@given(
    pattern=st.one_of(
        st.text("ab*?[]^!-.é/\\(|", max_size=8),
        st.text("ab]^-é", max_size=5).map("[{}]".format),  # ranges that fall, or are none
    ),
    texts=st.lists(st.text("abé/.-^]\\(|\n", max_size=6), min_size=1, max_size=20),
)
def test_a_glob_matches_what_it_matches_in_sqlite(
    speaking: psycopg.Connection[Any], pattern: str, texts: list[str]
) -> None:
    asked = "SELECT x ~ %s FROM unnest(%s::text[]) WITH ORDINALITY AS each(x, n) ORDER BY n"
    with closing(sqlite3.connect(":memory:")) as db:
        expected = [
            bool(db.execute("SELECT ? GLOB ?", [text, pattern]).fetchone()[0]) for text in texts
        ]
    found = speaking.execute(asked, [regex_of_glob(pattern), texts]).fetchall()
    assert [one for (one,) in found] == expected


NAMES = (
    "Straße",
    "É",
    "e\u0301",
    "ΣΊΣΥΦΟΣ",
    "İstanbul",
    "ＡＢＣ",
    "naïve",
    "ǅ",
    "日本",
    "a b",
    "🙂",
)
PATHS = (
    "/a/b/c.jpg", "/c.jpg", "c.jpg", "/photos/Summer.tar/x.png", "/x/.tar/y.png", "/a//b.png",
    f"/lib/uploads/ab/{'ab' * 32}.jpg", f"/lib/uploads/ab/{'ab' * 32}/name.jpg",
    f"/lib/uploads/ab/{'ab' * 32}/Holidays/name.jpg", "s3://bucket/folder/a.jpg",
    "/receipts/report.pdf#page=3", "/line\nbreak/a.jpg",
)  # fmt: skip


def test_a_server_that_knows_lower_case_alone_folds_as_python_does(
    speaking: psycopg.Connection[Any],
) -> None:
    made = next(schema._functions("pg_c_utf8", 170_000))
    speaking.execute(made.replace(" folded(", " folded_before_18(", 1).encode())
    texts = [*NAMES, "STRASSE", "ẞ", "ΐ", "ﬃ", "plain", "it's 'quoted'", "line\nbreak", ""]
    asked = "SELECT folded_before_18(x) FROM unnest(%s::text[]) WITH ORDINALITY AS e(x, n)"
    found = speaking.execute(f"{asked} ORDER BY n".encode(), [texts]).fetchall()
    assert [one for (one,) in found] == list(map(folded, texts))


def test_functions_say_what_they_say_in_python(server: Server) -> None:
    places = [(0.0, 0.0, 0.0, 180.0), (52.5, 13.4, 48.1, 11.6), (90.0, 0.0, -90.0, 0.0)]
    with connected(server) as db:
        for name in NAMES:
            assert db.execute("SELECT folded(%s)", [name]).fetchone() == (folded(name),)
        for path in PATHS:
            assert db.execute("SELECT album_of(%s)", [path]).fetchone() == (album_of(path),)
        for place in places:
            (found,) = db.execute("SELECT kilometres(%s, %s, %s, %s)", place).fetchone() or (None,)
            assert found == pytest.approx(kilometres(*place))
