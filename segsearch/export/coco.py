"""Writes regions as a COCO instances file, whose pictures are named relative to one folder."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any, NamedTuple

from segsearch.core.atomic import whole
from segsearch.core.errors import PathError
from segsearch.core.types import Hit
from segsearch.export.documents import HitDocument
from segsearch.masks.polygons import keyholed
from segsearch.media.sources.paths import normal


class _Picture(NamedTuple):
    """What a document says of a picture; sides in pixels."""

    path: str | None
    width: int
    height: int


def coco_document(
    hits: Iterable[Hit],
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
    images: dict[int, _Picture] = {}
    annotations = list(_annotations(hits, images, relative_to, polygons=polygons))
    return {**_frame(images, label, relative_to), "annotations": annotations}


def _annotations(
    hits: Iterable[Hit],
    images: dict[int, _Picture],
    relative_to: str | Path | None,
    *,
    polygons: bool,
) -> Iterator[dict[str, Any]]:
    """The annotations one by one; `images` takes in the pictures that they are of."""
    base = _named_folder(relative_to)
    for hit in hits:
        document = HitDocument.of(hit)
        path = document.path
        if base is not None:
            _name_below(base, path or str(hit.image.id))
        images[hit.image.id] = _Picture(path, document.width, document.height)
        yield _annotation(document, keyholed(hit.segment.mask) if polygons else None)


def _named_folder(relative_to: str | Path | None) -> str | None:
    return None if relative_to is None else normal(relative_to).rstrip("/") + "/"


def _frame(
    images: dict[int, _Picture], label: str, relative_to: str | Path | None
) -> dict[str, Any]:
    """A document without its annotations."""
    base = _named_folder(relative_to)
    if base is None:
        base = _common_folder(sorted({image.path for image in images.values() if image.path}))
    return {
        "info": {"description": "Regions exported by segsearch.", "base_folder": base or None},
        "licenses": [],
        "images": [
            {
                "id": image_id, "file_name": _name_below(base, image.path or str(image_id)),
                "width": image.width, "height": image.height,
            }
            for image_id, image in images.items()
        ],
        "categories": [{"id": 1, "name": label, "supercategory": "region"}],
    }  # fmt: skip


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
        "kind": hit.kind,
        "reading_order": hit.reading_order,
        "lines": [line.model_dump() for line in hit.lines],
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

    One region at a time is in memory, and the names of all pictures. Options and errors as
    `coco_document`; OSError when the disk refuses.
    """
    images: dict[int, _Picture] = {}
    written = 0
    with whole(target) as partial, partial.open("w", encoding="utf-8") as file:
        file.write('{"annotations": [')
        for annotation in _annotations(hits, images, relative_to, polygons=polygons):
            file.write(", " if written else "")
            json.dump(annotation, file)
            written += 1
        # Last: which folder all pictures have in common is known at the end.
        frame = json.dumps(_frame(images, label, relative_to))
        file.write(f"], {frame[1:]}\n")
    return written
