"""Uploads of pictures and videos, which then wait for a worker."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, File, Form, UploadFile

from segsearch.core.errors import PictureError
from segsearch.core.names import NAME, page_name, shot_name
from segsearch.export.documents import ImageDocument
from segsearch.ingest.uploads import Uploaded
from segsearch.library import SegSearch
from segsearch_api.deps import SharedDep
from segsearch_api.errors import code_of
from segsearch_api.openapi import (
    BAD_PICTURE,
    FULL,
    INVALID,
    MALFORMED,
    NO_COLLECTION,
    OVERLOADED,
    READ_ONLY,
    TOO_LARGE,
    UPLOAD_TOO_LARGE,
    refusals,
)
from segsearch_api.schemas.library import UploadAnswer

router = APIRouter(prefix="/v1/images", tags=["images"])
MAX_FILES = 1_000
MAX_FOLDER = 4_096  # characters
ESCAPED = {"\n": "%0A", "\r": "%0D", '"': "%22"}
BODY = {
    "requestBody": {
        "content": {
            "multipart/form-data": {
                "examples": {
                    "two": {
                        "summary": "Two files of a folder, into a collection that exists",
                        "value": {
                            "file": ["(bytes)", "(bytes)"],
                            "collection": "holidays",
                            "folder": "2024/beach",
                        },
                    }
                }
            }
        }
    }
}


@router.post(
    "",
    status_code=202,
    response_model=UploadAnswer,
    responses=refusals(
        MALFORMED, NO_COLLECTION, TOO_LARGE, UPLOAD_TOO_LARGE, INVALID, BAD_PICTURE, OVERLOADED,
        READ_ONLY, FULL,
    ),
    openapi_extra=BODY,
)  # fmt: skip
async def upload_images(
    shared: SharedDep,
    file: Annotated[
        list[UploadFile],
        File(
            description="Pictures, PDFs and videos, in any format that can be indexed.",
            max_length=MAX_FILES,
        ),
    ],
    collection: Annotated[
        str | None, Form(pattern=NAME, description="Put them into this collection, too.")
    ] = None,
    folder: Annotated[
        str,
        Form(
            max_length=MAX_FOLDER,
            description="Where they come from, such as `holiday/beach`: the last part, `beach`, "
            "becomes their album, as that of a folder that is indexed. It leads nowhere.",
        ),
    ] = "",
) -> dict[str, Any]:
    """Store pictures in the library; they are indexed as soon as a worker comes to them.

    Each keeps its name, which the filter `paths` finds. The same bytes again are the same image,
    with one more path where the name is another. Of a PDF each page is an image, and comes with its
    number behind the name (`report.pdf#page=3`); of a video each shot is, with its times
    (`clip.mp4#t=12.48,18.2`). `GET /v1/images/{image_id}` says how far each is, and
    `GET /v1/jobs/events` tells of the run. Files that are no pictures are listed under `refused`;
    when no file is a picture, the answer is the first one's problem.
    """
    images: list[dict[str, Any]] = []
    refused: list[dict[str, Any]] = []
    first: PictureError | None = None
    for upload in file:
        name = _name_of(upload)
        store = partial(_store, shared.library, upload, collection, folder)
        try:
            images += await shared.uploads.run(store)
        except PictureError as problem:
            first = first or problem
            code = code_of(type(problem)).name
            refused.append({"filename": name, "code": code, "detail": str(problem)})
    if first is not None and not images:
        raise first
    return {"images": images, "refused": refused}


def _name_of(upload: UploadFile) -> str:
    """The file's name; what a form has to write in another way, by the WHATWG's rules for
    `multipart/form-data`, is read back."""
    name = upload.filename or ""
    for sign, written in ESCAPED.items():
        name = name.replace(written, sign)
    return name


def _part_name(name: str, added: Uploaded) -> str:
    """The file's name, with the page or the shot behind it."""
    if added.page:
        return page_name(name, added.page)
    shot = added.image.shot
    return shot_name(name, shot.t_start, shot.t_end) if shot else name


def _store(
    library: SegSearch, upload: UploadFile, collection: str | None, folder: str
) -> list[dict[str, Any]]:
    name = _name_of(upload)
    stored = library.uploads.add_all(upload.file, name, collection=collection, folder=folder)
    return [
        {
            "filename": _part_name(name, added),
            "created": added.created,
            "image": ImageDocument.of(added.image),
        }
        for added in stored
    ]
