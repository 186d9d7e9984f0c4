"""A new catalog is made by statements instead of the migrations, and is the same."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from segsearch.storage.catalog.engine import SCHEMA, create_engine, migrate, new_catalog_file
from segsearch.storage.catalog.sql_catalog import Catalog
from tools.new_catalog import document


def everything(file: Path) -> tuple[list[str], dict[str, object]]:
    """All statements and rows of a database, but for its names of itself; its pragmas."""
    with closing(sqlite3.connect(file)) as db:
        db.execute("DELETE FROM library WHERE key IN ('catalog_id', 'timeline')")
        rows = list(db.iterdump())
        names = ("page_size", "journal_mode", "user_version", "encoding", "auto_vacuum")
        return rows, {name: db.execute(f"PRAGMA {name}").fetchone()[0] for name in names}


def test_it_is_what_the_migrations_make(tmp_path: Path) -> None:
    engine = create_engine(tmp_path / "migrated.sqlite")
    migrate(engine)
    engine.dispose()
    Catalog(tmp_path / "new.sqlite").close()
    assert everything(tmp_path / "new.sqlite") == everything(tmp_path / "migrated.sqlite")


def test_its_statements_are_written_anew_with_each_migration() -> None:
    words = "run `python -m tools.new_catalog`"
    assert new_catalog_file().read_text("utf-8") == document(), words


def test_an_empty_file_with_a_table_of_revisions_is_migrated(tmp_path: Path) -> None:
    file = tmp_path / "c.sqlite"
    with closing(sqlite3.connect(file)) as db:
        db.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
    catalog = Catalog(file)
    assert catalog.schema() == SCHEMA
    catalog.close()


def test_many_that_make_it_at_once_make_it_once(tmp_path: Path) -> None:
    file = tmp_path / "c.sqlite"
    barrier = threading.Barrier(8)
    made: list[str] = []

    def make() -> None:
        barrier.wait()
        catalog = Catalog(file)
        made.append(catalog.identity())
        catalog.close()

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 8
    assert len(set(made)) == 1


def test_one_that_breaks_off_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "c.sqlite"
    with monkeypatch.context() as patched:
        half = ["CREATE TABLE library (key TEXT)", "CREATE TABLE nonsense"]
        patched.setattr("segsearch.storage.catalog.engine.new_catalog", lambda: half)
        with pytest.raises(Exception, match="incomplete"):
            Catalog(file)
    catalog = Catalog(file)
    assert catalog.schema() == SCHEMA
    catalog.close()
