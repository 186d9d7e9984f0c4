"""Turns changes in folders into paths that are ready to be read: debounced, and keeping still."""

from __future__ import annotations

import logging
import math
import os
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from watchfiles import watch

from segsearch.core.errors import ServerError
from segsearch.media.sources.local import left_out

LOG = logging.getLogger(__name__)
DEBOUNCE_MS = 400
LOOK_MS = 200  # how often what keeps moving is looked at
# File systems whose changes on other machines cause no events here.
REMOTE = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "fuse.sshfs", "fuse.rclone", "afs", "ceph"}
)
Stamp = tuple[int, int]  # size in bytes, mtime in nanoseconds


class Watch:
    """Folders under watch. `changes` gives what to index next, the whole folders first.

    Hidden files and the `library` itself, which changes whenever it is told of a picture, are
    passed by.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        library: Path,
        *,
        settle_seconds: float,
        poll: bool | None,
        rescan: float,
        idle: float,
    ) -> None:
        self._paths = [Path(os.path.abspath(path)) for path in paths]
        self._library = os.path.abspath(library)
        self._settle_seconds = settle_seconds
        self._poll = any(map(is_remote, self._paths)) if poll is None else poll
        self._rescan_seconds = rescan
        self._idle_seconds = idle
        self._moving: dict[Path, tuple[Stamp, float]] = {}  # what it was like, and since when

    def changes(self, stop: threading.Event) -> Iterator[list[Path]]:
        """Paths to index: all folders at first and every `rescan` seconds, else the files that
        changed and have kept still for `settle_seconds`; folders in which files vanished. None
        every `idle` seconds: the time to look at what waits in the library."""
        while not stop.is_set():
            try:
                yield from self._until_lost(stop)
            except (FileNotFoundError, RuntimeError) as problem:
                LOG.warning("A watched folder is away: %s", problem, extra={"action": "watch.lost"})
            stop.wait(self._settle_seconds)

    def _until_lost(self, stop: threading.Event) -> Iterator[list[Path]]:
        """Changes until a watched folder vanishes; events of one that comes back need a new
        watch."""
        scanned = -math.inf  # the first look comes once the watch stands: no gap
        idled = time.monotonic()
        present = self._present()
        if not present:
            yield []
            return
        try:
            events = watch(
                *present, stop_event=stop, debounce=DEBOUNCE_MS, rust_timeout=LOOK_MS,
                yield_on_timeout=True, force_polling=self._poll, raise_interrupt=False,
                watch_filter=None,
            )  # fmt: skip
            for changes in events:
                if self._present() != present:
                    return
                vanished = self._note({Path(name) for _, name in changes if self._is_ours(name)})
                ready = self._settled()
                if ready or vanished:
                    yield [*ready, *vanished]
                if time.monotonic() - scanned > self._rescan_seconds:
                    scanned = time.monotonic()
                    yield present
                if time.monotonic() - idled > self._idle_seconds:
                    yield []
                    idled = time.monotonic()
        except OSError as problem:
            raise ServerError(
                f"The folders cannot be watched: {problem}. Try --poll, or fewer folders."
            ) from problem

    def _present(self) -> list[Path]:
        return [path for path in self._paths if path.is_dir()]

    def _is_ours(self, name: str) -> bool:
        """Whether a changed path is one that a look at its watched folder would not pass by."""
        roots = [str(path) for path in self._paths if Path(name).is_relative_to(path)]
        return any(not left_out(name, root, self._library) for root in roots)

    def _note(self, changed: set[Path]) -> list[Path]:
        """Start the clock of changed files; the folders of those that vanished come back."""
        gone: set[Path] = set()
        for path in changed:
            stamp = _stamp(path)
            if stamp is None:
                self._moving.pop(path, None)
                gone.add(path.parent)
            else:
                self._moving[path] = (stamp, time.monotonic())
        return sorted(path for path in gone if path.is_dir())

    def _settled(self) -> list[Path]:
        """Files that have kept size and time for long enough; those that still grow wait on."""
        ready: list[Path] = []
        for path, (before, since) in list(self._moving.items()):
            now = _stamp(path)
            if now is None:
                del self._moving[path]
            elif now != before:
                self._moving[path] = (now, time.monotonic())
            elif time.monotonic() - since >= self._settle_seconds:
                del self._moving[path]
                ready.append(path)
        return ready


def _stamp(path: Path) -> Stamp | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_size, stat.st_mtime_ns


def is_remote(path: Path) -> bool:
    """Whether a path lies on a file system whose changes elsewhere cause no events here."""
    try:
        rows = [row.split() for row in Path("/proc/mounts").read_text().splitlines()]
    except OSError:
        return False
    resolved = path.resolve()
    holding = [(len(row[1]), row[2]) for row in rows if resolved.is_relative_to(row[1])]
    return bool(holding) and max(holding)[1] in REMOTE
