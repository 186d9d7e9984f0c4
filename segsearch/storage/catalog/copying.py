"""Copies a catalog into another one, on the same engine or on another: row by row, ids and all.

What triggers keep (counters, the listing, the index of words) is not copied: the target's own
triggers make it of the rows.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from segsearch.core.errors import BusyError, ConflictError, LibraryMissingError
from segsearch.storage.catalog.database import Database
from segsearch.storage.catalog.portable import insert
from segsearch.storage.catalog.tables import (
    CAPTION,
    CHANGE_LOG,
    COLLECTION,
    COLLECTION_IMAGE,
    HASH_BAND,
    IMAGE,
    IMAGE_TAG,
    INGEST,
    JOB,
    LIBRARY,
    LOG_START,
    NEAR_DUPLICATE,
    PICTURE_TEXT,
    READING,
    RECIPE,
    SAVED_SEARCH,
    SEGMENT,
    SEGMENT_VECTOR,
    SHOT,
    SOURCE,
    TEXT_LINE,
    TRACK,
    TRACK_MASK,
    VIDEO,
)

# What hangs on a row comes behind it.
COPIED = (
    RECIPE, IMAGE, VIDEO, SHOT, SOURCE, SEGMENT, SEGMENT_VECTOR, TRACK, TRACK_MASK, INGEST, READING,
    TEXT_LINE, PICTURE_TEXT, CAPTION, IMAGE_TAG, HASH_BAND, NEAR_DUPLICATE, COLLECTION,
    COLLECTION_IMAGE, SAVED_SEARCH, JOB, CHANGE_LOG, LOG_START,
)  # fmt: skip
PAGE_ROWS = 2_000  # read and written at once: one transaction of the target
COPYING = "copying"  # a key of `library`, there until a copy is whole


@dataclass(frozen=True, slots=True)
class CopiedTable:
    """A table, how many rows it holds, and the sha256 of all of them: the same on both sides."""

    name: str
    rows: int
    sha256: str


@dataclass(slots=True)
class _Position:
    """How far a copy is: of which catalog, the table and the key of its last row."""

    source: str
    table: str = ""
    key: tuple[Any, ...] = ()

    @property
    def text(self) -> str:
        return json.dumps([self.source, self.table, list(self.key)])


Progress = Callable[[str, int], object]  # the table that is copied, and rows of it so far


class CopyMixin(Database):
    """The part of the catalog that takes in all of another one."""

    def copy_from(
        self,
        source: CopyMixin,
        progress: Progress = lambda _table, _rows: None,
        beside: Callable[[], object] = lambda: None,
    ) -> tuple[CopiedTable, ...]:
        """Take in everything that another catalog holds, and compare row by row. `beside` copies
        what does not lie in these tables, once they are the same; until it has, too, a copy is not
        whole and can be gone on with.

        Nobody may write to the source meanwhile. Killed halfway, the next call goes on where this
        one was. LibraryMissingError where the source is empty, ConflictError where this catalog
        holds something of its own, BusyError where the source was changed between two attempts:
        the copy has to begin anew, in an empty place.
        """
        with source._writing() as held:
            _take_time(held)
            origin = _catalog_id(held)
            position = self._begin_copy(held, origin)
            for table in _from(position.table):
                after = position.key if table.name == position.table else ()
                for rows, last in _pages(held, table, after):
                    self._take(table, rows, _Position(origin, table.name, last))
                    progress(table.name, len(rows))
            copied = self._compared(held, origin)
            beside()
            with self._writing() as db:
                db.execute(sa.delete(LIBRARY).where(LIBRARY.c.key == COPYING))
            return copied

    def _begin_copy(self, held: sa.Connection, origin: str) -> _Position:
        if not held.execute(sa.select(RECIPE.c.id).limit(1)).first():
            raise LibraryMissingError("The library that is to be copied is empty.")
        with self._writing() as db:
            noted = db.execute(sa.select(LIBRARY.c.value).where(LIBRARY.c.key == COPYING)).scalar()
            if noted is None and db.execute(sa.select(RECIPE.c.id).limit(1)).first():
                raise ConflictError(f"The library {self.name!r} holds pictures: name an empty one.")
            if noted is None:
                _note(db, _Position(origin))
                return _Position(origin)
            known, table, key = json.loads(noted)
            if known != origin:
                raise ConflictError(
                    f"The library {self.name!r} holds a part of another one: name an empty one."
                )
            return _Position(known, table, tuple(key))

    def _take(self, table: sa.Table, rows: Sequence[dict[str, Any]], position: _Position) -> None:
        with self._writing() as db:
            try:
                db.execute(sa.insert(table), list(rows))
            except sa.exc.IntegrityError as problem:  # it hangs on what was not there before
                raise _changed(table.name) from problem
            _note(db, position)

    def _compared(self, held: sa.Connection, origin: str) -> tuple[CopiedTable, ...]:
        with self._writing() as db:
            _take_time(db)
            compared = [(_summed(held, table), _summed(db, table)) for table in COPIED]
            if wrong := [there.name for there, here in compared if there != here]:
                raise _changed(wrong[0])
            _give_out_after(db, _given_out(held))
            own = LIBRARY.c.key == "catalog_id"
            db.execute(sa.update(LIBRARY).where(own).values(value=origin))
        return tuple(here for _, here in compared)


def _take_time(db: sa.Connection) -> None:
    """Let a transaction stand still while the other library is read; PostgreSQL would end it."""
    if db.dialect.name == "postgresql":
        db.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 0")


def _changed(table: str) -> BusyError:
    return BusyError(
        f"The library was changed while it was copied (table {table}): stop its workers and "
        "servers, and copy it into an empty place."
    )


def _from(name: str) -> Iterator[sa.Table]:
    """The tables from one of this name on; all without one."""
    names = [table.name for table in COPIED]
    return iter(COPIED[names.index(name) if name else 0 :])


def _pages(
    db: sa.Connection, table: sa.Table, after: tuple[Any, ...]
) -> Iterator[tuple[list[dict[str, Any]], tuple[Any, ...]]]:
    """Rows by their key, some at a time, those behind a key; beside the key of the last."""
    keys = list(table.primary_key.columns)
    query = sa.select(table).order_by(*keys).limit(PAGE_ROWS)
    while True:
        page = query
        if after:
            given = [sa.literal(value, key.type) for key, value in zip(keys, after, strict=True)]
            page = query.where(sa.tuple_(*keys) > sa.tuple_(*given))
        rows = [dict(row) for row in db.execute(page).mappings()]
        if not rows:
            return
        after = tuple(rows[-1][key.name] for key in keys)
        yield rows, after


def _summed(db: sa.Connection, table: sa.Table) -> CopiedTable:
    digest, count = hashlib.sha256(), 0
    for rows, _ in _pages(db, table, ()):
        for row in rows:
            digest.update(json.dumps(list(row.values()), default=_as_text).encode())
        count += len(rows)
    return CopiedTable(table.name, count, digest.hexdigest())


def _as_text(value: Any) -> str:
    return value.hex() if isinstance(value, bytes | memoryview) else str(value)


def _note(db: sa.Connection, position: _Position) -> None:
    row = {"key": COPYING, "value": position.text}
    db.execute(insert(LIBRARY).values(row).on_conflict_do_update(index_elements=["key"], set_=row))


def _catalog_id(db: sa.Connection) -> str:
    query = sa.select(LIBRARY.c.value).where(LIBRARY.c.key == "catalog_id")
    return str(db.execute(query).scalar_one())


# Ids are given out once: the target goes on where the source was, whatever was removed there.


def _counting() -> Iterator[tuple[str, str]]:
    """Tables whose ids the database counts up, and the column."""
    for table in COPIED:
        column = table.autoincrement_column
        if column is not None and not column.foreign_keys and len(table.primary_key.columns) == 1:
            yield table.name, column.name


def _given_out(db: sa.Connection) -> dict[str, int]:
    """The last id that was given out, by table; 0 where none was."""
    if db.dialect.name == "sqlite":
        rows = db.exec_driver_sql("SELECT name, seq FROM sqlite_sequence")
        known = {name: int(seq) for name, seq in rows}
        return {table: known.get(table, 0) for table, _ in _counting()}
    asked = sa.text("SELECT coalesce(pg_sequence_last_value(pg_get_serial_sequence(:t, :c)), 0)")
    return {
        table: int(db.execute(asked, {"t": table, "c": column}).scalar_one())
        for table, column in _counting()
    }


def _give_out_after(db: sa.Connection, newest: dict[str, int]) -> None:
    for table, column in _counting():
        last = newest[table]
        if db.dialect.name == "sqlite":
            given = {"table": table, "last": last}
            db.execute(sa.text("DELETE FROM sqlite_sequence WHERE name = :table"), given)
            db.execute(sa.text("INSERT INTO sqlite_sequence VALUES (:table, :last)"), given)
        elif last:
            moved = sa.text("SELECT setval(pg_get_serial_sequence(:t, :c), :last)")
            db.execute(moved, {"t": table, "c": column, "last": last})
