"""Whether the process lives, whether it can search, and what the library holds."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter
from fastapi.concurrency import run_in_threadpool
from starlette.responses import Response

from segsearch.core.errors import ModelError
from segsearch_api.deps import (
    Here,
)
from segsearch_api.errors import (
    problem_of,
    refusal,
)
from segsearch_api.openapi import (
    refusals,
)
from segsearch_api.schemas.library import (
    Health,
    StatusDocument,
)

router = APIRouter()
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
async def readyz(here: Here) -> Response | dict[str, str]:
    """503 until the index and the models are in memory; then searches answer at once.

    What could not be loaded is tried again, at most every ten seconds.
    """
    if here.readiness.error is not None:
        await run_in_threadpool(here.readiness.load_again, here.service)
    if here.readiness.error is not None:
        raise here.readiness.error
    return {"status": "ok"} if here.readiness.done else LOADING


@router.get("/v1/status", tags=["library"], responses=refusals(), response_model=StatusDocument)
def status(here: Here) -> dict[str, Any]:
    """Counts over the library, the same as `segsearch status --json`."""
    return asdict(here.service.status())
