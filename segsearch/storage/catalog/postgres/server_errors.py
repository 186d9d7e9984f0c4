"""What a PostgreSQL server says, as our errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from segsearch.core.errors import (
    BusyError,
    DamageError,
    DiskFullError,
    EngineError,
    InputError,
    ReadOnlyError,
    SegSearchError,
)
from segsearch.storage.catalog.backend import read_only_sentence

NOT_ALLOWED = "42501"  # insufficient_privilege
# How long a session may be silent in a transaction. All others wait for who writes, so he may be
# for less long than a reader.
READER_IDLE, WRITER_IDLE = "60s", "10s"


@contextmanager
def lost_lock(name: str) -> Iterator[None]:
    """EngineError where a session is gone, and its locks with it."""
    try:
        yield
    except sa.exc.DBAPIError as problem:
        raise EngineError(
            f"The library {name!r} was away for a moment, in which another process may have "
            "changed the same files; try again."
        ) from problem


@contextmanager
def rights_to(refused: str, remedy: str) -> Iterator[None]:
    """ReadOnlyError where a role may not do what a block does: what was `refused`, why, and a
    sentence that says what helps."""
    try:
        yield
    except sa.exc.DBAPIError as problem:
        if getattr(problem.orig, "sqlstate", None) != NOT_ALLOWED:
            raise
        said = str(problem.orig).partition("\n")[0]
        raise ReadOnlyError(f"{refused} by this role: {said}. {remedy}") from problem


def ours(name: str, problem: sa.exc.DBAPIError) -> SegSearchError:
    """The server's error as ours, by its SQLSTATE
    (https://www.postgresql.org/docs/current/errcodes-appendix.html)."""
    code = getattr(problem.orig, "sqlstate", None) or ""
    said = " ".join(str(problem.orig).split()).rstrip(".")
    if code in {"55P03", "40001", "40P01", "57014"}:
        return BusyError(
            f"Another process has been writing to the library {name!r} for over 30 seconds; try "
            "again."
        )
    if code in {"25006", NOT_ALLOWED}:
        return ReadOnlyError(read_only_sentence(name))
    if code.startswith("53") and code != "53300":
        return DiskFullError(f"The server of {name!r} has no room: {said}.")
    if code == "23503":
        # A run holds on to its recipe's id; what else rows point to is looked up while writing.
        return BusyError(
            "Another process has switched the library to other models meanwhile; try again."
        )
    if code[:2] == "22" or isinstance(problem, sa.exc.DataError):
        return InputError(f"The catalog takes no such value: {said}.")
    if code == "25P03":
        return EngineError(
            f"This process stood still while it read from the library {name!r} (for over "
            f"{READER_IDLE}) or wrote to it (for over {WRITER_IDLE}): the server has ended its "
            "transaction. Try again."
        )
    if not code or code[:2] in {"08", "28", "57", "3D", "53"}:
        return EngineError(f"The library {name!r} cannot be reached: {said}.")
    if code in {"0A000", "58P01"}:
        return DamageError(f"The server of {name!r} lacks what segsearch needs: {said}.")
    return DamageError(f"The catalog {name!r} cannot be used: {said}.")
