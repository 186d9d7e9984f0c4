"""The only file that opens a database session: one `with` block is one transaction."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from segsearch.core.errors import (
    BusyError,
    DamageError,
    DiskFullError,
    InputError,
    ReadOnlyError,
    tells_of_full_disk,
)
from segsearch.media.sources.paths import shown
from segsearch.storage.catalog.engine import create_engine, is_writable
from segsearch.storage.catalog.tables import CHANGE_LOG, IMAGE, SEGMENT, SOURCE

# SQLite's names for a write that came to nothing, whatever the reason; `-shm` is its log's index.
FAILED_WRITES = frozenset({"SQLITE_IOERR_SHMSIZE", "SQLITE_IOERR_WRITE", "SQLITE_CANTOPEN"})
LOG_INDEX_BYTES = 65_536  # twice what a new one takes
IDS_PER_STATEMENT = 5_000  # SQLite takes 32,766 parameters
# The database's clock in seconds since 1970.
NOW: sa.ColumnElement[float] = sa.literal_column("(julianday('now') - 2440587.5) * 86400.0")


class Database:
    """One SQLite file. Foreign errors become ours here, and nowhere else."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.read_only = not is_writable(file)
        self._engine = create_engine(file, read_only=self.read_only)

    @contextmanager
    def _writing(self) -> Iterator[sa.Connection]:
        if self.read_only:
            raise ReadOnlyError(read_only_sentence(self._file))
        with foreign_errors_as_ours(self._file), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def _reading(self) -> Iterator[sa.Connection]:
        with foreign_errors_as_ours(self._file), self._engine.connect() as connection:
            yield connection.execution_options(reader=True)

    def close(self) -> None:
        self._engine.dispose()


def read_only_sentence(file: Path) -> str:
    return (
        f"The library {str(file.parent)!r} is read-only for this user: it can be searched, not "
        "changed."
    )


@contextmanager
def foreign_errors_as_ours(file: Path) -> Iterator[None]:
    """SQLAlchemy's errors as BusyError, ReadOnlyError, DiskFullError or DamageError; InputError
    for text that is no valid Unicode, such as a file's name in other bytes."""
    try:
        yield
    except UnicodeEncodeError as problem:
        raise InputError(f"{problem.object!r} is not valid UTF-8.") from problem
    except sa.exc.OperationalError as problem:
        text = str(problem.orig)
        if "locked" in text or "busy" in text:
            raise BusyError(
                "Another process has been writing to the library for over 30 seconds; try again."
            ) from problem
        if "readonly" in text:
            raise ReadOnlyError(read_only_sentence(file)) from problem
        if tells_of_full_disk(problem.orig) or _has_no_room(file, problem.orig):
            raise DiskFullError(
                f"The disk under {str(file.parent)!r} is full: make room and run the command "
                "again; nothing that was stored is lost."
            ) from problem
        raise DamageError(f"The catalog cannot be used: {problem.orig}.") from problem
    except sa.exc.IntegrityError as problem:
        if "FOREIGN KEY" not in str(problem.orig):
            raise DamageError(f"The catalog is damaged: {problem.orig}.") from problem
        # A run holds on to its recipe's id; what else rows point to is looked up while writing.
        raise BusyError(
            "Another process has switched the library to other models meanwhile; try again."
        ) from problem
    except sa.exc.DatabaseError as problem:
        raise DamageError(f"The catalog is damaged: {problem.orig}.") from problem


def _has_no_room(file: Path, problem: BaseException | None) -> bool:
    """Whether SQLite failed to write beside a file on a disk without room for its log's index."""
    if getattr(problem, "sqlite_errorname", None) not in FAILED_WRITES:
        return False
    disk = os.statvfs(file.parent)
    return disk.f_bavail * disk.f_frsize < LOG_INDEX_BYTES


def portions(ids: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """A long list in pieces that one statement takes."""
    for start in range(0, len(ids), IDS_PER_STATEMENT):
        yield ids[start : start + IDS_PER_STATEMENT]


def at_or_below(place: str) -> sa.ColumnElement[bool]:
    """Sources at a path, or anywhere below it as a folder.

    A span of the paths' order, from `/` up to the character behind it: SQLite's LIKE takes upper
    and lower case for the same, and other folders with it.
    """
    bare = shown(place).rstrip("/")
    below = (SOURCE.c.path > f"{bare}/") & (SOURCE.c.path < f"{bare}0")
    return (SOURCE.c.path == bare) | below


def log_change(db: sa.Connection, op: str, segment_ids: sa.Select[Any]) -> None:
    """Append to the change log what the same transaction does to these segments."""
    chosen = segment_ids.with_only_columns(
        SEGMENT.c.recipe_id, sa.literal(op), SEGMENT.c.id
    ).order_by(SEGMENT.c.id)
    db.execute(sa.insert(CHANGE_LOG).from_select(["recipe_id", "op", "segment_id"], chosen))


def without_source() -> sa.Select[Any]:
    """Ids of images that no path leads to."""
    return sa.select(IMAGE.c.id).where(~sa.exists().where(SOURCE.c.image_id == IMAGE.c.id))


def drop_images(db: sa.Connection, chosen: sa.Select[Any]) -> int:
    """Forget images with all that hangs on them; how many there were comes back."""
    log_change(db, "remove", sa.select(SEGMENT.c.id).where(SEGMENT.c.image_id.in_(chosen)))
    return db.execute(sa.delete(IMAGE).where(IMAGE.c.id.in_(chosen))).rowcount
