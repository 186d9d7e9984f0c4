"""How a library stands: counts, what is under way, who works, and what is wrong, in words.

Pages ask every few seconds: it loads nothing, and what it reads does not grow with the library.
"""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, cast

from segsearch.core.errors import ModelError
from segsearch.core.settings import Settings
from segsearch.core.status import (
    DiskSpace,
    IndexGlance,
    LibraryProblem,
    PictureHolder,
    Severity,
    Status,
)
from segsearch.core.types import Job, JobState, Recipe
from segsearch.models.pipeline import ModelsOf
from segsearch.storage.catalog.sql_catalog import Catalog
from segsearch.storage.index.library_index import LibraryIndex
from segsearch.storage.owners import host_and_process, is_elsewhere, is_gone, with_real_state

FOOTPRINT_SECONDS = 60  # a library of many uploads takes a while to walk, and pages ask often
MOST_RUNNING = 50
LOW_BYTES, LOW_SHARE = 2_000_000_000, 0.05  # of a disk that is nearly full
FULL_BYTES = 200_000_000  # one that takes hardly a picture more
BEHIND_CHANGES, BEHIND_SHARE = 20_000, 0.1  # which a first search takes seconds to take up


class Overview:
    """What `status` says of one library."""

    def __init__(
        self, settings: Settings, catalog: Catalog, index: LibraryIndex, models_of: ModelsOf
    ) -> None:
        self._settings = settings
        self._catalog = catalog
        self._index = index
        self._models_of = models_of
        self._footprint = (-math.inf, 0)  # when it was measured, and bytes

    def status(self) -> Status:
        """Counts over the whole library, who fills it, and what is wrong; loads nothing."""
        active = self._catalog.active_recipe()
        counts = self._catalog.counts()
        glance, damage = self._index.glance(active) if active else (None, None)
        running, newest = self._jobs()
        disk = shutil.disk_usage(self._settings.library)
        space = DiskSpace(disk.free, disk.total)
        problems = [
            *self._of_models(active[1] if active else None),
            *_of_disk(space),
            *self._of_index(glance, damage, is_busy=bool(running)),
            *_of_pictures(counts),
            *_of_run(newest),
            *self._of_access(),
        ]
        return Status(
            **cast(Any, counts),
            preset=active[1].preset if active else None,
            bytes=self._folder_bytes(),
            library=self._catalog.name,
            recipe=active[1].fingerprint if active else None,
            schema=self._catalog.schema(),
            jobs=tuple(running),
            disk=space,
            workers=tuple(self._holders(running)),
            index=glance,
            paused=self._catalog.is_paused(),
            read_only=self._catalog.read_only,
            problems=tuple(sorted(problems, key=lambda one: one.severity is Severity.WARNING)),
        )

    def _jobs(self) -> tuple[list[Job], Job | None]:
        """The running jobs, newest first, and the newest of all."""
        clock = self._catalog.clock
        found = self._catalog.jobs(running=True, limit=MOST_RUNNING)
        jobs = [with_real_state(job, clock) for job in found]
        running = [job for job in jobs if job.state is JobState.RUNNING]
        newest = [with_real_state(job, clock) for job in self._catalog.jobs(limit=1)]
        return running, newest[0] if newest else None

    def _holders(self, running: Sequence[Job]) -> Iterator[PictureHolder]:
        """Processes that hold pictures, without those that are gone."""
        jobs = {job.owner: job for job in reversed(running)}
        for owner, pictures in sorted(self._catalog.holders().items()):
            place = host_and_process(owner)
            if place is None or is_gone(owner):
                continue
            host, process = place
            job = jobs.get(owner)
            device = job.device if job else None
            where = host if is_elsewhere(owner) else "this machine"
            who = f"process {process} on {where}" + (f", models on {device}" if device else "")
            since = job.started_at if job else None
            yield PictureHolder(who, host, process, device, pictures, since)

    def _folder_bytes(self) -> int:
        """Bytes of the library's folder; looked up again when the last look is a minute old."""
        measured, size = self._footprint
        if time.monotonic() - measured > FOOTPRINT_SECONDS:
            size = 0
            for file in self._settings.library.rglob("*"):
                with suppress(FileNotFoundError):  # gone since it was listed
                    size += file.stat().st_size if file.is_file() else 0
            self._footprint = time.monotonic(), size
        return size

    def _of_models(self, recipe: Recipe | None) -> Iterator[LibraryProblem]:
        if recipe is None:
            return
        try:
            _ = self._models_of(recipe.preset).recipe  # tells by the names of files
        except ModelError as problem:
            yield LibraryProblem(
                "models_missing",
                Severity.ERROR,
                f"The models of the library's preset {recipe.preset!r} are not here: {problem}",
                "Fetch them by `segsearch presets` and `segsearch models pull`, or put the library "
                "through others: `segsearch --preset NAME index --rebuild`.",
            )

    def _of_index(
        self, glance: IndexGlance | None, damage: str | None, *, is_busy: bool
    ) -> Iterator[LibraryProblem]:
        if damage is not None and self._index.is_elsewhere:
            yield LibraryProblem(
                "index_away",
                Severity.ERROR,
                f"Searches fail: {damage}",
                "Nothing is lost, pictures can be indexed meanwhile; start it, or look at "
                "SEGSEARCH_INDEX.",
            )
        elif damage is not None:
            yield LibraryProblem(
                "index_damaged",
                Severity.WARNING,
                f"A snapshot of the index cannot be read: {damage}",
                "Nothing is lost, searches use an older one or the catalog; `segsearch repair` "
                "clears it up.",
            )
        if glance is None or is_busy:  # a run saves at its end
            return
        if glance.behind > max(BEHIND_CHANGES, BEHIND_SHARE * glance.regions):
            yield LibraryProblem(
                "index_behind",
                Severity.WARNING,
                f"The index lies {glance.behind:,} changes behind the catalog: the next search "
                "takes them up, and takes longer.",
                "Search once, or run `segsearch repair`, which writes it anew.",
            )

    def _of_access(self) -> Iterator[LibraryProblem]:
        if self._catalog.read_only:
            yield LibraryProblem(
                "read_only",
                Severity.WARNING,
                "The library is read-only for this user: it can be searched, not changed.",
                f"Allow writing in {str(self._settings.library)!r}, or run as its owner.",
            )


def _of_disk(space: DiskSpace) -> Iterator[LibraryProblem]:
    if space.free_bytes < max(LOW_BYTES, LOW_SHARE * space.total_bytes):
        is_full = space.free_bytes < FULL_BYTES
        yield LibraryProblem(
            "disk_nearly_full",
            Severity.ERROR if is_full else Severity.WARNING,
            f"The disk that holds the library has {space.free_bytes / 1e9:.1f} GB left of "
            f"{space.total_bytes / 1e9:.0f} GB.",
            "Make room; what is stored stays, and new pictures are refused once it is full.",
        )


def _of_pictures(counts: dict[str, int]) -> Iterator[LibraryProblem]:
    again = (
        'Try them again: by "Try all again" in the status view of the page, by `segsearch index '
        "--retry-failed`, or by POST /v1/images/retry."
    )
    reasons = "The view says why of each, as GET /v1/images?state={} does."
    for code, state, what in (
        ("pictures_failed", "failed", "could not be indexed"),
        ("pictures_quarantined", "quarantined", "crashed the models twice, and were set aside"),
    ):
        if counts[state]:
            text = f"{_counted(counts[state], 'picture')} {what}."
            fix = f"{again} {reasons.format(state)}"
            yield LibraryProblem(code, Severity.WARNING, text, fix)
    if counts["missing"]:
        yield LibraryProblem(
            "files_missing",
            Severity.WARNING,
            f"{_counted(counts['missing'], 'known file')} could not be found any more.",
            "Bring back the disk or share they were on and index it again, or forget them: "
            "`segsearch prune`.",
        )


def _of_run(newest: Job | None) -> Iterator[LibraryProblem]:
    if newest is not None and newest.state is JobState.LOST:
        yield LibraryProblem(
            "run_lost",
            Severity.WARNING,
            f"The last run (job {newest.id}, {newest.kind}) ended without a word after "
            f"{newest.done:,} of {newest.total:,} pictures: its process was killed.",
            "Start it again: it goes on where it was, and nothing that was stored is lost.",
        )


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
