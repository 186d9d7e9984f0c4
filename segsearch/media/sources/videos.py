"""Videos as files of this disk, wherever they lie: FFmpeg seeks in them, and no process holds one
whole in memory."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import threading
import time
import weakref
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from socket import gethostname
from stat import S_ISREG
from tempfile import mkstemp
from typing import Protocol

from segsearch.core.errors import PictureError, PictureTooLargeError
from segsearch.core.names import split_shot
from segsearch.media.ffmpeg import shot_sha256

KEPT_HASHES = 10_000
FOLDER = "spooled-videos"  # of a library's own folder
PREFIX = f"copy-{re.sub('[^0-9A-Za-z]', '', gethostname())}-"
NEW_SECONDS = 60.0  # for which nobody takes a copy for one that a killed process has left


class Opens(Protocol):
    """What reads files wherever they lie (`reader.Sources`)."""

    def on_disk(self, name: str) -> Path | None:
        """Where a file lies on this disk as it is; None for one in an archive or a store."""

    def pieces(self, name: str) -> Iterator[bytes]:
        """A file's bytes, piece by piece."""


class SpooledFile:
    """A new file of this disk, which goes when nobody holds this any more. It is locked until then:
    one that is not was left by a process that was killed, and goes with the next new one."""

    def __init__(self, folder: Path, suffix: str) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _sweep(folder)
            number, name = mkstemp(suffix, PREFIX, folder)
        except OSError:  # a library that may only be read
            number, name = mkstemp(suffix, PREFIX)
        with suppress(OSError):  # a file system without locks
            fcntl.flock(number, fcntl.LOCK_EX)
        self.path = Path(name)
        weakref.finalize(self, _drop, number, self.path)


def _drop(number: int, path: Path) -> None:
    path.unlink(missing_ok=True)
    os.close(number)


def _sweep(folder: Path) -> None:
    """Delete copies of this machine that nobody holds; locks may not reach another one's."""
    for path in folder.glob(f"{PREFIX}*"):
        with suppress(OSError):
            status = path.lstat()
            if not S_ISREG(status.st_mode) or time.time() - status.st_mtime < NEW_SECONDS:
                continue
            with path.open("r+b") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()


class VideoFiles:
    """The videos of one library's sources. Thread-safe.

    What a file's bytes amount to is remembered by its size, times and inode: a frame of an hour of
    video does not cost reading all of it. Copies of those that lie elsewhere are made in `folder`.
    """

    def __init__(self, sources: Opens, most_bytes: int, folder: Path) -> None:
        self._sources = sources
        self._folder = folder
        self._most_bytes = most_bytes
        self._hashes: OrderedDict[tuple[str, int, int, int], str] = OrderedDict()
        self._lock = threading.Lock()
        self._latest: tuple[str, SpooledFile] | None = None
        self._spooling = threading.Lock()

    @contextmanager
    def file(self, name: str) -> Iterator[Path]:
        """A video on this disk, for as long as the block lasts. PictureError where it cannot be
        had, PictureTooLargeError past the limit, StoreError where its store is away."""
        path = self._sources.on_disk(name)
        if path is not None:
            self._check_size(_size(path))
            yield path
            return
        spooled = self._copy_of(name)  # which is there as long as somebody holds it
        yield spooled.path

    def new_file(self, suffix: str) -> SpooledFile:
        """A new file where copies are made."""
        return SpooledFile(self._folder, suffix)

    def sha256(self, path: Path) -> str:
        """Of a file on this disk, as hex."""
        try:
            stat = path.stat()
            key = (str(path), stat.st_size, stat.st_mtime_ns, stat.st_ino)
            with self._lock:
                known = self._hashes.get(key)
            if known is not None:
                return known
            with path.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as problem:
            raise PictureError(f"The file cannot be read: {problem.strerror}.") from problem
        with self._lock:
            self._hashes[key] = found
            while len(self._hashes) > KEPT_HASHES:
                self._hashes.popitem(last=False)
        return found

    @contextmanager
    def of_shot(self, name: str, sha256: str) -> Iterator[Path | None]:
        """The video of a shot on this disk; None where the file holds other bytes by now. Errors as
        `file`."""
        named = split_shot(name)
        if named is None:
            yield None
            return
        file, start, end = named
        for is_last in (self._sources.on_disk(file) is not None, True):
            with self.file(file) as path:
                is_same = shot_sha256(self.sha256(path), start, end) == sha256
                if is_same or is_last:
                    yield path if is_same else None
                    return
            with self._spooling:  # the copy may be older than what lies there by now
                self._latest = None

    def _copy_of(self, name: str) -> SpooledFile:
        """A copy of a file on this disk; the last one is kept: shots and frames of one video follow
        each other."""
        with self._spooling:
            if self._latest is not None and self._latest[0] == name:
                return self._latest[1]
            self._latest = None
            spooled = SpooledFile(self._folder, Path(name).suffix)
            self._spool(name, spooled.path)
            self._latest = name, spooled
            return spooled

    def _spool(self, name: str, into: Path) -> None:
        size = 0
        pieces = self._sources.pieces(name)
        try:
            with into.open("wb") as file:
                for piece in pieces:
                    size += len(piece)
                    self._check_size(size)
                    file.write(piece)
        except OSError as problem:  # of this disk: sources have errors of their own
            raise PictureError(
                f"The video cannot be copied to {str(into.parent)!r} of this machine: "
                f"{problem.strerror}."
            ) from problem

    def _check_size(self, size: int) -> None:
        if size > self._most_bytes:
            raise PictureTooLargeError(
                f"The video has more than the {self._most_bytes:,} bytes allowed by "
                "SEGSEARCH_MAX_VIDEO_BYTES."
            )


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError as problem:
        raise PictureError(f"The file cannot be read: {problem.strerror}.") from problem
