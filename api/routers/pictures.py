"""Pictures to search by: kept so that a query, and the page's address, can name them."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from fastapi import APIRouter, File, Path, UploadFile
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response

from segsearch.core.fields import PictureId
from segsearch.export.render import thumbnail_jpeg
from segsearch.library import SegSearch
from segsearch.search.shown_pictures import ShownPicture
from segsearch_api.deps import LibraryDep, SharedDep
from segsearch_api.drawings import DrawerDep, tag_of
from segsearch_api.openapi import (
    BAD_PICTURE,
    FULL,
    INVALID,
    MALFORMED,
    OVERLOADED,
    READ_ONLY,
    TOO_LARGE,
    UPLOAD_TOO_LARGE,
    drawing,
    picture,
    refusals,
)
from segsearch_api.routers.images import Side
from segsearch_api.schemas.queries import KEPT_PICTURE, KeptPictureDocument

router = APIRouter(prefix="/v1/pictures", tags=["search"])
BODY = {
    "requestBody": {
        "content": {
            "multipart/form-data": {
                "examples": {"one": {"summary": "A file", "value": {"picture": "(bytes)"}}}
            }
        }
    }
}


@router.post(
    "",
    status_code=201,
    response_model=KeptPictureDocument,
    responses=refusals(
        MALFORMED, TOO_LARGE, UPLOAD_TOO_LARGE, INVALID, BAD_PICTURE, OVERLOADED, READ_ONLY, FULL
    ),
    openapi_extra=BODY,
)
async def keep_picture(
    shared: SharedDep,
    picture: Annotated[
        UploadFile, File(description="A picture file, in any format that can be indexed.")
    ],
) -> ShownPicture:
    """Keep a picture to search by, and get the id by which queries name it.

    It does not become a part of the library. The same bytes again have the same id. The latest
    used stay, within `SEGSEARCH_QUERY_PICTURE_BYTES`; a query that names one that is gone is
    answered by `not_found_error`.
    """
    return await shared.pictures.run(lambda: shared.library.shown.keep(picture.file.read()))


@router.get(
    "/{picture_id}/thumbnail",
    response_class=Response,
    responses=drawing(
        picture("image/jpeg", "The upright picture, shrunk when it is larger than `side`.")
    ),
)
async def picture_thumbnail(
    picture_id: Annotated[PictureId, Path(examples=[KEPT_PICTURE["picture_id"]])],
    library: LibraryDep,
    drawer: DrawerDep,
    side: Side = 480,
) -> Response:
    """A small JPEG of a kept picture."""
    await run_in_threadpool(library.shown.use, picture_id)
    tag = tag_of("thumbnail", picture_id, side)
    draw = partial(_small, library, picture_id, side)
    return await drawer.answer(tag, "image/jpeg", draw, keep=True)


def _small(library: SegSearch, picture_id: str, side: int) -> bytes:
    return thumbnail_jpeg(library.shown.small(picture_id, side), side)
