"""Refuses files that a command must not write over: the library's own, and its pictures."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from segsearch.core.errors import PathError

if TYPE_CHECKING:
    from segsearch.library import SegSearch


def check_target(service: SegSearch, path: Path) -> None:
    """PathError for a target in the library's folder, and for one at which, or below which, the
    catalog knows a picture; links are followed."""
    place = Path(os.path.realpath(path))
    library = Path(os.path.realpath(service.settings.library))
    if place.is_relative_to(library):
        raise PathError(f"{str(path)!r} lies in the library's folder: write to another place.")
    names = (path, place)
    if len(service.lacking(paths=names)) < len(names):
        raise PathError(f"{str(path)!r} holds pictures of the library: write to another place.")
