"""A catalog in one SQLite file, in the folder of a library."""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TypeVar

import sqlalchemy as sa
from filelock import FileLock, Timeout

from segsearch.core.errors import (
    BusyError,
    DamageError,
    DiskFullError,
    InputError,
    ReadOnlyError,
    tells_of_full_disk,
)
from segsearch.storage.api_keys import ApiKeys, KeyRing
from segsearch.storage.catalog.backend import Place, read_only_sentence
from segsearch.storage.catalog.engine import (
    check_schema,
    create_engine,
    is_writable,
    schema_revision,
    upgrade,
)
from segsearch.storage.catalog.unchanged import FileVersion, Unchanged
from segsearch.storage.catalog.words import Fts5Words, WordIndex

# SQLite's names for a write that came to nothing, whatever the reason; `-shm` is its log's index.
FAILED_WRITES = frozenset({"SQLITE_IOERR_SHMSIZE", "SQLITE_IOERR_WRITE", "SQLITE_CANTOPEN"})
LOG_INDEX_BYTES = 65_536  # twice what a new one takes
LOCKS = "locks"  # a folder of empty files
HOLDING_SECONDS = 30
Value = TypeVar("Value")


class SqliteFile:
    """One SQLite file as a `Backend`; read-only where this process may not write it."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.place: Place = file
        self.folder = file.parent
        self.name = str(file.parent)
        self.read_only = not is_writable(file)
        self.engine = create_engine(file, read_only=self.read_only)
        self.words: WordIndex = Fts5Words()
        self.keys: ApiKeys = KeyRing(file.parent)
        self.longest_path: int | None = None
        self._version = FileVersion(file)
        self._unchanged = Unchanged(self._version)

    def prepare(self) -> None:
        """As `Backend.prepare`."""
        with self.errors():
            (check_schema if self.read_only else upgrade)(self.engine)

    def revision(self) -> str | None:
        """As `Backend.revision`."""
        return schema_revision(self.engine)

    def errors(self) -> AbstractContextManager[None]:
        """As `Backend.errors`."""
        return foreign_errors_as_ours(self.file)

    def reading(self, connection: sa.Connection) -> sa.Connection:
        """As `Backend.reading`."""
        return connection.execution_options(reader=True)

    def queue_up(self, connection: sa.Connection) -> None:
        """Nothing: BEGIN IMMEDIATE has waited."""

    @contextmanager
    def turn(self, name: str, seconds: float) -> Iterator[Callable[[], None]]:
        """As `Backend.turn`, by a lock on a file beside the catalog."""
        lock = FileLock(self.folder / f"{name}.lock")
        try:
            lock.acquire(timeout=seconds)
        except Timeout as problem:
            raise BusyError(f"Another process brings {name!r} up to date.") from problem
        except OSError as problem:
            raise ReadOnlyError(read_only_sentence(self.name)) from problem
        try:
            yield lambda: None
        finally:
            lock.release()

    @contextmanager
    def holding(self, sha256: str) -> Iterator[None]:
        """As `Backend.holding`: the lock of a file, which a process that ends lets go."""
        folder = self.folder / LOCKS
        folder.mkdir(exist_ok=True)
        try:
            with FileLock(folder / sha256[:2], timeout=HOLDING_SECONDS):
                yield
        except Timeout as problem:
            raise BusyError(
                f"Another process has been dealing with the same file in {self.name!r} for over "
                f"{HOLDING_SECONDS} seconds; try again."
            ) from problem

    def incarnation(self, _connection: sa.Connection) -> str:
        """As `Backend.incarnation`: `restore` begins a new timeline."""
        return ""

    def version(self) -> tuple[int, int] | None:
        """As `Backend.version`."""
        # Where nothing can be written, each transaction opens the file anew.
        return None if self.read_only else self._version()

    def value(self, key: Hashable, read: Callable[[], Value]) -> Value:
        """As `Backend.value`. Where nothing can be written, others may write unseen: then it is
        read each time."""
        return read() if self.read_only else self._unchanged.value(key, read)

    def close(self) -> None:
        """As `Backend.close`."""
        self._version.close()
        self._unchanged.forget()
        self.engine.dispose()


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
            raise ReadOnlyError(read_only_sentence(str(file.parent))) from problem
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
