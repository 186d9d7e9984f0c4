"""What an index outside of the library follows the change log with: how far it is, whose turn it
is, what never changes of a segment, and which segments are still there."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np
import sqlalchemy as sa

from segsearch.core.arrays import Ids
from segsearch.storage.catalog.database import IDS_PER_STATEMENT, Database, portions
from segsearch.storage.catalog.portable import AMONG_IDS, ids_parameter, insert
from segsearch.storage.catalog.tables import IMAGE, SEGMENT, VECTOR_FOLLOWER

FILLING = -1  # the point of an index that does not hold all rows yet
_FACTS = (
    sa.select(SEGMENT.c.id, SEGMENT.c.image_id, SEGMENT.c.area, SEGMENT.c.x0, SEGMENT.c.y0)
    .add_columns(SEGMENT.c.x1, SEGMENT.c.y1, SEGMENT.c.predicted_iou, SEGMENT.c.stability)
    .add_columns(IMAGE.c.width, IMAGE.c.height, IMAGE.c.taken_at, IMAGE.c.camera)
    .add_columns(IMAGE.c.latitude, IMAGE.c.longitude)
    .join(IMAGE, IMAGE.c.id == SEGMENT.c.image_id)
    .where(SEGMENT.c.id.in_(AMONG_IDS))
    .order_by(SEGMENT.c.id)
)


@dataclass(frozen=True, slots=True)
class SegmentFacts:
    """What filters ask of segments and never changes: column by column of the catalog's tables, in
    the order of ascending ids."""

    ids: Ids
    columns: dict[str, list[object]]


class FollowerMixin(Database):
    """The part of the catalog that an index outside of the library needs."""

    def following(self, name: str, seconds: float) -> AbstractContextManager[Callable[[], None]]:
        """The turn to bring what bears a name up to date: one process has it at a time. BusyError
        where another one keeps it for longer than that. What it gives is to be called before each
        write: EngineError where the turn was lost."""
        return self._backend.turn(name, seconds)

    def follower(self, name: str) -> int | None:
        """The point of the change log that an index has applied; `FILLING` for one that has never
        held all, None for an unknown one."""

        def read() -> int | None:
            query = sa.select(VECTOR_FOLLOWER.c.seq).where(VECTOR_FOLLOWER.c.name == name)
            with self._reading() as db:
                return db.execute(query).scalar()

        return self._since_written(("follower", name), read)

    def followers(self, prefix: str) -> list[str]:
        """Names of all indexes that begin so."""
        query = sa.select(VECTOR_FOLLOWER.c.name).order_by(VECTOR_FOLLOWER.c.name)
        with self._reading() as db:
            return [name for name in db.execute(query).scalars() if name.startswith(prefix)]

    def note_follower(self, name: str, seq: int) -> None:
        """Write down which point an index has applied; by who has its turn."""
        row = {"name": name, "seq": seq}
        upsert = insert(VECTOR_FOLLOWER).values(row)
        with self._claiming() as db:
            db.execute(upsert.on_conflict_do_update(index_elements=["name"], set_=row))

    def forget_follower(self, name: str) -> None:
        """Forget an index that is gone."""
        with self._claiming() as db:
            db.execute(sa.delete(VECTOR_FOLLOWER).where(VECTOR_FOLLOWER.c.name == name))

    def existing(self, recipe_id: int, ids: Ids) -> Ids:
        """Those of some ids (n,) that are segments of a recipe now, ascending."""
        known = sa.select(SEGMENT.c.id).where(SEGMENT.c.id.in_(AMONG_IDS))
        known = known.where(SEGMENT.c.recipe_id == recipe_id)
        found = [np.empty(0, np.int64)]
        with self._reading() as db:
            for start in range(0, ids.size, IDS_PER_STATEMENT):
                given = ids_parameter(ids[start : start + IDS_PER_STATEMENT].tolist())
                found.append(np.array(db.execute(known, given).scalars().all(), np.int64))
        return np.sort(np.concatenate(found))

    def facts(self, ids: Ids) -> SegmentFacts:
        """What filters ask of these segments (n,); those that are gone are left out."""
        columns: dict[str, list[object]] = {column.name: [] for column in _FACTS.selected_columns}
        with self._reading() as db:
            for portion in portions(np.sort(ids).tolist()):
                for row in db.execute(_FACTS, ids_parameter(portion)):
                    for name, value in zip(columns, row, strict=True):
                        columns[name].append(value)
        return SegmentFacts(np.array(columns.pop("id"), np.int64), columns)
