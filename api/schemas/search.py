"""The shapes of search and scene answers, with an example each; `search.schema` has requests."""

from __future__ import annotations

from pydantic import BaseModel, Field

from segsearch.core.fields import strict
from segsearch.core.query import MIN_RELEVANCE
from segsearch.export.documents import EXAMPLE_HIT, HitDocument, PointedDocument
from segsearch.export.scene_documents import EXAMPLE_SCENE, SceneDocument
from segsearch.export.video_documents import MomentDocument

CURSOR = "eNqLNjTUMdAx0jHTMdAxAVLGOoaxAEC8BQ8="


class SearchResponse(BaseModel):
    """Regions, best first; without any, a message that says why."""

    model_config = strict(
        {
            "hits": [EXAMPLE_HIT],
            "relevance": 0.97,
            "min_relevance": MIN_RELEVANCE,
            "message": None,
            "pointed": [],
            "moments": [],
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
    moments: list[MomentDocument] = Field(
        description="The parts of videos that the hits cover, in the order of their best hits."
    )
    next_cursor: str | None = Field(
        description="Send it as `cursor` with the same query for the next page; null at the end."
    )
    seconds: float = Field(description="Time the search took, waiting for others included.")


class SceneAnswerDocument(BaseModel):
    """Pictures, best first; without any, a message that says why."""

    model_config = strict(
        {
            "scenes": [EXAMPLE_SCENE],
            "relevance": {"dog": 0.97},
            "message": None,
            "moments": [],
            "seconds": 0.094,
        }
    )

    scenes: list[SceneDocument]
    relevance: dict[str, float | None] = Field(
        description="Of each slot's best region in the whole library."
    )
    message: str | None
    moments: list[MomentDocument] = Field(
        description="The parts of videos in which all of a scene is there, best scenes first."
    )
    seconds: float
