"""What fills the library: runs by id, newest first, and as a stream of events; what they passed
over; to end one, and to go on."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict
from typing import Annotated, Any

import anyio
from anyio import to_thread
from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from segsearch.core.errors import ConflictError, NotFoundError, OverloadError, SegSearchError
from segsearch.core.query import MAX_LIMIT
from segsearch.core.types import MAX_ID
from segsearch.library import SegSearch
from segsearch_api.deps import LibraryDep, Shared, SharedDep
from segsearch_api.errors import problem_of
from segsearch_api.middleware.auth import STILL_ALLOWED
from segsearch_api.openapi import INVALID, OVERLOADED, READ_ONLY, refusals
from segsearch_api.schemas.jobs import JobDocument, JobPage, Resumed, SkippedList

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])
NO_JOB = problem_of(NotFoundError("There is no job 9000 in the library."))
HAS_ENDED = problem_of(ConflictError("The job 12 has ended already: there is nothing to cancel."))
JobId = Annotated[int, Path(ge=1, le=MAX_ID, examples=[12])]
LOOK_SECONDS = 1.0
SHUTDOWN_LOOKS = 5  # for each look at the jobs
SILENCE_SECONDS = 15.0  # proxies close a connection over which nothing comes
MAX_STREAMS = 16
STREAM = {
    "description": "An event `jobs` with the running jobs, at once and at each change, theirs or "
    "the library's.",
    "content": {"text/event-stream": {"schema": {"type": "string", "format": "event-stream"}}},
}


@router.get("", response_model=JobPage, responses=refusals(INVALID))
def list_jobs(
    library: LibraryDep,
    before: Annotated[int | None, Query(ge=1, le=MAX_ID, description="For older ones.")] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT, description="How many at most.")] = 50,
) -> dict[str, Any]:
    """Runs that fill the library, newest first, a page at a time."""
    jobs = library.jobs(before=before, limit=limit)
    following = jobs[-1].id if len(jobs) == limit else None
    return {"jobs": [asdict(job) for job in jobs], "next_before": following}


@router.get(
    "/events",
    response_class=StreamingResponse,
    responses={200: STREAM, **refusals(OVERLOADED)},
)
async def stream_jobs(request: Request, shared: SharedDep) -> StreamingResponse:
    """Server-sent events: the running jobs as `{"jobs": [...], "changes": 812}`, at once and at
    each change; `changes` is another number after regions were added or removed.

    The stream ends with the server, and with the key that it was asked for with.
    """
    if shared.streams.open >= MAX_STREAMS:
        raise OverloadError(f"{MAX_STREAMS} pages follow the jobs already: try again later.")
    return _Followed(shared, request.scope[STILL_ALLOWED])


@router.get("/{job_id}", response_model=JobDocument, responses=refusals(NO_JOB, INVALID))
def read_job(job_id: JobId, library: LibraryDep) -> dict[str, Any]:
    """One run; it stays after it has ended."""
    return asdict(library.job(job_id))


@router.get("/{job_id}/skipped", response_model=SkippedList, responses=refusals(NO_JOB, INVALID))
def list_skipped(
    job_id: JobId,
    library: LibraryDep,
    after: Annotated[int, Query(ge=0, le=MAX_ID, description="The last page's next_after.")] = 0,
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT, description="How many at most.")] = 100,
) -> dict[str, Any]:
    """Files that a run passed over, with the reasons, a page at a time, while it runs, too."""
    page = library.runs.skipped(job_id, after=after, limit=limit)
    rows = [asdict(row) for row in page.rows]
    return {"skipped": rows, "next_after": page.next_after, "report": page.report}


@router.post(
    "/{job_id}/cancel",
    status_code=202,
    response_model=JobDocument,
    responses=refusals(NO_JOB, HAS_ENDED, INVALID, READ_ONLY),
)
def cancel_job(job_id: JobId, library: LibraryDep) -> dict[str, Any]:
    """Ask a run to stop after the pictures under way, in whichever process it is.

    It ends as `stopped`, and nothing is lost: what waits still waits. Workers pause until
    `POST /v1/jobs/resume`, an upload, pictures that are to be tried again, or until one is started.
    """
    return asdict(library.runs.cancel(job_id))


@router.post("/resume", status_code=202, response_model=Resumed, responses=refusals(READ_ONLY))
def resume_jobs(library: LibraryDep) -> dict[str, bool]:
    """Let workers go on that pause since a run was cancelled."""
    library.runs.resume()
    return {"resumed": True}


class _Followed(StreamingResponse):
    """An answer that goes on; it counts from here, since of a burst none has begun its body yet,
    to its end, though the body may never begin."""

    def __init__(self, shared: Shared, is_allowed: Callable[[], bool]) -> None:
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        events = _events(shared, is_allowed)
        super().__init__(events, media_type="text/event-stream", headers=headers)
        self._streams = shared.streams
        self._streams.open += 1

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._streams.open -= 1


async def _events(shared: Shared, is_allowed: Callable[[], bool]) -> AsyncIterator[str]:
    """Events until the caller leaves, may not look any more, or the server ends."""
    sent, sent_at = "", time.monotonic()
    while not shared.streams.is_ending() and await to_thread.run_sync(is_allowed):
        text = await to_thread.run_sync(_running, shared.library)
        if text is not None and text != sent:
            sent, sent_at = text, time.monotonic()
            yield f"event: jobs\ndata: {text}\n\n"
        elif time.monotonic() - sent_at > SILENCE_SECONDS:
            sent_at = time.monotonic()
            yield ": nothing new\n\n"
        for _ in range(SHUTDOWN_LOOKS):
            if not shared.streams.is_ending():
                await anyio.sleep(LOOK_SECONDS / SHUTDOWN_LOOKS)


def _running(library: SegSearch) -> str | None:
    try:
        jobs, changes = library.jobs(running=True), library.catalog.newest_change()
    except SegSearchError:  # busy for a moment; the next look will tell
        return None
    document = {"jobs": [asdict(job) for job in jobs], "changes": changes}
    return json.dumps(document)
