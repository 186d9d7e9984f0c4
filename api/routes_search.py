"""One route that answers words, pictures and stored segments with regions."""

from __future__ import annotations

import time
from typing import Any

from fastapi import APIRouter, Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException

from segsearch.domain import Hit, PictureTerm, Query, SegmentTerm, Term, TextTerm
from segsearch.errors import QueryError
from segsearch.export import hit_document
from segsearch.search import NOT_WEIGHT

from .documented import (
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
    refusals,
)
from .schemas import SearchAnswer, SearchRequest
from .state import Here, Shared

router = APIRouter(prefix="/v1", tags=["search"])
JSON = "application/json"
UPLOAD = "multipart/form-data"


def _request_body() -> dict[str, Any]:
    """OpenAPI's words for the two kinds of body; the route reads them itself, because FastAPI ties
    a path to one of them."""
    model = SearchRequest.model_json_schema()
    fields = model["properties"]
    picture = {
        "type": "string",
        "format": "binary",
        "description": "A picture file to look like, in any format that can be indexed.",
    }
    words = {"summary": "Words", "value": {"text": "a red umbrella", "limit": 5}}
    more = {
        "summary": "More like a stored segment, but without people",
        "value": {"segment_id": 812, "not_text": "people"},
    }
    upload = {**model, "properties": {"picture": picture, **fields}, "title": "SearchUpload"}
    upload["examples"] = [{"picture": "(the file's bytes)", "limit": 5}]
    content = {
        JSON: {"schema": model, "examples": {"words": words, "segment": more}},
        UPLOAD: {"schema": upload, "encoding": {"picture": {"contentType": "image/*"}}},
    }
    return {"requestBody": {"required": True, "content": content}}


@router.post(
    "/search",
    response_model=SearchAnswer,
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
    """Regions that answer words, a stored segment or a picture; several terms add up.

    Send JSON, or a form (`multipart/form-data`) with the same fields and a `picture` file:
    `curl -F picture=@umbrella.jpg -F limit=5 .../v1/search`.
    """
    started = time.monotonic()
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == JSON:
        hits = await _answer(here, _parsed(await request.body()), None)
    elif kind == UPLOAD:
        async with request.form(max_files=1, max_fields=16, max_part_size=65_536) as form:
            wanted, picture = _from_form(form)
            hits = await _answer(here, wanted, picture)
    else:
        raise HTTPException(415, f"Expected {JSON} or {UPLOAD}, not {kind!r}.")
    seconds = round(time.monotonic() - started, 4)
    return {"hits": [hit_document(hit) for hit in hits], "seconds": seconds}


async def _answer(here: Shared, wanted: SearchRequest, picture: UploadFile | None) -> list[Hit]:
    def work() -> list[Hit]:
        # Read here, when it is this search's turn: until then the upload stays on disk.
        data = picture.file.read() if picture else None
        return here.service.search(_query(wanted, data))

    return await here.searches.run(work)


def _parsed(body: bytes) -> SearchRequest:
    try:
        return SearchRequest.model_validate_json(body)
    except ValidationError as problem:
        raise _invalid(problem) from problem


def _from_form(form: FormData) -> tuple[SearchRequest, UploadFile | None]:
    """The request in a form's fields, and its picture; fields left empty count as not given."""
    fields = {name: value for name, value in form.multi_items() if value != ""}
    picture = fields.pop("picture", None)
    if picture is not None and not isinstance(picture, UploadFile):
        raise QueryError("The form's field 'picture' is no file.")
    try:
        return SearchRequest.model_validate(fields), picture
    except ValidationError as problem:
        raise _invalid(problem) from problem


def _invalid(problem: ValidationError) -> RequestValidationError:
    errors = problem.errors(include_url=False, include_context=False, include_input=False)
    return RequestValidationError([{**one, "loc": ("body", *one["loc"])} for one in errors])


def _query(wanted: SearchRequest, picture: bytes | None) -> Query:
    terms: list[Term] = []
    if wanted.text is not None:
        terms.append(TextTerm(wanted.text))
    if picture is not None:
        terms.append(PictureTerm(picture))
    if wanted.segment_id is not None:
        terms.append(SegmentTerm(wanted.segment_id))
    if not terms:
        raise QueryError("The query is empty: give text, segment_id or a picture to look for.")
    if wanted.not_text is not None:
        terms.append(TextTerm(wanted.not_text, NOT_WEIGHT))
    return Query(tuple(terms), wanted.limit, wanted.per_image, wanted.captions)
