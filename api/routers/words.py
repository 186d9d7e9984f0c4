"""The everyday words that fit a region best: of a stored one, or of one that is pointed at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query

from segsearch.core.query import SegmentTerm
from segsearch.search.naming import MAX_NAMES, FittingWord
from segsearch_api.deps import SharedDep
from segsearch_api.openapi import (
    BAD_PICTURE,
    BAD_QUERY,
    EMPTY,
    INVALID,
    NO_PROMPTS,
    NOT_FOUND,
    OTHER_MODELS,
    OVERLOADED,
    TOO_LARGE,
    refusals,
)
from segsearch_api.routers.segments import SegmentId
from segsearch_api.schemas.queries import WORDS_SHOWN, WordList, WordsRequest

router = APIRouter(prefix="/v1", tags=["segments"])


@router.get(
    "/segments/{segment_id}/words",
    response_model=WordList,
    responses=refusals(NOT_FOUND, INVALID, EMPTY, OTHER_MODELS, OVERLOADED),
)
async def segment_words(
    segment_id: SegmentId,
    shared: SharedDep,
    limit: Annotated[
        int, Query(ge=1, le=MAX_NAMES, description="How many words at most.")
    ] = WORDS_SHOWN,
) -> dict[str, Any]:
    """What a stored region may be called: the everyday words that fit it best.

    A word counts by how far it fits this region better than it fits the library's regions, so one
    that everything fits is no answer. Of words that mean the same, the better one is given.
    """
    term = SegmentTerm(segment_id)
    words = await shared.searches.run(lambda: shared.library.words(term, limit))
    return _document(words)


@router.post(
    "/words",
    response_model=WordList,
    responses=refusals(
        NOT_FOUND, TOO_LARGE, INVALID, BAD_QUERY, BAD_PICTURE, EMPTY, OTHER_MODELS, NO_PROMPTS,
        OVERLOADED,
    ),
)  # fmt: skip
async def region_words(body: WordsRequest, shared: SharedDep) -> dict[str, Any]:
    """What a thing that is pointed at may be called, in a stored or kept picture.

    As `/v1/segments/{segment_id}/words`, for the mask that is cut out there.
    """
    term = body.region.term(body.region.picture or 0)
    words = await shared.prompts.run(lambda: shared.library.words(term, body.limit))
    return _document(words)


def _document(words: Sequence[FittingWord]) -> dict[str, Any]:
    return {
        "words": [
            {
                "text": word.text,
                "score": round(word.score, 6),
                "relevance": None if word.relevance is None else round(word.relevance, 4),
            }
            for word in words
        ]
    }
