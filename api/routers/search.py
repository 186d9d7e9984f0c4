"""One route that answers words, pictures, stored segments and what is pointed at with regions."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from typing import Any

from fastapi import APIRouter, Request
from fastapi.exceptions import RequestValidationError
from pydantic import TypeAdapter, ValidationError
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException

from segsearch.core.errors import QueryError
from segsearch.core.query import MIN_RELEVANCE, SearchAnswer
from segsearch.export.documents import HitDocument, PointedDocument
from segsearch.search.schema import SearchRequest
from segsearch_api.deps import (
    Here,
    Shared,
)
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
    REFERENCE,
    TOO_LARGE,
    refusals,
)
from segsearch_api.schemas.search import (
    SearchResponse,
)

router = APIRouter(prefix="/v1", tags=["search"])
JSON = "application/json"
PACKED = {"region", "terms", "like", "unlike", "filters"}  # JSON in a form's field
UPLOAD = "multipart/form-data"
REQUEST = TypeAdapter(SearchRequest)


def _request_body() -> dict[str, Any]:
    """OpenAPI's words for the two kinds of body; the route reads them itself, because FastAPI ties
    a path to one of them."""
    model = REQUEST.json_schema(ref_template=REFERENCE)
    model.pop("$defs", None)  # `documented.describe` adds them
    fields = model["properties"]
    picture = {
        "type": "string",
        "format": "binary",
        "description": "A picture file to look like, in any format that can be indexed.",
    }
    examples = {
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
    upload = {**model, "properties": {"picture": picture, **fields}, "title": "SearchUpload"}
    upload["examples"] = [{"picture": "(the file's bytes)", "limit": 5}]
    content = {
        JSON: {"schema": model, "examples": examples},
        UPLOAD: {"schema": upload, "encoding": {"picture": {"contentType": "image/*"}}},
    }
    return {"requestBody": {"required": True, "content": content}}


@router.post(
    "/search",
    response_model=SearchResponse,
    responses=refusals(
        MALFORMED,
        NOT_FOUND,
        BODY_TOO_LARGE,
        TOO_LARGE,
        OTHER_TYPE,
        INVALID,
        BAD_QUERY,
        BAD_PICTURE,
        EMPTY,
        OTHER_MODELS,
        OVERLOADED,
    ),
    openapi_extra=_request_body(),
)
async def search(request: Request, here: Here) -> dict[str, Any]:
    """Regions that answer words, pictures, stored segments and what is pointed at; terms add up.

    Send JSON, or a form (`multipart/form-data`) with the same fields and a `picture` file:
    `curl -F picture=@umbrella.jpg -F limit=5 .../v1/search`. In a form, fields that are objects or
    lists are JSON: `-F 'region={"points": [[320, 200]]}'` points at a thing in the picture.
    """
    started = time.monotonic()
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == JSON:
        answer = await _answer(here, _parsed(await request.body()), None)
    elif kind == UPLOAD:
        async with request.form(max_files=1, max_fields=32, max_part_size=65_536) as form:
            wanted, picture = _from_form(form)
            answer = await _answer(here, wanted, picture)
    else:
        raise HTTPException(415, f"Expected {JSON} or {UPLOAD}, not {kind!r}.")
    relevance = answer.relevance
    return {
        "hits": [HitDocument.of(hit) for hit in answer.hits],
        "relevance": None if relevance is None else round(relevance, 4),
        "min_relevance": MIN_RELEVANCE,
        "message": answer.message,
        "pointed": [PointedDocument.of(one) for one in answer.pointed],
        "next_cursor": answer.next_cursor,
        "seconds": round(time.monotonic() - started, 4),
    }


async def _answer(here: Shared, wanted: SearchRequest, picture: UploadFile | None) -> SearchAnswer:
    def work() -> SearchAnswer:
        # Read here, when it is this search's turn: until then the upload stays on disk.
        data = picture.file.read() if picture else None
        return here.service.search(wanted.query(data))

    return await here.searches.run(work)


def _parsed(body: bytes) -> SearchRequest:
    try:
        return REQUEST.validate_json(body)
    except ValidationError as problem:
        raise invalid(problem) from problem


def _from_form(form: FormData) -> tuple[SearchRequest, UploadFile | None]:
    """The request in a form's fields, and its picture; fields left empty count as not given."""
    fields = {name: value for name, value in form.multi_items() if value != ""}
    picture = fields.pop("picture", None)
    if picture is not None and not isinstance(picture, UploadFile):
        raise QueryError("The form's field 'picture' is no file.")
    for name, value in fields.items():
        if isinstance(value, UploadFile):
            raise QueryError(
                f"The form's field {name!r} is a file, expected text: with curl, {name}=<FILE "
                f"sends a file's text."
            )
    try:
        return REQUEST.validate_python(_unpacked(fields)), picture
    except ValidationError as problem:
        raise invalid(problem) from problem


def _unpacked(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields with those that begin like JSON's objects and lists read as such; whatever
    cannot be read stays a string, which the model refuses by the field's name."""
    unpacked = dict(fields)
    for name in set(fields) & PACKED:
        with suppress(ValueError, RecursionError):
            unpacked[name] = json.loads(fields[name])
    return unpacked


def invalid(problem: ValidationError) -> RequestValidationError:
    """The refusal of a body that does not fit its model."""
    errors = problem.errors(include_url=False, include_context=False, include_input=False)
    return RequestValidationError([{**one, "loc": ("body", *one["loc"])} for one in errors])
