"""Segments: their masks, their vectors, and how one goes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import sqlalchemy as sa

from segsearch.core.arrays import Ids, Vector, VectorRows
from segsearch.core.errors import NotFoundError
from segsearch.core.types import Segment
from segsearch.storage.catalog.change_log import log_change
from segsearch.storage.catalog.counters import tallies
from segsearch.storage.catalog.database import Database, portions
from segsearch.storage.catalog.portable import AMONG_IDS, ids_parameter
from segsearch.storage.catalog.rows import (
    OF_SEGMENT,
    of_vectors,
    unpack,
    vectors_from,
)
from segsearch.storage.catalog.shots import on_frame, segments_from
from segsearch.storage.catalog.tables import (
    ACTIVE_RECIPE,
    COLLECTION_IMAGE,
    IMAGE,
    INGEST,
    RECIPE,
    SEGMENT,
)  # fmt: skip

BATCH_ROWS = 2_000
# Built once: a search would take longer to build them than SQLite takes to answer.
_EVERY = (
    sa.select(*OF_SEGMENT)
    .join(IMAGE, IMAGE.c.id == SEGMENT.c.image_id)
    .join(RECIPE, RECIPE.c.id == SEGMENT.c.recipe_id)
    .where(RECIPE.c.active)
    .order_by(SEGMENT.c.id)
)
_OF_IDS = _EVERY.where(SEGMENT.c.id.in_(AMONG_IDS))
_OF_IMAGES = _EVERY.where(SEGMENT.c.image_id.in_(AMONG_IDS))


class SegmentMixin(Database):
    """The part of the catalog that holds segments and vectors."""

    def segment(self, segment_id: int) -> Segment:
        """One segment of the active recipe; NotFoundError when there is none of this id."""
        segments = self.segments([segment_id])
        if not segments:
            raise NotFoundError(f"There is no segment {segment_id} in the library.")
        return segments[0]

    def segments_of(self, image_id: int) -> list[Segment]:
        """Every segment of an image under the active recipe, by ascending id; none of an unknown
        image."""
        return self._segments(_OF_IMAGES, [image_id])

    def segments_on_frame(self, image_id: int, seconds: float | None = None) -> list[Segment]:
        """`segments_of` as one picture shows them: of a shot those that have a mask at a second of
        its video, or else on the frame that stands for it, with that mask and that second as their
        best one; of a picture all."""
        with self._reading() as db:
            rows = db.execute(_OF_IMAGES, ids_parameter([image_id])).all()
            return on_frame(db, image_id, segments_from(db, rows), seconds)

    def segments_by_image(self, image_ids: Sequence[int]) -> dict[int, list[Segment]]:
        """`segments_of` for several images, in as many statements as for one; those without any
        are left out."""
        found: dict[int, list[Segment]] = {}
        for segment in self._segments(_OF_IMAGES, image_ids):
            found.setdefault(segment.image_id, []).append(segment)
        return found

    def segments(self, ids: Sequence[int] | None = None) -> list[Segment]:
        """The segments with these ids under the active recipe, or all, by ascending id."""
        return self._segments(_EVERY) if ids is None else self._segments(_OF_IDS, ids)

    def _segments(self, query: sa.Select[Any], ids: Sequence[int] = ()) -> list[Segment]:
        with self._reading() as db:
            return segments_from(db, db.execute(query, ids_parameter(ids)).all())

    def images_of(self, segment_ids: Sequence[int]) -> list[int]:
        """Ids of the images that these segments of the active recipe are of, ascending."""
        query = sa.select(SEGMENT.c.image_id).distinct().order_by(SEGMENT.c.image_id)
        query = query.where(SEGMENT.c.recipe_id == ACTIVE_RECIPE, SEGMENT.c.id.in_(AMONG_IDS))
        with self._reading() as db:
            return list(db.execute(query, ids_parameter(segment_ids)).scalars())

    def segment_ids(self, recipe_id: int) -> Ids:
        """Every segment id (n,) of a recipe, ascending."""
        query = sa.select(SEGMENT.c.id).where(SEGMENT.c.recipe_id == recipe_id)
        with self._reading() as db:
            return np.array(db.execute(query.order_by(SEGMENT.c.id)).scalars().all(), np.int64)

    def segment_ids_after(self, recipe_id: int, after: int, limit: int) -> list[int]:
        """The next segment ids of a recipe beyond one, ascending, `limit` at most."""
        query = sa.select(SEGMENT.c.id).where(SEGMENT.c.recipe_id == recipe_id)
        query = query.where(SEGMENT.c.id > after).order_by(SEGMENT.c.id).limit(limit)
        with self._reading() as db:
            return list(db.execute(query).scalars())

    def newest_segment(self) -> int:
        """The highest id of a segment; 0 when there is none. Ids only ever grow."""
        return self._since_written("newest_segment", self._newest_segment)

    def _newest_segment(self) -> int:
        with self._reading() as db:
            return int(db.execute(sa.select(sa.func.max(SEGMENT.c.id))).scalar() or 0)

    def segment_tally(
        self, recipe_id: int, collection_id: int | None = None
    ) -> tuple[int, int, int]:
        """How many segments a recipe has in the library or in a collection, the highest of their
        ids, and in a collection, which images may leave and come back to, their sum: another one
        whenever a segment has come or gone, since no id is given out twice."""
        newest = sa.func.coalesce(sa.func.max(SEGMENT.c.id), 0)
        with self._reading() as db:
            if collection_id is None:
                query = sa.select(newest).where(SEGMENT.c.recipe_id == recipe_id)
                count = tallies(db, recipe_id).get("segments", Counter()).total()
                return count, db.execute(query).scalar_one(), 0
            members = sa.select(COLLECTION_IMAGE.c.image_id)
            members = members.where(COLLECTION_IMAGE.c.collection_id == collection_id)
            total = sa.func.coalesce(sa.func.sum(SEGMENT.c.id), 0)
            of_them = sa.select(sa.func.count(SEGMENT.c.id), newest, total).where(
                SEGMENT.c.recipe_id == recipe_id, SEGMENT.c.image_id.in_(members)
            )
            count, highest, ids = db.execute(of_them).one()
            return count, highest, ids

    def remove_segments(self, segment_ids: Sequence[int]) -> int:
        """Forget segments of the active recipe; how many there were."""
        removed = 0
        with self._editing() as db:
            for portion in portions(segment_ids):
                chosen = sa.select(SEGMENT.c.id).where(
                    SEGMENT.c.recipe_id == ACTIVE_RECIPE, SEGMENT.c.id.in_(portion)
                )
                log_change(db, "remove", chosen)
                images = chosen.with_only_columns(SEGMENT.c.image_id)
                theirs = sa.update(INGEST).where(INGEST.c.recipe_id == ACTIVE_RECIPE)
                theirs = theirs.where(INGEST.c.image_id.in_(images))
                db.execute(theirs.values(removed_segments=INGEST.c.removed_segments + 1))
                removed += db.execute(sa.delete(SEGMENT).where(SEGMENT.c.id.in_(chosen))).rowcount
        return removed

    def vectors(self, recipe_id: int, ids: Ids | None = None) -> Iterator[VectorRows]:
        """Vectors of all segments of a recipe, or of some, in batches by ascending id."""
        query = of_vectors(recipe_id)
        with self._reading() as db:
            if ids is None:
                yield from _batches(db, query)
                return
            for portion in portions(ids.tolist()):
                yield from _batches(db, query.where(SEGMENT.c.id.in_(portion)))

    def picture_vector(self, recipe_id: int, image_id: int) -> Vector | None:
        """What describes an image as a whole (d,), at unit length; None when there is no such
        image, or it has not been described yet."""
        query = sa.select(INGEST.c.picture_vector).where(
            INGEST.c.recipe_id == recipe_id, INGEST.c.image_id == image_id
        )
        with self._reading() as db:
            blob = db.execute(query).scalar()
        return None if blob is None else unpack([blob])[0]


def _batches(db: sa.Connection, query: sa.Select[Any]) -> Iterator[VectorRows]:
    # As they come: else psycopg fetches all of them first.
    with db.execute(query.execution_options(yield_per=BATCH_ROWS)) as answer:
        for rows in answer.partitions():
            yield vectors_from(rows)
