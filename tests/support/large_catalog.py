"""Fills a catalog by SQL with as many described pictures as a test of scale wants."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from segsearch.core.types import FileStamp
from segsearch.storage.catalog.sql_catalog import Catalog
from tests.support.described import RECIPE, describe

NUMBERS = "WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < {last}) "


def fill(file: Path, pictures: int, segments: int) -> Catalog:
    """A catalog of `pictures` with `segments` each: copies of one that was committed as ever, which
    differ in names, ids and nothing else."""
    catalog = Catalog(file)
    recipe_id = catalog.register_recipe(RECIPE)
    catalog.record_file("/many/1.jpg", FileStamp(1, 1), f"{1:064x}", recipe_id)
    claim = catalog.claim(recipe_id, "me", 60)
    assert claim is not None
    assert catalog.commit(claim, describe(1, segments))
    numbers = NUMBERS.format(last=pictures)
    with closing(sqlite3.connect(file)) as db, db:
        for table, values in (
            ("image", {"id": "i", "sha256": "printf('%064x', i)", "perceptual_hash": "NULL"}),
            (
                "source",
                {
                    "path": "'/many/' || i || '.jpg'",
                    "folded": "'/many/' || i || '.jpg'",
                    "image_id": "i",
                },
            ),
            ("ingest", {"image_id": "i"}),
            ("segment", {"id": f"id + (i - 1) * {segments}", "image_id": "i"}),
            ("segment_vector", {"segment_id": f"segment_id + (i - 1) * {segments}"}),
        ):
            names = [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
            chosen = ", ".join(values.get(name, name) for name in names)
            whose = {
                "image": "id = 1",
                "segment": "image_id = 1",
                "segment_vector": f"segment_id <= {segments}",
            }.get(table, "image_id = 1")
            rows = f"SELECT {chosen} FROM n, (SELECT * FROM {table} WHERE {whose}) ORDER BY i, 1"  # noqa: S608  names of our own
            db.execute(f"INSERT INTO {table} {numbers} {rows}")
        db.execute(
            "INSERT INTO change_log (recipe_id, op, segment_id) SELECT recipe_id, 'add', id "
            "FROM segment WHERE id > ? ORDER BY id",
            (segments,),
        )
    return catalog
