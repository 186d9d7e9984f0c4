"""One route that cuts out what is pointed at, in a stored picture or an uploaded one."""

from __future__ import annotations

import time
from typing import Any

from fastapi import APIRouter, Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException

from segsearch.core.errors import InputError
from segsearch.export.documents import CandidateDocument
from segsearch.library import SegSearch
from segsearch.models.segment.multilook import candidates
from segsearch.models.segment.prompts import check_prompts
from segsearch_api.deps import (
    Here,
)
from segsearch_api.openapi import (
    BAD_PICTURE,
    BAD_PROMPT,
    BODY_TOO_LARGE,
    INVALID,
    NO_PROMPTS,
    NOT_FOUND,
    OTHER_TYPE,
    OVERLOADED,
    TOO_LARGE,
    refusals,
)
from segsearch_api.schemas.library import (
    PROMPT,
    SegmentAnswer,
    SegmentRequest,
)

router = APIRouter(prefix="/v1", tags=["search"])
JSON = "application/json"
UPLOAD = "multipart/form-data"
FIELDS = {"picture", "prompt"}


def _request_body() -> dict[str, Any]:
    """OpenAPI's words for both kinds of body; the route reads them itself."""
    model = SegmentRequest.model_json_schema()
    fields = {
        "picture": {"type": "string", "format": "binary", "description": "A picture file."},
        "prompt": {
            "type": "string",
            "contentMediaType": JSON,
            "description": "The same as the JSON body, without image_id.",
        },
    }
    upload: dict[str, Any] = {
        "title": "SegmentUpload",
        "type": "object",
        "properties": fields,
        "required": ["picture", "prompt"],
        "additionalProperties": False,
        "examples": [{"picture": "(the file's bytes)", "prompt": '{"points": [[120, 200]]}'}],
    }
    examples = {
        "point": {"summary": "A click on a stored image", "value": PROMPT},
        "boxes": {
            "summary": "Two boxes, one mask each",
            "value": {
                "image_id": 31,
                "boxes": [[37, 60, 211, 302], [300, 80, 420, 200]],
                "multimask": False,
            },
        },
    }
    content = {
        JSON: {"schema": model, "examples": examples},
        UPLOAD: {"schema": upload, "encoding": {"picture": {"contentType": "image/*"}}},
    }
    return {"requestBody": {"required": True, "content": content}}


@router.post(
    "/segment",
    response_model=SegmentAnswer,
    responses=refusals(
        BAD_PROMPT, NOT_FOUND, BODY_TOO_LARGE, TOO_LARGE, OTHER_TYPE, INVALID, BAD_PICTURE,
        NO_PROMPTS, OVERLOADED,
    ),
    openapi_extra=_request_body(),
)  # fmt: skip
async def segment(request: Request, here: Here) -> dict[str, Any]:
    """Masks of what is pointed at by points or boxes, best first, with their predicted IoU.

    Send JSON with an `image_id`, or a form with a `picture` file and a `prompt`:
    `curl -F picture=@a.jpg -F 'prompt={"points": [[120, 200]]}' .../v1/segment`. The first call on
    a picture encodes it; later ones answer from the encoding. A small segmenter also looks at crops
    around what is pointed at, and puts first what its looks agree on. Nothing is stored.
    """
    started = time.monotonic()
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == JSON:
        wanted = _parsed(await request.body())
        if wanted.image_id is None:
            raise InputError("Nothing is pointed at: give image_id, or upload a picture.")
        picture = wanted.image_id
        answer = await here.prompts.run(lambda: _answer(here.service, picture, wanted))
    elif kind == UPLOAD:
        async with request.form(max_files=1, max_fields=4, max_part_size=65_536) as form:
            file, text = form.get("picture"), form.get("prompt")
            if set(form) != FIELDS or not isinstance(file, UploadFile) or not isinstance(text, str):
                raise InputError("Expected a form with a file 'picture' and a text 'prompt' only.")
            wanted = _parsed(text.encode())
            if wanted.image_id is not None:
                raise InputError("Give image_id or upload a picture, not both.")
            upload = file.file
            # Read when it is this one's turn: until then the upload stays on disk.
            answer = await here.prompts.run(lambda: _answer(here.service, upload.read(), wanted))
    else:
        raise HTTPException(415, f"Expected {JSON} or {UPLOAD}, not {kind!r}.")
    return {**answer, "seconds": round(time.monotonic() - started, 4)}


def _parsed(body: bytes) -> SegmentRequest:
    try:
        return SegmentRequest.model_validate_json(body)
    except ValidationError as problem:
        errors = problem.errors(include_url=False, include_context=False, include_input=False)
        located = [{**one, "loc": ("body", *one["loc"])} for one in errors]
        raise RequestValidationError(located) from problem


def _answer(service: SegSearch, picture: int | bytes, wanted: SegmentRequest) -> dict[str, Any]:
    opened = service.open_picture(picture)
    height, width = opened.size
    check_prompts(opened.size, wanted.points, wanted.labels, wanted.boxes)
    boxes: list[tuple[float, ...] | None] = [*wanted.boxes] or [None]
    found = [
        candidates(opened, wanted.points, wanted.labels, box, multimask=wanted.multimask)
        for box in boxes
    ]
    objects = [{"masks": [CandidateDocument.of(one) for one in masks]} for masks in found]
    return {"width": width, "height": height, "objects": objects}
