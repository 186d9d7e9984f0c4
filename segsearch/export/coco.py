"""Writes regions as a COCO instances file."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from segsearch.core.atomic import whole
from segsearch.core.types import Hit
from segsearch.export.documents import HitDocument


def coco_document(hits: Sequence[Hit], label: str = "region") -> dict[str, Any]:
    """Hits as a COCO instances document with one category; the boxes are x, y, width, height.

    Ids are the library's. `file_name` is the picture's path; `score` and `captions` come with each
    annotation.
    """
    documents = [HitDocument.of(hit) for hit in hits]
    images = {
        hit.image_id: {
            "id": hit.image_id, "file_name": hit.path, "width": hit.width, "height": hit.height,
        }
        for hit in documents
    }  # fmt: skip
    return {
        "info": {"description": "Regions exported by segsearch."},
        "images": list(images.values()),
        "categories": [{"id": 1, "name": label}],
        "annotations": [_annotation(hit) for hit in documents],
    }


def _annotation(hit: HitDocument) -> dict[str, Any]:
    x0, y0, x1, y1 = hit.box
    return {
        "id": hit.segment_id,
        "image_id": hit.image_id,
        "category_id": 1,
        "segmentation": hit.mask,
        "area": hit.area,
        "bbox": [x0, y0, x1 - x0, y1 - y0],
        "iscrowd": 0,
        "score": hit.score,
        "captions": [caption.model_dump() for caption in hit.captions],
    }


def write_coco(hits: Iterable[Hit], target: Path, label: str = "region") -> int:
    """Write a COCO instances file, made or replaced when it is whole; how many regions are in it.

    OSError when the disk refuses.
    """
    document = coco_document(list(hits), label)
    with whole(target) as partial, partial.open("w", encoding="utf-8") as file:
        json.dump(document, file)
        file.write("\n")
    return len(document["annotations"])
