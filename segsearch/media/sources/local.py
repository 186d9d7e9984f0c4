"""Files and folders of this machine: found recursively, without hidden ones and link loops."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from segsearch.core.errors import PathError, PictureError
from segsearch.media.decode import RAW_SUFFIXES, SUFFIXES
from segsearch.media.sources.base import COMPANION, NO_FILE, NOWHERE, SourceEntry, stamped
from segsearch.media.sources.paths import UPLOAD, suffix_of


class Folders:
    """Absolute paths. A library's own folder is no place for pictures of others."""

    def __init__(self, library: Path) -> None:
        self._library = os.path.abspath(library)

    def entries(self, name: str) -> Iterator[SourceEntry]:
        """A file, or everything below a folder.

        Names that begin with a dot are left out (macOS's `._` companions are such), and so is the
        library, unless something in it is named outright. Links to files are followed; links to
        folders are not, unless one is named outright, so no loop can form.
        """
        if not os.path.lexists(name):
            raise PathError(f"There is no file or folder {name!r}.")
        if not Path(name).is_dir():
            yield _entry(name, "")
            return
        yield from self._below(name, name)

    def changed(self, name: str, root: str) -> Iterator[SourceEntry]:
        """What a look at all of `root` would find at or below `name`, which lies in it."""
        if not os.path.lexists(name) or left_out(name, root, self._library):
            return
        if Path(name).is_dir():
            if name == root or not Path(name).is_symlink():
                yield from self._below(name, root)
            return
        entry = _entry(name, os.path.relpath(name, root))
        yield replace(entry, reason=COMPANION) if _is_companion(name) else entry

    def _below(self, name: str, root: str) -> Iterator[SourceEntry]:
        """Everything below a folder, named relative to `root`."""
        unreadable: list[OSError] = []
        for place, folders, names in os.walk(name, onerror=unreadable.append):
            paths = {name: os.path.join(place, name) for name in folders}
            folders[:] = [
                name for name, path in paths.items() if not left_out(path, place, self._library)
            ]
            for name in names:
                if not name.startswith("."):
                    path = os.path.join(place, name)
                    yield _entry(path, os.path.relpath(path, root))
        for problem in unreadable:
            folder = str(problem.filename)
            reason = f"The folder cannot be read: {problem.strerror}."
            yield SourceEntry(folder, os.path.relpath(folder, root), reason=reason)

    def holds(self, name: str) -> bool:
        """Whether a file lies there, or a link leads to one; True when that cannot be told, for
        want of permission."""
        try:
            return stat.S_ISREG(Path(self._now(name)).stat().st_mode)
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError:
            return True

    def open(self, name: str) -> AbstractContextManager[BinaryIO]:
        """A regular file; PictureError for a pipe, which would wait, and for a device."""
        file = open(self._now(name), "rb", opener=_open_at_once)  # noqa: SIM115  the caller's
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            file.close()
            raise PictureError(NO_FILE)
        return file

    def _now(self, name: str) -> str:
        """Where a file lies: what was uploaded to a library moves, and is copied, with its
        folder."""
        upload = UPLOAD.search(name)
        moved = f"{self._library}{upload[0]}" if upload else name
        return moved if Path(moved).is_file() else name


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def left_out(path: str, root: str, library: str) -> bool:
    """Whether a look at `root` passes by a path in it: hidden somewhere below, or the library's."""
    below = Path(path).relative_to(root)
    hidden = any(part.startswith(".") for part in below.parts)
    inside = Path(root).is_relative_to(library)  # named outright
    return hidden or (not inside and Path(path).is_relative_to(library))


def _is_companion(path: str) -> bool:
    """Whether a file is a camera RAW beside a developed picture of the same name."""
    if suffix_of(path) not in RAW_SUFFIXES:
        return False
    file = Path(path)
    return any(
        sibling.stem.lower() == file.stem.lower() and sibling.suffix.lower() in SUFFIXES
        for sibling in file.parent.iterdir()
    )


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
