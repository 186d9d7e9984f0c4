"""What the library is made of: models, counts, and metrics for Prometheus."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from segsearch.models.loading import is_here
from segsearch.models.presets import PRESETS
from segsearch_api.deps import (
    Here,
)
from segsearch_api.openapi import (
    refusals,
)
from segsearch_api.schemas.library import (
    ModelsDocument,
    StatsDocument,
)

router = APIRouter()
METRICS = {
    "description": "Prometheus' text format: requests, refusals, queue, images, memory.",
    "content": {"text/plain": {"schema": {"type": "string", "format": "prometheus"}}},
}


@router.get("/v1/models", tags=["library"], response_model=ModelsDocument, responses=refusals())
def models(here: Here) -> dict[str, Any]:
    """The models that made the library's masks and vectors, and the presets that could."""
    recipe = here.service.recipe()
    return {
        "preset": recipe.preset if recipe else None,
        "segmenter": recipe.segmenter if recipe else None,
        "embedder": recipe.embedder if recipe else None,
        "dimension": recipe.dimension if recipe else None,
        "presets": [
            {
                "name": one.name,
                "summary": one.summary,
                "segmenter": one.segmenter,
                "embedder": one.embedder,
                "here": all(is_here(here.service.settings, name) for name in one.models),
            }
            for one in PRESETS.values()
        ],
    }


@router.get("/v1/stats", tags=["library"], response_model=StatsDocument, responses=refusals())
def stats(here: Here) -> dict[str, Any]:
    """Counts by state, format and size; `/v1/status` says what is being done."""
    found = here.service.catalog.statistics()
    return {**found, "collections": len(here.service.catalog.collections())}


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
