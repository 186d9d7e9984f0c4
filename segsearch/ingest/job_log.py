"""Keeps a run's job up to date in the catalog, and writes down every file it skipped, and why.

The report is `reports/job-<id>.jsonl` in the library's folder: one JSON object a line, written as
the run goes, so that a killed run leaves what it knew. The last line of a whole one is a summary.
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
from segsearch.core.types import JobState, Skipped
from segsearch.ingest.worker import Step
from segsearch.media.sources.paths import shown
from segsearch.storage.catalog.sql_catalog import Catalog
from segsearch.storage.owners import is_lost, owner_of_this_process

LOG = logging.getLogger(__name__)
UPDATE_SECONDS = 1.0  # each update is a transaction that reaches the disk
REPORTS_KEPT = 200


class JobLog:
    """One job's row in the catalog and its report. A `lazy` one begins with its first picture."""

    def __init__(
        self,
        catalog: Catalog,
        kind: str,
        preset: str | None,
        paths: Sequence[str | Path],
        *,
        lazy: bool = False,
    ) -> None:
        self._catalog = catalog
        self._kind = kind
        self._preset = preset
        self._paths = [shown(str(path)) for path in paths]
        self._id: int | None = None
        self._file: TextIO | None = None
        self._updated = 0.0
        self._listed: set[str] = set()
        self._lazy = lazy
        self._lock = threading.Lock()  # over the total
        self.stopped = False
        self.counts: dict[str, int] = {"total": 0, "done": 0, "segments": 0, "skipped": 0}

    def __enter__(self) -> Self:
        self._catalog.close_lost_jobs(is_lost)
        if not self._lazy:
            self._begin()
        return self

    def _begin(self) -> None:
        if self._id is not None:
            return
        owner = owner_of_this_process()
        self._id = self._catalog.begin_job(self._kind, owner, self._preset, self._paths)
        name = f"reports/job-{self._id:06d}.jsonl"
        path = self._catalog.folder / name
        try:
            path.parent.mkdir(exist_ok=True)
            _drop_old(path.parent)
            self._file = path.open("w", encoding="utf-8")
        except OSError as problem:  # the run matters more than its report
            LOG.warning("No report can be written: %s.", problem, extra={"action": "job.report"})
            return
        self._write({"job": self._id, "kind": self._kind, "paths": self._paths})
        self._catalog.update_job(self._id, report=name)

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

    def skip(self, skipped: Iterable[Skipped]) -> None:
        """Write files that gave nothing into the report, each once."""
        for file in skipped:
            if self._id is not None and file.path not in self._listed:
                self._listed.add(file.path)
                self.counts["skipped"] += 1
                self._write({"path": file.path, "reason": file.reason})

    def note(self, step: Step) -> None:
        """One picture has ended; how far the run is goes into the catalog once a second."""
        self._begin()
        self.counts["done"] += 1
        self.counts["segments"] += step.segments
        with self._lock:
            self.counts["total"] = max(self.counts["total"], self.counts["done"])
        if step.reason is not None:
            self.skip([Skipped(step.path, step.reason)])
        if time.monotonic() - self._updated >= UPDATE_SECONDS:
            self._update(step.path)

    def _update(self, current: str | None) -> None:
        self._updated = time.monotonic()
        if self._id is not None:
            with contextlib.suppress(LibraryError):  # the commits say what is really wrong
                self._catalog.update_job(self._id, current=current, **self.counts)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._id is None:
            return
        state = JobState.STOPPED if self.stopped or problem else JobState.DONE
        if isinstance(problem, Exception):
            state = JobState.FAILED
        error = None if problem is None else str(problem)
        with contextlib.suppress(LibraryError):
            self._catalog.finish_job(self._id, state, error=error, **self.counts)
        if self._file is not None:
            self._write({"state": state.value, "error": error, **self.counts})
            with contextlib.suppress(OSError):
                self._file.close()

    def _write(self, row: dict[str, Any]) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):  # a full disk: the catalog says so
                self._file.write(json.dumps(row, ensure_ascii=True) + "\n")
                self._file.flush()


def _drop_old(folder: Path) -> None:
    paths = sorted(folder.glob("job-*.jsonl"), key=lambda path: (len(path.name), path.name))
    for path in paths[: -REPORTS_KEPT + 1]:
        path.unlink(missing_ok=True)
