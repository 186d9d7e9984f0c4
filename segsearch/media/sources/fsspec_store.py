"""Object stores and other file systems that fsspec knows: `s3://`, `gs://`, `memory://`, more."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, BinaryIO, cast

from segsearch.core.errors import PathError, SegSearchError, StoreError
from segsearch.core.types import UNKNOWN_MTIME_NS, FileStamp
from segsearch.media.sources.base import SourceEntry, stamped
from segsearch.media.sources.object_store import (
    CHAIN,
    BufferedObject,
    ObjectStore,
    gone,
    is_chain,
)
from segsearch.media.sources.passed_by import reason_of_name

TIMES = ("mtime", "LastModified", "last_modified", "updated", "modified", "created")
NO_NAME = "Its name has `::`, which would make it a chain of file systems: rename it."
CHECKSUMS = ("ETag", "etag", "md5Hash", "checksum", "sha256")
PIECE_BYTES = 16 << 20  # of an object that is read in pieces: one request each
SECOND_NS = 1_000_000_000


class Stores:
    """URLs of fsspec, read with the credentials that the file system finds by itself; no request
    takes longer than `seconds`, tries included."""

    def __init__(self, seconds: float) -> None:
        self._store = ObjectStore(seconds)

    def entries(self, name: str) -> Iterator[SourceEntry]:
        """An object, or everything below a prefix."""
        if is_chain(name):
            raise PathError(f"{name!r} {CHAIN}")
        try:
            yield from self._entries(name)
        except FileNotFoundError as problem:
            raise PathError(f"There is nothing at {name!r}.") from problem
        except StoreError as problem:
            raise PathError(f"{name!r} cannot be listed: {problem}") from problem

    def _entries(self, name: str) -> Iterator[SourceEntry]:
        bare, is_empty = name.rstrip("/"), True
        for place, info in self._store.below(name):
            is_empty = False
            below = _below(place, bare)
            passed_by = reason_of_name(below.split("/"))
            stamp, reason = stamp_of(info), NO_NAME if is_chain(place) else None
            yield SourceEntry(
                place, below, None if reason else stamp, reason=reason, passed_by=passed_by
            )
        if is_empty:
            yield SourceEntry(bare, "", stamp_of(self._store.info(bare)))

    @contextmanager
    def open(self, name: str) -> Iterator[BinaryIO]:
        """An object's bytes; PictureError when it cannot be had."""
        try:
            with BufferedObject(self._store, name) as file:
                yield cast(BinaryIO, file)
        except FileNotFoundError as problem:
            raise gone(name) from problem

    def read(self, name: str, most_bytes: int) -> bytes:
        """An object's first bytes, up to so many, in one request; raises as `open`."""
        try:
            return self._store.read(name, 0, most_bytes)
        except FileNotFoundError as problem:
            raise gone(name) from problem

    def pieces(self, name: str) -> Iterator[bytes]:
        """An object's bytes, some at a time; raises as `open`."""
        start, piece = 0, b""
        while start == 0 or len(piece) == PIECE_BYTES:
            try:
                piece = self._store.read(name, start, start + PIECE_BYTES)
            except FileNotFoundError as problem:
                raise gone(name) from problem
            yield piece
            start += len(piece) or PIECE_BYTES

    def holds(self, name: str, *, unsure: bool = True) -> bool:
        """Whether an object is there; `unsure` when the store does not say."""
        try:
            self._store.info(name)
        except FileNotFoundError:
            return False
        except SegSearchError:  # an outage is no proof that a picture is gone
            return unsure
        return True

    def names_in(self, folder: str, *, deep: bool = False) -> frozenset[str] | None:
        """The objects right in a folder, or `deep` all below it, by name; None when the store does
        not say."""
        try:
            if deep:
                return frozenset(name for name, _ in self._store.below(folder))
            return self._store.names_in(folder)
        except FileNotFoundError:
            return frozenset()
        except SegSearchError:  # an outage is no proof that a picture is gone
            return None


def _below(place: str, name: str) -> str:
    """A URL's path below another one's, however that spells its scheme."""
    bare, whole = (text.partition("://")[2].lstrip("/") for text in (name, place))
    return whole[len(bare) :].strip("/")


def stamp_of(info: dict[str, Any]) -> FileStamp:
    """Size and time of one object. A store's checksum counts as a part of the second, since its
    times may have no such parts; where there is no time, it stands for one."""
    size = int(info.get("size") or 0)
    checksum = next((str(info[key]) for key in CHECKSUMS if info.get(key)), None)
    digest = hashlib.sha256((checksum or "").strip('"').encode()).digest()
    number = int.from_bytes(digest[:7], "big")
    for key in TIMES:
        value = info.get(key)
        if isinstance(value, datetime):
            value = (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
        if isinstance(value, int | float):
            exact = int(value * 1_000_000) * 1_000
            second = exact - exact % SECOND_NS
            return stamped(size, second + number % SECOND_NS if checksum else exact)
    return FileStamp(size, number if checksum else UNKNOWN_MTIME_NS)
