"""Whether the process lives, whether it can search, and metrics for Prometheus."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from segsearch.core.errors import ModelError
from segsearch.storage.announcement import CHALLENGE, PROOF
from segsearch_api.deps import SharedDep
from segsearch_api.errors import problem_of, refusal
from segsearch_api.openapi import refusals
from segsearch_api.schemas.library import Health, ReadyDocument

router = APIRouter()
METRICS = {
    "description": "Prometheus' text format: requests, refusals, queue, images, memory.",
    "content": {"text/plain": {"schema": {"type": "string", "format": "prometheus"}}},
}
LOADING = refusal(503, "The index and the models are being loaded: try again shortly.")
BEHIND = refusal(
    503, "The index lacks 250,000 changes of the catalog, and takes them up: try again shortly."
)
UNLOADABLE = problem_of(ModelError("The file clip-lite.safetensors is missing: install again."))


@router.get("/healthz", tags=["health"], responses=refusals(library=False), response_model=Health)
async def healthz() -> dict[str, str]:
    """Answers as soon as the process listens, while models still load."""
    return {"status": "ok"}


@router.get(
    "/readyz",
    tags=["health"],
    responses=refusals(LOADING, BEHIND, UNLOADABLE, library=False, busy=True),
    response_model=ReadyDocument,
)
async def readyz(
    request: Request, response: Response, shared: SharedDep
) -> Response | dict[str, str | int]:
    """503 until the index and what takes words are in memory; then words are answered at once.

    503, too, while the catalog or a Milvus cannot be reached, and while the index lacks more of
    the catalog's changes than SEGSEARCH_READY_BEHIND; those it then takes up, though nobody
    searches. The segmenter, and what takes pictures, are loaded when first needed. What could not
    be loaded is tried again, at most every ten seconds.
    """
    readiness = shared.readiness
    if readiness.error is not None:
        await run_in_threadpool(readiness.load_again, shared.library)
    if readiness.error is not None:
        raise readiness.error
    if not readiness.done:
        return LOADING
    behind = await run_in_threadpool(shared.library.behind)
    most = shared.library.settings.ready_behind
    if most and behind > most:
        readiness.catch_up(shared.library)
        return refusal(
            503,
            f"The index lacks {behind:,} changes of the catalog, and takes them up: try again "
            "shortly.",
        )
    challenge = request.headers.get(CHALLENGE)
    if challenge and shared.announcement:
        response.headers[PROOF] = shared.announcement.proof(challenge)
    return {"status": "ok", "behind": behind}


@router.get(
    "/metrics",
    tags=["health"],
    response_class=Response,
    responses={200: METRICS, **refusals(busy=False)},
)
def metrics(request: Request) -> Response:
    """What Prometheus collects; needs a key where others do."""
    registry = request.app.state.metrics.registry
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)
