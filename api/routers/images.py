"""Images: their documents by cursor or id, their segments, and their pixels."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse, Response

from segsearch.core.downloads import file_name
from segsearch.core.names import NAME
from segsearch.core.query import MAX_LIMIT
from segsearch.core.types import MAX_ID, State
from segsearch.export.documents import ImageDocument, SegmentDocument
from segsearch.export.render import picture_png, thumbnail_jpeg
from segsearch.export.text_documents import PictureTextDocument
from segsearch.library import SegSearch
from segsearch_api.deps import LibraryDep
from segsearch_api.drawings import DrawerDep, tag_of
from segsearch_api.openapi import (
    BAD_TAG,
    BODY_TOO_LARGE,
    INVALID,
    NO_COLLECTION,
    NOT_FOUND,
    READ_ONLY,
    drawing,
    picture,
    refusals,
)
from segsearch_api.schemas.images import ImagePage, SegmentList, TagsRequest
from segsearch_api.schemas.jobs import RetryRequest
from segsearch_api.schemas.library import Changed

router = APIRouter(prefix="/v1/images", tags=["images"])
ImageId = Annotated[int, Path(ge=1, le=MAX_ID, examples=[31])]
OTHER_FILE = "application/octet-stream"
FILE_TYPES = {
    "JPEG": "image/jpeg", "MPO": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp",
    "GIF": "image/gif", "TIFF": "image/tiff", "BMP": "image/bmp", "AVIF": "image/avif",
    "JPEG2000": "image/jp2", "HEIF": "image/heif", "PDF": "application/pdf",
}  # fmt: skip
FILE: dict[str, Any] = {
    "description": "The bytes that were indexed, under their own media type.",
    "content": {
        media_type: {"schema": {"type": "string", "format": "binary"}}
        for media_type in sorted({*FILE_TYPES.values(), OTHER_FILE})
    },
}
OF_VIDEO = {"description": "The image is a shot: its video has a file."}
Second = Annotated[
    float | None,
    Query(
        alias="t",
        ge=0,
        le=1e6,
        allow_inf_nan=False,
        description="Of its video; without it, the frame that stands for it.",
    ),
]
Side = Annotated[int, Query(ge=16, le=2048, description="The longer side, in pixels.")]


@router.get("", response_model=ImagePage, responses=refusals(NO_COLLECTION, INVALID))
def list_images(
    library: LibraryDep,
    after: Annotated[int, Query(ge=0, le=MAX_ID, description="The last page's next_after.")] = 0,
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT, description="How many at most.")] = 100,
    state: Annotated[State | None, Query(description="Only images of this state.")] = None,
    collection: Annotated[str | None, Query(pattern=NAME, description="Only its images.")] = None,
) -> dict[str, Any]:
    """Images by ascending id, a page at a time."""
    images = library.catalog.images(after=after, limit=limit, state=state, collection=collection)
    following = images[-1].id if len(images) == limit else None
    return {"images": [ImageDocument.of(image) for image in images], "next_after": following}


@router.post(
    "/retry", response_model=Changed, responses=refusals(INVALID, BODY_TOO_LARGE, READ_ONLY)
)
def retry_images(body: RetryRequest, library: LibraryDep) -> dict[str, int]:
    """Let images wait again that failed or were quarantined, with nothing held against them.

    Others are passed by. Workers that pause go on.
    """
    return {"changed": library.runs.retry(body.image_ids)}


@router.get("/{image_id}", response_model=ImageDocument, responses=refusals(NOT_FOUND, INVALID))
def read_image(image_id: ImageId, library: LibraryDep) -> ImageDocument:
    """One image."""
    return ImageDocument.of(library.catalog.image(image_id))


@router.delete(
    "/{image_id}",
    status_code=204,
    response_class=Response,
    responses=refusals(NOT_FOUND, INVALID, READ_ONLY),
)
async def delete_image(image_id: ImageId, library: LibraryDep) -> Response:
    """Forget an image with its segments.

    Its file is deleted when it was uploaded, and only then: other files are never touched, and a
    folder that is watched brings its pictures back.
    """
    await run_in_threadpool(library.uploads.remove_image, image_id)
    return Response(status_code=204)


@router.post(
    "/{image_id}/tags",
    response_model=ImageDocument,
    responses=refusals(NOT_FOUND, INVALID, BAD_TAG, BODY_TOO_LARGE),
)
def tag_image(image_id: ImageId, body: TagsRequest, library: LibraryDep) -> ImageDocument:
    """Give tags to an image and take some away; what already is so stays so."""
    library.tag(image_ids=[image_id], add=body.add, remove=body.remove)
    return ImageDocument.of(library.catalog.image(image_id))


@router.get(
    "/{image_id}/segments", response_model=SegmentList, responses=refusals(NOT_FOUND, INVALID)
)
def list_segments(image_id: ImageId, library: LibraryDep) -> dict[str, Any]:
    """All segments of an image with their masks and captions, by ascending id."""
    library.catalog.image(image_id)
    segments = library.catalog.segments_of(image_id)
    said = library.catalog.captions([segment.id for segment in segments])
    return {"segments": [SegmentDocument.of(one, said.get(one.id, ())) for one in segments]}


@router.get(
    "/{image_id}/text", response_model=PictureTextDocument, responses=refusals(NOT_FOUND, INVALID)
)
def read_text(image_id: ImageId, library: LibraryDep) -> PictureTextDocument:
    """The lines of text in an image, and the elements of a page, in the order of reading."""
    return PictureTextDocument.of(library.text_of(image_id))


@router.get(
    "/{image_id}/thumbnail",
    response_class=Response,
    responses=drawing(
        picture("image/jpeg", "The upright picture, shrunk when it is larger than `side`.")
    ),
)
async def thumbnail(
    image_id: ImageId,
    library: LibraryDep,
    drawer: DrawerDep,
    side: Side = 480,
    seconds: Second = None,
) -> Response:
    """A small JPEG of an image, of a shot of a video of the frame that stands for it, or of the one
    that is asked for."""
    image = await run_in_threadpool(library.catalog.image, image_id)
    moment = seconds if image.shot else None
    tag = tag_of("thumbnail", image.sha256, side, *([] if moment is None else [moment]))
    return await drawer.answer(
        tag, "image/jpeg", partial(_small, library, image_id, side, moment), keep=True
    )


@router.get(
    "/{image_id}/original",
    response_class=Response,
    responses=drawing(picture("image/png", "Pixels (H, W, 3) in sRGB.")),
)
async def original(image_id: ImageId, library: LibraryDep, drawer: DrawerDep) -> Response:
    """An image's upright pixels without loss: boxes and masks lie over exactly these."""
    image = await run_in_threadpool(library.catalog.image, image_id)
    tag = tag_of("original", image.sha256)
    return await drawer.answer(
        tag, "image/png", lambda: picture_png(library.pictures.pixels(image_id))
    )


@router.get("/{image_id}/file", response_class=Response, responses={**drawing(FILE), 307: OF_VIDEO})
async def file(image_id: ImageId, library: LibraryDep, drawer: DrawerDep) -> Response:
    """An image's file as it was found or uploaded: not turned or converted; of a page, its PDF, and
    for a shot the way to its video's."""
    image = await run_in_threadpool(library.catalog.image, image_id)
    if image.shot is not None:
        return RedirectResponse(f"/v1/videos/{image.shot.video_id}/file")
    media_type = FILE_TYPES.get(image.format, OTHER_FILE)
    read = partial(library.pictures.file, image_id)
    name = file_name(image.paths[0] if image.paths else None)
    return await drawer.answer(f'"{image.sha256}"', media_type, read, name=name)


def _small(library: SegSearch, image_id: int, side: int, seconds: float | None) -> bytes:
    return thumbnail_jpeg(library.pictures.small(image_id, side, seconds), side)
