"""Saved searches: one address a name, kept through backup and upgrade."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from unicodedata import normalize

import pytest
from alembic import command

from segsearch.core.errors import InputError, NotFoundError
from segsearch.storage.catalog import saved_searches
from segsearch.storage.catalog.backend import Place
from segsearch.storage.catalog.engine import create_engine, migrations_config
from segsearch.storage.catalog.sql_catalog import Catalog
from tests.support.large_catalog import fill


@pytest.fixture
def catalog(place: Place) -> Iterator[Catalog]:
    made = Catalog(place)
    yield made
    made.close()


def kept(catalog: Catalog) -> dict[str, str]:
    return {saved.name: saved.address for saved in catalog.saved_searches()}


def test_a_name_holds_the_address_that_came_last(catalog: Catalog) -> None:
    catalog.save_search("umbrellas", "?q=umbrella")
    catalog.save_search("beach", "?q=beach")
    saved = catalog.save_search("umbrellas", "?q=red+umbrella")
    assert (saved.name, saved.address) == ("umbrellas", "?q=red+umbrella")
    assert saved.saved_at.endswith("+00:00")
    assert kept(catalog) == {"beach": "?q=beach", "umbrellas": "?q=red+umbrella"}
    catalog.delete_saved_search("umbrellas")
    assert kept(catalog) == {"beach": "?q=beach"}
    with pytest.raises(NotFoundError, match="no saved search 'umbrellas'"):
        catalog.delete_saved_search("umbrellas")


def test_an_accent_written_in_two_ways_is_one_name(catalog: Catalog) -> None:
    catalog.save_search(normalize("NFD", "Müll"), "?q=a")
    catalog.save_search(normalize("NFC", "Müll"), "?q=b")
    assert kept(catalog) == {normalize("NFC", "Müll"): "?q=b"}
    catalog.delete_saved_search(normalize("NFD", "Müll"))
    assert kept(catalog) == {}


@pytest.mark.parametrize(
    ("name", "address"),
    [("a/b", "?q=a"), ("", "?q=a"), ("a", "q=a"), ("a", "https://elsewhere.example/?q=a"),
     ("a", ""), ("a", "?" + "q" * 8_000)],
)  # fmt: skip
def test_what_is_no_name_or_no_address_is_refused(
    name: str, address: str, catalog: Catalog
) -> None:
    with pytest.raises(InputError):
        catalog.save_search(name, address)
    assert kept(catalog) == {}


def test_their_number_is_bounded_but_not_what_they_are_changed_to(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(saved_searches, "MAX_SAVED_SEARCHES", 2)
    catalog.save_search("a", "?q=a")
    catalog.save_search("b", "?q=b")
    with pytest.raises(InputError, match="2 saved searches"):
        catalog.save_search("c", "?q=c")
    catalog.save_search("b", "?q=bb")
    assert kept(catalog) == {"a": "?q=a", "b": "?q=bb"}


def test_a_backup_carries_them(tmp_path: Path) -> None:
    live = fill(tmp_path / "catalog.sqlite", 3, 2)
    live.save_search("kept", "?q=kept")
    live.backup(tmp_path / "backup")
    live.save_search("later", "?q=later")
    live.restore(tmp_path / "backup")
    assert kept(live) == {"kept": "?q=kept"}
    live.close()


def test_a_library_of_the_schema_before_gets_the_table(tmp_path: Path) -> None:
    file = tmp_path / "catalog.sqlite"
    fill(file, 3, 2).close()
    engine, config = create_engine(file), migrations_config()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0009")
    engine.dispose()
    with closing(sqlite3.connect(file)) as db:
        assert not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'saved_search'").fetchall()
    catalog = Catalog(file)
    assert catalog.counts()["segments"] == 6
    catalog.save_search("a", "?q=a")
    assert kept(catalog) == {"a": "?q=a"}
    catalog.close()
