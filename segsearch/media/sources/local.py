"""Files and folders of this machine: found recursively, without hidden ones and link loops."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from segsearch.core.errors import PathError, PictureError
from segsearch.media.decode import RAW_SUFFIXES, SUFFIXES
from segsearch.media.sources.base import NO_FILE, NOWHERE, SourceEntry, stamped, stem_of
from segsearch.media.sources.passed_by import LIBRARY, LINK, reason_of_name
from segsearch.media.sources.paths import UPLOAD, suffix_of

PICTURE_SUFFIXES = SUFFIXES | RAW_SUFFIXES


class Folders:
    """Absolute paths. A library's own folder is no place for pictures of others; its uploads may
    lie in another one."""

    def __init__(self, library: Path, uploads: Path | None = None) -> None:
        self._library = os.path.abspath(library)
        self._uploads = os.path.abspath(uploads or library)

    def entries(self, name: str) -> Iterator[SourceEntry]:
        """A file, or everything below a folder.

        Hidden names (macOS's `._` companions are such) and those of systems are passed by, and so
        is the library, unless something in it is named outright. Links to files are followed;
        links to folders are not, unless one is named outright, so no loop can form.
        """
        if not os.path.lexists(name):
            raise PathError(f"There is no file or folder {name!r}.")
        if not Path(name).is_dir():
            yield _entry(name, "")
            return
        yield from self._below(name, name)

    def changed(self, name: str, root: str) -> Iterator[SourceEntry]:
        """What a look at all of `root` would find at or below `name`, which lies in it."""
        if not os.path.lexists(name):
            return
        passed_by = left_out(name, root, self._library)
        if passed_by:
            yield SourceEntry(name, os.path.relpath(name, root), passed_by=passed_by)
            return
        if Path(name).is_dir():
            if name == root or not Path(name).is_symlink():
                yield from self._below(name, root)
            return
        yield _entry(name, os.path.relpath(name, root))

    def beside(self, entries: Sequence[SourceEntry]) -> Iterator[SourceEntry]:
        """What lies beside these files under the same name with another ending of pictures: a RAW
        and its picture need not change together."""
        pictures = [entry for entry in entries if suffix_of(entry.name) in PICTURE_SUFFIXES]
        names = {entry.name for entry in pictures}
        stems = {stem_of(name) for name in names}
        roots = {
            os.path.dirname(entry.name): entry.name.removesuffix(entry.below)  # noqa: PTH120  as names are
            for entry in pictures
        }
        for folder, root in roots.items():
            for path in _files_in(folder):
                is_one = suffix_of(path) in PICTURE_SUFFIXES and stem_of(path) in stems
                if is_one and path not in names and not left_out(path, folder, self._library):
                    yield replace(_entry(path, os.path.relpath(path, root)), is_beside=True)

    def _below(self, name: str, root: str) -> Iterator[SourceEntry]:
        """Everything below a folder, named relative to `root`."""
        unreadable: list[OSError] = []
        for place, folders, names in os.walk(name, onerror=unreadable.append):
            followed: list[str] = []
            for part in folders:
                path = os.path.join(place, part)
                passed_by = left_out(path, place, self._library)
                if passed_by is None and Path(path).is_symlink():
                    passed_by = LINK
                if passed_by:
                    yield SourceEntry(path, os.path.relpath(path, root), passed_by=passed_by)
                else:
                    followed.append(part)
            folders[:] = followed
            for part in names:
                path = os.path.join(place, part)
                below, passed_by = os.path.relpath(path, root), reason_of_name((part,))
                if passed_by:
                    yield SourceEntry(path, below, passed_by=passed_by)
                else:
                    yield _entry(path, below)
        for problem in unreadable:
            folder = str(problem.filename)
            reason = f"The folder cannot be read: {problem.strerror}."
            yield SourceEntry(folder, os.path.relpath(folder, root), reason=reason)

    def holds(self, name: str) -> bool:
        """Whether a file lies there, or a link leads to one; True when that cannot be told, for
        want of permission."""
        try:
            return stat.S_ISREG(Path(self.place(name)).stat().st_mode)
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError:
            return True

    def open(self, name: str) -> AbstractContextManager[BinaryIO]:
        """A regular file; PictureError for a pipe, which would wait, and for a device."""
        file = open(self.place(name), "rb", opener=_open_at_once)  # noqa: SIM115  the caller's
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            file.close()
            raise PictureError(NO_FILE)
        return file

    def place(self, name: str) -> str:
        """Where a file lies: what was uploaded to a library moves, and is copied, with its folder,
        or with that for uploads; each machine may call it otherwise."""
        upload = UPLOAD.search(name)
        for folder in (self._uploads, self._library) if upload else ():
            moved = f"{folder}{upload[0] if upload else ''}"
            if Path(moved).is_file():
                return moved
        return name


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def left_out(path: str, root: str, library: str) -> str | None:
    """Why a look at `root` passes by a path in it, by a name below or as the library's; or None."""
    reason = reason_of_name(Path(path).relative_to(root).parts)
    if reason:
        return reason
    inside = Path(root).is_relative_to(library)  # named outright
    return LIBRARY if not inside and Path(path).is_relative_to(library) else None


def _files_in(folder: str) -> list[str]:
    """Paths in a folder; none in what is no folder, or cannot be read."""
    try:
        return [os.path.join(folder, name) for name in os.listdir(folder)]  # noqa: PTH208  as names are
    except OSError:
        return []


def _entry(path: str, below: str) -> SourceEntry:
    try:
        status = Path(path).stat()
    except FileNotFoundError:
        return SourceEntry(path, below, reason=NOWHERE)
    except OSError as problem:
        return SourceEntry(path, below, reason=f"The file cannot be read: {problem.strerror}.")
    if not stat.S_ISREG(status.st_mode):  # a pipe would wait for its writer for ever
        return SourceEntry(path, below, reason=NO_FILE)
    return SourceEntry(path, below, stamped(status.st_size, status.st_mtime_ns))
