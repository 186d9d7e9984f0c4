"""What a look into a source gives: entries; and which of them a user wants."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import BinaryIO, Protocol

from pathspec import GitIgnoreSpec

from segsearch.core.names import VIDEO_SUFFIXES, folded
from segsearch.core.types import FileStamp, Skipped
from segsearch.media.decode import RAW_SUFFIXES, SUFFIXES
from segsearch.media.ffmpeg import NO_VIDEO
from segsearch.media.pdf import NO_PDF, PDF_SUFFIXES
from segsearch.media.sources.paths import WEB, scheme_of, shown, suffix_of

NO_PICTURE = "Not a picture file by its ending."
BAD_NAME = "The file's name is not valid UTF-8: rename it."
COMPANION = "Camera RAW beside a picture of the same name: that one is indexed instead."
NO_RAW = 'Camera RAW needs an extra package: `pip install "segsearch[raw]"`.'
REMOTE_PDF = (
    "A PDF at a web address is not read, as each page would fetch all of it: copy it to a folder."
)
REMOTE_VIDEO = "A video at a web address is not read: copy it to a folder."
PAGE_NAME = "The file is called as a page of a PDF is, or a shot of a video: rename it."
NO_FILE = "Not a regular file."
NOWHERE = "The link leads nowhere."
NOT_INCLUDED = "No glob of --include or SEGSEARCH_INCLUDE matches it."
EXCLUDED = "A glob of --exclude or SEGSEARCH_EXCLUDE matches it."
MTIMES = 2**64  # as many as a catalog holds, half of them before 1970


@dataclass(frozen=True, slots=True)
class SourceEntry:
    """Something that lies in a source: a file with its stamp, or a reason why it is none, or why a
    look passes it by with all that lies below it (`passed_by`).

    `below` is its name relative to what the user named, `""` when that is the entry itself.
    One that `is_beside` was not asked for: it only tells which files are pictures of one name.
    """

    name: str
    below: str
    stamp: FileStamp | None = None
    reason: str | None = None
    is_beside: bool = False
    passed_by: str | None = None


def stamped(size_bytes: int, mtime_ns: int) -> FileStamp:
    """A stamp that a catalog holds: a time after the year 2262 becomes one before 1970.

    It need only be another when the file is.
    """
    return FileStamp(size_bytes, (mtime_ns + MTIMES // 2) % MTIMES - MTIMES // 2)


class Source(Protocol):
    """One kind of place where picture files lie."""

    def entries(self, name: str) -> Iterator[SourceEntry]:
        """Everything at or below a name, in no particular order; of what is passed by, only the
        topmost.

        PathError when there is nothing of that name.
        """

    def open(self, name: str) -> AbstractContextManager[BinaryIO]:
        """The bytes of one file from its start; OSError or PictureError when it cannot be had."""


@dataclass(frozen=True, slots=True)
class RawBeside:
    """A camera RAW, and the pictures of the same name that lie beside it."""

    stamp: FileStamp
    pictures: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SourceListing:
    """Picture files by name, and those passed over; `listed` are all files that were seen, those
    too that the globs leave out. `companions` are the RAW files that their pictures stand for;
    `left_out` has the reasons of what was no choice for a picture: files by the globs, files and
    folders by their names."""

    files: dict[str, FileStamp]
    skipped: tuple[Skipped, ...]
    listed: frozenset[str] = frozenset()
    companions: dict[str, RawBeside] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def excluded(self) -> set[str]:
        """Files that the globs leave out."""
        by_globs = {EXCLUDED, NOT_INCLUDED}
        return {name for name, reason in self.left_out.items() if reason in by_globs}


@dataclass(frozen=True, slots=True)
class FileSelection:
    """Globs as in a `.gitignore`, upper and lower case alike, below the folder that was named.

    With `include` only what one of its globs matches is taken; `exclude` leaves out.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    def compiled(self) -> Callable[[str], str | None]:
        """Why a relative name is not wanted; None for one that is."""
        included = GitIgnoreSpec.from_lines(map(_line, self.include))
        excluded = GitIgnoreSpec.from_lines(map(_line, self.exclude))

        def refusal(below: str) -> str | None:
            name = _matchable(below)
            if self.include and not included.match_file(name):
                return NOT_INCLUDED
            return EXCLUDED if excluded.match_file(name) else None

        return refusal


def _line(glob: str) -> str:
    """A glob as a line of a `.gitignore`, in which `#` would begin a remark."""
    return _matchable(f"\\{glob}" if glob.startswith("#") else glob)


def _matchable(text: str) -> str:
    """Text whose letters match in every form; pathspec's dot matches no line's end."""
    return folded(text).replace("\n", "\v")


def choose(
    entries: Iterable[SourceEntry], selection: FileSelection, *, raw: bool, pdf: bool, video: bool
) -> SourceListing:
    """The picture files among entries, sorted by name, and the rest with a reason each.

    A file that was named outright is taken whatever its ending. Of a camera RAW and a picture of
    the same name beside it, only the picture is taken; without `raw` no RAW is, without `pdf` no
    PDF, without `video` no video.
    """
    files: dict[str, FileStamp] = {}
    beside: dict[str, FileStamp] = {}
    skipped: list[Skipped] = []
    listed: set[str] = set()
    left_out: dict[str, str] = {}
    refused_by_globs = selection.compiled()
    for entry in entries:
        if entry.passed_by:
            left_out[entry.name] = entry.passed_by
            continue
        if entry.reason not in {NO_FILE, NOWHERE, PAGE_NAME}:
            listed.add(entry.name)
        unwanted = refused_by_globs(entry.below) if entry.below else None
        if unwanted:
            left_out[entry.name] = unwanted
            continue
        reason = entry.reason or _refusal(entry, raw=raw, pdf=pdf, video=video)
        if entry.is_beside:
            if entry.stamp and not reason:
                beside[entry.name] = entry.stamp
        elif reason:
            skipped.append(Skipped(shown(entry.name), reason))
        elif entry.stamp:
            files[entry.name] = entry.stamp
    companions = _companions({**beside, **files})
    for name in companions.keys() & files.keys():
        del files[name]
        skipped.append(Skipped(name, COMPANION))
    return SourceListing(
        dict(sorted(files.items())),
        tuple(sorted(skipped, key=lambda skip: (skip.path, skip.reason))),
        frozenset(listed),
        companions,
        left_out,
    )


def _refusal(entry: SourceEntry, *, raw: bool, pdf: bool, video: bool) -> str | None:
    try:
        entry.name.encode()
    except UnicodeEncodeError:
        return BAD_NAME
    suffix = suffix_of(entry.name)
    if suffix in RAW_SUFFIXES and not raw:
        return NO_RAW
    if suffix in PDF_SUFFIXES:
        return (REMOTE_PDF if scheme_of(entry.name) in WEB else None) if pdf else NO_PDF
    if suffix in VIDEO_SUFFIXES:
        return (REMOTE_VIDEO if scheme_of(entry.name) in WEB else None) if video else NO_VIDEO
    if entry.below and suffix not in SUFFIXES and suffix not in RAW_SUFFIXES:
        return NO_PICTURE
    return None


def _companions(files: Mapping[str, FileStamp]) -> dict[str, RawBeside]:
    """RAW files beside developed pictures of the same name; no a.xmp."""
    developed: dict[str, list[str]] = defaultdict(list)
    for name in sorted(files):
        if suffix_of(name) in SUFFIXES:
            developed[stem_of(name)].append(name)
    return {
        name: RawBeside(stamp, tuple(developed[stem_of(name)]))
        for name, stamp in files.items()
        if suffix_of(name) in RAW_SUFFIXES and stem_of(name) in developed
    }


def stem_of(name: str) -> str:
    """A file's name without its ending, in lower case but for the folder: a RAW's companion has
    the same."""
    folder, _, file = name.rpartition("/")
    return f"{folder}/{file.rpartition('.')[0].lower()}"
