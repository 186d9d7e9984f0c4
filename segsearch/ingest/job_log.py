"""Keeps a run's job up to date in the catalog, writes down every file it skipped, and why, and
hears there when somebody cancels it, in whichever process.

The report is `reports/job-<id>.jsonl` in the library's folder: one JSON object a line, written as
the run goes, so that a killed run leaves what it knew. The last line of a whole one is a summary,
which says of videos how many shots and seconds were indexed, and what parts of which were lost.
"""

from __future__ import annotations

import contextlib
import json
import logging
import threading
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

from segsearch.core.errors import LibraryError
from segsearch.core.types import JobStage, JobState, Skipped
from segsearch.ingest.live_clips import LIVE_CLIP
from segsearch.ingest.worker import Step
from segsearch.media.sources.paths import familiar, shown
from segsearch.storage.catalog.sql_catalog import Catalog
from segsearch.storage.owners import is_lost, owner_of_this_process

LOG = logging.getLogger(__name__)
UPDATE_SECONDS = 1.0  # each update is a transaction that reaches the disk
BEAT_SECONDS = 20.0  # after which a run says that it goes on, though nothing is to be noted
REPORTS_KEPT = 200
LOST_LISTED = 100  # videos in the summary: it is one line
STAGES = tuple(JobStage)  # in the order in which a run goes through them


class RunStop(threading.Event):
    """Ends one run: set by itself when the run is cancelled, or with the event of its caller,
    which is set when the process is to end."""

    def __init__(self, outer: threading.Event) -> None:
        super().__init__()
        self._outer = outer

    def is_set(self) -> bool:
        """Whether the run is to end."""
        return super().is_set() or self._outer.is_set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the caller's event, or a moment; a run that is cancelled meanwhile learns of it
        afterwards, so moments are short."""
        if not super().is_set():
            self._outer.wait(timeout)
        return self.is_set()

    @property
    def is_cancelled(self) -> bool:
        """Whether it was the run alone that was to end."""
        return super().is_set()


def report_name(job_id: int) -> str:
    """A job's report, as a path in the library's folder."""
    return f"reports/job-{job_id:06d}.jsonl"


class JobLog:
    """One job's row in the catalog and its report. A `lazy` one begins when a picture waits.

    `stop` is set when somebody cancels the job. While it runs, its row is looked at once a second:
    with each update, and by a thread where nothing is to be noted. That says every 20 seconds that
    the run goes on: elsewhere one counts as lost that is silent for long.
    """

    def __init__(
        self,
        catalog: Catalog,
        kind: str,
        paths: Sequence[str | Path],
        stop: threading.Event,
        *,
        lazy: bool = False,
    ) -> None:
        self._catalog = catalog
        self._kind = kind
        self._preset: str | None = None
        self._stop = stop
        self._paths = [shown(str(path)) for path in paths]
        self._id: int | None = None
        self._file: TextIO | None = None
        self._updated = 0.0
        self._listed: set[str] = set()
        self._lazy = lazy
        self._lock = threading.RLock()  # over the total, the stage, and beginning
        self._stage = JobStage.SCANNING
        self._has_ended = threading.Event()
        self._looking: threading.Thread | None = None
        self.stopped = False
        self.lost: Sequence[Skipped] = ()
        self._shots, self._video_seconds = 0, 0.0
        self.counts: dict[str, int] = {"total": 0, "done": 0, "segments": 0, "skipped": 0}

    def __enter__(self) -> Self:
        self._catalog.close_lost_jobs(lambda job: is_lost(job, self._catalog.clock))
        if not self._lazy:
            self._begin()
        return self

    def _begin(self) -> None:
        with self._lock:
            if self._id is not None:
                return
            owner = owner_of_this_process()
            job_id = self._catalog.begin_job(self._kind, owner, self._preset, self._paths)
            self._id = job_id
            self._open_report(job_id)
            # Last: where anything before has failed, nobody would end it.
            self._looking = threading.Thread(target=self._look, name="job", daemon=True)
            self._looking.start()

    def _open_report(self, job_id: int) -> None:
        path = self._catalog.folder / report_name(job_id)
        try:
            path.parent.mkdir(exist_ok=True)
            _drop_old(path.parent)
            self._file = path.open("w", encoding="utf-8")
        except OSError as problem:  # the run matters more than its report
            LOG.warning("No report can be written: %s.", problem, extra={"action": "job.report"})
            return
        self._write({"job": job_id, "kind": self._kind, "paths": self._paths})
        self._store(report=report_name(job_id), stage=self._stage)

    def _look(self) -> None:
        """Hear that it is cancelled where nothing is noted for a while: a large picture, models
        that load, a long scan. Say meanwhile that it goes on."""
        beaten = time.monotonic()
        while not self._has_ended.wait(UPDATE_SECONDS):
            now = time.monotonic()
            if now - max(self._updated, beaten) >= BEAT_SECONDS:
                beaten = now
                with self._lock:
                    self._store(stage=self._stage)
            elif self._id is not None and now - self._updated >= UPDATE_SECONDS:
                with contextlib.suppress(LibraryError):  # busy for a moment
                    if self._catalog.is_to_stop(self._id):
                        self._stop.set()

    def enter(self, stage: JobStage, **values: str) -> None:
        """What the run does from here, and what else is known of it (`device`); it never goes back
        to an earlier stage. From any thread."""
        with self._lock:
            if STAGES.index(stage) <= STAGES.index(self._stage):
                return
            self._stage = stage
            self._store(stage=stage, **values)

    def loaded(self, device: str) -> None:
        """The models are there, on this device; from any thread."""
        self.enter(JobStage.INDEXING, device=device)

    def take(self, preset: str) -> None:
        """The models that the run is about."""
        self._preset = preset
        self._store(preset=preset)

    def begin_work(self, total: int) -> None:
        """So many pictures wait."""
        self.counts["total"] = total
        if total or not self._lazy:
            self._begin()
            self._update(None)

    def expect(self, more: int) -> None:
        """So many pictures wait besides; from any thread."""
        with self._lock:
            self.counts["total"] += more
        if more:
            self._begin()

    def skip(self, skipped: Iterable[Skipped]) -> None:
        """Write files that gave nothing into the report, each once."""
        for file in skipped:
            if self._id is not None and file.path not in self._listed:
                self._listed.add(file.path)
                self.counts["skipped"] += file.reason != LIVE_CLIP  # that is with its still
                self._write({"path": file.path, "reason": file.reason})

    def note(self, step: Step) -> None:
        """One picture has ended; how far the run is goes into the catalog once a second."""
        self._begin()
        self.counts["done"] += 1
        self.counts["segments"] += step.segments
        if (seconds := step.video_seconds) is not None:
            self._shots, self._video_seconds = self._shots + 1, self._video_seconds + seconds
        with self._lock:
            self.counts["total"] = max(self.counts["total"], self.counts["done"])
        if step.reason is not None:
            self.skip([Skipped(step.path, step.reason)])
        if time.monotonic() - self._updated >= UPDATE_SECONDS:
            self._update(step.path)

    def _update(self, current: str | None) -> None:
        self._updated = time.monotonic()
        name = None if current is None else familiar(current)
        with self._lock:
            self._store(current=name, stage=self._stage, **self.counts)

    def _store(self, **values: Any) -> None:
        """Write what is known into the catalog, once the job has begun, and hear whether it is
        to stop."""
        if self._id is not None:
            with contextlib.suppress(LibraryError):  # the commits say what is really wrong
                if self._catalog.update_job(self._id, **values):
                    self._stop.set()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._id is None:
            return
        self._has_ended.set()
        if self._looking is not None:
            self._looking.join()
        state = JobState.STOPPED if self.stopped or problem else JobState.DONE
        if isinstance(problem, Exception):
            state = JobState.FAILED
        error = None if problem is None else str(problem)
        with contextlib.suppress(LibraryError):
            self._catalog.finish_job(self._id, state, error=error, **self.counts)
        if self._file is not None:
            self._write({"state": state.value, "error": error, **self.counts, **self._of_videos()})
            with contextlib.suppress(OSError):
                self._file.close()

    def _of_videos(self) -> dict[str, Any]:
        """What the summary says of videos; nothing without any."""
        if not (self._shots or self.lost):
            return {}
        lost = [{"path": file.path, "lost": file.reason} for file in self.lost[:LOST_LISTED]]
        seconds = round(self._video_seconds, 3)
        return {"shots": self._shots, "video_seconds": seconds, "lost": lost}

    def _write(self, row: dict[str, Any]) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):  # a full disk: the catalog says so
                self._file.write(json.dumps(row, ensure_ascii=True) + "\n")
                self._file.flush()


def _drop_old(folder: Path) -> None:
    paths = sorted(folder.glob("job-*.jsonl"), key=lambda path: (len(path.name), path.name))
    for path in paths[: -REPORTS_KEPT + 1]:
        path.unlink(missing_ok=True)
