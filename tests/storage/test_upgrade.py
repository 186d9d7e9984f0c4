"""A library of the version before becomes one of this: whole, the same, or not at all."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from alembic import command

from segsearch.core.browsing import BrowseOrder
from segsearch.core.errors import DiskFullError
from segsearch.core.types import Origin
from segsearch.storage.catalog import engine as engines
from segsearch.storage.catalog.engine import PAGE_BYTES, create_engine, migrations_config
from segsearch.storage.catalog.sql_catalog import Catalog
from tests.support.described import RECIPE
from tests.support.large_catalog import fill

ORIGIN = Origin("model", "host", "0" * 64)
KILLED = """
import os, signal, sys
from pathlib import Path
import sqlalchemy as sa
from segsearch.storage.catalog.sql_catalog import Catalog

def look(connection, cursor, statement, parameters, context, many):
    if sys.argv[2] in statement:
        os.kill(os.getpid(), signal.SIGKILL)

sa.event.listen(sa.Engine, sys.argv[3], look)
Catalog(Path(sys.argv[1]))
"""


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """The file of a library of 1,000 segments as the version before made it: small pages, and
    the last segment removed."""
    made = fill(tmp_path / "catalog.sqlite", 200, 5)
    made.add_caption(7, "A red umbrella.", ORIGIN)
    made.remove_segments([1000])
    made.close()
    old = tmp_path / "old" / "catalog.sqlite"
    old.parent.mkdir()
    with closing(sqlite3.connect(old)) as db:
        db.execute("PRAGMA page_size=4096")
        db.execute("VACUUM")
    engine, config = create_engine(old), migrations_config()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0008")
    engine.dispose()
    with closing(sqlite3.connect(old)) as db, db:
        db.execute("PRAGMA foreign_keys=OFF")
        db.execute("ATTACH ? AS made", (str(tmp_path / "catalog.sqlite"),))
        for table in ("library", "recipe", "image", "source", "ingest", "caption", "change_log"):
            _copy(db, table, f"made.{table}")
        _copy(db, "segment", "made.segment JOIN made.segment_vector ON segment_id = id")
        db.execute("DELETE FROM sqlite_sequence")
        db.execute("INSERT INTO sqlite_sequence SELECT * FROM made.sqlite_sequence")
    return old


def _copy(db: sqlite3.Connection, table: str, source: str) -> None:
    names = ", ".join(row[1] for row in db.execute(f"PRAGMA main.table_info({table})"))
    db.execute(f"INSERT INTO main.{table} ({names}) SELECT {names} FROM {source}")  # noqa: S608  names of our own


def held(file: Path) -> dict[str, list[Any]]:
    """What a library of either version holds."""
    apart = "FROM segment JOIN segment_vector ON segment_id = id"
    with closing(sqlite3.connect(file)) as db:
        is_old = db.execute("SELECT version_num FROM alembic_version").fetchone() == ("0008",)
        own = "id, image_id, recipe_id, x0, y1, area, counts, stability, holds, lies_in"
        vectors = f"context_vector, masked_vector {'FROM segment' if is_old else apart}"
        queries = {
            "segments": f"SELECT {own}, {vectors} ORDER BY id",
            "captions": "SELECT * FROM caption",
            "words": "SELECT rowid FROM caption_words WHERE caption_words MATCH 'umbrellas'",
            "log": "SELECT * FROM change_log",
            "ids": "SELECT name, seq FROM sqlite_sequence ORDER BY name",
        }
        return {name: db.execute(query).fetchall() for name, query in queries.items()}


def test_a_library_of_the_version_before_answers_the_same(old: Path) -> None:
    before = held(old)
    catalog = Catalog(old)
    assert held(old) == before
    assert len(before["segments"]) == 999
    assert before["captions"]
    assert before["words"] == [(1,)]
    assert ("segment", 1000) in before["ids"]  # the id that was removed is not given out again
    assert list(catalog.problems((1, RECIPE))) == []
    assert (catalog.counts()["images"], catalog.counts()["segments"]) == (200, 999)
    listed = catalog.listed(1, BrowseOrder.NAME, None, 999)
    assert sorted(one.name for one in listed) == sorted(f"{n}.jpg" for n in range(1, 201))
    vectors = np.concatenate([rows.context for rows in catalog.vectors(1)])
    stored = b"".join(row[-2] for row in before["segments"])
    assert np.array_equal(vectors.ravel(), np.frombuffer(stored, "<f2").astype(np.float32))
    catalog.remove_segments([7])
    assert catalog.captions([7]) == {}  # foreign keys hold again
    assert catalog.counts()["segments"] == 998
    catalog.close()
    with closing(sqlite3.connect(old)) as db:
        assert db.execute("PRAGMA page_size").fetchone() == (PAGE_BYTES,)
        assert db.execute("PRAGMA freelist_count").fetchone() == (0,)


def test_pages_that_were_listed_by_the_text_of_their_numbers_are_put_in_order(
    tmp_path: Path,
) -> None:
    fill(tmp_path / "catalog.sqlite", 12, 1).close()
    engine, config = create_engine(tmp_path / "catalog.sqlite"), migrations_config()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0013")
    engine.dispose()
    with closing(sqlite3.connect(tmp_path / "catalog.sqlite")) as db, db:
        db.execute("UPDATE source SET (path, folded) = "
                   "('/a/R.pdf#page=' || image_id, '/a/r.pdf#page=' || image_id)")  # fmt: skip
        db.execute("UPDATE listing SET name = 'r.pdf#page=' || image_id")
    catalog = Catalog(tmp_path / "catalog.sqlite")
    names = [one.name for one in catalog.listed(1, BrowseOrder.NAME, None, 99)]
    assert names == [f"r.pdf#page={n:07}" for n in range(1, 13)]
    assert list(catalog.problems((1, RECIPE))) == []
    catalog.close()


def test_one_that_another_process_has_open_keeps_its_pages_until_the_next_time(old: Path) -> None:
    with closing(sqlite3.connect(old)) as other:
        other.execute("PRAGMA journal_mode=WAL")
        other.execute("SELECT 1 FROM image").fetchone()
        before = held(old)
        Catalog(old).close()
        assert other.execute("PRAGMA page_size").fetchone() == (4096,)
        assert held(old) == before
    Catalog(old).close()
    with closing(sqlite3.connect(old)) as db:
        assert db.execute("PRAGMA page_size").fetchone() == (PAGE_BYTES,)


def test_without_room_nothing_changes(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = old.read_bytes()
    monkeypatch.setattr(engines, "_room_beside", lambda file: file.stat().st_size)
    with pytest.raises(DiskFullError, match=r"upgrade takes .* MB .* nothing has changed"):
        Catalog(old)
    assert held(old) == held_in(before, old)


def held_in(data: bytes, beside: Path) -> dict[str, list[Any]]:
    copy = beside.with_name("copy.sqlite")
    copy.write_bytes(data)
    return held(copy)


PLACES = (
    ("INSERT INTO segment_vector", "after_cursor_execute"),
    ("INSERT INTO segment_new", "after_cursor_execute"),
    ("DROP TABLE segment", "after_cursor_execute"),
    ("RENAME TO segment", "after_cursor_execute"),
    ("CREATE TRIGGER count_near_duplicates_down", "after_cursor_execute"),
    ("INSERT INTO listing", "after_cursor_execute"),
    ("CREATE TRIGGER list_path_moved", "after_cursor_execute"),
    ("CREATE TRIGGER list_page_again", "after_cursor_execute"),
    ("UPDATE alembic_version", "after_cursor_execute"),
    ("PRAGMA page_size", "before_cursor_execute"),  # the tables are done, the pages are not
)


@pytest.mark.process
@pytest.mark.parametrize(("statement", "moment"), PLACES)
def test_killed_in_the_middle_it_is_the_old_or_the_new_one(
    statement: str, moment: str, old: Path
) -> None:
    before = held(old)
    command_line = [sys.executable, "-c", KILLED, str(old), statement, moment]
    assert subprocess.run(command_line, check=False).returncode == -signal.SIGKILL
    assert held(old) == before
    catalog = Catalog(old)
    assert held(old) == before
    assert list(catalog.problems((1, RECIPE))) == []
    catalog.close()


@pytest.mark.process
def test_killed_while_it_is_packed_the_library_is_whole(old: Path) -> None:
    before = held(old)
    packing = """
import os, signal, sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("PRAGMA page_size=16384")
steps = iter(range(int(sys.argv[2])))
db.set_progress_handler(lambda: next(steps, None) is None and os.kill(os.getpid(), 9), 1000)
db.execute("VACUUM")
"""
    codes = [
        subprocess.run(
            [sys.executable, "-c", packing, str(old), str(steps)], check=False
        ).returncode
        for steps in (1, 8, 32)
    ]
    assert -signal.SIGKILL in codes
    assert held(old) == before
    catalog = Catalog(old)
    assert held(old) == before
    assert list(catalog.problems((1, RECIPE))) == []
    catalog.close()


def test_a_backup_of_small_pages_is_restored_into_large_ones_and_the_other_way_round(
    old: Path, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    file = tmp_path / "other" / "catalog.sqlite"
    live = Catalog(file)
    live.restore(old)
    assert live.counts()["segments"] == 999
    assert list(live.problems((1, RECIPE))) == []
    live.backup(tmp_path / "backup")
    live.close()
    with closing(sqlite3.connect(file)) as db:
        db.execute("PRAGMA journal_mode=DELETE")
        db.execute("PRAGMA page_size=4096")
        db.execute("VACUUM")
    with closing(sqlite3.connect(file)) as other:  # so that the pages stay small
        other.execute("PRAGMA journal_mode=WAL")
        other.execute("SELECT 1 FROM image").fetchone()
        small = Catalog(file)
        small.remove_images([1, 2, 3])
        small.restore(tmp_path / "backup")
        assert small.counts()["segments"] == 999
        small.close()
