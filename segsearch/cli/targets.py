"""Refuses files that a command must not write over: the library's own, and its pictures."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from segsearch.core.errors import PathError

if TYPE_CHECKING:
    from segsearch.library import SegSearch


def refuse_dash(path: Path) -> None:
    """PathError for `-`: nobody means a file of that name."""
    if str(path) == "-":
        raise PathError("'-' names no file here; `export --into -` writes to standard output.")


def check_target(library: SegSearch, path: Path) -> None:
    """PathError for a target in the library's folder, or at or above a picture of the library, and
    for `-`, which other programs take for standard output.

    Links are followed.
    """
    refuse_dash(path)
    target = Path(os.path.realpath(path))
    folder = Path(os.path.realpath(library.settings.library))
    if target.is_relative_to(folder):
        raise PathError(f"{str(path)!r} lies in the library's folder: write to another place.")
    names = (path, target)
    is_video = any(library.catalog.video_of_path(str(name)) for name in names)
    if is_video or len(library.lacking(paths=names)) < len(names):
        raise PathError(f"{str(path)!r} holds pictures of the library: write to another place.")
