"""Turns changes in folders into paths that can be read: those that have stopped changing."""

from __future__ import annotations

import logging
import math
import os
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from watchfiles import watch

from segsearch.core.errors import ServerError
from segsearch.core.types import FileStamp
from segsearch.media.sources.local import left_out

LOG = logging.getLogger(__name__)
DEBOUNCE_MS = 400
LOOK_MS = 200  # how often what keeps moving is looked at
# File systems whose changes on other machines cause no events here.
REMOTE = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "fuse.sshfs", "fuse.rclone", "afs", "ceph"}
)
Stamp = tuple[int, int]  # size in bytes, mtime in nanoseconds


@dataclass(frozen=True, slots=True)
class WatchTimes:
    """How long a changed file has to keep still before it is taken, when everything is looked at
    again, and how often what waits in the library is."""

    settle_seconds: float = 2.0
    rescan_seconds: float = 600.0
    idle_seconds: float = 10.0


class Watch:
    """Folders under watch. `changes` gives what to index next, the whole folders first; whoever
    looks at them asks `is_moving` of each file, and is given it when it keeps still.

    Hidden files and the `library` itself, which changes whenever it is told of a picture, are
    passed by.
    """

    def __init__(
        self,
        folders: Sequence[Path],
        library: Path,
        times: WatchTimes,
        *,
        poll: bool | None = None,
    ) -> None:
        self.folders = [Path(os.path.abspath(folder)) for folder in folders]
        self._library = os.path.abspath(library)
        self._times = times
        self._poll = any(map(is_remote, self.folders)) if poll is None else poll
        self._moving: dict[Path, tuple[Stamp, float]] = {}  # what it was like, and since when

    def changes(self, stop: threading.Event) -> Iterator[list[Path]]:
        """Paths to index: all folders at first and at each rescan, else the files that changed and
        keep still by now, and folders in which files vanished. An empty list when it is time to
        look at what waits in the library."""
        while not stop.is_set():
            try:
                yield from self._until_lost(stop)
            except (FileNotFoundError, RuntimeError) as problem:
                LOG.warning("A watched folder is away: %s", problem, extra={"action": "watch.lost"})
            stop.wait(self._times.settle_seconds)

    def is_moving(self, name: str, stamp: FileStamp) -> bool:
        """Whether a file that was found is being written: its time is within the last seconds. It
        is among the changes once it keeps still. To be asked between two `changes`."""
        if abs(time.time() - stamp.mtime_ns / 1e9) >= self._times.settle_seconds:
            return False
        path = Path(name)
        now = _stamp(path)
        if now is None:  # a member of an archive, or gone
            return False
        if self._moving.get(path, (None, 0.0))[0] != now:
            self._moving[path] = (now, time.monotonic())
        return True

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
                if time.monotonic() - scanned > self._times.rescan_seconds:
                    scanned = time.monotonic()
                    yield present
                if time.monotonic() - idled > self._times.idle_seconds:
                    yield []
                    idled = time.monotonic()
        except OSError as problem:
            raise ServerError(
                f"The folders cannot be watched: {problem}. Try --poll, or fewer folders."
            ) from problem

    def _present(self) -> list[Path]:
        return [folder for folder in self.folders if folder.is_dir()]

    def _is_ours(self, name: str) -> bool:
        """Whether a changed path is one that a look at its watched folder would not pass by."""
        roots = [str(folder) for folder in self.folders if Path(name).is_relative_to(folder)]
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
            elif time.monotonic() - since >= self._times.settle_seconds:
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
