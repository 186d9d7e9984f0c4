"""Looks for what contradicts itself in a catalog; says it, changes nothing."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import sqlalchemy as sa

from segsearch import masks
from segsearch.catalog import rows
from segsearch.catalog.tables import IMAGE, INGEST, SEGMENT, SOURCE
from segsearch.domain import Recipe, Segment, State
from segsearch.errors import InputError

UNIT_TOLERANCE = 5e-3  # float16 rows of unit length


def catalog_problems(db: sa.Connection, recipe_id: int, recipe: Recipe) -> Iterator[str]:
    """One sentence for each contradiction: database pages, keys, states, run lengths, vectors."""
    for (verdict,) in db.exec_driver_sql("PRAGMA integrity_check"):
        if verdict != "ok":
            yield f"The database says: {verdict}."
    for row in db.exec_driver_sql("PRAGMA foreign_key_check"):
        yield f"A row of {row[0]} points at a {row[2]} that does not exist."
    yield from _homeless_images(db)
    yield from _segments_of_unfinished(db)
    yield from _segment_problems(db, recipe_id, recipe.dimension)


def _homeless_images(db: sa.Connection) -> Iterator[str]:
    homeless = sa.select(IMAGE.c.id).where(~sa.exists().where(SOURCE.c.image_id == IMAGE.c.id))
    for image_id in db.execute(homeless).scalars():
        yield f"Image {image_id} has no path."


def _segments_of_unfinished(db: sa.Connection) -> Iterator[str]:
    finished = sa.exists().where(
        INGEST.c.image_id == SEGMENT.c.image_id,
        INGEST.c.recipe_id == SEGMENT.c.recipe_id,
        INGEST.c.state == State.DONE,
    )
    for image_id in db.execute(sa.select(SEGMENT.c.image_id).where(~finished).distinct()).scalars():
        yield f"Image {image_id} has segments but is not marked as done."


def _segment_problems(db: sa.Connection, recipe_id: int, dimension: int) -> Iterator[str]:
    query = (
        sa.select(SEGMENT, IMAGE.c.width, IMAGE.c.height)
        .join(IMAGE, IMAGE.c.id == SEGMENT.c.image_id)
        .where(SEGMENT.c.recipe_id == recipe_id)
    )
    for row in db.execute(query):
        problem = _mask_problem(rows.segment_from(row))
        if problem:
            yield f"Segment {row.id}: {problem}."
        for name in ("context_vector", "masked_vector"):
            vector = np.frombuffer(getattr(row, name), dtype="<f2").astype(np.float32)
            if vector.size != dimension:
                yield f"Segment {row.id}: {name} has {vector.size} numbers, expected {dimension}."
            elif not abs(float(np.linalg.norm(vector)) - 1) < UNIT_TOLERANCE:
                yield f"Segment {row.id}: {name} is not of unit length."


def _mask_problem(segment: Segment) -> str | None:
    mask = segment.mask
    box = mask.box
    if not (0 <= box.x0 < box.x1 <= mask.width and 0 <= box.y0 < box.y1 <= mask.height):
        return f"its box {box.as_tuple()} lies outside the {mask.width} x {mask.height} picture"
    lengths = {"size": [box.height, box.width], "counts": mask.counts}
    try:
        area = masks.from_coco(lengths).area
    except InputError as problem:
        return f"its run lengths are damaged ({problem})"
    return (
        None
        if area == mask.area
        else f"its mask covers {area} pixels, the catalog says {mask.area}"
    )
