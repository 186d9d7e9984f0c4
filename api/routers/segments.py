"""Segments: their documents, and what they look like as PNG."""

from __future__ import annotations

import json
from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from segsearch.core.arrays import Pixels
from segsearch.core.types import MAX_ID, Mask
from segsearch.export import render
from segsearch.export.documents import EXAMPLE_MASK, SegmentDocument
from segsearch.masks.polygons import polygons, svg_document
from segsearch.masks.rle import to_coco
from segsearch_api.deps import (
    Here,
    Shared,
)
from segsearch_api.etag import (
    drawn,
    tag_of,
)
from segsearch_api.openapi import (
    INVALID,
    NOT_ACCEPTABLE,
    NOT_FOUND,
    NOT_MODIFIED,
    OVERLOADED,
    picture,
    refusals,
)

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


class MaskFormat(StrEnum):
    """How a mask is written."""

    PNG = "png"
    RLE = "rle"
    POLYGONS = "polygons"
    SVG = "svg"


def _json(document: Any) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


def _polygons(mask: Mask) -> bytes:
    return _json({"size": [mask.height, mask.width], "polygons": polygons(mask)})


JSON, PNG, SVG = "application/json", "image/png", "image/svg+xml"
MASK_FORMATS: dict[MaskFormat, tuple[str, Callable[[Mask], bytes]]] = {
    MaskFormat.PNG: (PNG, render.mask_png),
    MaskFormat.RLE: (JSON, lambda mask: _json(to_coco(mask))),
    MaskFormat.POLYGONS: (JSON, _polygons),
    MaskFormat.SVG: (SVG, lambda mask: svg_document(mask).encode()),
}
ACCEPTED = {
    PNG: MaskFormat.PNG, SVG: MaskFormat.SVG, JSON: MaskFormat.RLE,
    "application/*": MaskFormat.RLE, "image/*": MaskFormat.PNG, "*/*": MaskFormat.RLE,
}  # fmt: skip
MASKS: dict[str, Any] = {
    **picture(PNG, "The mask in the format asked for."),
    "content": {
        PNG: {"schema": {"type": "string", "format": "binary"}},
        SVG: {"schema": {"type": "string", "format": "binary"}},
        JSON: {
            "schema": {
                "anyOf": [
                    {"$ref": "#/components/schemas/CocoMask"},
                    {"$ref": "#/components/schemas/PolygonMask"},
                ],
                "examples": [EXAMPLE_MASK["mask"]],
            }
        },
    },
}


def _negotiated(accept: str) -> MaskFormat:
    """What an Accept header likes best; the first named of several it likes as much."""
    liked: list[tuple[float, int, MaskFormat]] = []
    for place, one in enumerate(accept.split(",")):
        kind, *parameters = (part.strip().lower() for part in one.split(";"))
        quality = next((part[2:] for part in parameters if part.startswith("q=")), "1")
        try:
            likes = float(quality)
        except ValueError:
            likes = 0.0
        if kind in ACCEPTED and likes > 0:
            liked.append((-likes, place, ACCEPTED[kind]))
    if not liked:
        raise HTTPException(406, f"Expected {PNG}, {SVG} or {JSON}, not {accept[:80]!r}.")
    return min(liked)[2]


def _png(description: str) -> dict[int | str, dict[str, Any]]:
    return {
        200: picture("image/png", description),
        304: NOT_MODIFIED,
        **refusals(NOT_FOUND, INVALID, OVERLOADED),
    }


@router.get("/{segment_id}", response_model=SegmentDocument, responses=refusals(NOT_FOUND, INVALID))
def read_segment(segment_id: SegmentId, here: Here) -> SegmentDocument:
    """One segment with its mask."""
    return SegmentDocument.of(here.service.catalog.segment(segment_id))


@router.get(
    "/{segment_id}/mask",
    response_class=Response,
    responses={
        200: MASKS,
        304: NOT_MODIFIED,
        **refusals(NOT_FOUND, NOT_ACCEPTABLE, INVALID, OVERLOADED),
    },
)
async def mask(
    segment_id: SegmentId,
    request: Request,
    here: Here,
    wanted: Annotated[
        MaskFormat | None, Query(alias="format", description="Counts more than Accept.")
    ] = None,
) -> Response:
    """The mask over the whole frame: as PNG, COCO run lengths, polygons, or an SVG.

    Without `format` the header Accept decides: PNG for `image/png`, SVG for `image/svg+xml`, run
    lengths for `application/json` and for anything.
    """
    chosen = wanted or _negotiated(request.headers.get("accept", "*/*"))
    found = await run_in_threadpool(here.service.catalog.segment, segment_id)
    media_type, draw = MASK_FORMATS[chosen]
    tag = tag_of("mask", chosen, found.mask)
    answer = await drawn(request, here.drawings, tag, media_type, lambda: draw(found.mask))
    answer.headers["Vary"] = "Accept"
    return answer


@router.get(
    "/{segment_id}/mask.png",
    response_class=Response,
    responses=_png("Greyscale, as large as the upright image: 255 inside, 0 outside."),
)
async def mask_png(segment_id: SegmentId, request: Request, here: Here) -> Response:
    """The mask over the whole frame."""
    segment = await run_in_threadpool(here.service.catalog.segment, segment_id)
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
    segment = await run_in_threadpool(service.catalog.segment, segment_id)
    image = await run_in_threadpool(service.catalog.image, segment.image_id)
    tag = tag_of(what, image.sha256, segment.mask)
    work = lambda: draw(service.pictures.pixels(image.id), segment.mask)  # noqa: E731
    return await drawn(request, here.drawings, tag, "image/png", work)
