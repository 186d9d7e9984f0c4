"""Images: their documents by cursor or id, their segments, and their pixels."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response

from segsearch.core.names import NAME
from segsearch.core.query import MAX_LIMIT
from segsearch.core.types import MAX_ID, State
from segsearch.export.documents import ImageDocument, SegmentDocument
from segsearch.export.render import picture_png, thumbnail_jpeg
from segsearch.library import SegSearch
from segsearch.media.decode import Limits, decode_small
from segsearch_api.deps import (
    Here,
)
from segsearch_api.etag import (
    drawn,
    tag_of,
)
from segsearch_api.openapi import (
    BAD_TAG,
    BODY_TOO_LARGE,
    INVALID,
    NO_COLLECTION,
    NOT_FOUND,
    NOT_MODIFIED,
    OVERLOADED,
    picture,
    refusals,
)
from segsearch_api.schemas.images import (
    ImagePage,
    SegmentList,
    TagsRequest,
)

router = APIRouter(prefix="/v1/images", tags=["images"])
ImageId = Annotated[int, Path(ge=1, le=MAX_ID, examples=[31])]
OTHER_FILE = "application/octet-stream"
FILE_TYPES = {
    "JPEG": "image/jpeg", "MPO": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp",
    "GIF": "image/gif", "TIFF": "image/tiff", "BMP": "image/bmp", "AVIF": "image/avif",
    "JPEG2000": "image/jp2", "HEIF": "image/heif",
}  # fmt: skip
Side = Annotated[int, Query(ge=16, le=2048, description="The longer side, in pixels.")]


@router.get("", response_model=ImagePage, responses=refusals(NO_COLLECTION, INVALID))
def list_images(
    here: Here,
    after: Annotated[int, Query(ge=0, le=MAX_ID, description="The last page's next_after.")] = 0,
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT, description="How many at most.")] = 100,
    state: Annotated[State | None, Query(description="Only images of this state.")] = None,
    collection: Annotated[str | None, Query(pattern=NAME, description="Only its images.")] = None,
) -> dict[str, Any]:
    """Images by ascending id, a page at a time."""
    images = here.service.catalog.images(
        after=after, limit=limit, state=state, collection=collection
    )
    following = images[-1].id if len(images) == limit else None
    return {"images": [ImageDocument.of(image) for image in images], "next_after": following}


@router.get("/{image_id}", response_model=ImageDocument, responses=refusals(NOT_FOUND, INVALID))
def read_image(image_id: ImageId, here: Here) -> ImageDocument:
    """One image."""
    return ImageDocument.of(here.service.catalog.image(image_id))


@router.post(
    "/{image_id}/tags",
    response_model=ImageDocument,
    responses=refusals(NOT_FOUND, INVALID, BAD_TAG, BODY_TOO_LARGE),
)
def tag_image(image_id: ImageId, wanted: TagsRequest, here: Here) -> ImageDocument:
    """Give tags to an image and take some away; what already is so stays so."""
    here.service.tag(image_ids=[image_id], add=wanted.add, remove=wanted.remove)
    return ImageDocument.of(here.service.catalog.image(image_id))


@router.get(
    "/{image_id}/segments", response_model=SegmentList, responses=refusals(NOT_FOUND, INVALID)
)
def list_segments(image_id: ImageId, here: Here) -> dict[str, Any]:
    """All segments of an image with their masks, by ascending id."""
    here.service.catalog.image(image_id)
    segments = here.service.catalog.segments_of(image_id)
    return {"segments": [SegmentDocument.of(segment) for segment in segments]}


@router.get(
    "/{image_id}/thumbnail",
    response_class=Response,
    responses={
        200: picture("image/jpeg", "The upright picture, shrunk when it is larger than `side`."),
        304: NOT_MODIFIED,
        **refusals(NOT_FOUND, INVALID, OVERLOADED),
    },
)
async def thumbnail(image_id: ImageId, request: Request, here: Here, side: Side = 480) -> Response:
    """A small JPEG of an image."""
    image = await run_in_threadpool(here.service.catalog.image, image_id)
    return await drawn(
        request,
        here.drawings,
        tag_of("thumbnail", image.sha256, side),
        "image/jpeg",
        lambda: _small(here.service, image_id, side),
        kept=here.thumbnails,
    )


@router.get(
    "/{image_id}/original",
    response_class=Response,
    responses={
        200: picture("image/png", "Pixels (H, W, 3) in sRGB."),
        304: NOT_MODIFIED,
        **refusals(NOT_FOUND, INVALID, OVERLOADED),
    },
)
async def original(image_id: ImageId, request: Request, here: Here) -> Response:
    """An image's upright pixels without loss: boxes and masks lie over exactly these."""
    image = await run_in_threadpool(here.service.catalog.image, image_id)
    return await drawn(
        request,
        here.drawings,
        tag_of("original", image.sha256),
        "image/png",
        lambda: picture_png(here.service.pictures.pixels(image_id)),
    )


@router.get(
    "/{image_id}/file",
    response_class=Response,
    responses={
        200: {
            "description": "The bytes that were indexed, under their own media type.",
            "content": {
                kind: {"schema": {"type": "string", "format": "binary"}}
                for kind in sorted({*FILE_TYPES.values(), OTHER_FILE})
            },
        },
        304: NOT_MODIFIED,
        **refusals(NOT_FOUND, INVALID, OVERLOADED),
    },
)
async def file(image_id: ImageId, request: Request, here: Here) -> Response:
    """An image's file as it was found or uploaded: not turned, not converted."""
    image = await run_in_threadpool(here.service.catalog.image, image_id)
    kind = FILE_TYPES.get(image.format, OTHER_FILE)
    work = lambda: here.service.pictures.original(image_id)  # noqa: E731  read like its neighbours
    return await drawn(request, here.drawings, f'"{image.sha256}"', kind, work)


def _small(service: SegSearch, image_id: int, side: int) -> bytes:
    limits = Limits(service.settings.max_bytes, service.settings.max_pixels)
    return thumbnail_jpeg(decode_small(service.pictures.original(image_id), side, limits), side)
