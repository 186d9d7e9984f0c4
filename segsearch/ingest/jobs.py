"""What a person may ask of runs: how far each is, to end it, to go on, to try pictures again."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from segsearch.core.errors import ConflictError, NotFoundError, QueryError
from segsearch.core.query import MAX_LIMIT
from segsearch.core.types import Job, JobState
from segsearch.ingest.job_log import report_name
from segsearch.media.sources.paths import name_of, shown
from segsearch.storage.catalog.sql_catalog import Catalog
from segsearch.storage.owners import with_real_state

MOST_LINE_BYTES = 65_536  # of a report: a path of 4,096 bytes, written as \u escapes, and a reason
MOST_PAGE_BYTES = 8_000_000  # that are read for one page, whatever they hold
UNFINISHED = frozenset({JobState.RUNNING, JobState.LOST})


@dataclass(frozen=True, slots=True)
class SkippedRow:
    """A file that gave nothing: its path, the name that a person knows it by, why, and the image
    that the library has of it, if any."""

    path: str
    name: str
    reason: str
    image_id: int | None


@dataclass(frozen=True, slots=True)
class SkippedPage:
    """Some rows of a job's report. `next_after` is where the next page begins, None at the end.
    `report` is `whole`, `unfinished` (the job runs, or was killed), or `gone`."""

    rows: list[SkippedRow]
    next_after: int | None
    report: str


class Jobs:
    """The runs that fill one library."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def page(
        self, *, before: int | None = None, limit: int = 50, running: bool = False
    ) -> list[Job]:
        """Runs, newest first; those `before` an id, or only running ones.

        One whose process has died counts as lost. QueryError for a limit out of range.
        """
        if not 1 <= limit <= MAX_LIMIT:
            raise QueryError(f"The limit is {limit}, expected 1 to {MAX_LIMIT}.")
        found = self._catalog.jobs(before=before, limit=limit, running=running)
        jobs = [with_real_state(job, self._catalog.clock) for job in found]
        return [job for job in jobs if not running or job.state is JobState.RUNNING]

    def get(self, job_id: int) -> Job:
        """One job; NotFoundError when there is none of this id."""
        jobs = self._catalog.jobs(job_id=job_id)
        if not jobs:
            raise NotFoundError(f"There is no job {job_id} in the library.")
        return with_real_state(jobs[0], self._catalog.clock)

    def cancel(self, job_id: int) -> Job:
        """Ask a run to stop between two pictures, in whichever process it is, and workers to pause
        until `resume`; the job as it is now. Asked again it does the same.

        Raises NotFoundError, ConflictError for a job that has ended.
        """
        job = self.get(job_id)
        if job.state is not JobState.RUNNING or not self._catalog.cancel_job(job_id):
            raise ConflictError(f"The job {job_id} has ended already: there is nothing to cancel.")
        return self.get(job_id)

    def resume(self) -> None:
        """Let workers go on that pause since a job was cancelled."""
        self._catalog.resume()

    def retry(self, image_ids: Sequence[int] | None = None) -> int:
        """Let pictures wait again that failed or are quarantined under the recipe in use, all or
        those of these ids, and workers go on; how many that are."""
        active = self._catalog.active_recipe()
        if active is None:
            return 0
        changed = self._catalog.retry(active[0], image_ids)
        if changed:
            self._catalog.resume()
        return changed

    def skipped(self, job_id: int, *, after: int = 0, limit: int = 100) -> SkippedPage:
        """Files that a job passed over, a page at a time, from its report; no more of it is read.

        `after` is the last page's `next_after`. Raises NotFoundError for an unknown job.
        """
        job = self.get(job_id)
        state = "unfinished" if job.state in UNFINISHED else "whole"
        try:
            with (self._catalog.folder / report_name(job_id)).open("rb") as file:
                found, end = _rows(file, after, limit)
        except OSError:
            return SkippedPage([], None, "gone")
        ids = self._catalog.image_ids_at([path for path, _ in found])
        rows = [SkippedRow(path, name_of(path), why, ids.get(path)) for path, why in found]
        return SkippedPage(rows, end, state)


def _rows(file: BinaryIO, after: int, limit: int) -> tuple[list[tuple[str, str]], int | None]:
    """Paths and reasons from a place in a report on, and where the next page begins."""
    file.seek(min(max(0, after - 1), file.seek(0, os.SEEK_END)))
    if after:
        file.readline(MOST_LINE_BYTES)  # to a line's beginning, wherever the place was
    found: list[tuple[str, str]] = []
    for line in _lines(file, file.tell() + MOST_PAGE_BYTES):
        row = _row(line)
        if row is None:
            continue
        found.append(row)
        if len(found) == limit:
            break
    return found, file.tell() if _goes_on(file) else None


def _lines(file: BinaryIO, end: int) -> Iterator[bytes]:
    """Whole lines up to a place: the last one of a run that was killed may be half."""
    while file.tell() < end and (line := file.readline(MOST_LINE_BYTES)):
        if line.endswith(b"\n"):
            yield line


def _goes_on(file: BinaryIO) -> bool:
    """Whether a row follows, and not only the summary or half a line."""
    place = file.tell()
    line = file.readline(MOST_LINE_BYTES)
    more = bool(file.read(1))
    file.seek(place)
    return more or _row(line) is not None


def _row(line: bytes) -> tuple[str, str] | None:
    """Path and reason of a line; None for what says something else, or nothing."""
    try:
        row = json.loads(line)
        path, reason = row["path"], row["reason"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    if not (isinstance(path, str) and isinstance(reason, str)):
        return None
    return shown(path), shown(reason)
