"""Questions to the vision model that the server's settings name: about regions and pictures, and
about the first regions of an answer. No request says where a picture is sent."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

from fastapi import APIRouter

from segsearch.export.questions import AnswerDocument
from segsearch.export.rerank import RerankOptions
from segsearch_api.deps import SharedDep
from segsearch_api.openapi import (
    BAD_PICTURE,
    BAD_QUERY,
    EMPTY,
    ENDPOINT_FAILED,
    INVALID,
    NO_ANSWER,
    NO_ENDPOINT,
    NOT_FOUND,
    OTHER_MODELS,
    OVERLOADED,
    READ_ONLY,
    TOO_LARGE,
    refusals,
)
from segsearch_api.routers.images import ImageId
from segsearch_api.routers.search import answer_document
from segsearch_api.routers.segments import SegmentId
from segsearch_api.schemas.questions import (
    PictureQuestionRequest,
    QuestionRequest,
    RerankRequest,
    RerankResponse,
)

router = APIRouter(prefix="/v1")
REFUSALS = refusals(
    NOT_FOUND, NO_ENDPOINT, TOO_LARGE, INVALID, BAD_QUERY, BAD_PICTURE, OVERLOADED, NO_ANSWER,
    ENDPOINT_FAILED, READ_ONLY,
)  # fmt: skip


@router.post(
    "/segments/{segment_id}/ask",
    response_model=AnswerDocument,
    responses=REFUSALS,
    tags=["segments"],
)
async def ask_region(
    segment_id: SegmentId, body: QuestionRequest, shared: SharedDep
) -> AnswerDocument:
    """What a vision model answers about a region.

    It is shown the region with its surroundings and outlined in its picture, and told how others
    lie around it. One request to the endpoint of the server's settings, which may be billed.
    """
    ask = partial(shared.library.questions.ask_region, segment_id, body.question, keep=body.keep)
    return AnswerDocument.of(await shared.questions.run(ask))


@router.post(
    "/images/{image_id}/ask", response_model=AnswerDocument, responses=REFUSALS, tags=["images"]
)
async def ask_picture(
    image_id: ImageId, body: PictureQuestionRequest, shared: SharedDep
) -> AnswerDocument:
    """What a vision model answers about a picture: without a question, how the things in it lie.

    It is shown the picture with its largest regions outlined and numbered, and told how these lie
    to each other. One request to the endpoint of the server's settings, which may be billed.
    """
    ask = partial(shared.library.questions.ask_picture, image_id, body.question, keep=body.keep)
    return AnswerDocument.of(await shared.questions.run(ask))


@router.post(
    "/search/rerank",
    response_model=RerankResponse,
    responses=refusals(
        NOT_FOUND, NO_ENDPOINT, TOO_LARGE, INVALID, BAD_QUERY, BAD_PICTURE, EMPTY, OTHER_MODELS,
        OVERLOADED,
    ),
    tags=["search"],
)  # fmt: skip
async def rerank(body: RerankRequest, shared: SharedDep) -> dict[str, Any]:
    """A search whose first regions a vision model puts in order: how surely each shows the words.

    Each region is a request to the endpoint of the server's settings, which may be billed. Where it
    gives no score, regions keep their places: none is lost.
    """
    started = time.monotonic()
    library = shared.library
    query = body.query.query(None)
    seconds = min(body.seconds, library.settings.caption_seconds)
    options = RerankOptions(body.first, seconds, body.requests)
    library.questions.check_rerank(query)
    lane = shared.lane_for(body.query, has_picture=False)
    answer = await lane.run(lambda: library.search(query))
    judge = partial(library.questions.rerank, query, answer, options)
    outcome = await shared.questions.run(judge)
    return {
        **answer_document(outcome.answer, started),
        "reranked": {
            "regions": outcome.regions,
            "scored": outcome.scored,
            "requests": outcome.requests,
            "changed": outcome.changed,
            "message": outcome.message,
        },
    }
