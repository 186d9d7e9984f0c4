"""Keeps an index on disk as generations: written whole, named last, checked before it is believed.

`g<seq>.index` is written beside its final name, synced, renamed, and the folder synced; then
`g<seq>.json`, the manifest, the same way. A generation without a manifest does not exist. FAISS
files carry no checksum, so the manifest's sha256 is compared first. Two generations are kept.
Processes write one after another, by a lock on the folder: none takes another's files for left.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock

from segsearch.core.atomic import sha256_of, whole
from segsearch.core.errors import DamageError, DiskFullError
from segsearch.storage.index.protocol import IndexFactory, VectorIndex

LOG = logging.getLogger(__name__)
KEPT = 2


@dataclass(frozen=True, slots=True)
class Binding:
    """What an index must agree with: the catalog, the recipe, the mix of vectors, its own kind."""

    catalog: str
    recipe: str
    mix: tuple[float, ...]
    kind: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a generation's file holds; `files` maps its names to their size and sha256."""

    seq: int
    count: int
    binding: Binding
    files: dict[str, tuple[int, str]]


def write(folder: Path, index: VectorIndex, seq: int, binding: Binding) -> None:
    """Store an index that has applied the change log up to `seq`; of the others the newest of the
    same catalog stays."""
    with _locked(folder):
        data = folder / f"g{seq}.index"
        with _published(data) as partial:
            index.save(partial)
        files = {data.name: (data.stat().st_size, sha256_of(data))}
        manifest = Manifest(seq, len(index), binding, files)
        with _published(folder / f"g{seq}.json") as partial:
            partial.write_text(json.dumps(asdict(manifest), indent=1))
        _prune(folder, seq, binding.catalog)


def newest(folder: Path, factory: IndexFactory, binding: Binding) -> tuple[VectorIndex, int] | None:
    """The newest whole generation that fits, with its seq; None when there is none.

    Every generation passed over is logged with its reason.
    """
    for path in manifests(folder):
        try:
            manifest = check(path)
            if manifest.binding != binding:
                LOG.info("Snapshot %s is of another generation, mix or kind.", path.name)
                continue
            index = _load(folder, factory, manifest)
        except DamageError as problem:
            LOG.warning("Snapshot passed over: %s", problem, extra={"action": "snapshot.skip"})
            continue
        return index, manifest.seq
    return None


def _load(folder: Path, factory: IndexFactory, manifest: Manifest) -> VectorIndex:
    index = factory.load(folder / next(iter(manifest.files)))
    if len(index) != manifest.count:
        raise DamageError(f"The manifest says {manifest.count} rows, the file has {len(index)}.")
    return index


def check(path: Path) -> Manifest:
    """The manifest at a path, when its files are whole; else DamageError."""
    manifest = _read(path)
    for name, (size, sha256) in manifest.files.items():
        file = path.parent / name
        if not file.is_file() or file.stat().st_size != size or sha256_of(file) != sha256:
            raise DamageError(f"{name} is missing or not what {path.name} says.")
    return manifest


def problems(folder: Path) -> list[str]:
    """Generations that are not whole, and files that belong to none, a sentence each.

    Nobody writes meanwhile, where this process may keep others from it: a generation that is being
    written is no damage.
    """
    with _locked(folder) if os.access(folder, os.W_OK) else nullcontext():
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
            {str(Path(name).name): (size, sha) for name, (size, sha) in raw["files"].items()},
        )
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise DamageError(f"{path.name} is no manifest: {problem}.") from problem


def orphans(folder: Path) -> list[str]:
    """Names of files that belong to no generation: a process died before it named them."""
    kept = {path.stem for path in manifests(folder)}
    data = [path for path in folder.glob("g*.index") if path.stem not in kept]
    return sorted(path.name for path in (*data, *folder.glob("g*.partial")))


def discard_damaged(folder: Path) -> list[str]:
    """Delete generations that are not whole, and files of none; the names of what is gone."""
    with _locked(folder):
        gone = [path.name for path, _ in _damaged(folder)]
        for name in gone:
            (folder / name).unlink()
        left = orphans(folder)
        for name in left:
            (folder / name).unlink(missing_ok=True)
    return gone + left


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """The folder, there, and no other process writing in it."""
    lock = FileLock(folder / "lock")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except OSError as problem:
        raise DiskFullError(f"Nothing can be written in {str(folder)!r}: {problem}.") from problem
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _published(path: Path) -> Iterator[Path]:
    """A path to write to that becomes this one when it is whole and on the disk."""
    try:
        with whole(path, durable=True) as partial:
            yield partial
    except (OSError, RuntimeError) as problem:  # FAISS raises RuntimeError for a short write
        raise DiskFullError(
            f"The snapshot {path.name} cannot be written: {problem}. Nothing is lost: the index is "
            "built from the catalog."
        ) from problem


def _prune(folder: Path, written: int, catalog: str) -> None:
    """Drop all generations but the one just written and the newest others of its catalog, manifest
    first, and files that belong to none: of another catalog are those from before a restore."""
    kept = {written}
    for path in manifests(folder):
        if len(kept) < KEPT and _catalog_of(path) == catalog:
            kept.add(int(path.stem[1:]))
    names = {f"g{seq}" for seq in kept}
    for path in manifests(folder):
        if path.stem not in names:
            path.unlink(missing_ok=True)
    for path in [*folder.glob("g*.index"), *folder.glob("g*.partial")]:
        if path.suffix == ".partial" or path.stem not in names:
            path.unlink(missing_ok=True)


def _catalog_of(path: Path) -> str | None:
    try:
        return _read(path).binding.catalog
    except DamageError:
        return None
