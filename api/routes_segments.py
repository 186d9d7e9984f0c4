"""Segments: their documents, and what they look like as PNG."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response

from segsearch import render
from segsearch.domain import Mask
from segsearch.export import segment_document
from segsearch.ports import Pixels

from .documented import INVALID, NOT_FOUND, NOT_MODIFIED, OVERLOADED, picture, refusals
from .drawings import drawn, tag_of
from .schemas import MAX_ID, SegmentDocument
from .state import Here, Shared

router = APIRouter(prefix="/v1/segments", tags=["segments"])
SegmentId = Annotated[int, Path(ge=1, le=MAX_ID, examples=[812])]
MAX_MARGIN = 4.0
Margin = Annotated[
    float,
    Query(
        ge=0,
        le=MAX_MARGIN,
        allow_inf_nan=False,
        description="What is added on each side, as a share of the region's longer side.",
    ),
]


def _png(description: str) -> dict[int | str, dict[str, Any]]:
    return {
        200: picture("image/png", description),
        304: NOT_MODIFIED,
        **refusals(NOT_FOUND, INVALID, OVERLOADED),
    }


@router.get("/{segment_id}", response_model=SegmentDocument, responses=refusals(NOT_FOUND, INVALID))
def read_segment(segment_id: SegmentId, here: Here) -> dict[str, Any]:
    """One segment with its mask."""
    return segment_document(here.service.segment(segment_id))


@router.get(
    "/{segment_id}/mask.png",
    response_class=Response,
    responses=_png("Greyscale, as large as the upright image: 255 inside, 0 outside."),
)
async def mask_png(segment_id: SegmentId, request: Request, here: Here) -> Response:
    """The mask over the whole frame."""
    segment = await run_in_threadpool(here.service.segment, segment_id)
    tag = tag_of("mask", segment.mask)
    draw = lambda: render.mask_png(segment.mask)  # noqa: E731  read like its neighbours
    return await drawn(request, here.drawings, tag, "image/png", draw)


@router.get(
    "/{segment_id}/cutout.png",
    response_class=Response,
    responses=_png("RGBA, as large as the region's box; the mask is the alpha channel."),
)
async def cutout_png(segment_id: SegmentId, request: Request, here: Here) -> Response:
    """The region alone, transparent around it."""
    return await _drawn_from_picture(request, here, segment_id, "cutout", render.cutout_png)


@router.get(
    "/{segment_id}/crop.png",
    response_class=Response,
    responses=_png("RGB, square, at most 1,024 pixels a side; grey outside the picture."),
)
async def crop_png(
    segment_id: SegmentId, request: Request, here: Here, margin: Margin = 0.15
) -> Response:
    """The square around the region with its surroundings."""
    return await _drawn_from_picture(
        request,
        here,
        segment_id,
        f"crop {margin}",
        lambda pixels, mask: render.crop_png(pixels, mask, margin),
    )


@router.get(
    "/{segment_id}/overlay.png",
    response_class=Response,
    responses=_png("RGB, as large as the upright image."),
)
async def overlay_png(segment_id: SegmentId, request: Request, here: Here) -> Response:
    """The whole picture, darkened outside the region, which is tinted and outlined."""
    return await _drawn_from_picture(
        request,
        here,
        segment_id,
        "overlay",
        lambda pixels, mask: render.overlay_png(pixels, [mask]),
    )


async def _drawn_from_picture(
    request: Request,
    here: Shared,
    segment_id: int,
    what: str,
    draw: Callable[[Pixels, Mask], bytes],
) -> Response:
    service = here.service
    segment = await run_in_threadpool(service.segment, segment_id)
    image = await run_in_threadpool(service.image, segment.image_id)
    tag = tag_of(what, image.sha256, segment.mask)
    work = lambda: draw(service.picture(image.id), segment.mask)  # noqa: E731
    return await drawn(request, here.drawings, tag, "image/png", work)
