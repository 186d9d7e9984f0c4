"""Finds the picture files of a run and enters them: new ones, changed ones, those that are gone.

Reads each new file once for its sha256, looks through each new video once for its shots; runs no
model, and forgets nothing but parts that a changed file no longer has. Files are entered in
batches, one transaction each: a transaction waits for the disk, 12 ms on a laptop's.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from segsearch.core.errors import PictureError, StoreError
from segsearch.core.names import ANIMATED_SUFFIXES, VIDEO_SUFFIXES, file_of
from segsearch.core.types import FileStamp, Skipped, State
from segsearch.ingest.file_parts import (
    does_not_move,
    is_document,
    is_video_file,
    left_of,
    pages_of,
    seen_shots,
    with_parts,
)
from segsearch.ingest.live_clips import live_clips, without_clips
from segsearch.media.ffmpeg import DEFAULT_LIMITS, VideoLimits, look, moves
from segsearch.media.sources.base import SourceListing
from segsearch.media.sources.passed_by import SYSTEM_S
from segsearch.media.sources.paths import is_upload, normal, shown, suffix_of
from segsearch.media.sources.reader import Sources
from segsearch.storage.catalog.files import SeenFile
from segsearch.storage.catalog.sql_catalog import Catalog

PAGE = 500  # images looked up at once
BATCH_FILES = 256  # entered in one transaction
BATCH_SECONDS = 0.5  # after which a smaller batch is entered: models wait for the first
UPLOADS_SECONDS = 600.0  # between two looks for uploads whose store was away, and of each at least
UPLOADS_ASKED = 200  # at one look; a request each
GAVE_NOTHING = frozenset({State.FAILED, State.QUARANTINED})
IsMoving = Callable[[str, FileStamp], bool]
EnterParts = Callable[[str, FileStamp, int, "Entered"], int]


@dataclass(frozen=True, slots=True)
class StandIns:
    """RAW files that are indexed because no picture beside them could be; those of them that are
    unreadable; how many a stop has left unread, and how many were entered just now and wait."""

    files: dict[str, FileStamp] = field(default_factory=dict)
    unreadable: tuple[Skipped, ...] = ()
    unread: int = 0
    entered: int = 0


@dataclass(slots=True)
class Entered:
    """What came of entering files: how many images were queued, those files that cannot be read,
    how many a stop has left unread, how many known ones the globs leave out, what PDFs and videos
    are entered as, and of which videos a part is `lost`, or nothing can be read (`refused`), with
    the reasons. `parted` are files of which the catalog has parts."""

    queued: int = 0
    unreadable: list[Skipped] = field(default_factory=list)
    unread: int = 0
    excluded: int = 0
    documents: dict[str, dict[str, FileStamp]] = field(default_factory=dict)
    lost: list[Skipped] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    parted: frozenset[str] = frozenset()

    def files(self, listing: SourceListing) -> dict[str, FileStamp]:
        """The picture files of a listing, with the parts of the files that were entered."""
        files = {p: stamp for p, stamp in listing.files.items() if p not in self.documents}
        for pages in self.documents.values():
            files |= pages
        return files


@dataclass(frozen=True, slots=True)
class Look:
    """What a run sees of its paths, which are `roots` without a slash at the end: the stamps of
    the `known` files among and below them, and those listed files that the catalog has otherwise,
    or not at all. In the listing PDFs and videos of which nothing has changed are their parts;
    `parted` are files of which the catalog has parts, `clips` those of live photos with their
    stills."""

    known: Mapping[str, FileStamp]
    roots: Sequence[str]
    listing: SourceListing
    changed: Mapping[str, FileStamp]
    new: Mapping[str, FileStamp]
    parted: frozenset[str]
    clips: Mapping[str, str]


class Scan:
    """Looks at the files of one library; the catalog hears what has changed."""

    def __init__(
        self,
        catalog: Catalog,
        sources: Sources,
        limits: VideoLimits = DEFAULT_LIMITS,
        *,
        animated: bool = False,
    ) -> None:
        self._catalog = catalog
        self._sources = sources
        self._video_limits = limits
        self._animated = animated  # whether pictures that move are videos
        self._uploads_looked_at = -math.inf

    def find(
        self,
        paths: Sequence[Path | str],
        within: Sequence[Path] = (),
        is_moving: IsMoving | None = None,
    ) -> SourceListing:
        """The picture files at or below these paths, as `Sources.find` has them, without those that
        are being written; without paths none."""
        if not paths:
            return SourceListing({}, ())
        listing = self._sources.find(paths, within=within)
        if is_moving is None:
            return listing
        still = {path: stamp for path, stamp in listing.files.items() if not is_moving(path, stamp)}
        return replace(listing, files=still)

    def look(
        self, paths: Sequence[Path | str], listing: SourceListing, *, again: bool = False
    ) -> Look:
        """What there is to enter of the listing of these paths; `again`, PDFs too that could not be
        opened before, and videos."""
        roots = [normal(path).rstrip("/") for path in paths]
        clips = live_clips(listing, self._sources.on_disk, self._catalog.stamps_at)
        listing = without_clips(listing, clips)
        known = self._catalog.stamps_below(roots)
        known |= self._catalog.stamps_at(path for path in listing.files if path not in known)
        moves = self._moves if self._animated else None
        parted = with_parts(listing, known, again=again, moves=moves)
        changed: dict[str, FileStamp] = {}
        new: dict[str, FileStamp] = {}
        for path, stamp in parted.listing.files.items():
            if path in parted.changed:
                changed[path] = stamp
            elif path in parted.new:
                new[path] = stamp
            elif not stamp.is_known or known.get(path) != stamp:
                (changed if path in known else new)[path] = stamp
        return Look(known, roots, parted.listing, changed, new, parted.parted, clips)

    def enter(
        self,
        files: Mapping[str, FileStamp],
        recipe_id: int,
        entered: Entered,
        stopped: Callable[[], bool],
        queued: Callable[[int], object] = lambda _: None,
    ) -> None:
        """Enter files whose stamps the catalog does not have, and add to `entered` what came of
        it; `queued` hears of each batch how many images it queued."""
        batch: list[SeenFile] = []
        began = time.monotonic()

        def flush() -> None:
            if batch:
                count = self._catalog.record_files(batch, recipe_id)
                batch.clear()
                entered.queued += count
                queued(count)

        # Pictures first: a video takes minutes to be looked through.
        ordered = sorted(files, key=lambda path: is_video_file(path, animated=self._animated))
        for path in ordered:
            stamp = files[path]
            if stopped():
                entered.unread += 1
                continue
            if not batch:
                began = time.monotonic()
            try:
                self._catalog.check_path(path)
                enter = self._way_of(path, stopped, entered)
                if enter is not None:
                    flush()
                    queued(enter(path, stamp, recipe_id, entered))
                    continue
                self._sources.check_size(stamp.size_bytes)
                listed = stamp.size_bytes if stamp.is_known else None
                sha256, size = self._sources.digest(path, listed)
            except PictureError as problem:
                entered.unreadable.append(Skipped(path, str(problem)))
            else:
                stored = stamp if stamp.is_known else FileStamp(size, stamp.mtime_ns)
                batch.append(SeenFile(path, stored, sha256))
            if len(batch) >= BATCH_FILES or time.monotonic() - began >= BATCH_SECONDS:
                flush()
        flush()

    def _way_of(
        self, path: str, stopped: Callable[[], bool], entered: Entered
    ) -> EnterParts | None:
        """How a file of several pictures is entered; None for a picture. What was a video is looked
        through as one, whatever is animated now."""
        if is_video_file(path, animated=path in entered.parted):
            return partial(self._enter_video, stopped)
        if is_video_file(path, animated=self._animated) and self._moves(path):
            return partial(self._enter_video, stopped)
        return self._enter_document if is_document(path) else None

    def _moves(self, path: str) -> bool:
        """Whether a picture moves; False where it cannot be read, which is said elsewhere."""
        try:
            return moves(next(iter(self._sources.pieces(path)), b""))
        except (PictureError, StoreError):
            return False

    def _enter_document(self, path: str, stamp: FileStamp, recipe_id: int, entered: Entered) -> int:
        """Enter all pages of a PDF in one transaction; how many images were queued. What it no
        longer has is forgotten, as what any changed file held before is."""
        self._sources.check_size(stamp.size_bytes)
        listed = stamp.size_bytes if stamp.is_known else None
        files = pages_of(path, stamp, self._sources.read(path, listed))
        is_whole = file_of(files[0].path) != files[0].path
        return self._enter_parts(path, files, recipe_id, entered, is_whole=is_whole)

    def _enter_video(
        self,
        stopped: Callable[[], bool],
        path: str,
        stamp: FileStamp,
        recipe_id: int,
        entered: Entered,
    ) -> int:
        """Look through a video and enter its shots, as `_enter_document` does pages. A picture that
        does not move is entered as such."""
        with self._sources.videos.file(path) as on_disk:
            sha256, size = self._sources.videos.sha256(on_disk), on_disk.stat().st_size
            info, problem = None, ""
            try:
                info = look(on_disk, self._video_limits, stopped=stopped)
            except PictureError as error:
                problem = str(error)
        is_still = info is not None and suffix_of(path) in ANIMATED_SUFFIXES and does_not_move(info)
        if stopped():
            entered.unread += 1
            return 0
        if info and info.lost:
            entered.lost.append(Skipped(shown(path), info.lost))
        stored = stamp if stamp.is_known else FileStamp(size, stamp.mtime_ns)
        files = seen_shots(path, stored, sha256, None if is_still else info)
        count = self._enter_parts(path, files, recipe_id, entered, is_whole=info is not None)
        if problem and suffix_of(path) in VIDEO_SUFFIXES:  # what else moves may be a picture
            entered.refused[path] = problem
            count -= self.refuse({path: problem}, recipe_id)
        return count

    def refuse(self, problems: Mapping[str, str], recipe_id: int) -> int:
        """Mark videos as failed that were looked through, with the reasons, so that nobody does it
        again; how many waited."""
        return sum(self._catalog.refuse(path, recipe_id, why) for path, why in problems.items())

    def _enter_parts(
        self, path: str, files: list[SeenFile], recipe_id: int, entered: Entered, *, is_whole: bool
    ) -> int:
        """Enter the parts of a file, or itself; how many images were queued. `is_whole` where these
        are all: what cannot be opened, such as a copy under way, says nothing of its parts."""
        known = self._catalog.stamps_below([path])
        count = self._catalog.record_files(files, recipe_id)
        gone = left_of(path, known, files)
        if gone and is_whole:
            if path in gone:  # it was a picture, of which people may have said something
                self._catalog.fold_file(path, files[0].path)
            self._catalog.forget_paths(gone)
        entered.documents[path] = {file.path: file.stamp for file in files}
        entered.queued += count
        return count

    def mark(self, look: Look) -> int:
        """Mark what is gone and what the globs leave out now, of a look whose files have been
        entered; how many the globs leave out."""
        self._mark_vanished(look)
        self._fold_clips(look)
        return self._mark_excluded(look.known, look.listing)

    def _fold_clips(self, look: Look) -> None:
        """Forget what was a video before its still came, which takes over the tags."""
        for path in look.known if look.clips else ():
            if still := look.clips.get(file_of(path)):
                self._catalog.fold_file(path, still)

    def settle_companions(
        self,
        listing: SourceListing,
        unreadable: Collection[str],
        recipe_id: int,
        stopped: Callable[[], bool],
    ) -> StandIns:
        """Of each RAW beside pictures of its name keep one image: a picture, once one is indexed,
        and the RAW where all of them gave nothing. While one waits, nothing changes."""
        companions = listing.companions
        if not companions:
            return StandIns()
        pictures = {name for raw in companions.values() for name in raw.pictures}
        states = self._catalog.states_at(sorted(pictures), recipe_id)
        known = self._catalog.stamps_at(companions)
        needed: dict[str, FileStamp] = {}
        for path, raw in companions.items():
            done = [name for name in raw.pictures if states.get(name) == State.DONE]
            if done and path in known:
                self._catalog.fold_file(path, done[0])
            elif all(states.get(n) in GAVE_NOTHING or n in unreadable for n in raw.pictures):
                needed[path] = raw.stamp
        new = {path: stamp for path, stamp in needed.items() if known.get(path) != stamp}
        entered = Entered()
        self.enter(new, recipe_id, entered, stopped)
        skipped, unread = entered.unreadable, entered.unread
        return StandIns(needed, tuple(skipped), unread, len(new) - len(skipped) - unread)

    def take_up_uploads(self) -> None:
        """Let uploads wait again that failed because their file was away, and is back: no look at
        a folder finds them. Every few minutes, some of them."""
        if time.monotonic() < self._uploads_looked_at + UPLOADS_SECONDS:
            return
        self._uploads_looked_at = time.monotonic()
        missing = self._catalog.missing_paths(for_seconds=UPLOADS_SECONDS)
        away = [path for path in missing if is_upload(path)]
        asked = random.sample(away, min(len(away), UPLOADS_ASKED))
        if back := [path for path in asked if self._sources.holds_upload(path)]:
            self._catalog.mark_found(back)

    def _mark_vanished(self, look: Look) -> None:
        """Mark known files at or below the paths of a look that are gone, and unmark those that
        are back.

        Nothing is forgotten: a share that is not mounted looks just the same.
        """
        listed = look.listing.listed
        marked = set(self._catalog.missing_paths())
        back = sorted(marked.intersection(listed))
        if back:
            self._catalog.mark_found(back)
        roots = set(look.roots)
        has_all = "" in roots  # of `/`

        def is_below(path: str) -> bool:
            return not roots.isdisjoint(_above(path)) or (has_all and path.startswith("/"))

        gone = [
            path
            for path in look.known
            if path not in listed
            and path not in marked
            and is_below(path)
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
    """A path, the file that a page is of, and every folder above it."""
    if file_of(path) != path:
        yield path
        path = file_of(path)
    while path:
        yield path
        path = path.rpartition("/")[0]
