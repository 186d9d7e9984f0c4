"""Writes what a new catalog begins with: all that the migrations make of an empty file, as SQL.

`python -m tools.new_catalog`, after a migration was added. A test says when that was forgotten.
"""

from __future__ import annotations

import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

from segsearch.storage.catalog.engine import create_engine, migrate, new_catalog_file

HEADER = "-- A new catalog: what the migrations make. Written by `python -m tools.new_catalog`.\n"
# FTS5 makes these beside a virtual table: https://www.sqlite.org/fts5.html#fts5_data_structures
SHADOWS = ("data", "idx", "content", "docsize", "config")


def main() -> None:
    new_catalog_file().write_text(document(), "utf-8")


def document() -> str:
    """The statements, each ended by a semicolon and a new line."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "catalog.sqlite"
        engine = create_engine(file)
        migrate(engine)
        engine.dispose()
        with closing(sqlite3.connect(file)) as db:
            return HEADER + "".join(f"{statement};\n" for statement in statements_of(db))


def statements_of(db: sqlite3.Connection) -> list[str]:
    """What makes a database anew: its schema in the order it was made in, then its rows."""
    made = "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY rowid"
    schema = dict(db.execute(made).fetchall())
    virtual = [name for name, sql in schema.items() if sql.startswith("CREATE VIRTUAL")]
    passed_over = {f"{name}_{shadow}" for name in virtual for shadow in SHADOWS} | {
        "sqlite_sequence"
    }
    kept = {name: sql for name, sql in schema.items() if name not in passed_over}
    rows = []
    for name, sql in kept.items():
        if sql.startswith("CREATE TABLE"):
            columns = [row[1] for row in db.execute(f'PRAGMA table_info("{name}")')]
            values = " || ', ' || ".join(f'quote("{column}")' for column in columns)
            read = f'SELECT {values} FROM "{name}"'  # noqa: S608  # names of our own tables
            rows += [f'INSERT INTO "{name}" VALUES ({row})' for (row,) in db.execute(read)]  # noqa: S608
    return [*kept.values(), *rows]


if __name__ == "__main__":
    main()
