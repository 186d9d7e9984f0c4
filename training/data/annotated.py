"""Reads photographs that people annotated, in COCO's format: masks are truth, boxes are hints.

The folder holds `annotations.json`, `manifest.tsv` and `images/`; its path is the caller's. Nothing
is guessed: what has only a box has no mask here.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pycocotools import mask as run_lengths

from segsearch.core.types import Mask
from segsearch.masks.rle import read_coco

EVERYTHING, THINGS, SOME = "everything", "things", "some"  # of a photograph has a mask
_COMPLETE = {"panoptic masks": EVERYTHING, "instance masks": THINGS}
_CORNERS = 3


@dataclass(frozen=True)
class Annotation:
    """A named thing or crowd: its box x0, y0, x1, y1 in pixels, and its mask where it has one."""

    name: str
    box: tuple[float, float, float, float]
    mask: Mask | None
    crowd: bool


@dataclass(frozen=True)
class AnnotatedPhotograph:
    """A photograph file of H x W pixels; `complete` says how much of it has masks."""

    path: Path
    height: int
    width: int
    source: str
    complete: str
    annotations: tuple[Annotation, ...]

    @property
    def masks(self) -> list[Mask]:
        """The outlined things and stuff, without crowds."""
        return [row.mask for row in self.annotations if row.mask is not None and not row.crowd]


def validation_names(folder: Path) -> frozenset[str]:
    """File names of the photographs that are never trained on, of all in a folder's manifest.

    A tenth of each source and kind of annotation: those whose names have the smallest hashes.
    """
    document = json.loads((folder / "annotations.json").read_text("utf-8"))
    kinds = {row["file_name"]: row.get("annotation_kind") for row in document["images"]}
    groups: dict[tuple[str, str | None], list[str]] = {}
    with (folder / "manifest.tsv").open(encoding="utf-8", newline="") as opened:
        for row in csv.DictReader(opened, delimiter="\t", quoting=csv.QUOTE_NONE):
            groups.setdefault((row["source"], kinds.get(row["file"])), []).append(row["file"])
    return frozenset(
        name for group in groups.values() for name in sorted(group, key=_hash)[: len(group) // 10]
    )


def _hash(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def annotated(folder: Path, *, validation: bool) -> list[AnnotatedPhotograph]:
    """The annotated photographs of a folder: its validation tenth, or all others, by name."""
    document = json.loads((folder / "annotations.json").read_text("utf-8"))
    names = {row["id"]: row["name"] for row in document["categories"]}
    images = {row["id"]: row for row in document["images"]}
    held_out = validation_names(folder)
    rows: dict[int, list[Annotation]] = {image_id: [] for image_id in images}
    for row in document["annotations"]:
        image = images[row["image_id"]]
        rows[row["image_id"]].append(_annotation(row, names, image["height"], image["width"]))
    photographs = [
        AnnotatedPhotograph(
            folder / "images" / image["file_name"],
            image["height"],
            image["width"],
            image["source"],
            _COMPLETE.get(image.get("annotation_kind"), SOME),
            tuple(rows[image_id]),
        )
        for image_id, image in images.items()
        if (image["file_name"] in held_out) == validation
    ]
    return sorted(photographs, key=lambda photograph: photograph.path.name)


def with_folder(options: argparse.ArgumentParser) -> None:
    """Let a command line say where the annotated photographs lie."""
    options.add_argument(
        "--photographs", type=Path, required=True, help="folder: annotations.json and images/"
    )


def _annotation(row: dict[str, Any], names: dict[int, str], height: int, width: int) -> Annotation:
    x, y, w, h = row["bbox"]
    mask = _mask(row.get("segmentation"), height, width)
    return Annotation(names[row["category_id"]], (x, y, x + w, y + h), mask, bool(row["iscrowd"]))


def _mask(segmentation: Any, height: int, width: int) -> Mask | None:
    """None where there is no mask, or it covers no pixel."""
    if not segmentation:
        return None
    if isinstance(segmentation, dict):
        return read_coco(segmentation)
    polygons = [points for points in segmentation if len(points) >= 2 * _CORNERS]
    if not polygons:
        return None
    return read_coco(run_lengths.merge(run_lengths.frPyObjects(polygons, height, width)))
