"""The shapes of search and scene answers, with an example each; `search.schema` has requests."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from segsearch.core.query import MIN_RELEVANCE
from segsearch.search.schema import strict
from segsearch_api.schemas.images import (
    HIT,
    REGION,
    CocoMask,
    HitDocument,
    Region,
)

CURSOR = "eNqLNjTUMdAx0jHTMdAxAVLGOoaxAEC8BQ8="
CANDIDATE: dict[str, Any] = {
    name: REGION[name] for name in ("box", "area", "mask", "predicted_iou")
}
SCENE_REGION: dict[str, Any] = {"segment_id": 812, "score": 0.412345, "relevance": 0.97, **REGION}
SCENE: dict[str, Any] = {
    "rank": 1,
    "fit": 4.21,
    "image_id": 31,
    "path": "/pictures/park/dog.jpg",
    "width": 640,
    "height": 480,
    "regions": {"dog": SCENE_REGION},
}


class CandidateDocument(BaseModel):
    """A mask on offer for what was pointed at."""

    model_config = strict(CANDIDATE)

    box: list[int] = Field(description="x0, y0, x1, y1, half-open.", min_length=4, max_length=4)
    area: int
    mask: CocoMask
    predicted_iou: float = Field(description="1 for a mask that was given.")


class PointedDocument(BaseModel):
    """What a region of the query stood for."""

    model_config = strict({"candidates": [CANDIDATE], "chosen": 0})

    candidates: list[CandidateDocument] = Field(description="Best first.")
    chosen: int = Field(description="Which of them was searched for.")


class SearchResponse(BaseModel):
    """Regions, best first; without any, a message that says why."""

    model_config = strict(
        {
            "hits": [HIT],
            "relevance": 0.97,
            "min_relevance": MIN_RELEVANCE,
            "message": None,
            "pointed": [],
            "next_cursor": CURSOR,
            "seconds": 0.031,
        }
    )

    hits: list[HitDocument]
    relevance: float | None = Field(
        description="Of the best region; null where the library is empty, or too small to tell."
    )
    min_relevance: float = Field(
        description="What the request's field is without a value: a hit below it may be chance."
    )
    message: str | None = Field(
        description="Why there are no hits, such as that nothing in the library matches."
    )
    pointed: list[PointedDocument] = Field(description="One for each region in the query.")
    next_cursor: str | None = Field(
        description="Send it as `cursor` with the same query for the next page; null at the end."
    )
    seconds: float = Field(description="Time the search took, waiting for others included.")


class _Found(BaseModel):
    segment_id: int
    score: float = Field(description="A cosine, the higher the better.")
    relevance: float | None


class SceneRegion(Region, _Found):
    """The region that fills a slot."""

    model_config = strict(SCENE_REGION)


class SceneDocument(BaseModel):
    """A picture that holds the scene."""

    model_config = strict(SCENE)

    rank: int = Field(description="1 for the best.")
    fit: float = Field(
        description="Mean over the slots of how far the region's score stands above the slot's "
        "background; comparable within one answer."
    )
    image_id: int
    path: str | None
    width: int
    height: int
    regions: dict[str, SceneRegion] = Field(description="By the slot's name.")


class SceneAnswerDocument(BaseModel):
    """Pictures, best first; without any, a message that says why."""

    model_config = strict(
        {"scenes": [SCENE], "relevance": {"dog": 0.97}, "message": None, "seconds": 0.094}
    )

    scenes: list[SceneDocument]
    relevance: dict[str, float | None] = Field(
        description="Of each slot's best region in the whole library."
    )
    message: str | None
    seconds: float
