"""Finds the picture files of a run and enters them: new ones, changed ones, those that are gone.

Reads each new file once for its sha256; runs no model, and forgets nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from segsearch.core.errors import PictureError
from segsearch.core.types import FileStamp, Skipped, State
from segsearch.media.sources.base import SourceListing
from segsearch.media.sources.passed_by import SYSTEM_S
from segsearch.media.sources.paths import normal
from segsearch.media.sources.reader import Sources
from segsearch.storage.catalog.sql_catalog import Catalog

PAGE = 500  # images looked up at once
GAVE_NOTHING = frozenset({State.FAILED, State.QUARANTINED})


@dataclass(frozen=True, slots=True)
class StandIns:
    """RAW files that are indexed because no picture beside them could be; those of them that are
    unreadable; how many a stop has left unread, and how many were entered just now and wait."""

    files: dict[str, FileStamp] = field(default_factory=dict)
    unreadable: tuple[Skipped, ...] = ()
    unread: int = 0
    entered: int = 0


@dataclass(frozen=True, slots=True)
class Entered:
    """What came of entering files: those that cannot be read, how many a stop has left unread, and
    how many known ones the globs leave out."""

    unreadable: list[Skipped]
    unread: int
    excluded: int


class Scan:
    """Looks at the files of one library; the catalog hears what has changed."""

    def __init__(self, catalog: Catalog, sources: Sources) -> None:
        self._catalog = catalog
        self._sources = sources

    def find(self, paths: Sequence[Path | str], within: Sequence[Path] = ()) -> SourceListing:
        """The picture files at or below these paths, as `Sources.find` has them; without paths
        none."""
        return self._sources.find(paths, within=within) if paths else SourceListing({}, ())

    def enter(
        self,
        paths: Sequence[Path | str],
        listing: SourceListing,
        recipe_id: int,
        stop: threading.Event,
    ) -> Entered:
        """Enter what is new or changed in the listing of these paths, and mark what is gone and
        what the globs leave out now."""
        known = self._catalog.file_stamps()
        unreadable, unread = self._record(known, listing.files, recipe_id, stop)
        self._mark_vanished(known, paths, listing.listed)
        return Entered(unreadable, unread, self._mark_excluded(known, listing))

    def settle_companions(
        self,
        listing: SourceListing,
        unreadable: Collection[str],
        recipe_id: int,
        stop: threading.Event,
    ) -> StandIns:
        """Of each RAW beside pictures of its name keep one image: a picture, once one is indexed,
        and the RAW where all of them gave nothing. While one waits, nothing changes."""
        companions = listing.companions
        if not companions:
            return StandIns()
        pictures = {name for raw in companions.values() for name in raw.pictures}
        states = self._catalog.states_at(sorted(pictures), recipe_id)
        known = self._catalog.file_stamps()
        needed: dict[str, FileStamp] = {}
        for path, raw in companions.items():
            done = [name for name in raw.pictures if states.get(name) == State.DONE]
            if done and path in known:
                self._catalog.fold_file(path, done[0])
            elif all(states.get(n) in GAVE_NOTHING or n in unreadable for n in raw.pictures):
                needed[path] = raw.stamp
        new = {path: stamp for path, stamp in needed.items() if known.get(path) != stamp}
        skipped, unread = self._record(known, new, recipe_id, stop)
        return StandIns(needed, tuple(skipped), unread, len(new) - len(skipped) - unread)

    def _record(
        self,
        known: Mapping[str, FileStamp],
        files: Mapping[str, FileStamp],
        recipe_id: int,
        stop: threading.Event,
    ) -> tuple[list[Skipped], int]:
        unreadable: list[Skipped] = []
        unread = 0
        for path, stamp in files.items():
            if stamp.is_known and known.get(path) == stamp:
                continue
            if stop.is_set():
                unread += 1
                continue
            try:
                self._sources.check_size(stamp.size_bytes)
                sha256, size = self._sources.digest(path)
            except PictureError as problem:
                unreadable.append(Skipped(path, str(problem)))
            else:
                stored = stamp if stamp.is_known else FileStamp(size, stamp.mtime_ns)
                self._catalog.record_file(path, stored, sha256, recipe_id)
        return unreadable, unread

    def _mark_vanished(
        self, known: Iterable[str], paths: Sequence[Path | str], listed: Collection[str]
    ) -> None:
        """Mark `known` files at or below `paths` that are gone, and unmark those that are back.

        `listed` are the files that were seen there. Nothing is forgotten: a share that is not
        mounted looks just the same.
        """
        marked = set(self._catalog.missing_paths())
        back = sorted(marked.intersection(listed))
        if back:
            self._catalog.mark_found(back)
        roots = [normal(path).rstrip("/") for path in paths]
        below = tuple(f"{root}/" for root in roots)
        gone = [
            path
            for path in known
            if path not in listed
            and path not in marked
            and (path in roots or path.startswith(below))
            and not self._sources.holds(path)
        ]
        if gone:
            self._catalog.mark_missing(gone)

    def _mark_excluded(self, known: Iterable[str], listing: SourceListing) -> int:
        """Mark `known` files that the globs leave out, and those below what systems keep beside
        pictures; unmark those that are taken again. How many are left out. Nothing is forgotten."""
        marked = set(self._catalog.excluded_paths())
        back = sorted(marked.intersection({*listing.files, *listing.companions}))
        if back:
            self._catalog.mark_excluded(back, excluded=False)
        passed_by = {name for name, why in listing.left_out.items() if why.endswith(SYSTEM_S)}
        below = (path for path in known if passed_by and not passed_by.isdisjoint(_above(path)))
        left_out = listing.excluded.intersection(known) | set(below).difference(listing.files)
        if left_out - marked:
            self._catalog.mark_excluded(sorted(left_out - marked))
        return len(left_out)

    def failures(self, files: Collection[str]) -> list[Skipped]:
        """Those of these files whose pictures gave nothing, now or in an earlier run, with the
        reason."""
        failures: list[Skipped] = []
        for state in GAVE_NOTHING:
            after = 0
            while page := self._catalog.images(state=state, after=after, limit=PAGE):
                for image in page:
                    reason = image.reason or "Unknown."
                    failures += (Skipped(path, reason) for path in image.paths if path in files)
                after = page[-1].id
        return failures


def _above(path: str) -> Iterator[str]:
    """A path, and every folder above it."""
    while path:
        yield path
        path = path.rpartition("/")[0]
