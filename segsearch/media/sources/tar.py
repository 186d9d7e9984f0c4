"""Pictures inside tar archives, webdataset shards among them: read in place, never unpacked."""

from __future__ import annotations

import io
import os
import tarfile
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import BinaryIO, cast

from segsearch.core.errors import PictureError
from segsearch.core.types import FileStamp
from segsearch.media.decode import RAW_SUFFIXES, SUFFIXES
from segsearch.media.sources.base import SourceEntry
from segsearch.media.sources.fsspec_store import stamp_of
from segsearch.media.sources.passed_by import reason_of_name
from segsearch.media.sources.paths import split_shard, suffix_of

ARCHIVE = ".tar"
COMPRESSED = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst")
ARCHIVES_REMEMBERED = 8
NO_SEEKING = "A compressed archive cannot be read picture by picture: store it as plain .tar."
NONE_INSIDE = "The archive holds no pictures."

Open = Callable[[str], AbstractContextManager[BinaryIO]]


@dataclass(frozen=True, slots=True)
class Members:
    """Offset and size in bytes of each picture in an archive, and what is wrong with the rest."""

    places: dict[str, tuple[int, int]]
    problem: str | None


class Shards:
    """Members of archives that `open_archive` opens; what is where is remembered for a few."""

    def __init__(self, open_archive: Open) -> None:
        self._open_archive = open_archive
        self._known: dict[str, tuple[tuple[int, int], Members]] = {}
        self._lock = threading.Lock()

    def entries(self, archive: SourceEntry) -> Iterator[SourceEntry]:
        """The pictures of an archive; everything else in it is left out.

        A member is new when its archive has changed: members carry no trustworthy time.
        """
        with self._open_archive(archive.name) as file:
            members = self._members(archive.name, file, again=True)
        mtime_ns = archive.stamp.mtime_ns if archive.stamp else -1
        for member, (_, size) in members.places.items():
            below = f"{archive.below or archive.name.rpartition('/')[2]}/{member}"
            yield SourceEntry(f"{archive.name}/{member}", below, FileStamp(size, mtime_ns))
        if members.problem or not members.places:
            yield SourceEntry(archive.name, archive.below, reason=members.problem or NONE_INSIDE)

    @contextmanager
    def open(self, name: str) -> Iterator[BinaryIO]:
        """A member's bytes; PictureError when the archive holds none of that name any more."""
        archive, member = split_shard(name) or (name, "")
        with self._open_archive(archive) as file:
            place = self._members(archive, file).places.get(member)
            if place is None:
                raise PictureError(f"The archive {archive!r} holds no {member!r} any more.")
            yield cast(BinaryIO, io.BufferedReader(Window(file, *place)))

    def holds(self, archive: str, member: str) -> bool:
        """Whether an archive holds a member; True when that cannot be told, as it is damaged."""
        try:
            with self._open_archive(archive) as file:
                members = self._members(archive, file)
        except (OSError, PictureError):
            return True
        return member in members.places or members.problem is not None

    def _members(self, archive: str, file: BinaryIO, *, again: bool = False) -> Members:
        """What is where in an open archive, as remembered unless it was written anew since."""
        version = _version(file)
        with self._lock:
            known = self._known.pop(archive, None)
            if again or known is None or known[0] != version:
                known = (version, members_of(file))
            self._known[archive] = known
            for oldest in list(self._known)[:-ARCHIVES_REMEMBERED]:
                del self._known[oldest]
            return known[1]


def _version(file: BinaryIO) -> tuple[int, int]:
    """What differs once an archive is written anew: its size, and its time or a store's checksum.

    Of an object store's file `details` is what the store says of it; fsspec's own in memory says
    when it was `created`.
    """
    try:
        status = os.fstat(file.fileno())
    except OSError:  # none of this machine's
        said = getattr(file, "details", None) or {"created": getattr(file, "created", None)}
        return file.seek(0, io.SEEK_END), stamp_of(said).mtime_ns
    return status.st_size, status.st_mtime_ns


class Window(io.RawIOBase):
    """`size` bytes of a seekable file from `start` on, as a file of their own."""

    def __init__(self, file: BinaryIO, start: int, size: int) -> None:
        self._file = file
        self._left = size
        file.seek(start)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(cast(bytearray, buffer))
        data = self._file.read(min(len(view), self._left))
        view[: len(data)] = data
        self._left -= len(data)
        return len(data)


def members_of(file: BinaryIO) -> Members:
    """The pictures of a plain tar archive; of members of one name the last, as tar itself does."""
    file.seek(0)
    places: dict[str, tuple[int, int]] = {}
    try:
        with tarfile.open(fileobj=file, mode="r:") as archive:
            for member in archive:
                archive.members.clear()  # type: ignore[attr-defined]  # tarfile keeps all it has seen
                name = member.name.removeprefix("./")
                if member.isreg() and not member.issparse() and _is_wanted(name):
                    places[name] = (member.offset_data, member.size)
            file.seek(archive.offset)
            if file.read(tarfile.BLOCKSIZE).strip(b"\0"):  # tarfile takes this for the end
                return Members(places, "The archive is damaged: a header in it makes no sense.")
    except (tarfile.TarError, OSError, EOFError, ValueError, OverflowError) as problem:
        return Members(places, f"The archive is damaged: {problem or type(problem).__name__}.")
    return Members(places, None)


def _is_wanted(name: str) -> bool:
    """Whether a member is a picture whose name stays inside its archive and is not passed by."""
    parts = name.split("/")
    passed_by = not all(parts) or reason_of_name(parts) is not None  # `..` and `/a` among them
    return not passed_by and (suffix_of(name) in SUFFIXES or suffix_of(name) in RAW_SUFFIXES)
