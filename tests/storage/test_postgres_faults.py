"""What goes wrong with a PostgreSQL server is one sentence, and nothing is lost."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import event, select

from segsearch.core.errors import (
    BusyError,
    DamageError,
    EngineError,
    InputError,
    LibraryMissingError,
    LibraryVersionError,
    PictureError,
    ReadOnlyError,
    SegSearchError,
)
from segsearch.core.settings import Settings
from segsearch.core.types import FileStamp
from segsearch.storage.catalog import segments
from segsearch.storage.catalog.backend import Server
from segsearch.storage.catalog.postgres import backend
from segsearch.storage.catalog.sql_catalog import Catalog
from tests.storage.test_postgres import connected, store
from tests.support.described import RECIPE
from tools.postgres_server import PostgresServer

STAMP = FileStamp(1, 1)


def test_a_server_that_was_restarted_is_used_again() -> None:
    with PostgresServer() as own:
        catalog = Catalog(Server(own.create_database("photos"), own.folder))
        catalog.register_recipe(RECIPE)
        image_id = store(catalog, 1)
        own.stop(at_once=True)
        with pytest.raises(EngineError, match="cannot be reached"):
            catalog.counts()
        own.start()
        assert catalog.counts()["segments"] == 3
        assert catalog.image(image_id).paths == ("/1.jpg",)
        store(catalog, 2)
        assert list(catalog.problems((1, RECIPE))) == []
        catalog.close()


def refused(address: str, folder: Path, *, create: bool = True) -> SegSearchError:
    with pytest.raises(SegSearchError) as caught:
        Catalog(Server(address, folder, create))
    return caught.value


def test_each_fault_is_one_sentence_without_the_password(tmp_path: Path) -> None:
    with PostgresServer(password="s3cret") as own:  # noqa: S106  of a server for this test alone
        made = own.create_database("photos")
        Catalog(Server(made, tmp_path)).close()
        wrong = made.replace("s3cret", "0pen")
        empty, foreign, latin = map(own.create_database, ("empty", "foreign", "later"))
        with psycopg.connect(foreign) as db:
            db.execute("CREATE TABLE image (id integer)")
        Catalog(Server(latin, tmp_path)).close()
        with psycopg.connect(latin) as db:
            db.execute("UPDATE alembic_version SET version_num = '9999'")
        control = own.programs / "share" / "extension" / "pg_trgm.control"
        faults: dict[str, tuple[type[SegSearchError], Callable[[], SegSearchError]]] = {
            "password": (EngineError, lambda: refused(wrong, tmp_path)),
            "nowhere": (EngineError, lambda: refused(f"{made}-nowhere", tmp_path)),
            "There is no library": (
                LibraryMissingError, lambda: refused(empty, tmp_path, create=False),
            ),
            "that is not segsearch's": (DamageError, lambda: refused(foreign, tmp_path)),
            "update segsearch": (LibraryVersionError, lambda: refused(latin, tmp_path)),
        }  # fmt: skip
        for words, (kind, attempt) in faults.items():
            problem = attempt()
            assert isinstance(problem, kind), problem
            assert words in str(problem)
            assert "s3cret" not in str(problem)
            assert "0pen" not in str(problem)
        control.rename(control.with_suffix(".gone"))
        problem = refused(empty, tmp_path)
        assert isinstance(problem, DamageError)
        assert "pg_trgm" in str(problem)
        own.stop()
        assert isinstance(refused(made, tmp_path), EngineError)


def test_an_address_that_is_none_is_not_repeated(tmp_path: Path) -> None:
    problem = refused("postgresql://me:s3cret@host:port/photos", tmp_path)
    assert isinstance(problem, InputError)
    assert "s3cret" not in str(problem)


def test_settings_take_an_address_for_the_library_and_never_show_it() -> None:
    one = Settings(library="postgresql://me:s3cret@host/photos")
    other = Settings(library="postgresql://you@host/photos")
    assert one.catalog is not None
    assert one.catalog.get_secret_value() == "postgresql://me:s3cret@host/photos"
    assert one.library == other.library, "the same library, whoever asks"
    assert "s3cret" not in repr(one)
    for wrong in (
        {"catalog": "mysql://me:s3cret@host/photos"},
        {"library": "postgresql+psycopg://me:s3cret@host/photos"},  # no folder of this name
    ):
        with pytest.raises(ValueError, match="address such as") as refusal:
            Settings.model_validate(wrong)
        assert "s3cret" not in str(refusal.value)


def test_a_role_that_may_only_read_searches_and_changes_nothing(
    server: Server, catalog: Catalog
) -> None:
    store(catalog, 1)
    with connected(server) as db:
        db.execute("DROP ROLE IF EXISTS reader")
        db.execute("CREATE ROLE reader LOGIN")
        db.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader")
    address = server.address.replace("segsearch@", "reader@")
    reader = Catalog(replace(server, address=address))
    assert reader.read_only
    assert reader.counts()["segments"] == 3
    assert [segment.id for segment in reader.segments_of(1)] == [1, 2, 3]
    with pytest.raises(ReadOnlyError, match="read-only"):
        reader.create_collection("mine")
    reader.close()
    with connected(server) as db:
        db.execute("DROP OWNED BY reader")
        db.execute("DROP ROLE reader")


def test_what_contradicts_itself_is_put_right(server: Server, catalog: Catalog) -> None:
    for number in (1, 2):
        store(catalog, number)
    with connected(server) as db:
        db.execute("DELETE FROM segment_vector WHERE segment_id = 1")
        db.execute("DELETE FROM change_log WHERE segment_id = 4")
        db.execute("UPDATE counter SET count = count + 1 WHERE kind = 'images'")
        db.execute("UPDATE listing SET name = 'another' WHERE image_id = 2")
    assert len(list(catalog.problems((1, RECIPE)))) == 5
    assert catalog.repair((1, RECIPE)) == [
        "1 segments were entered in the change log again.",
        "1 damaged pictures wait to be indexed again.",
        "The numbers that are kept were counted again.",
        "The pictures were listed again.",
    ]
    assert list(catalog.problems((1, RECIPE))) == []


def test_all_vectors_are_read_some_at_a_time(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segments, "BATCH_ROWS", 4)
    for number in range(1, 5):
        store(catalog, number)
    held = catalog.segment_ids(1).tolist()
    with sqlalchemy_cursors(catalog) as cursors:
        batches = [batch.ids.tolist() for batch in catalog.vectors(1)]
        assert list(catalog.problems((1, RECIPE))) == []
    assert batches == [held[start : start + 4] for start in range(0, len(held), 4)]
    whole = [name for name, kind in cursors if "context_vector" in name and kind == "Cursor"]
    assert (whole, len(cursors) > 1) == ([], True), "none that the client fetches whole"


@contextmanager
def sqlalchemy_cursors(catalog: Catalog) -> Iterator[list[tuple[str, str]]]:
    """The statements of a block with the kind of the driver's cursor that each had."""
    cursors: list[tuple[str, str]] = []

    def note(_db: Any, cursor: Any, statement: str, *_: Any) -> None:
        cursors.append((statement, type(cursor).__name__))

    event.listen(catalog._engine, "after_cursor_execute", note)
    try:
        yield cursors
    finally:
        event.remove(catalog._engine, "after_cursor_execute", note)


def test_a_path_is_refused_that_no_index_takes(catalog: Catalog) -> None:
    folders = [hashlib.sha512(bytes([number])).hexdigest() for number in range(30)]
    longest = "/" + "/".join(folders)[: backend.LONGEST_PATH - 1]  # as good as no compression
    catalog.check_path(longest)
    catalog.record_file(longest, STAMP, f"{1:064x}", 1)
    assert catalog.find_paths([longest]) == [longest]
    for path in (f"{longest}x", f"/{'ŉ' * 900}"):  # folded, a letter has three bytes
        with pytest.raises(PictureError, match="Its path has"):
            catalog.check_path(path)


def test_a_role_that_may_make_no_tables_is_told_so(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    address = postgres.create_database("without_rights")
    with psycopg.connect(address) as db:
        db.execute("DROP ROLE IF EXISTS guest")
        db.execute("CREATE ROLE guest LOGIN")
    problem = refused(address.replace("segsearch@", "guest@"), tmp_path)
    assert isinstance(problem, ReadOnlyError)
    assert "cannot be made or upgraded by this role: permission denied" in str(problem)
    postgres.drop_database("without_rights")


def test_whoever_waits_too_long_for_its_turn_is_told(
    server: Server, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backend, "SESSION", {**backend.SESSION, "lock_timeout": "200ms"})
    other = Catalog(server)
    with connected(server) as db:
        db.execute("SELECT pg_advisory_xact_lock(%s)", [backend.WRITERS])
        with pytest.raises(BusyError, match="try again"):
            other.create_collection("late")
    other.create_collection("late")
    other.close()
    assert [one.name for one in catalog.collections()] == ["late"]


def test_a_copy_is_made_by_the_server_s_own_tools(catalog: Catalog, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="pg_dump"):
        catalog.backup(tmp_path / "copy")
    with pytest.raises(InputError, match="pg_restore"):
        catalog.restore(tmp_path / "copy")


def test_a_copy_by_pg_dump_is_a_library(postgres: PostgresServer, server: Server) -> None:
    catalog = Catalog(server)
    catalog.register_recipe(RECIPE)
    store(catalog, 1)
    identity = catalog.identity()
    catalog.close()
    same = Catalog(server)
    assert same.identity() == identity
    same.close()
    copy = postgres.copy_database(server.address, "copied")
    again = Catalog(replace(server, address=copy))
    # It gives out the ids anew that were given out after the dump: no index may go on with it.
    assert again.identity() != identity
    assert again.counts()["segments"] == 3
    store(again, 2)
    assert list(again.problems((1, RECIPE))) == []
    again.close()
    postgres.drop_database("copied")


@pytest.mark.parametrize("reads", [True, False])
def test_who_stands_still_within_a_transaction_is_put_out_and_goes_on(
    reads: bool, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(backend.SESSION, backend.IDLE, "1s" if reads else "60s")
    queue_up = backend.QUEUE_UP.replace("'10s'", "'1s'")
    monkeypatch.setattr(backend, "QUEUE_UP", queue_up)
    monkeypatch.setattr(segments, "BATCH_ROWS", 2)
    catalog = Catalog(server)
    catalog.register_recipe(RECIPE)
    store(catalog, 1)
    with pytest.raises(EngineError, match="This process stood still while it read"):
        stand_still(catalog, reads=reads)
    assert sum(batch.ids.size for batch in catalog.vectors(1)) == 3
    store(catalog, 2)
    assert list(catalog.problems((1, RECIPE))) == []
    catalog.close()


def stand_still(catalog: Catalog, *, reads: bool) -> None:
    """Read a batch of vectors, or hold the lock of writers, and do nothing for a while."""
    if reads:
        for _ in catalog.vectors(1):
            time.sleep(1.5)
        return
    with catalog._writing() as db:
        time.sleep(1.5)
        db.execute(select(1))


def test_a_turn_is_kept_by_who_takes_long_and_lost_by_who_is_cut_off(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(backend.SESSION, backend.IDLE, "1s")
    monkeypatch.setattr(backend, "AWAKE_SECONDS", 0.2)
    catalog, other = Catalog(server), Catalog(server)
    with catalog.following("there", 1.0) as still:
        time.sleep(2.5)  # a single step, such as a Milvus that loads a collection
        still()
        with pytest.raises(BusyError), other.following("there", 0.1):
            pass
    with other.following("there", 1.0):
        pass

    def cut_off() -> None:
        with catalog.following("there", 1.0) as still, psycopg.connect(server.address) as db:
            cut = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'"
            assert len(db.execute(cut).fetchall()) == 1
            time.sleep(0.5)
            still()

    with pytest.raises(EngineError, match="cannot be reached"):
        cut_off()
    for one in (catalog, other):
        one.close()
