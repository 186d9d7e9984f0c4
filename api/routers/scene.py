"""One route that answers several things at once, and how they lie, with pictures."""

from __future__ import annotations

import time
from typing import Any

from fastapi import APIRouter

from segsearch.export.scene_documents import SceneDocument
from segsearch.export.video_documents import MomentDocument
from segsearch.search.schema import SceneRequest
from segsearch_api.deps import SharedDep
from segsearch_api.openapi import (
    BAD_QUERY,
    BODY_TOO_LARGE,
    EMPTY,
    INVALID,
    MALFORMED,
    NOT_FOUND,
    OTHER_MODELS,
    OVERLOADED,
    refusals,
)
from segsearch_api.schemas.search import SceneAnswerDocument

router = APIRouter(prefix="/v1", tags=["search"])


@router.post(
    "/search/scene",
    response_model=SceneAnswerDocument,
    responses=refusals(
        MALFORMED, NOT_FOUND, BODY_TOO_LARGE, INVALID, BAD_QUERY, EMPTY, OTHER_MODELS, OVERLOADED
    ),
)
async def scene(body: SceneRequest, shared: SharedDep) -> dict[str, Any]:
    """Pictures that hold several things, each where it should lie, and none that must not be there.

    Each answer names the region that fills each slot.
    """
    started = time.monotonic()
    lane = shared.lane_for(body, has_picture=False)
    answer = await lane.run(lambda: shared.library.search_scene(body.query()))
    return {
        "scenes": [SceneDocument.of(hit) for hit in answer.hits],
        "relevance": {
            name: None if value is None else round(value, 4)
            for name, value in answer.relevance.items()
        },
        "message": answer.message,
        "moments": [MomentDocument.of(moment) for moment in answer.moments],
        "seconds": round(time.monotonic() - started, 4),
    }
