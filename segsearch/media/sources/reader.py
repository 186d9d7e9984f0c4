"""Sources: finds and reads picture files wherever they lie; the one seam to their bytes."""

from __future__ import annotations

import hashlib
import io
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import BinaryIO

from segsearch.core.errors import PathError, PictureError, StoreError
from segsearch.core.names import file_of, split_page, split_shot
from segsearch.core.settings import Settings
from segsearch.core.types import UNKNOWN_MTIME_NS, FileStamp
from segsearch.media.decode import too_large
from segsearch.media.ffmpeg import PACKAGES as VIDEO_PACKAGES
from segsearch.media.ffmpeg import shot_sha256
from segsearch.media.pdf import page_bytes, page_sha256
from segsearch.media.sources.base import (
    PAGE_NAME,
    FileSelection,
    Source,
    SourceEntry,
    SourceListing,
    choose,
)
from segsearch.media.sources.fsspec_store import Stores
from segsearch.media.sources.http import Web, WebRules
from segsearch.media.sources.kept_objects import KeptObjects
from segsearch.media.sources.local import Folders
from segsearch.media.sources.paths import (
    UPLOAD,
    WEB,
    folder_of,
    is_upload,
    normal,
    page_meant,
    scheme_of,
    split_shard,
    uploads_of,
)
from segsearch.media.sources.tar import NO_SEEKING, Shards
from segsearch.media.sources.tar_members import ARCHIVE, COMPRESSED
from segsearch.media.sources.videos import FOLDER as SPOOLED
from segsearch.media.sources.videos import VideoFiles

PIECE_BYTES = 1 << 20


class Sources:
    """Every place that a name can point to, under one library's settings. Thread-safe."""

    def __init__(self, settings: Settings) -> None:
        self._max_bytes = settings.max_bytes
        self._selection = FileSelection(settings.include or (), settings.exclude or ())
        place = settings.uploads
        in_store = place is not None and scheme_of(place) not in {None, "file"}
        self._uploads = place.rstrip("/") if place and in_store else None
        self._folders = Folders(settings.library, None if in_store or not place else _folder(place))
        self._stores = Stores(settings.store_seconds)
        self._kept = KeptObjects(settings.library, settings.store_cache_bytes)
        self._web = Web(
            WebRules(
                allowed=settings.allow_urls,
                private=settings.allow_private_urls,
                seconds=settings.url_seconds,
                max_bytes=settings.max_bytes,
            )
        )
        self._shards = Shards(self._open_whole)
        self.videos = VideoFiles(self, settings.max_video_bytes, settings.library / SPOOLED)

    def check(self, names: Sequence[str | Path]) -> None:
        """PathError for a path that does not exist, or an address that may not be fetched."""
        for name in map(normal, names):
            page = page_meant(name)
            name = page[0] if page else name
            if scheme_of(name) is None or scheme_of(name) in WEB:  # stores are listed once, later
                next(iter(self._source(name).entries(name)), None)

    def find(self, names: Sequence[str | Path], *, within: Sequence[Path] = ()) -> SourceListing:
        """Every picture file at or below these names, sorted; and what was passed over.

        Of a path below one of the folders `within`, what a look at all of that folder would take.
        PathError for a name that leads nowhere, or when nothing at all is found; never `within`.
        """
        listing = self.look(names, within=within)
        if not (listing.listed or listing.skipped or within):
            raise PathError(f"There are no files in {', '.join(repr(str(n)) for n in names)}.")
        return listing

    def look(self, names: Sequence[str | Path], *, within: Sequence[Path] = ()) -> SourceListing:
        """As `find`, but for places where there is nothing to find."""
        raw, pdf = (find_spec(package) is not None for package in ("rawpy", "pypdfium2"))
        video = all(find_spec(package) is not None for package in VIDEO_PACKAGES)
        roots = [normal(root) for root in within]
        entries = [entry for name in names for entry in self._entries(normal(name), roots)]
        beside = self._folders.beside(entries) if within else ()
        return choose([*entries, *beside], self._selection, raw=raw, pdf=pdf, video=video)

    def holds(self, name: str) -> bool:
        """Whether a file is still there; True when that cannot be told. A page is there with its
        PDF: those that a changed one no longer has go when it is entered."""
        name = self._now(file_of(name))
        scheme = scheme_of(name)
        if scheme in WEB:
            return True
        shard = split_shard(name)
        place = shard[0] if shard else name
        there = self._folders.holds(place) if scheme is None else self._stores.holds(place)
        return there and (shard is None or self._shards.holds(*shard))

    def holds_upload(self, name: str) -> bool:
        """Whether a file that was uploaded is there; False when that cannot be told."""
        name = self._now(file_of(name))
        if scheme_of(name) is None:
            return self._folders.holds(name)
        return self._stores.holds(name, unsure=False)

    def missing(self, names: Iterable[str]) -> tuple[list[str], list[str]]:
        """Of these files those that are gone, and those of which that cannot be told.

        A folder of a store is listed once for all files in it, and one of uploads with all below;
        of archives there only whether they are there themselves counts. Web addresses are not
        asked.
        """
        gone: list[str] = []
        unknown: list[str] = []
        stored: dict[tuple[str, bool], list[tuple[str, str]]] = defaultdict(list)
        for name in names:
            now = self._now(file_of(name))
            scheme = scheme_of(now)
            if scheme is None:
                gone += [] if self.holds(name) else [name]
            elif scheme not in WEB:
                place = (split_shard(now) or (now,))[0]
                is_own = is_upload(place)
                folder = uploads_of(place) if is_own else folder_of(place)
                stored[folder, is_own].append((place, name))
        for (folder, deep), files in stored.items():
            there = self._stores.names_in(folder, deep=deep)
            if there is None:
                unknown += [name for _, name in files]
            else:
                gone += [name for place, name in files if place not in there]
        return gone, unknown

    def check_size(self, size_bytes: int) -> None:
        """PictureTooLargeError for a file that `read` would refuse for its size."""
        if size_bytes > self._max_bytes:
            raise too_large(self._max_bytes)

    def read(self, name: str, size_bytes: int | None = None) -> bytes:
        """A file's bytes; PictureError when they cannot be had, PictureTooLargeError past the
        limit, before more than that is in memory. Of a page, see `pdf.page_bytes`. StoreError
        where a store lists an object with `size_bytes` and gives another number of them."""
        file, page = split_page(name) or (name, None)
        file = self._now(file)
        data = self._read(file)
        self._check_listed(file, len(data), size_bytes)
        if page and _is_stored(file):
            self._kept.keep(file, data)  # its other pages are read next
        return page_bytes(data, page) if page else data

    def read_as(self, name: str, sha256: str, *, keep: bool = False) -> bytes | None:
        """The bytes that have this sha256; None where others are there by now, errors as `read`.

        What `keep` says lies in a store is then read from this machine's disk, within the settings'
        bound; pages of PDFs always are. Half an object is asked for once more.
        """
        file, page = split_page(name) or (name, None)
        file = self._now(file)
        if not _is_stored(file):
            data = self.read(name)
            return data if hashlib.sha256(data).hexdigest() == sha256 else None
        with self._kept.alone(file) if keep or page else nullcontext():
            if (kept := self._kept.get(file)) is not None:
                data = page_bytes(kept, page) if page else kept
                if hashlib.sha256(data).hexdigest() == sha256:
                    return data
            for _ in range(2):
                data = self.read(name)
                if hashlib.sha256(data).hexdigest() == sha256:
                    if keep and not page:
                        self._kept.keep(file, data)
                    return data
        return None

    def digest(self, name: str, size_bytes: int | None = None) -> tuple[str, int]:
        """sha256 as hex and size in bytes of a file, read in pieces; raises what `read` raises. Of
        a page, the sha256 of its bytes, and the size of its file. Of `size_bytes` as `read`."""
        if shot := split_shot(name):
            return self._digest_shot(*shot)
        file, page = split_page(name) or (name, None)
        file = self._now(file)
        sha256 = hashlib.sha256()
        size = 0
        for piece in self._pieces(file):
            size += len(piece)
            self.check_size(size)
            sha256.update(piece)
        self._check_listed(file, size, size_bytes)
        return page_sha256(sha256, page) if page else sha256.hexdigest(), size

    def _digest_shot(self, file: str, start: float, end: float) -> tuple[str, int]:
        with self.videos.file(file) as path:
            return shot_sha256(self.videos.sha256(path), start, end), path.stat().st_size

    def on_disk(self, name: str) -> Path | None:
        """Where a file lies on this disk as it is; None for one in an archive or a store."""
        now = self._now(name)
        if scheme_of(now) is not None or split_shard(now):
            return None
        return Path(self._folders.place(now))

    def pieces(self, name: str) -> Iterator[bytes]:
        """A file's bytes, piece by piece; raises what `read` raises, but for its size."""
        return self._pieces(self._now(name))

    def _now(self, name: str) -> str:
        """Where a file lies: what was uploaded to a folder may be in a store by now."""
        upload = UPLOAD.search(name) if self._uploads and scheme_of(name) is None else None
        if upload is None or self._folders.holds(name):
            return name
        return f"{self._uploads}{upload[0]}"

    def _read(self, file: str) -> bytes:
        if _is_object(file):
            data = self._stores.read(file, self._max_bytes + 1)
        else:
            with self._reading(file) as opened:
                data = opened.read(self._max_bytes + 1)
        self.check_size(len(data))
        return data

    def _pieces(self, file: str) -> Iterator[bytes]:
        if _is_object(file):
            yield from self._stores.pieces(file)
            return
        with self._reading(file) as opened:
            while piece := opened.read(PIECE_BYTES):
                yield piece

    def _check_listed(self, file: str, size: int, listed: int | None) -> None:
        if listed is not None and size != listed and _is_object(file):
            raise StoreError(
                f"{file!r} gave {size:,} bytes where its store lists {listed:,}: it is being "
                "written, or the store gives half of it."
            )

    def _entries(self, name: str, roots: Sequence[str]) -> Iterator[SourceEntry]:
        page = page_meant(name)
        if page:
            # Without a time that counts: what it tells is not that the other pages are there, too.
            stamp = FileStamp(0, UNKNOWN_MTIME_NS)
            for entry in self._entries_in(page[0], roots):
                if entry.name == page[0]:
                    yield replace(entry, name=name, stamp=stamp if entry.stamp else None)
            return
        yield from self._entries_in(name, roots)

    def _entries_in(self, name: str, roots: Sequence[str]) -> Iterator[SourceEntry]:
        root = max(
            (folder for folder in roots if Path(name).is_relative_to(folder)), key=len, default=None
        )
        entries = self._folders.changed(name, root) if root else self._source(name).entries(name)
        for entry in self._unpacked(entries):
            # In the catalog it would be that page.
            is_part = entry.stamp and file_of(entry.name) != entry.name
            yield replace(entry, stamp=None, reason=PAGE_NAME) if is_part else entry

    def _unpacked(self, entries: Iterable[SourceEntry]) -> Iterator[SourceEntry]:
        """Entries, and of archives their members."""
        for entry in entries:
            low = entry.name.lower()
            if entry.passed_by:
                yield entry
            elif low.endswith(COMPRESSED):
                yield SourceEntry(entry.name, entry.below, reason=NO_SEEKING)
            elif low.endswith(ARCHIVE) and entry.stamp and scheme_of(entry.name) not in WEB:
                try:
                    yield from self._shards.entries(entry)
                except (OSError, PictureError) as problem:
                    yield SourceEntry(entry.name, entry.below, reason=_unreadable(problem))
            else:
                yield entry

    def _source(self, name: str) -> Source:
        scheme = scheme_of(name)
        if scheme is None:
            return self._folders
        return self._web if scheme in WEB else self._stores

    def _open_whole(self, name: str) -> AbstractContextManager[BinaryIO]:
        return self._source(name).open(name)

    @contextmanager
    def _reading(self, name: str) -> Iterator[BinaryIO]:
        opener: Shards | Source = self._source(name)
        if scheme_of(name) not in WEB and split_shard(name):
            opener = self._shards
        try:
            with opener.open(name) as file:
                yield file
        except (OSError, io.UnsupportedOperation) as problem:
            raise PictureError(_unreadable(problem)) from problem


def _folder(place: str) -> Path:
    return Path(normal(place))


def _is_stored(name: str) -> bool:
    """Whether a file lies in a store, perhaps in an archive there."""
    scheme = scheme_of(name)
    return scheme is not None and scheme not in WEB


def _is_object(name: str) -> bool:
    """Whether a file is one object of a store, and no part of one."""
    return _is_stored(name) and split_shard(name) is None


def _unreadable(problem: Exception) -> str:
    if isinstance(problem, PictureError):
        return str(problem)
    return f"The file cannot be read: {getattr(problem, 'strerror', None) or problem}."
