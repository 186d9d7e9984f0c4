"""What is kept of a database is read again as soon as anybody has written to it."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from segsearch.core.types import FileStamp, Recipe
from segsearch.storage.catalog.sql_catalog import Catalog
from segsearch.storage.catalog.unchanged import FileVersion, Unchanged
from tests.support.described import RECIPE, describe
from tests.support.query_plans import statements


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "numbers.sqlite"
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("CREATE TABLE number (value INTEGER)")
    return path


class Reads:
    """How often something was read; each reading gives the next number."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> int:
        self.count += 1
        return self.count


def write(file: Path) -> None:
    with closing(sqlite3.connect(file)) as db, db:
        db.execute("INSERT INTO number VALUES (1)")


def test_a_value_is_read_once_until_another_connection_commits(file: Path) -> None:
    version, read = FileVersion(file), Reads()
    kept = Unchanged(version)
    assert [kept.value("a", read) for _ in range(3)] == [1, 1, 1]
    write(file)
    assert [kept.value("a", read) for _ in range(3)] == [2, 2, 2]
    version.close()


def test_a_commit_of_another_process_counts(file: Path) -> None:
    version, read = FileVersion(file), Reads()
    kept = Unchanged(version)
    assert kept.value("a", read) == 1
    code = "import sqlite3, sys; db = sqlite3.connect(sys.argv[1]); "
    code += "db.execute('INSERT INTO number VALUES (1)'); db.commit()"
    subprocess.run([sys.executable, "-c", code, str(file)], check=True)
    assert kept.value("a", read) == 2
    version.close()


def test_what_was_rolled_back_changes_nothing_and_keys_do_not_meet(file: Path) -> None:
    version, read, other = FileVersion(file), Reads(), Reads()
    kept = Unchanged(version)
    assert kept.value("a", read) == kept.value("b", other) == 1
    with closing(sqlite3.connect(file)) as db:
        db.execute("INSERT INTO number VALUES (1)")
        db.rollback()
    assert kept.value("a", read) == kept.value("b", other) == 1
    version.close()


def test_a_write_while_a_value_is_read_is_seen_by_the_next_look(file: Path) -> None:
    version, read = FileVersion(file), Reads()
    kept = Unchanged(version)

    def slow() -> int:
        before = read()
        write(file)
        return before

    assert kept.value("a", slow) == 1
    assert kept.value("a", read) == 2
    version.close()


def test_where_nobody_can_tell_it_is_read_each_time(tmp_path: Path) -> None:
    (tmp_path / "none.sqlite").write_bytes(b"no database" * 100)
    version, read = FileVersion(tmp_path / "none.sqlite"), Reads()
    kept = Unchanged(version)
    assert [kept.value("a", read) for _ in range(2)] == [1, 2]
    version.close()


def test_one_that_was_closed_and_opens_again_believes_nothing_of_before(file: Path) -> None:
    version, read = FileVersion(file), Reads()
    kept = Unchanged(version)
    assert kept.value("a", read) == 1
    version.close()
    assert kept.value("a", read) == 2
    version.close()


def store(catalog: Catalog, number: int) -> None:
    catalog.record_file(f"/{number}.jpg", FileStamp(1, 1), f"{number:064x}", 1)
    claim = catalog.claim(1, "me", 60)
    assert claim is not None
    assert catalog.commit(claim, describe(number, 3))


def test_a_catalog_knows_at_once_what_another_one_has_stored(tmp_path: Path) -> None:
    file = tmp_path / "catalog.sqlite"
    one, other = Catalog(file), Catalog(file)
    assert one.active_recipe() is None
    recipe_id = other.register_recipe(RECIPE)
    assert one.active_recipe() == (recipe_id, RECIPE)
    before = one.newest_change(), one.newest_segment()
    store(other, 1)
    assert (one.newest_change(), one.newest_segment()) == (before[0] + 3, before[1] + 3)
    changes = one.changes(recipe_id, before[0])
    assert changes is not None
    assert changes.added.size == 3
    with statements() as sent:
        again = one.changes(recipe_id, changes.seq), one.identity(), one.active_recipe()
        assert one.newest_segment() == 3
    assert again[0] is not None
    assert (again[0].seq, again[0].added.size, again[0].removed.size) == (changes.seq, 0, 0)
    assert len(sent) <= 4  # identity is read for the first time
    with statements() as sent:
        one.changes(recipe_id, changes.seq), one.identity(), one.active_recipe()
    assert sent == []
    one.close()
    other.close()


def test_a_catalog_hears_of_its_own_switch_and_of_a_restore(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path / "catalog.sqlite")
    catalog.register_recipe(RECIPE)
    store(catalog, 1)
    identity = catalog.identity()
    catalog.backup(tmp_path / "backup.sqlite")
    later = Recipe("later", "s@2", "e@2", RECIPE.dimension, {}, {}, {})
    second = catalog.register_recipe(later)
    assert catalog.switch_recipe(second) is False
    claim = catalog.claim(second, "me", 60)
    assert claim is not None
    assert catalog.commit(claim, describe(1, 2))
    assert catalog.switch_recipe(second)
    assert catalog.active_recipe() == (second, later)
    catalog.restore(tmp_path / "backup.sqlite", max_pixels=10**9)
    active = catalog.active_recipe()
    assert active is not None
    assert active[1] == RECIPE
    assert catalog.identity() != identity
    catalog.close()
