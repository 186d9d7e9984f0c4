"""Keeps pictures that are searched by in the library's folder, so that a query can name them.

Each is one file, `query-pictures/<sha256>`, whoever sends it and however often. All together take
a bounded number of bytes: the least recently used go first. Nothing else hangs on these files.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from contextlib import suppress
from pathlib import Path

from segsearch.core.atomic import whole
from segsearch.core.errors import NotFoundError, PictureTooLargeError, ReadOnlyError
from segsearch.storage.disk_errors import disk_errors_as_ours

FOLDER = "query-pictures"
DIGEST = re.compile("[0-9a-f]{64}")
LEAST_BYTES = 16_384  # that a file counts, so that the number of files is bounded, too
STALE_SECONDS = 86_400  # after which a file that is not whole was left by a killed process


class KeptPictures:
    """Pictures by the sha256 of their bytes, within `most_bytes`. Several processes may share
    them; where nothing can be written, what is there can be read."""

    def __init__(self, library: Path, most_bytes: int, *, read_only: bool = False) -> None:
        self._folder = library / FOLDER
        self._most_bytes = most_bytes
        self._read_only = read_only

    def keep(self, data: bytes) -> str:
        """Keep a picture's bytes; its sha256 as hex, by which it is asked for.

        PictureTooLargeError for one that is larger than all may be together; ReadOnlyError,
        DiskFullError where it cannot be written.
        """
        if self._read_only:
            raise ReadOnlyError(
                "The library is read-only for this user, so no picture can be kept in it: send "
                "the picture with each search."
            )
        if _counted(len(data)) > self._most_bytes:
            raise PictureTooLargeError(
                f"The picture has {len(data):,} bytes, and counts {LEAST_BYTES:,} at least; "
                f"pictures that are searched by have {self._most_bytes:,} together "
                "(SEGSEARCH_QUERY_PICTURE_BYTES)."
            )
        picture_id = hashlib.sha256(data).hexdigest()
        path = self._folder / picture_id
        with disk_errors_as_ours(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
            is_there = _touched(path) and _has_size(path, len(data))
            self._make_room(picture_id, _counted(len(data)))
            if not is_there:
                with whole(path) as partial:
                    partial.write_bytes(data)
        return picture_id

    def use(self, picture_id: str) -> None:
        """Note that a picture is used; NotFoundError, as in `read`, when it is gone."""
        path = self._path(picture_id)
        with disk_errors_as_ours(self._folder):
            if not _touched(path):
                raise gone()

    def read(self, picture_id: str) -> bytes:
        """A picture's bytes; NotFoundError when it is gone, or its file is damaged."""
        path = self._path(picture_id)
        with disk_errors_as_ours(self._folder):
            try:
                data = path.read_bytes()
            except FileNotFoundError as problem:
                raise gone() from problem
        if hashlib.sha256(data).hexdigest() != picture_id:
            with suppress(OSError):
                path.unlink()
            raise gone()
        return data

    def check(self, picture_id: str) -> None:
        """NotFoundError for what names no picture."""
        if not DIGEST.fullmatch(picture_id):
            raise gone()

    def _path(self, picture_id: str) -> Path:
        self.check(picture_id)
        return self._folder / picture_id

    def _make_room(self, picture_id: str, needed: int) -> None:
        """Drop the least recently used until a picture fits, and what killed processes left."""
        others: list[tuple[int, int, Path]] = []
        now = time.time()
        with os.scandir(self._folder) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):  # another process has dropped it just now
                    stat = entry.stat(follow_symlinks=False)
                    if entry.name == picture_id:
                        continue
                    if DIGEST.fullmatch(entry.name):
                        others.append((stat.st_mtime_ns, _counted(stat.st_size), Path(entry)))
                    elif entry.name.endswith(".partial") and now - stat.st_mtime > STALE_SECONDS:
                        Path(entry).unlink()
        total = needed + sum(size for _, size, _ in others)
        for _, size, path in sorted(others):
            if total <= self._most_bytes:
                break
            path.unlink(missing_ok=True)
            total -= size


def _touched(path: Path) -> bool:
    """Whether a file is there; if so it counts as used now."""
    try:
        os.utime(path)
    except FileNotFoundError:
        return False
    except OSError:  # it may not be written, and be read all the same
        return path.is_file()
    return True


def _has_size(path: Path, size: int) -> bool:
    try:
        return path.stat().st_size == size
    except FileNotFoundError:  # another process has dropped it just now
        return False


def _counted(size: int) -> int:
    return max(size, LEAST_BYTES)


def gone() -> NotFoundError:
    """The error for a picture that is not kept any more."""
    return NotFoundError("The picture of this query is no longer kept: choose it again.")
