"""Turns a plain tar archive into where each picture in it lies; unpacks nothing, raises nothing.

Everything with a picture's ending gets a place or a reason: files with holes, links, files behind
an end mark (archives that were joined), names that `tar` itself would change.
"""

from __future__ import annotations

import posixpath
import tarfile
from bisect import bisect_right
from dataclasses import dataclass
from typing import BinaryIO, cast

from segsearch.core.names import VIDEO_SUFFIXES
from segsearch.media.decode import RAW_SUFFIXES, SUFFIXES
from segsearch.media.pdf import PDF_SUFFIXES
from segsearch.media.sources.base import NO_FILE, NOWHERE
from segsearch.media.sources.passed_by import reason_of_name
from segsearch.media.sources.paths import suffix_of

ARCHIVE = ".tar"
COMPRESSED = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst")
LARGEST_HEADER_BYTES = 1 << 24  # long names, and what else is said of a member
PIECE_BYTES = 1 << 20
MOST_LINKS = 40  # one link to the next, as the kernel counts (path_resolution(7))
OUTSIDE = "The member's name leads out of its archive."
NESTED = "An archive inside an archive is not read: unpack it."
NOT_ALL = "The archive is damaged: what is behind its end is no archive."


@dataclass(frozen=True, slots=True)
class MemberPlace:
    """Where the `size` bytes of a member lie in its archive: `runs` of (first byte in the member,
    first byte in the archive, number of bytes), ascending; what no run covers is zero."""

    size: int
    runs: tuple[tuple[int, int, int], ...]

    def read(self, file: BinaryIO, at: int, most: int) -> bytes:
        """Up to `most` bytes from byte `at` on, none at the end or where the archive is cut."""
        most = min(most, self.size - at)
        number = bisect_right(self.runs, at, key=lambda run: run[0]) - 1
        if number >= 0:
            begin, offset, size = self.runs[number]
            if at < begin + size:
                file.seek(offset + at - begin)
                return file.read(min(most, begin + size - at))
        if number + 1 < len(self.runs):
            most = min(most, self.runs[number + 1][0] - at)
        return bytes(max(0, most))


@dataclass(frozen=True, slots=True)
class Members:
    """The place of each picture in an archive by name, why others have none, and what is wrong
    with the archive itself."""

    places: dict[str, MemberPlace]
    refused: dict[str, str]
    problem: str | None


class _Headers:
    """A file that refuses to read more at once than a header has: a size in it may be anything."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int) -> bytes:
        if not 0 <= size <= LARGEST_HEADER_BYTES:
            raise tarfile.ReadError(f"a header says that it has {size:,} bytes")
        return self._file.read(size)


class _Contents:
    """What the members seen so far make of an archive; of one name the last counts, as in tar."""

    def __init__(self) -> None:
        self._places: dict[str, MemberPlace] = {}  # all files, as links may lead to any of them
        self._links: dict[str, str] = {}
        self._refused: dict[str, str] = {}

    def add(self, member: tarfile.TarInfo) -> None:
        """ReadError for a member that makes no sense."""
        name = _normal(member.name)
        self._places.pop(name, None)
        self._links.pop(name, None)
        self._refused.pop(name, None)
        if member.isdir():
            return
        if member.issym():
            self._links[name] = _normal(posixpath.join(posixpath.dirname(name), member.linkname))
        elif member.islnk():
            target = _normal(member.linkname)
            if target in self._places:  # the file of that name then, whatever comes later
                self._places[name] = self._places[target]
            else:
                self._links[name] = target
        elif member.isreg() or member.type not in tarfile.SUPPORTED_TYPES:  # POSIX: a file
            self._places[name] = _place(member)
        elif _is_picture(name):
            self._refused[name] = NO_FILE

    def members(self, problem: str | None) -> Members:
        """The pictures among them."""
        places = {name: place for name, place in self._places.items() if _is_wanted(name)}
        refused = dict(self._refused)
        for name in self._places:
            if name.lower().endswith((ARCHIVE, *COMPRESSED)):
                refused[name] = NESTED
            elif _is_picture(name) and _is_outside(name):
                refused[name] = OUTSIDE
        for name in filter(_is_picture, self._links):
            place = self._at_end_of(name)
            if place is None or _is_outside(name):
                refused[name] = OUTSIDE if _is_outside(name) else NOWHERE
            elif _is_wanted(name):
                places[name] = place
        shown = {name: why for name, why in refused.items() if not _is_hidden(name)}
        return Members(places, shown, problem)

    def _at_end_of(self, link: str) -> MemberPlace | None:
        for _ in range(MOST_LINKS):
            if link in self._places:
                return self._places[link]
            if link not in self._links:
                break
            link = self._links[link]
        return None


def members_of(file: BinaryIO) -> Members:
    """The pictures of a plain tar archive, or of several that were joined to one file."""
    contents = _Contents()
    start: int | None = 0
    try:
        while start is not None:
            end = _add_archive(file, start, contents)
            file.seek(end)
            if file.read(tarfile.BLOCKSIZE).strip(b"\0"):  # tarfile takes this for the end
                return contents.members("The archive is damaged: a header in it makes no sense.")
            start = _next_archive(file, end)
            if start is not None and not _is_archive(file, start):
                return contents.members(NOT_ALL)
    except Exception as problem:  # noqa: BLE001  tarfile raises anything at all on hostile headers
        said = str(problem).rstrip(".") or type(problem).__name__
        return contents.members(f"The archive is damaged: {said}.")
    return contents.members(None)


def _add_archive(file: BinaryIO, start: int, contents: _Contents) -> int:
    """Add the members of the archive that begins at byte `start`; where its end mark lies."""
    file.seek(start)
    with tarfile.open(fileobj=cast(BinaryIO, _Headers(file)), mode="r:") as archive:
        last = -1
        for member in archive:
            if archive.offset <= last:  # a size below zero, and tarfile reads one header for ever
                raise tarfile.ReadError(f"the size of {member.name!r} makes no sense")
            last = archive.offset
            archive.members.clear()  # type: ignore[attr-defined]  # tarfile keeps all it has seen
            contents.add(member)
        return archive.offset  # where it looked last


def _next_archive(file: BinaryIO, end: int) -> int | None:
    """Where the first block behind `end` lies that is not all zeros; None at the file's end."""
    file.seek(end)
    while piece := file.read(PIECE_BYTES):
        zeros = len(piece) - len(piece.lstrip(b"\0"))
        end += zeros
        if zeros < len(piece):
            return end - end % tarfile.BLOCKSIZE
    return None


def _is_archive(file: BinaryIO, start: int) -> bool:
    file.seek(start)
    try:
        tarfile.TarInfo.frombuf(file.read(tarfile.BLOCKSIZE), "utf-8", "surrogateescape")
    except tarfile.TarError:
        return False
    return True


def _place(member: tarfile.TarInfo) -> MemberPlace:
    """Where a file's bytes lie; ReadError where its header cannot be true."""
    holed = cast("list[tuple[int, int]] | None", member.sparse)  # the stubs say bytes
    pieces = [(0, member.size)] if holed is None else holed
    runs = []
    offset, last = member.offset_data, 0
    for begin, size in pieces:
        if size == 0:  # an unused entry of a list of fixed length
            continue
        if begin < last or size < 0:
            raise tarfile.ReadError(f"the size of {member.name!r} makes no sense")
        runs.append((begin, offset, size))
        offset, last = offset + size, begin + size
    return MemberPlace(max(member.size, last), tuple(runs))


def _normal(name: str) -> str:
    """A member's name as `tar` unpacks it: below the folder, without `.` and empty parts."""
    return posixpath.normpath(name.lstrip("/"))


def _is_outside(name: str) -> bool:
    return name == ".." or name.startswith("../")


def _is_hidden(name: str) -> bool:
    """Whether a look passes by it; what leads out of the archive is refused with a reason."""
    return reason_of_name(part for part in name.split("/") if part != "..") is not None


def _is_picture(name: str) -> bool:
    return suffix_of(name) in SUFFIXES | RAW_SUFFIXES | PDF_SUFFIXES | VIDEO_SUFFIXES


def _is_wanted(name: str) -> bool:
    """Whether a member is a picture whose name stays inside its archive and is not hidden."""
    return _is_picture(name) and not _is_hidden(name) and not _is_outside(name)
