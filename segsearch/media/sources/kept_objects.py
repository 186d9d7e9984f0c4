"""Keeps whole objects of stores in this machine's folder, within a bound: a click follows a
thumbnail, and page 2 of a PDF page 1.

A name may hold other bytes by now: whoever takes one from here compares its sha256.
"""

from __future__ import annotations

import hashlib
import os
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from segsearch.core.atomic import whole

FOLDER = "kept-objects"
FILE = re.compile("[0-9a-f]{64}")
LEAST_BYTES = 16_384  # that a file counts, so that the number of files is bounded, too
ROOM_SHARE = 16  # after this part of the bound was written, there is made room again
STALE_SECONDS = 86_400  # after which a file that is not whole was left by a killed process


class KeptObjects:
    """Objects by their URLs, `most_bytes` together and a sixteenth more for each process that
    writes; the least recently used go first. What cannot be written is not kept. Thread-safe."""

    def __init__(self, library: Path, most_bytes: int) -> None:
        self._folder = library / FOLDER
        self._most_bytes = most_bytes
        self._unchecked_bytes = most_bytes  # written since there was made room; all at first
        self._guard = threading.Lock()
        self._asked: dict[str, tuple[threading.Lock, int]] = {}

    @contextmanager
    def alone(self, name: str) -> Iterator[None]:
        """Be the only one of this process that asks for an object: who waits finds it kept."""
        with self._guard:
            lock, askers = self._asked.get(name, (threading.Lock(), 0))
            self._asked[name] = lock, askers + 1
        try:
            with lock:
                yield
        finally:
            with self._guard:
                lock, askers = self._asked.pop(name)
                if askers > 1:
                    self._asked[name] = lock, askers - 1

    def get(self, name: str) -> bytes | None:
        """The bytes that an object had; None where they are not kept."""
        path = self._path(name)
        try:
            data = path.read_bytes()
            os.utime(path)
        except OSError:
            return None
        return data

    def keep(self, name: str, data: bytes) -> None:
        """Keep what an object holds, unless it is too large."""
        size = max(len(data), LEAST_BYTES)
        if size > self._most_bytes:
            return
        with suppress(OSError):  # a full disk, or one that may only be read
            self._folder.mkdir(parents=True, exist_ok=True)
            self._unchecked_bytes += size
            if self._unchecked_bytes >= self._most_bytes // ROOM_SHARE:
                self._unchecked_bytes = 0
                self._make_room(size)
            with whole(self._path(name)) as partial:
                partial.touch(0o600)
                partial.write_bytes(data)

    def drop(self, name: str) -> None:
        """Keep an object no longer."""
        with suppress(OSError):
            self._path(name).unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        return self._folder / hashlib.sha256(name.encode(errors="surrogateescape")).hexdigest()

    def _make_room(self, needed: int) -> None:
        files: list[tuple[int, int, Path]] = []
        now = time.time()
        with os.scandir(self._folder) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):  # another process has dropped it just now
                    stat = entry.stat(follow_symlinks=False)
                    if FILE.fullmatch(entry.name):
                        size = max(stat.st_size, LEAST_BYTES)
                        files.append((stat.st_mtime_ns, size, Path(entry)))
                    elif now - stat.st_mtime > STALE_SECONDS:
                        Path(entry).unlink()
        total = needed + sum(size for _, size, _ in files)
        for _, size, path in sorted(files):
            if total <= self._most_bytes:
                break
            path.unlink(missing_ok=True)
            total -= size
