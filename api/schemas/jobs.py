"""The shapes of runs, of what they passed over and of the status, with an example each."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field
from pydantic.dataclasses import dataclass

from segsearch.core.fields import Id, strict
from segsearch.core.status import Status
from segsearch.core.types import Job
from segsearch_api.schemas.library import MAX_IDS

JOB: dict[str, Any] = {
    "id": 12,
    "kind": "index",
    "state": "running",
    "preset": "demo",
    "paths": ["/pictures"],
    "total": 48,
    "done": 17,
    "segments": 311,
    "skipped": 1,
    "current": "/pictures/a.jpg",
    "error": None,
    "report": "reports/job-000012.jsonl",
    "owner": "host:4711:182341",
    "started_at": "2026-01-31T12:00:00.000+00:00",
    "updated_at": "2026-01-31T12:00:41.250+00:00",
    "finished_at": None,
    "stage": "indexing",
    "stopping": False,
    "device": "cpu",
}
STATUS: dict[str, Any] = {
    "images": 48,
    "segments": 913,
    "pending": 0,
    "failed": 1,
    "quarantined": 0,
    "read": 48,
    "to_read": 0,
    "unreadable": 0,
    "lines": 113,
    "near_duplicates": 2,
    "missing": 0,
    "excluded": 0,
    "videos": 1,
    "preset": "demo",
    "bytes": 4180212,
    "library": "/library",
    "recipe": "f2ca1bb6c7e907d06dafe4687e579fce76b37e4e93b7605022da52e6ccc26fd2",
    "schema": "0013",
    "jobs": [],
    "disk": {"free_bytes": 210_000_000_000, "total_bytes": 500_000_000_000},
    "workers": [
        {
            "who": "process 4711 on this machine, models on cpu",
            "host": "host",
            "process": 4711,
            "device": "cpu",
            "pictures": 2,
            "since": "2026-01-31T12:00:00.000+00:00",
        }
    ],
    "index": {
        "regions": 913, "generation": 931, "behind": 0, "layout": "flat", "loaded": True,
    },
    "paused": False,
    "read_only": False,
    "problems": [
        {
            "code": "pictures_failed",
            "severity": "warning",
            "what": "1 picture could not be indexed.",
            "fix": "Try them again: by `segsearch index --retry-failed`, or POST /v1/images/retry.",
        }
    ],
}  # fmt: skip
Ids = Annotated[list[Id], Field(min_length=1, max_length=MAX_IDS)]


@dataclass(frozen=True, config=strict(JOB))
class JobDocument(Job):
    """One run that fills the library."""


@dataclass(frozen=True, config=strict(STATUS))
class StatusDocument(Status):
    """Counts over the library."""

    jobs: Annotated[tuple[JobDocument, ...], Field(description="Runs under way, newest first.")]


class JobPage(BaseModel):
    """Runs, newest first."""

    model_config = strict({"jobs": [JOB], "next_before": None})

    jobs: list[JobDocument]
    next_before: int | None = Field(
        description="Pass it as `before` for older ones; null at the end."
    )


class Resumed(BaseModel):
    """Workers go on."""

    model_config = strict({"resumed": True})

    resumed: bool


class RetryRequest(BaseModel):
    """Images to try again by their ids, or all that failed or are quarantined."""

    model_config = strict({"image_ids": [31, 32]})

    image_ids: Ids | None = Field(None, description="Null: all of them.")


class SkippedFile(BaseModel):
    """A file that gave nothing, and why."""

    model_config = strict()

    path: str
    name: str = Field(description="The file's own name; of an upload the one it came with.")
    reason: str = Field(description="One sentence.")
    image_id: int | None = Field(description="Where the library knows the file.")


class SkippedList(BaseModel):
    """A part of what a run passed over, in the order in which it met it."""

    model_config = strict(
        {
            "skipped": [
                {
                    "path": "/pictures/notes.jpg",
                    "name": "notes.jpg",
                    "reason": "The file is empty (0 bytes).",
                    "image_id": 31,
                }
            ],
            "next_after": None,
            "report": "whole",
        }
    )

    skipped: list[SkippedFile]
    next_after: int | None = Field(description="Pass it as `after` for more; null at the end.")
    report: Literal["whole", "unfinished", "gone"] = Field(
        description="`unfinished`: the run goes on, or was killed. `gone`: its report was deleted, "
        "as those of all but the last 200 runs are, or could not be written."
    )
