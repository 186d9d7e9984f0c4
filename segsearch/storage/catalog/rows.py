"""Database rows as domain values, and the other way round; vectors are float16 bytes in a row."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import sqlalchemy as sa

from segsearch.core.arrays import DescribedSegment, Vector, VectorRows
from segsearch.core.errors import DamageError
from segsearch.core.types import Box, Image, Mask, PictureInfo, Recipe, Segment, State

DAMAGED = "Vectors in the catalog are damaged: run `segsearch repair`."


@dataclass(frozen=True, slots=True)
class Beside:
    """What other tables say of images, by image id."""

    paths: dict[int, list[str]] = field(default_factory=lambda: defaultdict(list))
    tags: dict[int, list[str]] = field(default_factory=lambda: defaultdict(list))
    near_duplicates: dict[int, list[int]] = field(default_factory=lambda: defaultdict(list))


def pack(vector: Vector) -> bytes:
    """A vector (d,) as little-endian float16 bytes: half the room, 3e-4 of cosine at most."""
    return np.asarray(vector, dtype="<f2").tobytes()


def unpack(blobs: Iterable[bytes]) -> Any:
    """(n, d) float32 rows from the bytes of n vectors of one length."""
    rows = [np.frombuffer(blob, dtype="<f2") for blob in blobs]
    return np.stack(rows).astype(np.float32)


def recipe_from(document: str) -> Recipe:
    return Recipe(**json.loads(document))


def segment_values(image_id: int, recipe_id: int, one: DescribedSegment) -> dict[str, Any]:
    """The columns of a segment that is about to be stored."""
    mask = one.proposal.mask
    return {
        "image_id": image_id,
        "recipe_id": recipe_id,
        "x0": mask.box.x0,
        "y0": mask.box.y0,
        "x1": mask.box.x1,
        "y1": mask.box.y1,
        "area": mask.area,
        "counts": mask.counts,
        "predicted_iou": float(one.proposal.predicted_iou),
        "stability": float(one.proposal.stability),
        "context_vector": pack(one.context),
        "masked_vector": pack(one.masked),
    }


def segment_from(row: sa.Row[Any]) -> Segment:
    """A segment from its row joined with its image's `width` and `height`."""
    box = Box(row.x0, row.y0, row.x1, row.y1)
    mask = Mask(row.height, row.width, box, row.counts, row.area)
    return Segment(row.id, row.image_id, mask, row.predicted_iou, row.stability)


INFO_COLUMNS = tuple(one.name for one in fields(PictureInfo))  # the table calls them the same


def info_values(info: PictureInfo) -> dict[str, Any]:
    """The columns of an image that decoding fills."""
    return {name: getattr(info, name) for name in INFO_COLUMNS}


def images_from(rows: Sequence[sa.Row[Any]], beside: Beside) -> list[Image]:
    """Images from rows joined with their state, and what other tables say of them."""
    return [
        Image(
            id=row.id,
            sha256=row.sha256,
            width=row.width,
            height=row.height,
            format=row.format,
            paths=tuple(sorted(beside.paths[row.id])),
            state=State(row.state or State.PENDING),
            reason=row.reason,
            info=PictureInfo(**{name: getattr(row, name) for name in INFO_COLUMNS})
            if row.width
            else None,
            tags=tuple(sorted(beside.tags[row.id])),
            near_duplicates=tuple(beside.near_duplicates[row.id]),
        )
        for row in rows
    ]


def vectors_from(rows: Sequence[Any]) -> VectorRows:
    """Vectors of rows with `id`, `context_vector`, `masked_vector` and `picture_vector`.

    DamageError when one is missing or of another length than the others.
    """
    names = ("context_vector", "masked_vector", "picture_vector")
    try:
        context, masked, picture = (unpack(getattr(row, name) for row in rows) for name in names)
    except (TypeError, ValueError) as problem:
        raise DamageError(DAMAGED) from problem
    if not context.shape == masked.shape == picture.shape:
        raise DamageError(DAMAGED)
    return VectorRows(np.array([row.id for row in rows], dtype=np.int64), context, masked, picture)
