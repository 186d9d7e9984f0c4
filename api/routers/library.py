"""What the library is made of: models and counts."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter

from segsearch.models.loading import is_here
from segsearch.models.presets import PRESETS
from segsearch_api.deps import LibraryDep
from segsearch_api.openapi import refusals
from segsearch_api.schemas.jobs import StatusDocument
from segsearch_api.schemas.library import ModelsDocument, StatsDocument

router = APIRouter()


@router.get("/v1/models", tags=["library"], response_model=ModelsDocument, responses=refusals())
def models(library: LibraryDep) -> dict[str, Any]:
    """The models that made the library's masks and vectors, and the presets that could."""
    recipe = library.recipe()
    return {
        "preset": recipe.preset if recipe else None,
        "segmenter": recipe.segmenter if recipe else None,
        "embedder": recipe.embedder if recipe else None,
        "dimension": recipe.dimension if recipe else None,
        "presets": [
            {
                "name": preset.name,
                "summary": preset.summary,
                "segmenter": preset.segmenter,
                "embedder": preset.embedder,
                "here": all(is_here(library.settings, name) for name in preset.models),
            }
            for preset in PRESETS.values()
        ],
    }


@router.get("/v1/stats", tags=["library"], response_model=StatsDocument, responses=refusals())
def stats(library: LibraryDep) -> dict[str, Any]:
    """Counts by state, format and size; `/v1/status` says what is being done."""
    counts = library.catalog.statistics()
    return {**counts, "collections": len(library.catalog.collections())}


@router.get("/v1/status", tags=["library"], responses=refusals(), response_model=StatusDocument)
def status(library: LibraryDep) -> dict[str, Any]:
    """Counts over the library, the same as `segsearch status --json`."""
    return asdict(library.status())
