"""Keeps an index on disk as generations: written whole, named last, checked before it is believed.

A generation is some files and `g<seq>.json`, the manifest that names them. Each is written beside
its final name, synced, renamed, and the folder synced, the manifest last. One without a manifest
does not exist. Files never change, so that the next generation names most of them again and writes
what is new alone. Two generations are kept. Processes write one after another, by a lock on the
folder: none takes another's files for left.

Files of an index carry no checksum of their own: opened, each is compared with the manifest's size
and with its checksum over pages spread through the file, which is all of a small one; `verify`
reads every byte.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from segsearch.core.atomic import sha256_of, whole
from segsearch.core.errors import BusyError, DamageError, DiskFullError
from segsearch.storage.index.protocol import IndexFactory, VectorIndex

LOG = logging.getLogger(__name__)
KEPT = 2
# Of a file that is opened so many pages are read, spread evenly, the first and the last among them.
PAGES, PAGE_BYTES = 64, 65_536
LISTS = ".ivf"  # suffix of a part whose rows lie by lists
SUFFIXES = frozenset({".rows", LISTS, ".gone", ".index", ".partial"})


@dataclass(frozen=True, slots=True)
class Binding:
    """What an index must agree with: the catalog, the recipe, the mix of vectors, its own kind."""

    catalog: str
    recipe: str
    mix: tuple[float, ...]
    kind: str


@dataclass(frozen=True, slots=True)
class PartFile:
    """One file of a generation: its size, its sha256, and that of the pages that opening reads."""

    size: int
    sha256: str
    pages: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a generation holds; `files` are its own and those it shares, by name."""

    seq: int
    count: int
    binding: Binding
    files: dict[str, PartFile]


def has_lists(manifest: Manifest) -> bool:
    """Whether rows of a generation lie by lists."""
    return any(name.endswith(LISTS) for name in manifest.files)


def settle(folder: Path, index: VectorIndex) -> None:
    """Put an index's rows in the order that searches want, as files for `save` to name. For one who
    has `locked` the folder."""
    try:
        for path in folder.glob("*.partial"):  # of a process that was killed
            path.unlink(missing_ok=True)
        index.settle(folder)
    except (OSError, RuntimeError) as problem:
        raise _not_written("of the index in order", problem) from problem


def save(folder: Path, index: VectorIndex, seq: int) -> list[str]:
    """Write the files of an index that are not there yet, for `publish` to name; the names of all.
    For one who has `locked` the folder."""
    try:
        return index.save(folder)
    except (OSError, RuntimeError) as problem:  # FAISS raises RuntimeError for a short write
        raise _not_written(f"g{seq}", problem) from problem


def publish(folder: Path, names: Sequence[str], seq: int, count: int, binding: Binding) -> None:
    """Make files in a folder the newest generation: that of an index of `count` rows which has
    applied the change log up to `seq`. Of the others the newest of the same catalog stays. For one
    who has `locked` the folder."""
    known: dict[str, PartFile] = {}
    for path in manifests(folder):
        other = _readable(path)
        known |= other.files if other else {}
    try:
        files = {name: known.get(name) or _stored(folder / name) for name in names}
        manifest = Manifest(seq, count, binding, files)
        with whole(folder / f"g{seq}.json", durable=True) as partial:
            partial.write_text(json.dumps(asdict(manifest), indent=1))
    except OSError as problem:
        raise _not_written(f"g{seq}.json", problem) from problem
    _prune(folder, seq, binding.catalog)


def _not_written(name: str, problem: Exception) -> DiskFullError:
    return DiskFullError(
        f"The snapshot {name} cannot be written: {problem}. Nothing is lost: the index is built "
        "from the catalog."
    )


def _stored(path: Path) -> PartFile:
    return PartFile(path.stat().st_size, sha256_of(path), _pages(path))


def _pages(path: Path) -> str:
    """sha256 of some pages of a file as hex, of all where it is small."""
    size = path.stat().st_size
    digest = hashlib.sha256()
    with path.open("rb") as file:
        if size <= PAGES * PAGE_BYTES:
            return hashlib.file_digest(file, "sha256").hexdigest()
        for number in range(PAGES):
            file.seek((size - PAGE_BYTES) * number // (PAGES - 1))
            digest.update(file.read(PAGE_BYTES))
    return digest.hexdigest()


def newest(folder: Path, factory: IndexFactory, binding: Binding) -> tuple[VectorIndex, int] | None:
    """The newest whole generation that fits, with its seq; None when there is none.

    Every generation passed over is logged with its reason.
    """
    passed: set[Path] = set()
    while paths := [path for path in manifests(folder) if path not in passed]:
        path = paths[0]
        passed.add(path)
        try:
            if _read(path).binding != binding:
                LOG.info("Snapshot %s is of another generation, mix or kind.", path.name)
                continue
            manifest = check(path, _pages)
            return _load(folder, factory, manifest), manifest.seq
        except DamageError as problem:
            if path.exists():  # else another process has written newer ones: these are looked at
                LOG.warning("Snapshot passed over: %s", problem, extra={"action": "snapshot.skip"})
    return None


def glance(folder: Path, binding: Binding) -> tuple[Manifest | None, str | None]:
    """The manifest of the newest generation that fits, as far as sizes of files tell, and what is
    wrong with a newer one; reads no file of an index."""
    damage: str | None = None
    for path in manifests(folder):
        try:
            manifest = _read(path)
            if manifest.binding == binding:
                check(path, None)
                return manifest, damage
        except DamageError as problem:
            if path.exists():  # else another process has just written a newer one
                damage = damage or str(problem)
    return None, damage


def _load(folder: Path, factory: IndexFactory, manifest: Manifest) -> VectorIndex:
    index = factory.load(folder, list(manifest.files))
    if len(index) != manifest.count:
        raise DamageError(f"The manifest says {manifest.count} rows, the files have {len(index)}.")
    return index


def check(path: Path, digest: Callable[[Path], str] | None = sha256_of) -> Manifest:
    """The manifest at a path, when its files are whole; else DamageError.

    `digest` is `sha256_of` for every byte, that of some pages, or None for sizes alone.
    """
    manifest = _read(path)
    for name, stored in manifest.files.items():
        file = path.parent / name
        expected = stored.sha256 if digest is sha256_of else stored.pages
        try:
            is_whole = file.stat().st_size == stored.size
            is_whole = is_whole and (digest is None or digest(file) == expected)
        except OSError:
            is_whole = False
        if not is_whole:
            raise DamageError(f"{name} is missing or not what {path.name} says.")
    return manifest


def problems(folder: Path) -> list[str]:
    """Generations that are not whole, and files that belong to none, a sentence each.

    Nobody writes meanwhile, where this process may keep others from it: a generation that is being
    written is no damage.
    """
    with locked(folder) if os.access(folder, os.W_OK) else nullcontext():
        damages = [f"Snapshot: {problem}" for _, problem in _damaged(folder)]
        left = orphans(folder)
    return damages + [f"The file {folder.name}/{name} belongs to no snapshot." for name in left]


def _damaged(folder: Path) -> Iterator[tuple[Path, DamageError]]:
    """Manifests whose generation is not whole, and why."""
    for path in manifests(folder):
        try:
            check(path)
        except DamageError as problem:
            yield path, problem


def manifests(folder: Path) -> list[Path]:
    """Paths of the manifests in a folder, newest first."""
    paths = [path for path in folder.glob("g*.json") if path.stem[1:].isdigit()]
    return sorted(paths, key=lambda path: int(path.stem[1:]), reverse=True)


def _read(path: Path) -> Manifest:
    try:
        raw = json.loads(path.read_text())
        binding = raw["binding"]
        return Manifest(
            int(raw["seq"]),
            int(raw["count"]),
            Binding(**{**binding, "mix": tuple(binding["mix"])}),
            {str(Path(name).name): _part_file(file) for name, file in raw["files"].items()},
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as problem:
        raise DamageError(f"{path.name} is no manifest: {problem}.") from problem


def _part_file(raw: Any) -> PartFile:
    """A file's entry; those of the first version are a size and a sha256."""
    return PartFile(raw[0], raw[1], "") if isinstance(raw, list) else PartFile(**raw)


def orphans(folder: Path) -> list[str]:
    """Names of files that belong to no generation: a process died before it named them."""
    kept: set[str] = set()
    for path in manifests(folder):
        manifest = _readable(path)
        kept |= set(manifest.files) if manifest else set()
    files = [path for path in folder.glob("*") if path.suffix in SUFFIXES]
    return sorted(path.name for path in files if path.name not in kept)


def _readable(path: Path) -> Manifest | None:
    try:
        return _read(path)
    except DamageError:
        return None


def discard_damaged(folder: Path) -> list[str]:
    """Delete generations that are not whole, and files of none; the names of what is gone."""
    with locked(folder):
        gone = [path.name for path, _ in _damaged(folder)]
        for name in gone:
            (folder / name).unlink()
        left = orphans(folder)
        for name in left:
            (folder / name).unlink(missing_ok=True)
    return gone + left


@contextmanager
def locked(folder: Path, *, waits: bool = True) -> Iterator[None]:
    """The folder, there, and no other process writing in it; BusyError where another does, unless
    this one `waits` for it."""
    lock = FileLock(folder / "lock")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=-1 if waits else 0)
    except Timeout as problem:
        raise BusyError("Another process is writing a snapshot of the index.") from problem
    except OSError as problem:
        raise DiskFullError(f"Nothing can be written in {str(folder)!r}: {problem}.") from problem
    try:
        yield
    finally:
        lock.release()


def _prune(folder: Path, written: int, catalog: str) -> None:
    """Drop all generations but the one just written and the newest others of its catalog, manifest
    first, and files that belong to none: of another catalog are those from before a restore."""
    kept = {written}
    for path in manifests(folder):
        manifest = _readable(path)
        if len(kept) < KEPT and manifest is not None and manifest.binding.catalog == catalog:
            kept.add(int(path.stem[1:]))
    for path in manifests(folder):
        if int(path.stem[1:]) not in kept:
            path.unlink(missing_ok=True)
    for name in orphans(folder):
        (folder / name).unlink(missing_ok=True)
