"""Finds picture files under the paths a user names; decides nothing about their content."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from segsearch.decode import SUFFIXES
from segsearch.domain import Skipped
from segsearch.errors import PathError
from segsearch.ports import FileStamp

NO_PICTURE = "Not a picture file by its ending."
BAD_NAME = "The file's name is not valid UTF-8: rename it."


@dataclass(frozen=True, slots=True)
class Found:
    """Picture files by absolute path, and those passed over."""

    files: dict[str, FileStamp]
    skipped: tuple[Skipped, ...]


def find(paths: Iterable[Path]) -> Found:
    """Every picture file at or below these paths, in sorted order.

    Hidden files and folders (and macOS's `._` companions) are left out; links to folders are not
    followed. A file named outright is taken whatever its ending. PathError for a path that does
    not exist, or when nothing at all is found.
    """
    files: dict[str, FileStamp] = {}
    skipped: list[Skipped] = []
    for path in paths:
        if not path.exists():
            raise PathError(f"There is no file or folder {str(path)!r}.")
        named = not path.is_dir()
        for name in [os.path.abspath(path)] if named else _below(path):
            _sort_in(name, files, skipped, any_ending=named)
    if not files and not skipped:
        raise PathError(f"There are no files in {', '.join(repr(str(path)) for path in paths)}.")
    return Found(files, tuple(skipped))


def _below(folder: Path) -> list[str]:
    found: list[str] = []
    for root, folders, names in os.walk(os.path.abspath(folder)):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found.extend(os.path.join(root, name) for name in names if not name.startswith("."))
    return sorted(found)


def _sort_in(
    name: str, files: dict[str, FileStamp], skipped: list[Skipped], *, any_ending: bool
) -> None:
    try:
        name.encode()
    except UnicodeEncodeError:
        skipped.append(Skipped(name.encode("utf-8", "backslashreplace").decode(), BAD_NAME))
        return
    if not any_ending and Path(name).suffix.lower() not in SUFFIXES:
        skipped.append(Skipped(name, NO_PICTURE))
        return
    try:
        stat = Path(name).stat()
    except OSError as problem:
        skipped.append(Skipped(name, f"The file cannot be read: {problem.strerror}."))
        return
    files[name] = FileStamp(stat.st_size, stat.st_mtime_ns)
