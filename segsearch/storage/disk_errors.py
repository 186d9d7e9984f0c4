"""Turns what the system says of a folder of the library into our errors."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from segsearch.core.errors import (
    DiskFullError,
    LibraryError,
    ReadOnlyError,
    tells_of_full_disk,
)


@contextmanager
def disk_errors_as_ours(folder: Path) -> Iterator[None]:
    """OSError as DiskFullError, ReadOnlyError or LibraryError."""
    try:
        yield
    except OSError as problem:
        why = problem.strerror or str(problem)
        if tells_of_full_disk(problem):
            raise DiskFullError(f"The disk under {str(folder)!r} is full: make room.") from problem
        if problem.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
            raise ReadOnlyError(f"Nothing can be kept in {str(folder)!r}: {why}.") from problem
        raise LibraryError(f"Nothing can be kept in {str(folder)!r}: {why}.") from problem
