"""Vectors that no index can be built of: told, and repaired, where no index is left."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from segsearch.core.errors import DamageError
from segsearch.storage.catalog.backend import Server
from segsearch.storage.catalog.sql_catalog import Catalog
from tests.storage.test_pgvector import ACTIVE, opened, store
from tests.support.ingest_processes import paint_many
from tests.support.small_models import open_small_service


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE segment_vector SET context_vector = zeroblob(6) WHERE segment_id = 3",
        "DELETE FROM segment_vector WHERE segment_id = 3",
        "UPDATE ingest SET picture_vector = zeroblob(5) WHERE image_id = 2",
        "UPDATE ingest SET picture_vector = NULL WHERE image_id = 2",
    ],
)
def test_vectors_that_no_index_can_be_built_of_are_told_and_repaired(
    damage: str, tmp_path: Path
) -> None:
    library, pictures = tmp_path / "library", paint_many(tmp_path / "pictures", 3)
    with open_small_service(library) as service:
        service.index([pictures])
    with closing(sqlite3.connect(library / "catalog.sqlite")) as db, db:
        db.execute(damage)
    shutil.rmtree(library / "index")
    with open_small_service(library) as again:
        assert any("index cannot be built" in problem for problem in again.maintenance.verify())
        with pytest.raises(DamageError, match="repair"):
            again.search_text("red")
        assert again.maintenance.repair().left == ()
        again.index([pictures])
        assert again.maintenance.verify() == []


def test_a_segment_with_damaged_vectors_costs_the_others_nothing(
    server: Server, catalog: Catalog
) -> None:
    for number in range(4):
        store(catalog, number)
    with psycopg.connect(server.address) as db:
        db.execute("UPDATE segment_vector SET masked_vector = '\\x0011' WHERE segment_id = 5")
    index = opened(catalog)
    assert 5 not in index.ids(ACTIVE)
    assert index.ids(ACTIVE).size == 11
    assert index.problems(ACTIVE) == ["The index misses 1 segments and holds 0 unknown ones."]
    catalog.repair(ACTIVE)
    assert index.problems(ACTIVE) == []
    assert index.ids(ACTIVE).size == 9
