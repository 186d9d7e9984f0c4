"""Integrity: what contradicts itself in a catalog is said, and put right where it can be."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import sqlalchemy as sa

from segsearch.core.types import Recipe, State
from segsearch.storage.catalog import rows
from segsearch.storage.catalog.change_log import PRUNED_SEGMENT, log_change
from segsearch.storage.catalog.counters import count_again, counter_problems
from segsearch.storage.catalog.database import Database, portions
from segsearch.storage.catalog.images import drop_images, without_path
from segsearch.storage.catalog.listing import list_again, listing_problems
from segsearch.storage.catalog.portable import larger, number_of, smaller
from segsearch.storage.catalog.reading import enter_text_again, text_problems
from segsearch.storage.catalog.rows import FRESH, TENTHS
from segsearch.storage.catalog.tables import (
    CHANGE_LOG,
    IMAGE,
    INGEST,
    LOG_START,
    METADATA,
    PICTURE_TEXT,
    READING,
    RECIPE,
    SEGMENT,
    SEGMENT_VECTOR,
    TEXT_LINE,
)
from segsearch.storage.catalog.track_check import (
    mask_problem,
    mend_videos,
    track_problems,
    video_problems,
)
from segsearch.storage.catalog.words import WordIndex

OF_REGION = ("context_vector", "masked_vector")
UNIT_TOLERANCE = 5e-3  # float16 rows of unit length
LOOKED_AT_ROWS = 1_000  # of segments with their vectors, held in memory at once


class IntegrityMixin(Database):
    """The part of the catalog that looks it through."""

    def problems(self, recipe: tuple[int, Recipe]) -> Iterator[str]:
        """What contradicts itself, one sentence each: database pages, keys, states, run lengths,
        vectors. Changes nothing."""
        recipe_id, document = recipe
        with self._reading() as db:
            yield from _file_problems(db)
            for image_id in db.execute(without_path()).scalars():
                yield f"Image {image_id} has no path."
            yield from _state_problems(db)
            yield from self._words.problems(db)
            yield from text_problems(db)
            for _, problem in _segment_problems(db, recipe_id, document.dimension):
                yield problem
            yield from video_problems(db, recipe_id)
            for segment_id in db.execute(_of_wrong_tenth()).scalars():
                yield f"Segment {segment_id} is counted as of another size than it has."
            yield from counter_problems(db)
            yield from listing_problems(db)

    def repair(self, recipe: tuple[int, Recipe]) -> list[str]:
        """Put right what can be, a sentence each; damaged pictures are queued again."""
        with self._writing() as db:
            return put_right(db, self._words, recipe)


def _file_problems(db: sa.Connection) -> Iterator[str]:
    """What a SQLite file says of itself; a server sees to its own pages and keys."""
    if db.dialect.name != "sqlite":
        return
    for (verdict,) in db.exec_driver_sql("PRAGMA integrity_check"):
        if verdict != "ok":
            yield f"The database says: {verdict}."
    for row in db.exec_driver_sql("PRAGMA foreign_key_check"):
        yield f"A row of {row[0]} points at a {row[2]} that does not exist."


def _repair_file(db: sa.Connection) -> Iterator[str]:
    """Put right what `_file_problems` finds, a sentence each."""
    if db.dialect.name != "sqlite":
        return
    for row in db.exec_driver_sql("PRAGMA integrity_check").fetchall():
        if "index" in row[0]:
            db.exec_driver_sql("REINDEX")
            yield "The database's own indexes were built again."
            break
    if orphans := _drop_orphans(db):
        yield f"{orphans} rows that pointed nowhere were deleted."


def put_right(db: sa.Connection, words: WordIndex, recipe: tuple[int, Recipe]) -> list[str]:
    """Put right what can be, in the caller's transaction, a sentence each."""
    fixed = list(_repair_file(db))
    images = drop_images(db, without_path())
    if images:
        fixed.append(f"{images} images without a path were removed.")
    if list(words.problems(db)):  # first: a text that is deleted takes its words with it
        words.enter_again(db)
        fixed.append("The words of captions and pictures were entered again.")
    if list(text_problems(db)):
        enter_text_again(db)
        fixed.append("The texts of pictures were put together again.")
    unlogged = len(db.execute(_not_logged()).all())
    if unlogged:
        log_change(db, "add", _not_logged())
        fixed.append(f"{unlogged} segments were entered in the change log again.")
    if strays := mend_videos(db):
        fixed.append(
            f"{strays} shots of videos that nothing is known of were forgotten: "
            "`segsearch index` finds them again."
        )
    again = _queue_damaged(db, *recipe)
    if again:
        fixed.append(f"{again} damaged pictures wait to be indexed again.")
    if db.execute(_of_wrong_tenth().limit(1)).first():
        right = sa.update(SEGMENT).values(area_tenth=_tenth())
        db.execute(right.where(SEGMENT.c.id.in_(_of_wrong_tenth())))
        fixed.append("Segments were counted by their size again.")
    return [*fixed, *_find_out_again(db)]


def _find_out_again(db: sa.Connection) -> Iterator[str]:
    """Put right what triggers keep, a sentence each."""
    if counter_problems(db):
        count_again(db)
        yield "The numbers that are kept were counted again."
    if listing_problems(db):
        list_again(db)
        yield "The pictures were listed again."


def _drop_orphans(db: sa.Connection) -> int:
    """Delete rows whose parent row is gone; how many there were."""
    orphans = db.exec_driver_sql("PRAGMA foreign_key_check").fetchall()
    for table, row_id, *_ in orphans:
        delete = sa.text(f'DELETE FROM "{METADATA.tables[table].name}" WHERE rowid = :row_id')  # noqa: S608  a name of our own
        db.execute(delete, {"row_id": row_id})
    return len(orphans)


def _queue_damaged(db: sa.Connection, recipe_id: int, recipe: Recipe) -> int:
    """Drop the segments of images that are damaged, and queue those; how many there were."""
    broken = {image_id for image_id, _ in _segment_problems(db, recipe_id, recipe.dimension)}
    broken |= {image_id for image_id, _ in track_problems(db, recipe_id)}
    misfits = {*db.execute(_unfinished()).scalars(), *db.execute(_hollow()).scalars()}
    damaged = sorted(broken | misfits)
    for portion in portions(damaged):
        segments = SEGMENT.c.image_id.in_(portion)
        log_change(db, "remove", sa.select(SEGMENT.c.id).where(segments))
        db.execute(sa.delete(SEGMENT).where(segments))
        for table in (TEXT_LINE, PICTURE_TEXT, READING):  # read again with the regions
            db.execute(sa.delete(table).where(table.c.image_id.in_(portion)))
        db.execute(sa.update(INGEST).where(INGEST.c.image_id.in_(portion)).values(FRESH))
    return len(damaged)


def _state_problems(db: sa.Connection) -> Iterator[str]:
    for image_id in db.execute(_unfinished()).scalars():
        yield f"Image {image_id} has segments but is not marked as done."
    for image_id in db.execute(_hollow()).scalars():
        yield f"Image {image_id} is marked as done but has no segments or no vector of its own."
    for segment_id in db.execute(_not_logged()).scalars():
        yield f"Segment {segment_id} is missing from the change log."


def _not_logged() -> sa.Select[int]:
    """Ids of segments of which no index would ever hear."""
    added = sa.select(CHANGE_LOG.c.segment_id).where(CHANGE_LOG.c.op == "add")
    # Ids grow along the log: what is not above a pruned one has been in it.
    pruned = sa.select(LOG_START.c.value).where(LOG_START.c.name == PRUNED_SEGMENT)
    above = SEGMENT.c.id > sa.func.coalesce(pruned.scalar_subquery(), 0)
    return sa.select(SEGMENT.c.id).where(above, SEGMENT.c.id.not_in(added))


def _tenth() -> sa.ColumnElement[int]:
    """The tenth of its picture's area that a segment covers, 0 to 9."""
    pixels = sa.select(IMAGE.c.width * IMAGE.c.height).where(IMAGE.c.id == SEGMENT.c.image_id)
    share = SEGMENT.c.area * TENTHS // larger(1, pixels.scalar_subquery())
    return sa.func.coalesce(smaller(TENTHS - 1, share), 0)


def _of_wrong_tenth() -> sa.Select[int]:
    return sa.select(SEGMENT.c.id).where(SEGMENT.c.area_tenth != _tenth())


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
    recipe = sa.select(number_of(RECIPE.c.document, "dimension"))
    dimension = recipe.where(RECIPE.c.id == INGEST.c.recipe_id).scalar_subquery()
    vector = INGEST.c.picture_vector
    halved = sa.func.length(vector) != 2 * dimension  # bytes of float16
    empty = (~shown & ~emptied) | vector.is_(None) | halved
    return sa.select(INGEST.c.image_id).where(INGEST.c.state == State.DONE, empty).distinct()


def _segment_problems(
    db: sa.Connection, recipe_id: int, dimension: int
) -> Iterator[tuple[int, str]]:
    vectors = [SEGMENT_VECTOR.c[name] for name in OF_REGION]
    query = (
        sa.select(*rows.OF_SEGMENT, *vectors)
        .join(IMAGE, IMAGE.c.id == SEGMENT.c.image_id)
        .outerjoin(SEGMENT_VECTOR, SEGMENT_VECTOR.c.segment_id == SEGMENT.c.id)
        .where(SEGMENT.c.recipe_id == recipe_id)
    )
    for row in db.execute(query.execution_options(yield_per=LOOKED_AT_ROWS)):
        problem = mask_problem(rows.segment_from(row[: len(rows.OF_SEGMENT)]).mask)
        if problem:
            yield row.image_id, f"Segment {row.id}: {problem}."
        for name in OF_REGION:
            blob = getattr(row, name)
            if blob is None:
                yield row.image_id, f"Segment {row.id}: {name} is missing."
                continue
            if len(blob) != 2 * dimension:
                numbers = f"{len(blob) / 2:g} numbers, expected {dimension}"
                yield row.image_id, f"Segment {row.id}: {name} has {numbers}."
                continue
            vector = np.frombuffer(blob, dtype="<f2").astype(np.float32)
            if not abs(float(np.linalg.norm(vector)) - 1) < UNIT_TOLERANCE:
                yield row.image_id, f"Segment {row.id}: {name} is not of unit length."
