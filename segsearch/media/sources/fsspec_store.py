"""Object stores and other file systems that fsspec knows: `s3://`, `gs://`, `memory://`, more."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, BinaryIO

from segsearch.core.errors import PathError, PictureError
from segsearch.core.types import UNKNOWN_MTIME_NS, FileStamp
from segsearch.media.sources.base import SourceEntry, stamped
from segsearch.media.sources.passed_by import reason_of_name

TIMES = ("mtime", "LastModified", "last_modified", "updated", "modified", "created")
CHECKSUMS = ("ETag", "etag", "md5Hash", "checksum", "sha256")


class Stores:
    """URLs of fsspec, read with the credentials that the file system finds by itself."""

    def entries(self, name: str) -> Iterator[SourceEntry]:
        """An object, or everything below a prefix."""
        system, path = _connect(name)
        try:
            files = system.find(path, detail=True)
        except Exception as problem:  # each file system has errors of its own
            raise PathError(f"{name!r} cannot be listed: {_sentence(problem)}.") from problem
        if not files:
            raise PathError(f"There is nothing at {name!r}.")
        for file, info in files.items():
            below = str(file)[len(path) :].strip("/")
            place, passed_by = system.unstrip_protocol(file), reason_of_name(below.split("/"))
            yield SourceEntry(place, below, stamp_of(info), passed_by=passed_by)

    @contextmanager
    def open(self, name: str) -> Iterator[BinaryIO]:
        """An object's bytes; PictureError when it cannot be had."""
        system, path = _connect(name)
        try:
            with system.open(path, "rb") as file:
                yield file
        except PictureError:
            raise
        except Exception as problem:
            raise PictureError(f"{name!r} cannot be read: {_sentence(problem)}.") from problem

    def holds(self, name: str) -> bool:
        """Whether an object is there; True when the store does not say."""
        system, path = _connect(name)
        try:
            system.info(path)
        except FileNotFoundError:
            return False
        except Exception:  # noqa: BLE001  an outage is no proof that a picture is gone
            return True
        return True

    def names_in(self, folder: str) -> frozenset[str] | None:
        """The objects right in a folder, by name; None when the store does not say."""
        try:
            system, path = _connect(folder)
            system.invalidate_cache(path)
            names = system.ls(path, detail=False)
        except FileNotFoundError:
            return frozenset()
        except Exception:  # noqa: BLE001  an outage is no proof that a picture is gone
            return None
        return frozenset(system.unstrip_protocol(name) for name in names)


def stamp_of(info: dict[str, Any]) -> FileStamp:
    """Size, and the time or, without one, the store's checksum, of one object."""
    size = int(info.get("size") or 0)
    for key in TIMES:
        value = info.get(key)
        if isinstance(value, datetime):
            aware = value if value.tzinfo else value.replace(tzinfo=UTC)
            return stamped(size, int(aware.timestamp() * 1_000_000) * 1_000)
        if isinstance(value, int | float):
            return stamped(size, int(value * 1_000_000) * 1_000)
    for key in CHECKSUMS:
        if info.get(key):
            digest = hashlib.sha256(str(info[key]).encode()).digest()
            return FileStamp(size, int.from_bytes(digest[:7], "big"))
    return FileStamp(size, UNKNOWN_MTIME_NS)


def _connect(name: str) -> tuple[Any, str]:
    """The file system and path behind a URL; PathError when nothing here can reach it.

    Chains (`a::b`) are refused: they would reach web addresses past the rules for those.
    """
    if "::" in name:
        raise PathError(f"{name!r} is a chain of file systems, expected one URL.")
    try:
        import fsspec
    except ImportError as problem:
        raise PathError(
            f'{name!r} needs another package: `pip install "segsearch[s3]"`, or fsspec and the '
            "file system's own."
        ) from problem
    try:
        system, path = fsspec.core.url_to_fs(name)
    except (ImportError, ValueError) as problem:
        raise PathError(f"{name!r} cannot be reached: {_sentence(problem)}.") from problem
    return system, str(path)


def _sentence(problem: Exception) -> str:
    return (str(problem) or type(problem).__name__).strip().rstrip(".")
