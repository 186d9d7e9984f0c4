"""One route that cuts out what is pointed at, in a stored picture or an uploaded one."""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import Any

from fastapi import APIRouter, Request
from starlette.datastructures import FormData, UploadFile

from segsearch.core.errors import InputError
from segsearch.export.documents import CandidateDocument
from segsearch.library import SegSearch
from segsearch.models.segment.multilook import find_masks
from segsearch.models.segment.prompts import check_prompts
from segsearch_api.deps import JSON, UPLOAD, Shared, SharedDep, parsed, read_body
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
    json_body,
    refusals,
    upload_body,
)
from segsearch_api.schemas.library import PROMPT, SegmentAnswer, SegmentRequest

router = APIRouter(prefix="/v1", tags=["search"])
MAX_FIELDS = 4
FIELDS: dict[str, Any] = {
    "picture": {"type": "string", "format": "binary", "description": "A picture file."},
    "prompt": {
        "type": "string",
        "contentMediaType": JSON,
        "description": "The same as the JSON body, without the id of a picture.",
    },
}
UPLOAD_SCHEMA: dict[str, Any] = {
    "title": "SegmentUpload",
    "type": "object",
    "properties": FIELDS,
    "required": list(FIELDS),
    "additionalProperties": False,
    "examples": [{"picture": "(the file's bytes)", "prompt": '{"points": [[120, 200]]}'}],
}
EXAMPLES = {
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


REFUSALS = refusals(
    BAD_PROMPT, NOT_FOUND, BODY_TOO_LARGE, TOO_LARGE, OTHER_TYPE, INVALID, BAD_PICTURE, NO_PROMPTS,
    OVERLOADED,
)  # fmt: skip


@router.post(
    "/segment",
    response_model=SegmentAnswer,
    responses=REFUSALS,
    openapi_extra=json_body(SegmentRequest.model_json_schema(), EXAMPLES),
)
async def segment(request: Request, shared: SharedDep) -> dict[str, Any]:
    """Masks of what is pointed at by points or boxes, best first, with their predicted IoU.

    The first call on a picture encodes it; later ones answer from the encoding. A small segmenter
    also looks at crops around what is pointed at, and puts first what its looks agree on. Nothing
    is stored. A form with a picture is taken here as well as at `/v1/segment/picture`.
    """
    return await _prompt(request, shared, (JSON, UPLOAD))


@router.post(
    "/segment/picture",
    response_model=SegmentAnswer,
    responses=REFUSALS,
    openapi_extra=upload_body(UPLOAD_SCHEMA),
)
async def segment_picture(request: Request, shared: SharedDep) -> dict[str, Any]:
    """The same in a picture that is uploaded: a form with a `picture` file and a `prompt`.

    `curl -F picture=@a.jpg -F 'prompt={"points": [[120, 200]]}' .../v1/segment/picture`.
    """
    return await _prompt(request, shared, (UPLOAD,))


async def _prompt(request: Request, shared: Shared, kinds: Collection[str]) -> dict[str, Any]:
    started = time.monotonic()
    async with read_body(request, max_fields=MAX_FIELDS, kinds=kinds) as body:
        prompt, picture = _read(body)
        answer = await shared.prompts.run(lambda: _answer(shared.library, prompt, picture))
    return {**answer, "seconds": round(time.monotonic() - started, 4)}


def _read(body: bytes | FormData) -> tuple[SegmentRequest, int | str | UploadFile]:
    """What is pointed at, and in which picture: a stored image's id, a kept picture's, or a
    file."""
    if isinstance(body, bytes):
        prompt = parsed(SegmentRequest, body)
        ids = [number for number in (prompt.image_id, prompt.picture_id) if number is not None]
        if len(ids) != 1:
            raise InputError(
                "Expected one picture to point at: give image_id or picture_id, or upload one."
            )
        return prompt, ids[0]
    file, text = body.get("picture"), body.get("prompt")
    if set(body) != set(FIELDS) or not isinstance(file, UploadFile) or not isinstance(text, str):
        raise InputError("Expected a form with a file 'picture' and a text 'prompt' only.")
    prompt = parsed(SegmentRequest, text.encode())
    if prompt.image_id is not None or prompt.picture_id is not None:
        raise InputError("Give the id of a picture or upload one, not both.")
    return prompt, file


def _answer(
    library: SegSearch, prompt: SegmentRequest, picture: int | str | UploadFile
) -> dict[str, Any]:
    # An upload is read when it is its turn: until then it stays on disk.
    opened = library.open_picture(
        picture if isinstance(picture, int | str) else picture.file.read()
    )
    height, width = opened.size
    check_prompts(opened.size, prompt.points, prompt.labels, prompt.boxes)
    boxes: list[tuple[float, ...] | None] = [*prompt.boxes] or [None]
    objects = []
    for box in boxes:
        masks = find_masks(opened, prompt.points, prompt.labels, box, multimask=prompt.multimask)
        objects.append({"masks": [CandidateDocument.of(mask) for mask in masks]})
    return {"width": width, "height": height, "objects": objects}
