"""The only file that opens a database session: one `with` block is one transaction."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import sqlalchemy as sa

from segsearch.core.errors import (
    BusyError,
    DamageError,
    DiskFullError,
    InputError,
    ReadOnlyError,
    tells_of_full_disk,
)
from segsearch.storage.catalog.engine import create_engine, is_writable
from segsearch.storage.catalog.recent import Mark
from segsearch.storage.catalog.unchanged import Unchanged

# SQLite's names for a write that came to nothing, whatever the reason; `-shm` is its log's index.
FAILED_WRITES = frozenset({"SQLITE_IOERR_SHMSIZE", "SQLITE_IOERR_WRITE", "SQLITE_CANTOPEN"})
LOG_INDEX_BYTES = 65_536  # twice what a new one takes
IDS_PER_STATEMENT = 5_000  # SQLite takes 32,766 parameters
# The database's clock in seconds since 1970.
NOW: sa.ColumnElement[float] = sa.literal_column("(julianday('now') - 2440587.5) * 86400.0")

# Ids that a statement takes as one parameter, whatever their number: its text stays the same, so it
# is prepared once. `ids_parameter` gives the value.
AMONG_IDS = sa.select(sa.func.json_each(sa.bindparam("ids")).table_valued("value").c.value)

Value = TypeVar("Value")


class Database:
    """One SQLite file. Foreign errors become ours here, and nowhere else."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.read_only = not is_writable(file)
        self._engine = create_engine(file, read_only=self.read_only)
        self._unchanged = Unchanged(file)
        self._edit_numbers = itertools.count(1)
        self._edits = 0

    @contextmanager
    def _writing(self) -> Iterator[sa.Connection]:
        if self.read_only:
            raise ReadOnlyError(read_only_sentence(self._file))
        with foreign_errors_as_ours(self._file), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def _editing(self) -> Iterator[sa.Connection]:
        """`_writing` for what a person changes and wants to see changed at once."""
        with self._writing() as connection:
            yield connection
        self._edits = next(self._edit_numbers)

    @contextmanager
    def _reading(self) -> Iterator[sa.Connection]:
        with foreign_errors_as_ours(self._file), self._engine.connect() as connection:
            yield connection.execution_options(reader=True)

    @property
    def folder(self) -> Path:
        """The library's folder, in which the file lies."""
        return self._file.parent

    def version(self) -> tuple[int, int] | None:
        """Another one whenever anything has been committed, by any process; what was read under it
        still holds. None where nobody can know."""
        # Where nothing can be written, each transaction opens the file anew.
        return None if self.read_only else self._unchanged.version()

    def mark(self) -> Mark:
        """How far the file has been written; what was read under it is as new or newer."""
        return Mark(self.version(), self._edits)

    def close(self) -> None:
        """Let go of the file."""
        self._unchanged.close()
        self._engine.dispose()

    def _since_written(self, key: Hashable, read: Callable[[], Value]) -> Value:
        """What `read` returns, or has returned since anything was last written. Where nothing can
        be written, others may write unseen: then it is read each time."""
        return read() if self.read_only else self._unchanged.value(key, read)


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


def ids_parameter(ids: Iterable[int]) -> dict[str, str]:
    """The parameter of a statement with `AMONG_IDS`."""
    return {"ids": json.dumps(list(ids))}


def portions(values: Sequence[Value]) -> Iterator[Sequence[Value]]:
    """A long list in pieces that one statement takes."""
    for start in range(0, len(values), IDS_PER_STATEMENT):
        yield values[start : start + IDS_PER_STATEMENT]
