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
from segsearch.core.lives import Life, Shot
from segsearch.core.types import Box, Image, Mask, PictureInfo, Recipe, Segment, State
from segsearch.masks.traits import traits
from segsearch.media.sources.paths import is_upload
from segsearch.storage.catalog.tables import IMAGE, INGEST, SEGMENT, SEGMENT_VECTOR

QUALITY = ("predicted_iou", "stability")  # what regions are told from parts by
PLACES = ("x0", "y0", "x1", "y1", "area", "width", "height")
NESTED = ("holds", "lies_in")
VECTORS = ("context_vector", "masked_vector", "picture_vector")
TENTHS = 10  # of a picture's area, by which regions are counted
DAMAGED = "Vectors in the catalog are damaged: run `segsearch repair`."


FRESH: dict[str, Any] = {  # a row of a queue, as if nothing had been
    "state": State.PENDING,
    "reason": None,
    "owner": None,
    "lease_until": None,
    "crashes": 0,
    "interruptions": 0,
    "errors": 0,
    "retry_at": None,
}


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


OF_SEGMENT = (
    *(SEGMENT.c[name] for name in ("id", "image_id", "x0", "y0", "x1", "y1", "counts", "area")),
    *(SEGMENT.c[name] for name in QUALITY),
    IMAGE.c.height,
    IMAGE.c.width,
    *(SEGMENT.c[name] for name in ("kind", "reading_order")),
    IMAGE.c.format,
)


def segment_from(row: Sequence[Any], life: Life | None = None) -> Segment:
    """A segment from its row of `OF_SEGMENT`; `shots.segments_from` sees to how it lives."""
    number, image_id, x0, y0, x1, y1, counts, area, iou, stability, *rest = row
    height, width, kind, order, _ = rest
    mask = Mask(height, width, Box(x0, y0, x1, y1), counts, area)
    return Segment(number, image_id, mask, iou, stability, kind, order, life)


INFO_COLUMNS = tuple(field.name for field in fields(PictureInfo))  # the table calls them the same
IMAGE_COLUMNS = ("id", "sha256", *INFO_COLUMNS)


def info_values(info: PictureInfo) -> dict[str, Any]:
    """The columns of an image that decoding fills."""
    return {name: getattr(info, name) for name in INFO_COLUMNS}


def image_from(
    row: Sequence[Any],
    paths: Iterable[str],
    tags: Iterable[str],
    near_duplicates: Iterable[int],
    *,
    shot: Shot | None = None,
) -> Image:
    """An image from its row of `IMAGE_COLUMNS`, state and reason, and what other tables say."""
    number, sha256, *known, state, reason = row
    info = PictureInfo(*known)
    return Image(
        id=number,
        sha256=sha256,
        width=info.width,
        height=info.height,
        format=info.format,
        paths=in_order(paths),
        state=State(state or State.PENDING),
        reason=reason,
        info=info if info.width else None,
        tags=tuple(sorted(tags)),
        near_duplicates=tuple(near_duplicates),
        shot=shot,
    )


def in_order(paths: Iterable[str]) -> tuple[str, ...]:
    """The first one is shown: where a person keeps the file, rather than the library."""
    return tuple(sorted(paths, key=lambda path: (is_upload(path), path)))


def of_vectors(recipe_id: int) -> sa.Select[Any]:
    """The columns that `vectors_from` takes, of all segments of a recipe by ascending id."""
    own = [SEGMENT.c[name] for name in (*QUALITY, *PLACES[:-2])]
    nested = [SEGMENT.c[name] for name in NESTED]
    vectors = (SEGMENT_VECTOR.c.context_vector, SEGMENT_VECTOR.c.masked_vector)
    return (
        sa.select(SEGMENT.c.id, *vectors, INGEST.c.picture_vector, *own)
        .add_columns(IMAGE.c.width, IMAGE.c.height, *nested)
        .select_from(SEGMENT)
        .outerjoin(SEGMENT_VECTOR, SEGMENT_VECTOR.c.segment_id == SEGMENT.c.id)
        .join(
            INGEST,
            (INGEST.c.image_id == SEGMENT.c.image_id) & (INGEST.c.recipe_id == SEGMENT.c.recipe_id),
        )
        .join(IMAGE, IMAGE.c.id == SEGMENT.c.image_id)
        .where(SEGMENT.c.recipe_id == recipe_id)
        .order_by(SEGMENT.c.id)
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


def without_number(path: sa.ColumnElement[str]) -> sa.ColumnElement[str]:
    """A path up to the digits it ends with: of a page of a PDF what all of its pages begin with,
    which no picture called `report.pdf#page=3.png` does."""
    return sa.func.rtrim(path, "0123456789")


def without_times(path: sa.ColumnElement[str]) -> sa.ColumnElement[str]:
    """A path up to the times it ends with: of a shot what all of its video's begin with,
    `clip.mp4#t=`."""
    return sa.func.rtrim(path, "0123456789.,")
