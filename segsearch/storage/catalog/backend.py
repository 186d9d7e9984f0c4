"""What a catalog stands on: one SQLite file, or a database of a PostgreSQL server.

The tables and nearly all statements are the same for both; this is what is not.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar

import sqlalchemy as sa

from segsearch.storage.api_keys import ApiKeys
from segsearch.storage.catalog.words import WordIndex

Value = TypeVar("Value")
Version = Hashable  # of all that a database holds: another one after each commit


@dataclass(frozen=True, slots=True)
class Server:
    """Where a catalog on a PostgreSQL server is: its address, which may hold a password and is
    never shown as it is; the folder in which this machine keeps its part of the library; and
    whether an empty database is made one of segsearch."""

    address: str = field(repr=False)
    folder: Path
    create: bool = True


Place = Path | Server  # a path is that of a SQLite file


class Backend(Protocol):
    """The database under a catalog."""

    place: Place
    name: str  # what sentences call the library; never with a password
    folder: Path  # what this machine keeps for the library: its index, its maps
    engine: sa.Engine
    read_only: bool
    words: WordIndex
    keys: ApiKeys
    longest_path: int | None  # bytes that a path may have; None for any number

    def prepare(self) -> None:
        """Make the tables, or bring them to this version's schema. LibraryVersionError for those
        of a later version, DamageError where there is no catalog and cannot be one."""
        ...

    def revision(self) -> str | None:
        """The revision that the tables stand at; None where there are none."""
        ...

    def errors(self) -> AbstractContextManager[None]:
        """The driver's errors as ours."""
        ...

    def reading(self, connection: sa.Connection) -> sa.Connection:
        """The connection for a transaction that sees one moment of the database."""
        ...

    def queue_up(self, connection: sa.Connection) -> None:
        """Let a transaction that writes wait for its turn: one at a time does."""
        ...

    def turn(self, name: str, seconds: float) -> AbstractContextManager[Callable[[], None]]:
        """Something that one process does at a time, whatever is written meanwhile; another one
        waits, and gets a BusyError after so many seconds. It ends with the process. What it gives
        raises EngineError where the turn was lost."""

    def holding(self, sha256: str) -> AbstractContextManager[None]:
        """Be the only one who deals with files of these bytes."""
        ...

    def incarnation(self, connection: sa.Connection, /) -> str:
        """Another text for a copy of the tables that goes on by itself, such as one that was taken
        back from a dump; empty where whoever takes a copy back says so in the tables."""
        ...

    def version(self) -> Version | None:
        """Another one whenever anything has been committed, by any process; None where nobody can
        know."""
        ...

    def value(self, key: Hashable, read: Callable[[], Value]) -> Value:
        """What `read` returns, or has returned under this key since the last commit."""
        ...

    def close(self) -> None:
        """Let go of the database."""
        ...


def read_only_sentence(name: str) -> str:
    """What is said to whoever would change a library that he may only read."""
    return f"The library {name!r} is read-only for this user: it can be searched, not changed."
