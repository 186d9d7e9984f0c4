"""Reads a COCO annotation file: which named things lie where in which pictures.

Polygons are checked before any C code sees them: pycocotools draws an outline point by point, and
crashes where a point lies far out or is no number.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pycocotools import mask as run_lengths

from segsearch.core.errors import InputError, PathError
from segsearch.core.types import Mask
from segsearch.masks.rle import MAX_FRAME_PIXELS, read_coco

LOG = logging.getLogger(__name__)
FARTHEST_PX = 1_000_000  # that a polygon's point may lie from the picture's corner
CORNERS = 3
WRONG = (AttributeError, KeyError, OverflowError, TypeError, ValueError, InputError)


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
    """A picture file with everything annotated in it; crowds are left out, and what covers no
    pixel."""

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
        rows = {row["id"]: row for row in document["images"]}
        if len(rows) < len(document["images"]):
            raise ValueError("two images have the same id")
        sizes = {number: _size(row) for number, row in rows.items()}
        things = _things(document, sizes)
        pictures = [
            TruePicture(images / row["file_name"], *sizes[number][::-1], tuple(things[number]))
            for number, row in rows.items()
        ]
    except WRONG as problem:
        raise InputError(
            f"{str(annotations)!r} is no COCO instances file: {_said(problem)}."
        ) from problem
    if not any(picture.things for picture in pictures):
        raise InputError(f"{str(annotations)!r} annotates nothing: expected polygons or masks.")
    return pictures


def _things(document: dict[str, Any], sizes: dict[Any, tuple[int, int]]) -> dict[Any, list[Thing]]:
    """The things of each image by its id; `sizes` are H, W."""
    names = {row["id"]: str(row["name"]) for row in document["categories"]}
    things: dict[Any, list[Thing]] = {number: [] for number in sizes}
    empty = 0
    for row in document["annotations"]:
        if row.get("iscrowd"):
            continue
        try:
            image_id, category_id = row["image_id"], row["category_id"]
            if image_id not in sizes or category_id not in names:
                raise ValueError(f"there is no image {image_id!r} or no category {category_id!r}")
            mask = _mask(row["segmentation"], *sizes[image_id])
        except WRONG as problem:
            raise ValueError(f"annotation {row.get('id')!r}: {_said(problem)}") from problem
        if mask is None:
            empty += 1
        else:
            things[image_id].append(Thing(names[category_id], mask))
    if empty:
        LOG.warning("%d annotations cover no pixel of their picture and are left out.", empty)
    return things


def _said(problem: Exception) -> str:
    """What is wrong; Python's own errors say little without their names."""
    if type(problem) in (InputError, ValueError):
        return str(problem).rstrip(".")
    return f"{type(problem).__name__} {problem}"


def _document(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text("utf-8"))
    except OSError as problem:
        raise PathError(f"{str(path)!r} cannot be read: {problem.strerror}.") from problem
    except (ValueError, RecursionError) as problem:
        raise InputError(f"{str(path)!r} is no JSON: {problem}.") from problem
    if not isinstance(document, dict):
        raise InputError(f"{str(path)!r} is no COCO instances file: it holds no object.")
    return document


def _size(row: dict[str, Any]) -> tuple[int, int]:
    height, width = int(row["height"]), int(row["width"])
    if height < 1 or width < 1 or height * width > MAX_FRAME_PIXELS:
        raise ValueError(f"image {row['id']!r} has {width} x {height} pixels")
    return height, width


def _mask(segmentation: Any, height: int, width: int) -> Mask | None:
    """None when no pixel is covered."""
    if not isinstance(segmentation, list):
        mask = read_coco(segmentation)
        if mask and (mask.height, mask.width) != (height, width):
            raise ValueError(
                f"a mask of {mask.width} x {mask.height} in a picture of {width} x {height}"
            )
        return mask
    # With fewer corners it encloses nothing; pycocotools would take two for a box.
    polygons = [corners for corners in map(_polygon, segmentation) if len(corners) >= 2 * CORNERS]
    if not polygons:
        return None
    return read_coco(run_lengths.merge(run_lengths.frPyObjects(polygons, height, width)))


def _polygon(numbers: Any) -> list[float]:
    """x, y, x, y ... in pixels; ValueError for what is no such list."""
    polygon = [float(number) for number in numbers]
    if len(polygon) % 2 or not all(abs(number) <= FARTHEST_PX for number in polygon):
        raise ValueError(
            f"a polygon has {len(polygon)} numbers, expected x and y in turn, none beyond "
            f"{FARTHEST_PX:,} px"
        )
    return polygon
