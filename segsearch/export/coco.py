"""Writes regions as a COCO instances file, whose pictures are named relative to one folder."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any

from segsearch.core.atomic import whole
from segsearch.core.errors import PathError
from segsearch.core.types import Hit
from segsearch.export.documents import HitDocument
from segsearch.masks.polygons import keyholed
from segsearch.media.sources.paths import normal


def coco_document(
    hits: Sequence[Hit],
    label: str = "region",
    *,
    relative_to: str | Path | None = None,
    polygons: bool = False,
) -> dict[str, Any]:
    """Hits as a COCO instances document with one category; the boxes are x, y, width, height.

    Ids are the library's. `file_name` is the picture's path below `info.base_folder`: `relative_to`
    or what all pictures have in common, null where that is nothing. No name leads out of it: tools
    write beside pictures what they make of them. With `polygons` the masks are polygons, holes
    joined to their outlines by a slit, instead of run lengths. `score` and `captions` come with
    each annotation. PathError for a picture that does not lie below `relative_to`.
    """
    documents = [HitDocument.of(hit) for hit in hits]
    paths = sorted({hit.path for hit in documents if hit.path})
    base = _common_folder(paths) if relative_to is None else normal(relative_to).rstrip("/") + "/"
    images = {
        hit.image_id: {
            "id": hit.image_id, "file_name": _name_below(base, hit.path or str(hit.image_id)),
            "width": hit.width, "height": hit.height,
        }
        for hit in documents
    }  # fmt: skip
    outlines = [keyholed(hit.segment.mask) if polygons else None for hit in hits]
    return {
        "info": {"description": "Regions exported by segsearch.", "base_folder": base or None},
        "licenses": [],
        "images": list(images.values()),
        "categories": [{"id": 1, "name": label, "supercategory": "region"}],
        "annotations": [
            _annotation(hit, outline) for hit, outline in zip(documents, outlines, strict=True)
        ],
    }


def _common_folder(paths: Sequence[str]) -> str:
    """The deepest folder that all of these lie in, with its slash; empty where there is none."""
    folders = [path.split("/")[:-1] for path in paths]
    alike = takewhile(lambda parts: len(set(parts)) == 1, zip(*folders, strict=False))
    common = [parts[0] for parts in alike]
    return "/".join([*common, ""]) if common else ""


def _name_below(base: str, path: str) -> str:
    """A picture's name below a folder; of places that have no folder in common, the whole path
    with no slash in front."""
    if not path.startswith(base):
        raise PathError(
            f"The picture {path!r} does not lie below {base!r}: name a folder that holds all "
            "pictures (--relative-to), or leave it out."
        )
    # An object store may hold a part of two dots, and no folder does.
    parts = path[len(base) :].replace("://", "/").split("/")
    return "/".join(part for part in parts if part not in {"", ".", ".."})


def _annotation(hit: HitDocument, outline: list[list[int]] | None) -> dict[str, Any]:
    x0, y0, x1, y1 = hit.box
    return {
        "id": hit.segment_id,
        "image_id": hit.image_id,
        "category_id": 1,
        "segmentation": hit.mask if outline is None else outline,
        "area": hit.area,
        "bbox": [x0, y0, x1 - x0, y1 - y0],
        "iscrowd": 0,
        "score": hit.score,
        "captions": [caption.model_dump() for caption in hit.captions],
    }


def write_coco(
    hits: Iterable[Hit],
    target: Path,
    label: str = "region",
    *,
    relative_to: str | Path | None = None,
    polygons: bool = False,
) -> int:
    """Write a COCO instances file, made or replaced when it is whole; how many regions are in it.

    Options and errors as `coco_document`; OSError when the disk refuses.
    """
    document = coco_document(list(hits), label, relative_to=relative_to, polygons=polygons)
    with whole(target) as partial, partial.open("w", encoding="utf-8") as file:
        json.dump(document, file)
        file.write("\n")
    return len(document["annotations"])
