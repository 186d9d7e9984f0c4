"""Keeps pictures that are searched by where all nodes of a library find them, so that a query that
was begun on one can go on at another."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from segsearch.core.errors import LibraryError, NotFoundError, PictureTooLargeError, StoreError
from segsearch.core.settings import Settings
from segsearch.media.sources.fsspec_store import stamp_of
from segsearch.media.sources.object_store import ObjectStore
from segsearch.media.sources.paths import normal, scheme_of
from segsearch.storage.kept_pictures import FOLDER, LEAST_BYTES, KeptPictures, gone

ROOM_SHARE = 16  # after this part of the bound was written, there is made room again


class QueryPictures(Protocol):
    """Pictures by the sha256 of their bytes, within a bound."""

    def keep(self, data: bytes) -> str:
        """Keep a picture's bytes; its sha256 as hex, by which it is asked for."""
        ...

    def use(self, picture_id: str) -> None:
        """Note that a picture is used; NotFoundError when it is gone."""
        ...

    def read(self, picture_id: str) -> bytes:
        """A picture's bytes; NotFoundError when it is gone."""
        ...


def query_pictures(settings: Settings, *, read_only: bool = False) -> QueryPictures:
    """Where a library's settings have the pictures of queries kept."""
    most, place = settings.query_picture_bytes, settings.uploads
    if place is not None and scheme_of(place) in {None, "file"}:
        return KeptPictures(Path(normal(place)), most, read_only=read_only)
    own = KeptPictures(settings.library, most, read_only=read_only)
    if place is None:
        return own
    return SharedPictures(own, ObjectStore(settings.store_seconds), place, most)


class SharedPictures:
    """Pictures in a store, `most_bytes` together and a sixteenth more for each process that keeps
    some; those kept longest ago go first. What this machine has kept or read is at hand in its own
    folder. StoreError where the store does not answer; else as `KeptPictures`."""

    def __init__(self, own: KeptPictures, store: ObjectStore, place: str, most_bytes: int) -> None:
        self._own = own
        self._store = store
        self._place = f"{place.rstrip('/')}/{FOLDER}"
        self._most_bytes = most_bytes
        self._unchecked_bytes = most_bytes  # written since there was made room; all at first

    def keep(self, data: bytes) -> str:
        """As `QueryPictures.keep`."""
        picture_id = self._own.keep(data)
        self._unchecked_bytes += max(len(data), LEAST_BYTES)
        if self._unchecked_bytes >= self._most_bytes // ROOM_SHARE:
            self._unchecked_bytes = 0
            self._make_room(picture_id, max(len(data), LEAST_BYTES))
        self._store.write(self._object(picture_id), data)
        return picture_id

    def use(self, picture_id: str) -> None:
        """As `QueryPictures.use`."""
        try:
            self._own.use(picture_id)
        except NotFoundError:
            self._fetch(picture_id)

    def read(self, picture_id: str) -> bytes:
        """As `QueryPictures.read`."""
        try:
            return self._own.read(picture_id)
        except NotFoundError:
            return self._fetch(picture_id)

    def _fetch(self, picture_id: str) -> bytes:
        """A picture that another node has kept."""
        self._own.check(picture_id)
        try:
            data = self._store.read(self._object(picture_id), 0, self._most_bytes)
        except FileNotFoundError as problem:
            raise gone() from problem
        if hashlib.sha256(data).hexdigest() != picture_id:
            raise StoreError(
                f"The picture of this query came damaged from {self._place!r}: try again."
            )
        with suppress(LibraryError, PictureTooLargeError):  # it will be fetched again
            self._own.keep(data)
        return data

    def _object(self, picture_id: str) -> str:
        return f"{self._place}/{picture_id}"

    def _make_room(self, picture_id: str, needed: int) -> None:
        """Delete what was kept longest ago until a picture fits."""
        others: list[tuple[int, int, str]] = []
        with suppress(FileNotFoundError):
            for name, info in self._store.below(self._place):
                stamp = stamp_of(info)
                if name.rpartition("/")[2] != picture_id:
                    others.append((stamp.mtime_ns, max(stamp.size_bytes, LEAST_BYTES), name))
        total = needed + sum(size for _, size, _ in others)
        for _, size, name in sorted(others):
            if total <= self._most_bytes:
                break
            self._store.delete(name)
            total -= size
