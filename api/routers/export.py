"""Regions as a file for other programs: COCO, JSON lines, or a caption pack as a tar."""

from __future__ import annotations

import importlib.util
import itertools
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fastapi import APIRouter
from fastapi.responses import FileResponse
from starlette.background import BackgroundTask

from segsearch.core.errors import NotFoundError, QueryError
from segsearch.core.query import MAX_LIMIT, Query, SegmentTerm, Term, TextTerm
from segsearch.core.types import Hit
from segsearch.export.caption_pack import write_caption_pack
from segsearch.export.coco import write_coco
from segsearch.export.documents import write_json_lines
from segsearch.library import SegSearch
from segsearch_api.deps import SharedDep
from segsearch_api.openapi import (
    BAD_FOLDER,
    BAD_QUERY,
    EMPTY,
    INVALID,
    NO_COLLECTION,
    NOT_FOUND,
    OTHER_MODELS,
    OVERLOADED,
    refusals,
)
from segsearch_api.schemas.library import ExportRequest

router = APIRouter(prefix="/v1", tags=["library"])
MEDIA_TYPES = {
    "coco": ("application/json", "segsearch-coco.json"),
    "jsonl": ("application/jsonl", "segsearch.jsonl"),
    "parquet": ("application/vnd.apache.parquet", "segsearch.parquet"),
    "caption-pack": ("application/x-tar", "segsearch-captions.tar"),
}
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
        ),
    },
)
async def export(body: ExportRequest, shared: SharedDep) -> FileResponse:
    """Write the regions of a query, of a collection, or of the whole library into one file.

    A caption pack is a webdataset: a sample a region, of a crop, a cutout, the marked picture and
    JSON with chat messages.
    """
    _check(body)
    folder = Path(tempfile.mkdtemp(prefix="segsearch-export-"))
    try:
        file = await shared.exports.run(lambda: _write(shared.library, body, folder))
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    media_type, name = MEDIA_TYPES[body.format]
    done = BackgroundTask(shutil.rmtree, folder, ignore_errors=True)
    return FileResponse(file, media_type=media_type, filename=name, background=done)


def _check(body: ExportRequest) -> None:
    if body.format != "coco" and (body.relative_to is not None or body.polygons):
        raise QueryError("`relative_to` and `polygons` are for the format coco.")
    is_query = body.text is not None or body.segment_id is not None
    if is_query and body.collection is not None:
        raise QueryError("Give words or a segment, or a collection, not both.")
    if body.text is not None and body.segment_id is not None:
        raise QueryError("Give words or a segment, not both.")
    if body.format == "parquet" and importlib.util.find_spec("pyarrow") is None:
        raise QueryError("The package pyarrow is missing: install segsearch with the extra 'data'.")
    if (body.limit or 0) > MAX_LIMIT and (is_query or body.format == "caption-pack"):
        raise QueryError(
            f"The limit is {body.limit}, expected at most {MAX_LIMIT} for a query or a pack."
        )


def _write(library: SegSearch, body: ExportRequest, folder: Path) -> Path:
    hits = _hits(library, body)
    file = folder / "export"
    if body.format == "coco":
        label, polygons = body.text or "region", body.polygons
        write_coco(hits, file, label, relative_to=body.relative_to, polygons=polygons)
    elif body.format == "jsonl":
        write_json_lines(hits, file)
    elif body.format == "parquet":
        from segsearch.export.parquet import write_parquet  # loads pyarrow

        write_parquet(hits, file)
    else:
        file = file.with_suffix(".tar")
        written = write_caption_pack(hits, library.region_sources(), file)
        if written.skipped and not written.regions:
            raise NotFoundError(f"No picture is there: {next(iter(written.skipped.values()))}")
    return file


def _hits(library: SegSearch, body: ExportRequest) -> Iterator[Hit]:
    term: Term | None = None
    if body.text is not None:
        term = TextTerm(body.text)
    elif body.segment_id is not None:
        term = SegmentTerm(body.segment_id)
    if term is not None:
        query = Query(
            (term,),
            limit=body.limit or MAX_LIMIT,
            per_image=body.per_image,
            min_relevance=body.min_relevance,
        )
        yield from library.search(query).hits
        return
    image_ids: list[int] | None = None
    if body.collection is not None:
        image_ids = library.catalog.image_ids_of(body.collection)
    inside = library.catalog.regions(image_ids=image_ids)
    most = MAX_LIMIT if body.format == "caption-pack" else None
    yield from itertools.islice(inside, body.limit or most)
