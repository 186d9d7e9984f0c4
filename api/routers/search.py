"""One route that answers words, pictures, stored segments and what is pointed at with regions."""

from __future__ import annotations

import json
import time
from collections.abc import Collection
from contextlib import suppress
from typing import Any

from fastapi import APIRouter, Request
from pydantic import TypeAdapter
from starlette.datastructures import FormData, UploadFile

from segsearch.core.answers import SearchAnswer
from segsearch.core.errors import QueryError
from segsearch.core.query import MIN_RELEVANCE
from segsearch.export.documents import HitDocument, PointedDocument
from segsearch.export.video_documents import MomentDocument
from segsearch.search.schema import SearchRequest
from segsearch_api.deps import JSON, UPLOAD, Shared, SharedDep, parsed, read_body
from segsearch_api.openapi import (
    BAD_PICTURE,
    BAD_QUERY,
    BODY_TOO_LARGE,
    EMPTY,
    INVALID,
    MALFORMED,
    NOT_FOUND,
    OTHER_MODELS,
    OTHER_TYPE,
    OVERLOADED,
    TOO_LARGE,
    json_body,
    refusals,
    upload_body,
)
from segsearch_api.schema_document import REFERENCE
from segsearch_api.schemas.search import SearchResponse

router = APIRouter(prefix="/v1", tags=["search"])
LISTS = {"terms", "like", "unlike"}  # in a form one field of JSON, or a field for each item
PACKED = {"region", "filters", *LISTS}  # JSON in a form's field
MAX_FIELDS = 32
PICTURE = {
    "type": "string",
    "format": "binary",
    "description": "A picture file to look like, in any format that can be indexed.",
}
EXAMPLES = {
    "words": {"summary": "Words", "value": {"text": "a red umbrella", "limit": 5}},
    "segment": {
        "summary": "More like a stored segment, but without people",
        "value": {"segment_id": 812, "not_text": "people"},
    },
    "click": {
        "summary": "What lies at a point of a stored image, large, elsewhere",
        "value": {
            "region": {"image_id": 31, "points": [[320, 200]]},
            "filters": {"min_area": 0.05},
        },
    },
}


REFUSALS = refusals(
    MALFORMED, NOT_FOUND, BODY_TOO_LARGE, TOO_LARGE, OTHER_TYPE, INVALID, BAD_QUERY, BAD_PICTURE,
    EMPTY, OTHER_MODELS, OVERLOADED,
)  # fmt: skip


def _schema() -> dict[str, Any]:
    model = TypeAdapter(SearchRequest).json_schema(ref_template=REFERENCE)
    model.pop("$defs", None)  # `openapi.describe` adds them
    return model


def _upload_schema() -> dict[str, Any]:
    model = _schema()
    fields = {"picture": PICTURE, **model["properties"]}
    upload = {**model, "properties": fields, "title": "SearchUpload", "required": ["picture"]}
    return {**upload, "examples": [{"picture": "(the file's bytes)", "limit": 5}]}


@router.post(
    "/search",
    response_model=SearchResponse,
    responses=REFUSALS,
    openapi_extra=json_body(_schema(), EXAMPLES),
)
async def search(request: Request, shared: SharedDep) -> dict[str, Any]:
    """Regions that answer words, pictures, stored segments and what is pointed at; terms add up.

    A form with a picture is taken here as well as at `/v1/search/picture`.
    """
    return await _answer(request, shared, (JSON, UPLOAD))


@router.post(
    "/search/picture",
    response_model=SearchResponse,
    responses=REFUSALS,
    openapi_extra=upload_body(_upload_schema()),
)
async def search_by_picture(request: Request, shared: SharedDep) -> dict[str, Any]:
    """Regions that look like a picture, which is uploaded with the fields of `/v1/search`.

    Send a form (`multipart/form-data`):
    `curl -F picture=@umbrella.jpg -F limit=5 .../v1/search/picture`. Fields that are objects or
    lists are JSON: `-F 'region={"points": [[320, 200]]}'` points at a thing in the picture.
    """
    return await _answer(request, shared, (UPLOAD,))


async def _answer(request: Request, shared: Shared, kinds: Collection[str]) -> dict[str, Any]:
    started = time.monotonic()
    async with read_body(request, max_fields=MAX_FIELDS, kinds=kinds) as body:
        asked, picture = _read(body)

        def answer_query() -> SearchAnswer:
            # Read here, when it is this search's turn: until then the upload stays on disk.
            return shared.library.search(asked.query(picture.file.read() if picture else None))

        lane = shared.lane_for(asked, has_picture=picture is not None)
        answer = await lane.run(answer_query)
    return answer_document(answer, started)


def answer_document(answer: SearchAnswer, started: float) -> dict[str, Any]:
    """What `SearchResponse` says of an answer that was asked for at `started`."""
    relevance = answer.relevance
    return {
        "hits": [HitDocument.of(hit) for hit in answer.hits],
        "relevance": None if relevance is None else round(relevance, 4),
        "min_relevance": MIN_RELEVANCE,
        "message": answer.message,
        "pointed": [PointedDocument.of(pointed) for pointed in answer.pointed],
        "moments": [MomentDocument.of(moment) for moment in answer.moments],
        "next_cursor": answer.next_cursor,
        "seconds": round(time.monotonic() - started, 4),
    }


def _read(body: bytes | FormData) -> tuple[SearchRequest, UploadFile | None]:
    """The request in a body, and its picture; fields of a form left empty count as not given."""
    if isinstance(body, bytes):
        return parsed(SearchRequest, body), None
    fields: dict[str, Any] = {name: value for name, value in body.multi_items() if value != ""}
    fields |= {name: body.getlist(name) for name in LISTS if len(body.getlist(name)) > 1}
    picture = fields.pop("picture", None)
    if picture is not None and not isinstance(picture, UploadFile):
        raise QueryError("The form's field 'picture' is no file.")
    for name, value in fields.items():
        if isinstance(value, UploadFile):
            raise QueryError(
                f"The form's field {name!r} is a file, expected text: with curl, {name}=<FILE "
                f"sends a file's text."
            )
    return parsed(SearchRequest, _unpacked(fields)), picture


def _unpacked(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields with those that begin like JSON's objects and lists read as such; whatever
    cannot be read stays a string, which the model refuses by the field's name."""
    unpacked = dict(fields)
    for name in set(fields) & PACKED:
        with suppress(ValueError, RecursionError):
            unpacked[name] = _listed(fields[name]) if name in LISTS else json.loads(fields[name])
    return unpacked


def _listed(given: str | list[str]) -> list[Any]:
    """A list from one field of JSON, or from a field for each item."""
    if isinstance(given, list):
        return [json.loads(part) for part in given]
    value = json.loads(given)
    return value if isinstance(value, list) else [value]
