"""A library and the folder that it is of, as paths that a test reads at first sight."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from segsearch.core.filters import Filters
from segsearch.core.query import Query, TextTerm
from segsearch.core.types import State
from segsearch.library import SegSearch

MAX_PIXELS = 160 * 120  # so that the small models are quick


class Shelf(NamedTuple):
    service: SegSearch
    folder: Path

    def paths(self) -> dict[str, State]:
        """Every known path below the folder, and how far its picture is."""
        return {
            os.path.relpath(path, self.folder): image.state
            for image in self.service.catalog.images(limit=10_000)
            for path in image.paths
        }

    def found(self, word: str, **filters: object) -> list[str]:
        """The paths of what words find, the best first."""
        query = Query((TextTerm(word),), filters=Filters(**filters), limit=50)  # type: ignore[arg-type]  # as they are
        hits = self.service.search(query).hits
        return [os.path.relpath(hit.image.paths[0], self.folder) for hit in hits]


def touch(path: Path) -> None:
    """Give a file another time, as a change would."""
    later = path.stat().st_mtime_ns + 10**9
    os.utime(path, ns=(later, later))
