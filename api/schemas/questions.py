"""The shapes of what a vision model is asked, with an example each; `export.questions` has what it
answers."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from segsearch.core.fields import strict
from segsearch.core.query import MIN_RELEVANCE, RERANK_SECONDS
from segsearch.export.documents import EXAMPLE_HIT
from segsearch.export.questions import HOW_THINGS_LIE, MAX_QUESTION_CHARACTERS
from segsearch.export.rerank import MOST_RERANKED, MOST_SECONDS, RerankOptions
from segsearch.search.schema import SearchRequest
from segsearch_api.schemas.search import SearchResponse

KEEP = "Keep the answer as a caption, with model, host and the sha256 of the question"
EXAMPLE_REPORT: dict[str, Any] = {
    "regions": 20, "scored": 20, "requests": 20, "changed": True, "message": None,
}  # fmt: skip


class QuestionRequest(BaseModel):
    """A question about a region."""

    model_config = strict({"question": "What is this?", "keep": False})

    question: str = Field(min_length=1, max_length=MAX_QUESTION_CHARACTERS)
    keep: bool = Field(False, description=f"{KEEP}.")


class PictureQuestionRequest(BaseModel):
    """A question about a whole picture; without a value, how the things in it lie."""

    model_config = strict({"keep": False})

    question: str = Field(HOW_THINGS_LIE, min_length=1, max_length=MAX_QUESTION_CHARACTERS)
    keep: bool = Field(
        False,
        description=f"{KEEP}: of the region that covers the picture. Refused where none does.",
    )


class RerankRequest(BaseModel):
    """A query, and how many of its first regions are judged by its words."""

    model_config = strict({"query": {"text": "a red umbrella", "limit": 20}, "first": 20})

    query: SearchRequest = Field(description="As of `/v1/search`; it needs words.")
    first: int = Field(
        RerankOptions().first,
        ge=1,
        le=MOST_RERANKED,
        description="How many regions of the page are judged, the first ones; each is a request to "
        "the endpoint, which may be billed.",
    )
    seconds: float = Field(
        RERANK_SECONDS,
        gt=0,
        le=MOST_SECONDS,
        allow_inf_nan=False,
        description="How long that may take; SEGSEARCH_CAPTION_SECONDS bounds it, too.",
    )
    requests: int | None = Field(
        None,
        ge=1,
        le=MOST_RERANKED,
        description="How many requests may be billed, lost answers included; without a value one "
        "for each region.",
    )


class RerankReport(BaseModel):
    """What came of it."""

    model_config = strict(EXAMPLE_REPORT)

    regions: int = Field(description="How many were to be judged.")
    scored: int = Field(description="How many were; the others keep their places.")
    requests: int = Field(description="How many requests may be billed.")
    changed: bool = Field(description="Whether any region has another place.")
    message: str | None = Field(
        description="Why nothing changed, or why not all were judged; else null."
    )


class RerankResponse(SearchResponse):
    """Regions in their new order: each place keeps its rank, each region its score."""

    model_config = strict(
        {
            "hits": [EXAMPLE_HIT],
            "relevance": 0.97,
            "min_relevance": MIN_RELEVANCE,
            "message": None,
            "pointed": [],
            "moments": [],
            "next_cursor": None,
            "seconds": 4.2,
            "reranked": EXAMPLE_REPORT,
        }
    )

    reranked: RerankReport
