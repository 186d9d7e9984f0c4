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
from segsearch_api.schemas.library import Health

router = APIRouter()
METRICS = {
    "description": "Prometheus' text format: requests, refusals, queue, images, memory.",
    "content": {"text/plain": {"schema": {"type": "string", "format": "prometheus"}}},
}
LOADING = refusal(503, "The index and the models are being loaded: try again shortly.")
UNLOADABLE = problem_of(ModelError("The file clip-lite.safetensors is missing: install again."))


@router.get("/healthz", tags=["health"], responses=refusals(library=False), response_model=Health)
async def healthz() -> dict[str, str]:
    """Answers as soon as the process listens, while models still load."""
    return {"status": "ok"}


@router.get(
    "/readyz",
    tags=["health"],
    responses=refusals(LOADING, UNLOADABLE, library=False),
    response_model=Health,
)
async def readyz(
    request: Request, response: Response, shared: SharedDep
) -> Response | dict[str, str]:
    """503 until the index and what takes words are in memory; then words are answered at once.

    The segmenter, and what takes pictures, are loaded when first needed. What could not be loaded
    is tried again, at most every ten seconds.
    """
    readiness = shared.readiness
    if readiness.error is not None:
        await run_in_threadpool(readiness.load_again, shared.library)
    if readiness.error is not None:
        raise readiness.error
    if not readiness.done:
        return LOADING
    challenge = request.headers.get(CHALLENGE)
    if challenge and shared.announcement:
        response.headers[PROOF] = shared.announcement.proof(challenge)
    return {"status": "ok"}


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
