"""Keeps what was read of a database until anything is written to it, by whatever process."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import TypeVar, cast

Value = TypeVar("Value")


class Unchanged:
    """Values read of a database; each is read again after any commit. Thread-safe.

    `version` is asked first each time, and must be cheap: another one after each commit, None where
    nobody can tell.
    """

    def __init__(self, version: Callable[[], Hashable | None]) -> None:
        self._version = version
        self._kept: dict[Hashable, tuple[object, object]] = {}

    def value(self, key: Hashable, read: Callable[[], Value]) -> Value:
        """What `read` returns, or has returned under this key since the last commit."""
        version = self._version()  # first: what is read may be newer, and is then read again
        if version is None:
            return read()
        kept = self._kept.get(key)
        if kept is not None and kept[0] == version:
            return cast(Value, kept[1])
        fresh = read()
        self._kept[key] = (version, fresh)
        return fresh

    def forget(self) -> None:
        """Let go of all that was read."""
        self._kept = {}


class FileVersion:
    """The version of a SQLite file. Thread-safe.

    A connection that never writes is asked whether another one has
    (https://www.sqlite.org/pragma.html#pragma_data_version): that takes microseconds, where what
    it saves takes a transaction each.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._opened = 0  # a new connection counts from anew

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
            self._connection = None

    def __call__(self) -> tuple[int, int] | None:
        """Differs after each commit; None where nobody can tell, such as while a file is locked."""
        with self._lock:
            try:
                if self._connection is None:
                    address = f"{self._file.absolute().as_uri()}?mode=rw"  # makes no file
                    self._connection = sqlite3.connect(
                        address, uri=True, timeout=0, isolation_level=None, check_same_thread=False
                    )
                    self._opened += 1
                (number,) = self._connection.execute("PRAGMA data_version").fetchone()
            except sqlite3.Error:
                return None
        return self._opened, number
