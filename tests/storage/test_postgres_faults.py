"""What goes wrong with a PostgreSQL server is one sentence, and nothing is lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from segsearch.core.errors import (
    BusyError,
    DamageError,
    EngineError,
    InputError,
    LibraryMissingError,
    LibraryVersionError,
    ReadOnlyError,
    SegSearchError,
)
from segsearch.core.settings import Settings
from segsearch.core.types import FileStamp
from segsearch.storage.catalog.backend import Server
from segsearch.storage.catalog.postgres import backend
from segsearch.storage.catalog.sql_catalog import Catalog
from tests.storage.test_postgres import connected, store
from tests.support.described import RECIPE
from tools.postgres_server import PostgresServer

STAMP = FileStamp(1, 1)


@pytest.fixture
def catalog(server: Server) -> Iterator[Catalog]:
    made = Catalog(server)
    made.register_recipe(RECIPE)
    yield made
    made.close()


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
    with pytest.raises(ValueError, match="expected an address"):
        Settings(catalog="mysql://host/photos")


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
    copy = postgres.copy_database(server.address, "copied")
    again = Catalog(replace(server, address=copy))
    assert again.identity() == identity
    assert again.counts()["segments"] == 3
    store(again, 2)
    assert list(again.problems((1, RECIPE))) == []
    again.close()
    postgres.drop_database("copied")
