"""Database rows as domain values, and the other way round; vectors are float16 bytes in a row."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any

import numpy as np
import sqlalchemy as sa

from segsearch.core.arrays import DescribedSegment, Vector, VectorRows
from segsearch.core.errors import DamageError
from segsearch.core.types import Box, Image, Mask, PictureInfo, Recipe, Segment, State
from segsearch.masks.traits import traits
from segsearch.media.sources.paths import is_upload

QUALITY = ("predicted_iou", "stability")  # what regions are told from parts by
PLACES = ("x0", "y0", "x1", "y1", "area", "width", "height")
NESTED = ("holds", "lies_in")
DAMAGED = "Vectors in the catalog are damaged: run `segsearch repair`."


def pack(vector: Vector) -> bytes:
    """A vector (d,) as little-endian float16 bytes: half the room, 3e-4 of cosine at most."""
    return np.asarray(vector, dtype="<f2").tobytes()


def unpack(blobs: Iterable[bytes]) -> Any:
    """(n, d) float32 rows from the bytes of n vectors of one length."""
    rows = [np.frombuffer(blob, dtype="<f2") for blob in blobs]
    return np.stack(rows).astype(np.float32)


def iso(seconds: float, timespec: str = "milliseconds") -> str:
    """A moment in seconds since 1970 as ISO 8601 in UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec=timespec)


def recipe_from(document: str) -> Recipe:
    """The recipe that is stored as this JSON."""
    return Recipe(**json.loads(document))


def segment_values(image_id: int, recipe_id: int, segment: DescribedSegment) -> dict[str, Any]:
    """The columns of a segment that is about to be stored."""
    mask = segment.proposal.mask
    return {
        "image_id": image_id,
        "recipe_id": recipe_id,
        "x0": mask.box.x0,
        "y0": mask.box.y0,
        "x1": mask.box.x1,
        "y1": mask.box.y1,
        "area": mask.area,
        "counts": mask.counts,
        "predicted_iou": float(segment.proposal.predicted_iou),
        "stability": float(segment.proposal.stability),
        "context_vector": pack(segment.context),
        "masked_vector": pack(segment.masked),
        "holds": segment.holds,
        "lies_in": segment.lies_in,
    }


def segment_from(row: sa.Row[Any]) -> Segment:
    """A segment from its row joined with its image's `width` and `height`."""
    box = Box(row.x0, row.y0, row.x1, row.y1)
    mask = Mask(row.height, row.width, box, row.counts, row.area)
    return Segment(row.id, row.image_id, mask, row.predicted_iou, row.stability)


INFO_COLUMNS = tuple(field.name for field in fields(PictureInfo))  # the table calls them the same


def info_values(info: PictureInfo) -> dict[str, Any]:
    """The columns of an image that decoding fills."""
    return {name: getattr(info, name) for name in INFO_COLUMNS}


def image_from(
    row: sa.Row[Any], paths: Iterable[str], tags: Iterable[str], near_duplicates: Iterable[int]
) -> Image:
    """An image from its row joined with its state, and what other tables say of it."""
    info = PictureInfo(**{name: getattr(row, name) for name in INFO_COLUMNS})
    return Image(
        id=row.id,
        sha256=row.sha256,
        width=row.width,
        height=row.height,
        format=row.format,
        # The first one is shown: where a person keeps the file, rather than the library.
        paths=tuple(sorted(paths, key=lambda path: (is_upload(path), path))),
        state=State(row.state or State.PENDING),
        reason=row.reason,
        info=info if row.width else None,
        tags=tuple(sorted(tags)),
        near_duplicates=tuple(near_duplicates),
    )


def vectors_from(rows: Sequence[Any]) -> VectorRows:
    """Vectors of rows with `id`, `context_vector`, `masked_vector`, `picture_vector`, and the
    columns of `QUALITY`, `PLACES` and `NESTED`.

    DamageError when one is missing or of another length than the others.
    """
    names = ("context_vector", "masked_vector", "picture_vector")
    try:
        context, masked, picture = (unpack(getattr(row, name) for row in rows) for name in names)
    except (TypeError, ValueError) as problem:
        raise DamageError(DAMAGED) from problem
    if not context.shape == masked.shape == picture.shape:
        raise DamageError(DAMAGED)
    ids = np.array([row.id for row in rows], dtype=np.int64)
    known = traits(
        np.array([[getattr(row, name) for name in QUALITY] for row in rows], np.float64),
        np.array([[getattr(row, name) for name in PLACES] for row in rows], np.int64),
        np.array([[getattr(row, name) for name in NESTED] for row in rows], np.int64),
    )
    return VectorRows(ids, context, masked, picture, known)
