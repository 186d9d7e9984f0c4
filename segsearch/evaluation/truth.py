"""Reads a COCO annotation file: which named things lie where in which pictures."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pycocotools import mask as run_lengths

from segsearch.domain import Mask
from segsearch.errors import InputError, PathError
from segsearch.masks import from_coco


@dataclass(frozen=True, slots=True)
class Thing:
    """One annotated instance: its category's name and its true mask."""

    name: str
    mask: Mask

    @property
    def share(self) -> float:
        """Its part of the picture's area, in (0, 1]."""
        return self.mask.area / (self.mask.height * self.mask.width)


@dataclass(frozen=True, slots=True)
class TruePicture:
    """A picture file with everything annotated in it; crowds are left out."""

    path: Path
    width: int
    height: int
    things: tuple[Thing, ...]


def read_truth(annotations: Path, images: Path) -> list[TruePicture]:
    """The pictures of a COCO instances file, in the file's order; `images` is their folder.

    Segmentations may be polygons, or run lengths, compressed or not. PathError for files that are
    not there; InputError for a document that is no COCO instances file.
    """
    document = _document(annotations)
    if not images.is_dir():
        raise PathError(f"There is no folder {str(images)!r}.")
    try:
        names = {row["id"]: str(row["name"]) for row in document["categories"]}
        rows = {row["id"]: row for row in document["images"]}
        things: dict[Any, list[Thing]] = {one: [] for one in rows}
        for row in document["annotations"]:
            if row.get("iscrowd"):
                continue
            size = int(rows[row["image_id"]]["height"]), int(rows[row["image_id"]]["width"])
            mask = _mask(row["segmentation"], *size)
            things[row["image_id"]].append(Thing(names[row["category_id"]], mask))
        pictures = [
            TruePicture(
                images / row["file_name"], int(row["width"]), int(row["height"]), tuple(things[one])
            )
            for one, row in rows.items()
        ]
    except (KeyError, TypeError, ValueError) as problem:
        raise InputError(
            f"{str(annotations)!r} is no COCO instances file: {type(problem).__name__} {problem}."
        ) from problem
    if not any(picture.things for picture in pictures):
        raise InputError(f"{str(annotations)!r} annotates nothing.")
    return pictures


def _document(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text("utf-8"))
    except OSError as problem:
        raise PathError(f"{str(path)!r} cannot be read: {problem.strerror}.") from problem
    except ValueError as problem:
        raise InputError(f"{str(path)!r} is no JSON: {problem}.") from problem
    if not isinstance(document, dict):
        raise InputError(f"{str(path)!r} is no COCO instances file: it holds no object.")
    return document


def _mask(segmentation: Any, height: int, width: int) -> Mask:
    if not isinstance(segmentation, list):
        mask = from_coco(segmentation)
        if (mask.height, mask.width) != (height, width):
            raise ValueError(
                f"a mask of {mask.width} x {mask.height} in a picture of {width} x {height}"
            )
        return mask
    polygons = run_lengths.frPyObjects(segmentation, height, width)
    return from_coco(run_lengths.merge(polygons))
