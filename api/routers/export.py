"""Regions as a file for other programs: COCO, JSON lines, Parquet, a caption pack, cutouts,
YouTube-VIS."""

from __future__ import annotations

import importlib.util
import itertools
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from fastapi import APIRouter
from fastapi.responses import FileResponse
from starlette.background import BackgroundTask

from segsearch.core.downloads import disposition, plain_name
from segsearch.core.errors import NotFoundError, QueryError
from segsearch.core.query import MAX_LIMIT, Query, SegmentTerm, Term, terms_of_words
from segsearch.core.types import Hit
from segsearch.export.caption_pack import write_caption_pack
from segsearch.export.coco import write_coco
from segsearch.export.cutouts import write_cutouts
from segsearch.export.documents import write_json_lines
from segsearch.export.ytvis import write_ytvis, write_ytvis_zip
from segsearch.library import SegSearch
from segsearch.storage.disk_errors import disk_errors_as_ours
from segsearch_api.deps import SharedDep
from segsearch_api.openapi import (
    BAD_FOLDER,
    BAD_QUERY,
    EMPTY,
    FULL,
    INVALID,
    NO_COLLECTION,
    NOT_FOUND,
    OTHER_MODELS,
    OVERLOADED,
    refusals,
)
from segsearch_api.schemas.export import MAX_CUTOUTS, MAX_FRAMES, ExportRequest

router = APIRouter(prefix="/v1", tags=["library"])
ZIP = "application/zip"
WITH_FRAMES = (ZIP, "-ytvis.zip")
MEDIA_TYPES = {  # and what stands behind a file's own name
    "coco": ("application/json", "-coco.json"),
    "jsonl": ("application/jsonl", ".jsonl"),
    "parquet": ("application/vnd.apache.parquet", ".parquet"),
    "caption-pack": ("application/x-tar", "-captions.tar"),
    "cutouts": (ZIP, "-cutouts.zip"),
    "ytvis": ("application/json", "-ytvis.json"),
}
# One choice of regions a request; images and segments are one.
CHOICES = (("text",), ("segment_id",), ("query",), ("collection",), ("image_ids", "segment_ids"))
COCO_EXAMPLE: dict[str, Any] = {
    "info": {"description": "Regions exported by segsearch.", "base_folder": "/pictures/"},
    "licenses": [],
    "images": [{"id": 31, "file_name": "beach/umbrella.jpg", "width": 640, "height": 480}],
    "categories": [{"id": 1, "name": "region", "supercategory": "region"}],
    "annotations": [
        {
            "id": 812, "image_id": 31, "category_id": 1, "area": 21877, "iscrowd": 0,
            "bbox": [37, 60, 174, 242], "score": 0.41,
            "segmentation": {"size": [480, 640], "counts": "Zd81k>6L2N2N2N2N2N2N"},
        }
    ],
}  # fmt: skip
ANSWER: dict[str, Any] = {
    "description": "The file.",
    "content": {
        "application/json": {"schema": {"type": "object", "examples": [COCO_EXAMPLE]}},
        "application/jsonl": {"schema": {"type": "string", "format": "binary"}},
        "application/vnd.apache.parquet": {"schema": {"type": "string", "format": "binary"}},
        "application/x-tar": {"schema": {"type": "string", "format": "binary"}},
        ZIP: {"schema": {"type": "string", "format": "binary"}},
    },
}


@router.post(
    "/export",
    response_class=FileResponse,
    responses={
        200: ANSWER,
        **refusals(
            NOT_FOUND,
            NO_COLLECTION,
            INVALID,
            BAD_QUERY,
            BAD_FOLDER,
            EMPTY,
            OTHER_MODELS,
            OVERLOADED,
            FULL,
        ),
    },
)
async def export(body: ExportRequest, shared: SharedDep) -> FileResponse:
    """Write the regions of a query, of a collection, of some images, or of the whole library into
    one file.

    A caption pack is a webdataset: a sample a region, of a crop, a cutout, the marked picture and
    JSON with chat messages. Cutouts are a zip of a PNG a region with `regions.jsonl`, and with
    `skipped.txt` where pictures are gone. `ytvis` holds the things of videos, each shot a clip;
    with `frames` it is a zip of `instances.json`, the frames in `JPEGImages`, and `skipped.txt`.
    """
    _check(body)
    with disk_errors_as_ours(Path(tempfile.gettempdir())):
        folder = Path(tempfile.mkdtemp(prefix="segsearch-export-"))
        try:
            file = await shared.exports.run(lambda: _write(shared.library, body, folder))
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
    media_type, ending = WITH_FRAMES if body.frames else MEDIA_TYPES[body.format]
    done = BackgroundTask(shutil.rmtree, folder, ignore_errors=True)
    headers = {"Content-Disposition": disposition("attachment", f"{_name(body)}{ending}")}
    return FileResponse(file, media_type=media_type, headers=headers, background=done)


def _chosen(body: ExportRequest) -> list[str]:
    """The fields that choose regions, those that are one choice counted once."""
    given = ([name for name in names if getattr(body, name) is not None] for names in CHOICES)
    return [names[0] for names in given if names]


def _words(body: ExportRequest) -> str | None:
    return body.query.text if body.query is not None else body.text


def _name(body: ExportRequest) -> str:
    """What a file is called after: the collection, the words, or that it is a selection."""
    said = plain_name(body.collection or _words(body) or "")
    return said or ("selection" if _chosen(body) else "segsearch")


def _check(body: ExportRequest) -> None:
    if body.format != "coco" and body.polygons:
        raise QueryError("`polygons` is for the format coco.")
    if body.format not in {"coco", "ytvis"} and body.relative_to is not None:
        raise QueryError("`relative_to` is for the formats coco and ytvis.")
    if body.format != "ytvis" and body.frames:
        raise QueryError("`frames` is for the format ytvis.")
    chosen = _chosen(body)
    if len(chosen) > 1:
        first, second, *_ = chosen
        raise QueryError(f"Give `{first}` or `{second}`, not both.")
    is_query = bool({"text", "segment_id", "query"} & {*chosen})
    if body.format == "parquet" and importlib.util.find_spec("pyarrow") is None:
        raise QueryError("The package pyarrow is missing: install segsearch with the extra 'data'.")
    if (body.limit or 0) > MAX_LIMIT and (is_query or body.format == "caption-pack"):
        raise QueryError(
            f"The limit is {body.limit}, expected at most {MAX_LIMIT} for a query or a pack."
        )
    if body.format == "cutouts" and (body.limit or 0) > MAX_CUTOUTS:
        raise QueryError(f"The limit is {body.limit}, expected at most {MAX_CUTOUTS} of cutouts.")


def _write(library: SegSearch, body: ExportRequest, folder: Path) -> Path:
    hits = _hits(library, body)
    file = folder / "export"
    if body.format == "coco":
        write_coco(
            hits,
            file,
            _words(body) or "region",
            sources=library.region_sources(),
            relative_to=body.relative_to,
            polygons=body.polygons,
        )
    elif body.format == "jsonl":
        write_json_lines(hits, file)
    elif body.format == "parquet":
        from segsearch.export.parquet import write_parquet  # loads pyarrow

        write_parquet(hits, file)
    else:
        return _write_pack(library, body, hits, file)
    return file


def _write_pack(library: SegSearch, body: ExportRequest, hits: Iterator[Hit], file: Path) -> Path:
    """What may leave out regions whose pictures are gone."""
    sources, label = library.region_sources(), _words(body) or "region"
    if body.format == "caption-pack":
        file = file.with_suffix(".tar")
        written = write_caption_pack(hits, sources, file)
    elif body.format == "cutouts":
        file = file.with_suffix(".zip")
        most, lacking = body.limit or MAX_CUTOUTS, _lacking(library, body)
        written = write_cutouts(hits, sources, file, most=most, lacking=lacking)
    elif body.frames:
        file = file.with_suffix(".zip")
        written = write_ytvis_zip(
            hits, sources, file, label, relative_to=body.relative_to, most_frames=MAX_FRAMES
        )
    else:
        written = write_ytvis(hits, sources, file, label, relative_to=body.relative_to)
    if written.skipped and not written.regions:
        raise NotFoundError(f"No picture is there: {next(iter(written.skipped.values()))}")
    return file


def _lacking(library: SegSearch, body: ExportRequest) -> list[str]:
    """A sentence for each image and segment that was asked for and is not in the library."""
    images, segments = body.image_ids or [], body.segment_ids or []
    known = {segment.id for segment in library.catalog.segments(segments)}
    return [
        *(f"There is no image {number} in the library." for number in _unknown(library, images)),
        *(
            f"There is no segment {number} in the library."
            for number in segments
            if number not in known
        ),
    ]


def _unknown(library: SegSearch, image_ids: list[int]) -> list[int]:
    known = {image.id for image in library.catalog.images(ids=image_ids, limit=len(image_ids))}
    return [number for number in image_ids if number not in known]


def _query(body: ExportRequest) -> Query | None:
    if body.query is not None:
        asked = body.query.query(None)
        return replace(asked, limit=body.limit or MAX_LIMIT, cursor=None, by_picture=False)
    terms: tuple[Term, ...] = ()
    if body.text is not None:
        terms = terms_of_words(body.text)
    elif body.segment_id is not None:
        terms = (SegmentTerm(body.segment_id),)
    if not terms:
        return None
    limit, per_image = body.limit or MAX_LIMIT, body.per_image
    return Query(terms, limit=limit, per_image=per_image, min_relevance=body.min_relevance)


def _hits(library: SegSearch, body: ExportRequest) -> Iterator[Hit]:
    query = _query(body)
    if query is not None:
        yield from library.search(query).hits
        return
    image_ids = None if body.image_ids is None else sorted({*body.image_ids})
    if body.collection is not None:
        image_ids = library.catalog.image_ids_of(body.collection)
    inside = library.catalog.regions(image_ids=image_ids, segment_ids=body.segment_ids)
    most = MAX_LIMIT if body.format == "caption-pack" else None
    yield from itertools.islice(inside, body.limit or most)
