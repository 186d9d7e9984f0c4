"""Lets a file take its name when it is whole."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

OPEN_FILES = (Path("/proc"), Path("/dev/fd"))  # where /dev/stdout leads


@contextmanager
def whole(target: Path, *, durable: bool = False) -> Iterator[Path]:
    """A path beside `target` to write to: renamed to it when the block ends, removed when the
    block raises. What lay under `target` before stays until then; of several that write to one
    target, each writes its own file, and the last to end stays.

    A link keeps leading where it leads. What `is_stream` is written to as it is: a file may not
    take its place. `durable` has file and name reach the disk before the block ends.
    """
    if is_stream(target):
        yield target
        return
    place = Path(os.path.realpath(target))
    partial = place.with_name(f"{place.name}.{secrets.token_hex(4)}.partial")
    try:
        yield partial
        if durable:
            _sync(partial)
        partial.replace(place)
        if durable:
            _sync(place.parent)
    finally:
        partial.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def is_stream(target: Path) -> bool:
    """Whether a path is a device, a pipe, or a file that a process has open, as /dev/stdout is."""
    if not target.exists():
        return False
    place = target.absolute()
    while place.is_symlink() and not _is_open_file(place):
        place = place.parent / place.readlink()
    return _is_open_file(place) or not target.is_file()


def _is_open_file(path: Path) -> bool:
    return any(path.is_relative_to(folder) for folder in OPEN_FILES)


def sha256_of(path: Path) -> str:
    """sha256 of a file's bytes as hex, read in pieces; OSError as the system raises it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
