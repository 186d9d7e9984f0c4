"""Files and folders of this machine: found recursively, without hidden ones and link loops."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO

from segsearch.errors import PathError
from segsearch.ports import FileStamp
from segsearch.sources.entries import NO_FILE, Entry


class Folders:
    """Absolute paths."""

    def entries(self, name: str) -> Iterator[Entry]:
        """A file, or everything below a folder.

        Names that begin with a dot are left out (macOS's `._` companions are such). Links to files
        are followed; links to folders are not, unless one is named outright, so no loop can form.
        """
        if not os.path.lexists(name):
            raise PathError(f"There is no file or folder {name!r}.")
        if not Path(name).is_dir():
            yield _entry(name, "")
            return
        unreadable: list[OSError] = []
        for root, folders, names in os.walk(name, onerror=unreadable.append):
            folders[:] = [one for one in folders if not one.startswith(".")]
            for one in names:
                if not one.startswith("."):
                    path = os.path.join(root, one)
                    yield _entry(path, os.path.relpath(path, name))
        for problem in unreadable:
            folder = str(problem.filename)
            reason = f"The folder cannot be read: {problem.strerror}."
            yield Entry(folder, os.path.relpath(folder, name), reason=reason)

    def holds(self, name: str) -> bool:
        """Whether something lies there; True when that cannot be told, for want of permission."""
        try:
            Path(name).lstat()
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError:
            return True
        return True

    def open(self, name: str) -> AbstractContextManager[BinaryIO]:
        return Path(name).open("rb")


def _entry(path: str, below: str) -> Entry:
    try:
        found = Path(path).stat()
    except OSError as problem:
        return Entry(path, below, reason=f"The file cannot be read: {problem.strerror}.")
    if not stat.S_ISREG(found.st_mode):  # a pipe would wait for its writer for ever
        return Entry(path, below, reason=NO_FILE)
    return Entry(path, below, FileStamp(found.st_size, found.st_mtime_ns))
