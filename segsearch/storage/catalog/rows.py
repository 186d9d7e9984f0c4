"""Database rows as domain values, and the other way round; vectors are float16 bytes in a row."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any

import numpy as np
import sqlalchemy as sa

from segsearch.core.arrays import DescribedSegment, Vector, VectorRows, Vectors
from segsearch.core.errors import DamageError
from segsearch.core.types import Box, Image, Mask, PictureInfo, Recipe, Segment, State
from segsearch.masks.traits import traits
from segsearch.media.sources.paths import is_upload

QUALITY = ("predicted_iou", "stability")  # what regions are told from parts by
PLACES = ("x0", "y0", "x1", "y1", "area", "width", "height")
NESTED = ("holds", "lies_in")
VECTORS = ("context_vector", "masked_vector", "picture_vector")
TENTHS = 10  # of a picture's area, by which regions are counted
DAMAGED = "Vectors in the catalog are damaged: run `segsearch repair`."


def pack(vector: Vector) -> bytes:
    """A vector (d,) as little-endian float16 bytes: half the room, 3e-4 of cosine at most."""
    return np.asarray(vector, dtype="<f2").tobytes()


def unpack(blobs: Sequence[bytes]) -> Vectors:
    """(n, d) float32 rows from the bytes of n >= 1 vectors; DamageError where one is missing, or
    they are not of one length."""
    try:
        if len(set(map(len, blobs))) != 1:
            raise DamageError(DAMAGED)
        # At once: a row at a time takes longer than reading them.
        numbers = np.frombuffer(b"".join(blobs), dtype="<f2")
    except (TypeError, ValueError) as problem:
        raise DamageError(DAMAGED) from problem
    return numbers.reshape(len(blobs), -1).astype(np.float32)


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
        "holds": segment.holds,
        "lies_in": segment.lies_in,
        "area_tenth": min(TENTHS - 1, mask.area * TENTHS // (mask.height * mask.width)),
    }


def vector_values(segment_id: int, segment: DescribedSegment) -> dict[str, Any]:
    """The vectors of a segment that has just been stored, as a row of their table."""
    return {
        "segment_id": segment_id,
        "context_vector": pack(segment.context),
        "masked_vector": pack(segment.masked),
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


def vectors_from(rows: Sequence[tuple[Any, ...]]) -> VectorRows:
    """Vectors of rows (n >= 1) of `id`, `VECTORS`, `QUALITY`, `PLACES` and `NESTED`, in this order.

    DamageError when a vector is missing or of another length than the others.
    """
    columns = list(zip(*rows, strict=True))
    ids, blobs, numbers = columns[0], columns[1:4], columns[4:]
    places, nested = len(QUALITY), len(QUALITY) + len(PLACES)
    context, masked, picture = map(unpack, blobs)
    if not context.shape == masked.shape == picture.shape:
        raise DamageError(DAMAGED)
    known = traits(
        np.array(numbers[:places], np.float64).T,
        np.array(numbers[places:nested], np.int64).T,
        np.array(numbers[nested:], np.int64).T,
    )
    return VectorRows(np.array(ids, np.int64), context, masked, picture, known)
