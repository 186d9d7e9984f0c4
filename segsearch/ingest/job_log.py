"""Says what a run is doing while it does it, and writes down every file it skipped, and why.

The report is `reports/job-<id>.jsonl` in the library's folder: one JSON object a line, written as
the run goes, so that a killed run leaves what it knew. The last line of a whole one is a summary.
"""

from __future__ import annotations

import contextlib
import json
import logging
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

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
        self, catalog: Catalog, library: Path, kind: str, preset: str | None,
        paths: Sequence[str | Path],
        *, lazy: bool = False,
    ) -> None:  # fmt: skip
        self._catalog = catalog
        self._library = library
        self._kind = kind
        self._preset = preset
        self._paths = [shown(str(path)) for path in paths]
        self._id: int | None = None
        self._file: TextIO | None = None
        self._updated = 0.0
        self._listed: set[str] = set()
        self.stopped = False
        self.counts: dict[str, int] = {"total": 0, "done": 0, "segments": 0, "skipped": 0}
        self._lazy = lazy

    def __enter__(self) -> JobLog:
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
        try:
            folder = self._library / "reports"
            folder.mkdir(exist_ok=True)
            _drop_old(folder)
            self._file = (self._library / name).open("w", encoding="utf-8")
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

    def skip(self, skipped: Iterable[Skipped]) -> None:
        """Write files that gave nothing into the report, each once."""
        for one in skipped:
            if self._id is not None and one.path not in self._listed:
                self._listed.add(one.path)
                self.counts["skipped"] += 1
                self._write({"path": one.path, "reason": one.reason})

    def note(self, step: Step) -> None:
        """One picture was dealt with."""
        if step.again:
            return
        self._begin()
        self.counts["done"] += 1
        self.counts["segments"] += step.segments
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
        state = JobState.STOPPED if self.stopped else JobState.DONE
        if problem is not None:
            state = JobState.FAILED if isinstance(problem, Exception) else JobState.STOPPED
        error = str(problem) if problem is not None else None
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
    names = sorted(folder.glob("job-*.jsonl"), key=lambda path: (len(path.name), path.name))
    for path in names[: -REPORTS_KEPT + 1]:
        path.unlink(missing_ok=True)
