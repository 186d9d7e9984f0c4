"""Segments: their documents, and what they look like as PNG."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from enum import StrEnum
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from segsearch.core.arrays import Pixels
from segsearch.core.errors import NotFoundError
from segsearch.core.types import MAX_ID, Mask
from segsearch.export import render
from segsearch.export.cutouts import region_file
from segsearch.export.documents import EXAMPLE_MASK, SegmentDocument
from segsearch.export.video_documents import TrackDocument
from segsearch.library import SegSearch
from segsearch.masks.polygons import polygons, svg_document
from segsearch.masks.rle import to_coco
from segsearch_api.deps import LibraryDep
from segsearch_api.drawings import Drawer, DrawerDep, tag_of
from segsearch_api.openapi import (
    INVALID,
    NO_LIFE,
    NOT_ACCEPTABLE,
    NOT_FOUND,
    READ_ONLY,
    Responses,
    drawing,
    picture,
    refusals,
)

router = APIRouter(prefix="/v1/segments", tags=["segments"])
SegmentId = Annotated[int, Path(ge=1, le=MAX_ID, examples=[812])]
MAX_MARGIN = 4.0
KEPT_SIDE_PX = 640  # of cutouts that are kept among the thumbnails
Margin = Annotated[
    float,
    Query(
        ge=0,
        le=MAX_MARGIN,
        allow_inf_nan=False,
        description="What is added on each side, as a share of the region's longer side.",
    ),
]

Side = Annotated[int, Query(ge=16, le=8192, description="The longer side at most, in pixels.")]


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
MASK_NAMES = {
    MaskFormat.PNG: "mask.png",
    MaskFormat.RLE: "mask.json",
    MaskFormat.POLYGONS: "polygons.json",
    MaskFormat.SVG: "mask.svg",
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
    for place, media_range in enumerate(accept.split(",")):
        kind, *parameters = (part.strip().lower() for part in media_range.split(";"))
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


def _png(description: str) -> Responses:
    return drawing(picture(PNG, description))


@router.get("/{segment_id}", response_model=SegmentDocument, responses=refusals(NOT_FOUND, INVALID))
def read_segment(segment_id: SegmentId, library: LibraryDep) -> SegmentDocument:
    """One segment with its mask, and its captions."""
    said = library.catalog.captions([segment_id])
    return SegmentDocument.of(library.catalog.segment(segment_id), said.get(segment_id, ()))


@router.get(
    "/{segment_id}/track", response_model=TrackDocument, responses=refusals(NO_LIFE, INVALID)
)
def read_track(segment_id: SegmentId, library: LibraryDep) -> TrackDocument:
    """Of a region of a video, when it is there, and its masks at keyframes."""
    segment = library.catalog.segment(segment_id)
    shot = library.catalog.image(segment.image_id).shot
    if shot is None:
        raise NotFoundError(f"The segment {segment_id} is a picture's: only those of videos live.")
    masks = library.catalog.key_masks([segment_id]).get(segment_id, ())
    return TrackDocument.of_segment(segment, shot, masks)


@router.delete(
    "/{segment_id}",
    status_code=204,
    response_class=Response,
    responses=refusals(NOT_FOUND, INVALID, READ_ONLY),
)
async def delete_segment(segment_id: SegmentId, library: LibraryDep) -> Response:
    """Forget a segment; indexing its picture anew would find it again."""
    await run_in_threadpool(library.uploads.remove_segment, segment_id)
    return Response(status_code=204)


@router.get("/{segment_id}/mask", response_class=Response, responses=drawing(MASKS, NOT_ACCEPTABLE))
async def mask(
    segment_id: SegmentId,
    request: Request,
    library: LibraryDep,
    drawer: DrawerDep,
    chosen: Annotated[
        MaskFormat | None, Query(alias="format", description="Counts more than Accept.")
    ] = None,
) -> Response:
    """The mask over the whole frame: as PNG, COCO run lengths, polygons, or an SVG.

    Without `format` the header Accept decides: PNG for `image/png`, SVG for `image/svg+xml`, run
    lengths for `application/json` and for anything.
    """
    kind = chosen or _negotiated(request.headers.get("accept", "*/*"))
    answer = await _mask(library, drawer, segment_id, kind)
    answer.headers.add_vary_header("Accept")
    return answer


@router.get(
    "/{segment_id}/mask.png",
    response_class=Response,
    responses=_png("Greyscale, as large as the upright image: 255 inside, 0 outside."),
)
async def mask_png(segment_id: SegmentId, library: LibraryDep, drawer: DrawerDep) -> Response:
    """The mask over the whole frame."""
    return await _mask(library, drawer, segment_id, MaskFormat.PNG)


@router.get(
    "/{segment_id}/cutout.png",
    response_class=Response,
    responses=_png("RGBA, as large as the region's box; the mask is the alpha channel."),
)
async def cutout_png(
    segment_id: SegmentId,
    library: LibraryDep,
    drawer: DrawerDep,
    side: Annotated[
        int | None,
        Query(ge=16, le=2048, description="The longer side at most; without it, as it is."),
    ] = None,
) -> Response:
    """The region alone, transparent around it."""
    if side is not None:
        return await _small_cutout(library, drawer, segment_id, side)
    return await _region(library, drawer, segment_id, "cutout", render.cutout_png)


@router.get(
    "/{segment_id}/crop.png",
    response_class=Response,
    responses=_png("RGB, square, at most 1,024 pixels a side; grey outside the picture."),
)
async def crop_png(
    segment_id: SegmentId,
    library: LibraryDep,
    drawer: DrawerDep,
    margin: Margin = render.CROP_MARGIN,
) -> Response:
    """The square around the region with its surroundings."""
    draw = partial(render.crop_png, margin=margin)
    return await _region(library, drawer, segment_id, f"crop {margin}", draw)


@router.get(
    "/{segment_id}/overlay.png",
    response_class=Response,
    responses=_png("RGB, the upright image, shrunk when it is larger than `side`."),
)
async def overlay_png(
    segment_id: SegmentId,
    library: LibraryDep,
    drawer: DrawerDep,
    side: Side = render.SHOWN_SIDE_PX,
) -> Response:
    """The whole picture, darkened outside the region, which is tinted and outlined."""
    segment = await run_in_threadpool(library.catalog.segment, segment_id)
    image = await run_in_threadpool(library.catalog.image, segment.image_id)

    def draw() -> bytes:
        return render.overlay_png(
            library.pictures.small(image.id, side, segment.seen_at), [segment.mask]
        )

    tag = tag_of(f"overlay {side}", image.sha256, segment.mask)
    name = f"{region_file(image, segment_id)}-overlay.png"
    return await drawer.answer(tag, PNG, draw, name=name)


async def _mask(library: SegSearch, drawer: Drawer, segment_id: int, kind: MaskFormat) -> Response:
    segment = await run_in_threadpool(library.catalog.segment, segment_id)
    image = await run_in_threadpool(library.catalog.image, segment.image_id)
    media_type, draw = MASK_FORMATS[kind]
    tag = tag_of("mask", kind, segment.mask)
    name = f"{region_file(image, segment_id)}-{MASK_NAMES[kind]}"
    return await drawer.answer(tag, media_type, partial(draw, segment.mask), name=name)


async def _region(
    library: SegSearch,
    drawer: Drawer,
    segment_id: int,
    what: str,
    draw: Callable[[Pixels, Mask], bytes],
) -> Response:
    segment = await run_in_threadpool(library.catalog.segment, segment_id)
    image = await run_in_threadpool(library.catalog.image, segment.image_id)
    tag = tag_of(what, image.sha256, segment.mask)
    name = f"{region_file(image, segment_id)}-{what.partition(' ')[0]}.png"
    return await drawer.answer(
        tag,
        PNG,
        lambda: draw(library.pictures.pixels(image.id, segment.seen_at), segment.mask),
        name=name,
    )


async def _small_cutout(library: SegSearch, drawer: Drawer, segment_id: int, side: int) -> Response:
    """A cutout of which the picture is decoded only as large as it is needed."""
    segment = await run_in_threadpool(library.catalog.segment, segment_id)
    image = await run_in_threadpool(library.catalog.image, segment.image_id)
    box = segment.mask.box
    shrink = min(1.0, side / max(box.width, box.height))
    picture_side = math.ceil(max(image.width, image.height) * shrink)

    def draw() -> bytes:
        pixels = library.pictures.small(image.id, max(1, picture_side), segment.seen_at)
        return render.cutout_png(pixels, segment.mask, side)

    tag = tag_of("small cutout", side, image.sha256, segment.mask)
    name = f"{region_file(image, segment_id)}-cutout.png"
    return await drawer.answer(tag, PNG, draw, keep=side <= KEPT_SIDE_PX, name=name)
