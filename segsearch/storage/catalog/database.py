"""The only file that opens a database session: one `with` block is one transaction."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import sqlalchemy as sa

from segsearch.core.errors import ReadOnlyError
from segsearch.storage.api_keys import ApiKeys
from segsearch.storage.catalog.backend import Backend, Place, Version, read_only_sentence
from segsearch.storage.catalog.recent import Mark

IDS_PER_STATEMENT = 5_000  # SQLite takes 32,766 parameters, PostgreSQL 65,535
Value = TypeVar("Value")


class Database:
    """The database under a catalog. Foreign errors become ours here, and nowhere else."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._engine = backend.engine
        self._words = backend.words
        self.read_only = backend.read_only  # this process may search the library, not change it
        self._edit_numbers = itertools.count(1)
        self._edits = 0

    @contextmanager
    def _writing(self) -> Iterator[sa.Connection]:
        """A transaction that writes; one at a time does, whatever the process."""
        with self._claiming() as connection:
            self._backend.queue_up(connection)
            yield connection

    @contextmanager
    def _claiming(self) -> Iterator[sa.Connection]:
        """A transaction that writes rows which nobody else waits for: on PostgreSQL many at once.
        It may neither log changes nor look at what others write."""
        if self.read_only:
            raise ReadOnlyError(read_only_sentence(self._backend.name))
        with self._backend.errors(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def _editing(self) -> Iterator[sa.Connection]:
        """`_writing` for what a person changes and wants to see changed at once."""
        with self._writing() as connection:
            yield connection
        self._edits = next(self._edit_numbers)

    @contextmanager
    def _reading(self) -> Iterator[sa.Connection]:
        """A transaction that sees one moment of the database, whatever is written meanwhile."""
        with self._backend.errors(), self._engine.connect() as connection:
            yield self._backend.reading(connection)

    @contextmanager
    def holding(self, sha256: str) -> Iterator[None]:
        """Be the only one, of all processes on this library, who deals with files of these bytes.
        BusyError after 30 seconds in which another one does; EngineError where the lock was lost
        meanwhile."""
        with self._backend.errors(), self._backend.holding(sha256):
            yield

    @property
    def keys(self) -> ApiKeys:
        """The API keys of the library."""
        return self._backend.keys

    @property
    def folder(self) -> Path:
        """What this machine keeps for the library: the folder of a SQLite file."""
        return self._backend.folder

    @property
    def place(self) -> Place:
        """Where the catalog is, for another process that opens it."""
        return self._backend.place

    @property
    def name(self) -> str:
        """What sentences call the library: its folder, or its address without a password."""
        return self._backend.name

    def version(self) -> Version | None:
        """Another one whenever anything has been committed, by any process; what was read under it
        still holds. None where nobody can know."""
        return self._backend.version()

    def mark(self) -> Mark:
        """How far the database has been written; what was read under it is as new or newer."""
        return Mark(self.version(), self._edits)

    def close(self) -> None:
        """Let go of the database."""
        self._backend.close()

    def _since_written(self, key: Hashable, read: Callable[[], Value]) -> Value:
        """What `read` returns, or has returned since anything was last written."""
        return self._backend.value(key, read)


def portions(values: Sequence[Value]) -> Iterator[Sequence[Value]]:
    """A long list in pieces that one statement takes."""
    for start in range(0, len(values), IDS_PER_STATEMENT):
        yield values[start : start + IDS_PER_STATEMENT]
