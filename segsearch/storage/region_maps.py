"""Keeps the maps of a library's regions as files, one for the library and one a collection.

A map is written whole or not at all. Who makes one holds a lock on the folder, whichever process it
is, and says beside it how far it is; a process that dies lets go of the lock, so what it said then
counts no more.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from filelock import FileLock, Timeout

from segsearch.core.atomic import whole
from segsearch.core.errors import BusyError, DamageError, DiskFullError
from segsearch.core.map_points import MapPoints

LOG = logging.getLogger(__name__)
FORMAT = 1
LIBRARY_MAP = "library"  # name of the whole library's; a collection's is `collection-ID`
SUFFIX = ".map"
KEPT_MAPS = 4  # in memory, 18 MB a million regions
LOOK_SECONDS = 1.0  # another process may be looking whether somebody makes a map


@dataclass(frozen=True, slots=True)
class MapCluster:
    """Regions that lie together on a map: words that fit them better than the rest, most fitting
    first, where their middle is, and segments from different pictures nearest to it."""

    cluster: int
    words: tuple[str, ...]
    regions: int
    x: float
    y: float
    examples: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class MapOrigin:
    """What a map was made of: the catalog (`identity`), the recipe and the mix of its vectors, and
    which segments there were (`segment_tally`), of the library or of one collection."""

    catalog: str
    recipe: str
    mix: tuple[float, ...]
    segments: tuple[int, int, int]


@dataclass(frozen=True, slots=True, eq=False)
class RegionMap:
    """A map as it is kept. `method` is umap or pca, `made_at` in ISO 8601; `digest` is the sha256
    of the points' bytes as hex."""

    origin: MapOrigin
    method: str
    made_at: str
    clusters: tuple[MapCluster, ...]
    points: MapPoints
    digest: str = ""

    def to_bytes(self) -> bytes:
        """A line of JSON, then the points."""
        data = self.points.to_bytes()
        head = {
            "format": FORMAT,
            "origin": asdict(self.origin),
            "method": self.method,
            "made_at": self.made_at,
            "clusters": [asdict(cluster) for cluster in self.clusters],
            "sha256": hashlib.sha256(data).hexdigest(),
        }
        return json.dumps(head).encode() + b"\n" + data

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """The map that `to_bytes` has written; DamageError for one that is not whole."""
        line, _, data = content.partition(b"\n")
        try:
            head: dict[str, Any] = json.loads(line)
            points = _checked(head, data)
            clusters = tuple(
                MapCluster(**{name: _listed(value) for name, value in row.items()})
                for row in head["clusters"]
            )
            return cls(
                MapOrigin(**{name: _listed(value) for name, value in head["origin"].items()}),
                head["method"],
                head["made_at"],
                clusters,
                points,
                head["sha256"],
            )
        except (ValueError, KeyError, TypeError) as problem:
            raise DamageError(f"A map of the regions is damaged: {problem}.") from problem


def _checked(head: dict[str, Any], data: bytes) -> MapPoints:
    if head["format"] != FORMAT or hashlib.sha256(data).hexdigest() != head["sha256"]:
        raise DamageError("A map of the regions is damaged: its points are not what was written.")
    return MapPoints.from_bytes(data)


def _listed(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


@dataclass(frozen=True, slots=True)
class MapProgress:
    """How far the map of this name is: what is being done, and the share that is done of all."""

    name: str
    step: str
    done: float


class MapFolder:
    """The maps of one library, in `maps/` below its folder. Thread-safe."""

    def __init__(self, library: Path) -> None:
        self._folder = library / "maps"
        self._progress = self._folder / "making.json"
        self._lock = threading.Lock()
        self._kept: dict[str, tuple[tuple[int, ...], RegionMap]] = {}

    def read(self, name: str) -> RegionMap | None:
        """The map of this name; None where there is none that is whole."""
        path = self._folder / f"{name}{SUFFIX}"
        try:
            stat = path.stat()
            stamp = (stat.st_ino, stat.st_size, stat.st_mtime_ns)
            with self._lock:
                kept = self._kept.get(name)
            if kept is not None and kept[0] == stamp:
                return kept[1]
            found = RegionMap.from_bytes(path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, DamageError) as problem:
            extra = {"action": "map.read"}
            LOG.warning("The map %r is passed over: %s", name, problem, extra=extra)
            return None
        with self._lock:
            self._kept.pop(name, None)
            self._kept[name] = (stamp, found)
            while len(self._kept) > KEPT_MAPS:
                del self._kept[next(iter(self._kept))]
        return found

    def write(self, name: str, made: RegionMap) -> None:
        """Keep a map under a name, instead of the one before. For one who is `making` it."""
        try:
            with whole(self._folder / f"{name}{SUFFIX}", durable=True) as partial:
                partial.write_bytes(made.to_bytes())
        except OSError as problem:
            raise _not_written(self._folder, problem) from problem

    def keep_only(self, names: set[str]) -> None:
        """Delete the maps of other names. For one who is `making` one."""
        for path in self._folder.glob(f"*{SUFFIX}"):
            if path.stem not in names:
                path.unlink(missing_ok=True)

    @contextmanager
    def making(self, name: str) -> Iterator[None]:
        """The folder, there, and nobody else making a map of this library; BusyError where somebody
        is, DiskFullError where nothing can be written."""
        lock = FileLock(self._folder / "lock")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            lock.acquire(timeout=LOOK_SECONDS)
        except Timeout as problem:
            raise BusyError("Another process is making a map of this library.") from problem
        except OSError as problem:
            raise _not_written(self._folder, problem) from problem
        try:
            for left in self._folder.glob("*.partial"):  # of a process that was killed
                left.unlink(missing_ok=True)
            self.say(MapProgress(name, "starting", 0.0))
            yield
        finally:
            self._progress.unlink(missing_ok=True)
            lock.release()

    def say(self, progress: MapProgress) -> None:
        """Tell other processes how far the map is; what cannot be written is left out."""
        with suppress(OSError), whole(self._progress) as partial:
            partial.write_text(json.dumps(asdict(progress)))

    def progress(self) -> MapProgress | None:
        """How far the map is that is being made, by whatever process; None where none is."""
        try:
            document = json.loads(self._progress.read_text())
            if not self._is_locked():
                return None  # a process was killed over it
            return MapProgress(**document)
        except (OSError, ValueError, TypeError):
            return None

    def _is_locked(self) -> bool:
        if not os.access(self._folder, os.W_OK):
            return False
        lock = FileLock(self._folder / "lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return True
        lock.release()
        return False


def _not_written(folder: Path, problem: OSError) -> DiskFullError:
    return DiskFullError(f"No map can be written in {str(folder)!r}: {problem.strerror}.")
