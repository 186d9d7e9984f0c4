"""Looks for what contradicts itself in a catalog; says it, changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import sqlalchemy as sa

from segsearch.core.errors import InputError
from segsearch.core.types import Recipe, Segment, State
from segsearch.masks import rle
from segsearch.storage.catalog import rows
from segsearch.storage.catalog.captions import caption_problems
from segsearch.storage.catalog.tables import CHANGE_LOG, IMAGE, INGEST, RECIPE, SEGMENT, SOURCE

UNIT_TOLERANCE = 5e-3  # float16 rows of unit length


def catalog_problems(db: sa.Connection, recipe_id: int, recipe: Recipe) -> Iterator[str]:
    """One sentence for each contradiction: database pages, keys, states, run lengths, vectors."""
    for (verdict,) in db.exec_driver_sql("PRAGMA integrity_check"):
        if verdict != "ok":
            yield f"The database says: {verdict}."
    for row in db.exec_driver_sql("PRAGMA foreign_key_check"):
        yield f"A row of {row[0]} points at a {row[2]} that does not exist."
    yield from _homeless_images(db)
    yield from _state_problems(db)
    yield from caption_problems(db)
    for _, problem in _segment_problems(db, recipe_id, recipe.dimension):
        yield problem


def _homeless_images(db: sa.Connection) -> Iterator[str]:
    homeless = sa.select(IMAGE.c.id).where(~sa.exists().where(SOURCE.c.image_id == IMAGE.c.id))
    for image_id in db.execute(homeless).scalars():
        yield f"Image {image_id} has no path."


def _state_problems(db: sa.Connection) -> Iterator[str]:
    for image_id in db.execute(_unfinished()).scalars():
        yield f"Image {image_id} has segments but is not marked as done."
    for image_id in db.execute(_hollow()).scalars():
        yield f"Image {image_id} is marked as done but has no segments or no vector of its own."
    for segment_id in db.execute(not_logged()).scalars():
        yield f"Segment {segment_id} is missing from the change log."


def not_logged() -> sa.Select[Any]:
    """Ids of segments of which no index would ever hear."""
    added = sa.exists().where(CHANGE_LOG.c.segment_id == SEGMENT.c.id, CHANGE_LOG.c.op == "add")
    return sa.select(SEGMENT.c.id).where(~added)


def _unfinished() -> sa.Select[Any]:
    """Images with segments under a recipe that does not count them as done."""
    finished = sa.exists().where(
        INGEST.c.image_id == SEGMENT.c.image_id,
        INGEST.c.recipe_id == SEGMENT.c.recipe_id,
        INGEST.c.state == State.DONE,
    )
    return sa.select(SEGMENT.c.image_id).where(~finished).distinct()


def _hollow() -> sa.Select[Any]:
    """Images counted as done that have nothing to show for it."""
    shown = sa.exists().where(
        SEGMENT.c.image_id == INGEST.c.image_id, SEGMENT.c.recipe_id == INGEST.c.recipe_id
    )
    emptied = INGEST.c.removed_segments > 0
    recipe = sa.select(sa.func.json_extract(RECIPE.c.document, "$.dimension"))
    dimension = recipe.where(RECIPE.c.id == INGEST.c.recipe_id).scalar_subquery()
    vector = INGEST.c.picture_vector
    halved = sa.func.length(vector) != 2 * dimension  # bytes of float16
    empty = (~shown & ~emptied) | vector.is_(None) | halved
    return sa.select(INGEST.c.image_id).where(INGEST.c.state == State.DONE, empty).distinct()


def misfits(db: sa.Connection) -> set[int]:
    """Ids of images whose state and segments contradict each other."""
    return {*db.execute(_unfinished()).scalars(), *db.execute(_hollow()).scalars()}


def broken_segments(db: sa.Connection, recipe_id: int, recipe: Recipe) -> set[int]:
    """Ids of images with a segment whose mask or vectors are damaged."""
    return {image_id for image_id, _ in _segment_problems(db, recipe_id, recipe.dimension)}


def _segment_problems(
    db: sa.Connection, recipe_id: int, dimension: int
) -> Iterator[tuple[int, str]]:
    query = (
        sa.select(SEGMENT, IMAGE.c.width, IMAGE.c.height)
        .join(IMAGE, IMAGE.c.id == SEGMENT.c.image_id)
        .where(SEGMENT.c.recipe_id == recipe_id)
    )
    for row in db.execute(query):
        problem = _mask_problem(rows.segment_from(row))
        if problem:
            yield row.image_id, f"Segment {row.id}: {problem}."
        for name in ("context_vector", "masked_vector"):
            blob = getattr(row, name)
            if len(blob) != 2 * dimension:
                got = len(blob) / 2
                said = f"{name} has {got:g} numbers, expected {dimension}"
                yield row.image_id, f"Segment {row.id}: {said}."
                continue
            vector = np.frombuffer(blob, dtype="<f2").astype(np.float32)
            if not abs(float(np.linalg.norm(vector)) - 1) < UNIT_TOLERANCE:
                yield row.image_id, f"Segment {row.id}: {name} is not of unit length."


def _mask_problem(segment: Segment) -> str | None:
    mask = segment.mask
    box = mask.box
    if not (0 <= box.x0 < box.x1 <= mask.width and 0 <= box.y0 < box.y1 <= mask.height):
        return f"its box {box.as_tuple()} lies outside the {mask.width} x {mask.height} picture"
    lengths = {"size": [box.height, box.width], "counts": mask.counts}
    try:
        area = rle.from_coco(lengths).area
    except InputError as problem:
        return f"its run lengths are damaged ({problem})"
    return (
        None
        if area == mask.area
        else f"its mask covers {area} pixels, the catalog says {mask.area}"
    )
