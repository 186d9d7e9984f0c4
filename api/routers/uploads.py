"""Pictures that are handed over, and images and segments that are taken away again."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, File, Form, Response, UploadFile
from fastapi.concurrency import run_in_threadpool

from segsearch.core.errors import PictureError
from segsearch.core.names import NAME
from segsearch.export.documents import ImageDocument
from segsearch_api.codes import (
    code_of,
)
from segsearch_api.deps import (
    Here,
    Shared,
)
from segsearch_api.openapi import (
    BAD_PICTURE,
    FULL,
    INVALID,
    MALFORMED,
    NO_COLLECTION,
    NOT_FOUND,
    OVERLOADED,
    READ_ONLY,
    TOO_LARGE,
    UPLOAD_TOO_LARGE,
    refusals,
)
from segsearch_api.routers.images import (
    ImageId,
)
from segsearch_api.routers.segments import (
    SegmentId,
)
from segsearch_api.schemas.library import (
    UploadAnswer,
)

router = APIRouter(prefix="/v1")
MAX_FILES = 1_000
BODY = {
    "requestBody": {
        "content": {
            "multipart/form-data": {
                "examples": {
                    "two": {
                        "summary": "Two files, into a collection that exists",
                        "value": {"file": ["(bytes)", "(bytes)"], "collection": "holidays"},
                    }
                }
            }
        }
    }
}


@router.post(
    "/images",
    tags=["images"],
    status_code=202,
    response_model=UploadAnswer,
    responses=refusals(
        MALFORMED, NO_COLLECTION, TOO_LARGE, UPLOAD_TOO_LARGE, INVALID, BAD_PICTURE, OVERLOADED,
        READ_ONLY, FULL,
    ),
    openapi_extra=BODY,
)  # fmt: skip
async def upload_images(
    here: Here,
    file: Annotated[
        list[UploadFile],
        File(description="Pictures, in any format that can be indexed.", max_length=MAX_FILES),
    ],
    collection: Annotated[
        str | None, Form(pattern=NAME, description="Put them into this collection, too.")
    ] = None,
) -> dict[str, Any]:
    """Store pictures in the library; they are indexed as soon as a worker comes to them.

    The same bytes again are the same image. `GET /v1/images/{image_id}` says how far each is, and
    `GET /v1/jobs/events` tells of the run. Files that are no pictures are listed under `refused`;
    when no file is a picture, the answer is the first one's problem.
    """
    images: list[dict[str, Any]] = []
    refused: list[dict[str, Any]] = []
    first: PictureError | None = None
    for one in file:
        name = one.filename or ""
        try:
            images.append(await here.uploads.run(partial(_store, here, one, collection)))
        except PictureError as problem:
            first = first or problem
            code = code_of(type(problem)).name
            refused.append({"filename": name, "code": code, "detail": str(problem)})
    if first is not None and not images:
        raise first
    return {"images": images, "refused": refused}


def _store(here: Shared, file: UploadFile, collection: str | None) -> dict[str, Any]:
    done = here.service.uploads.add(file.file, file.filename or "", collection=collection)
    document = ImageDocument.of(done.image)
    return {"filename": file.filename or "", "created": done.created, "image": document}


@router.delete(
    "/images/{image_id}",
    tags=["images"],
    status_code=204,
    response_class=Response,
    responses=refusals(NOT_FOUND, INVALID, READ_ONLY),
)
async def delete_image(image_id: ImageId, here: Here) -> Response:
    """Forget an image with its segments.

    Its file is deleted when it was uploaded, and only then: other files are never touched, and a
    folder that is watched brings its pictures back.
    """
    await run_in_threadpool(here.service.uploads.remove_image, image_id)
    return Response(status_code=204)


@router.delete(
    "/segments/{segment_id}",
    tags=["segments"],
    status_code=204,
    response_class=Response,
    responses=refusals(NOT_FOUND, INVALID, READ_ONLY),
)
async def delete_segment(segment_id: SegmentId, here: Here) -> Response:
    """Forget a segment; indexing its picture anew would find it again."""
    await run_in_threadpool(here.service.uploads.remove_segment, segment_id)
    return Response(status_code=204)
