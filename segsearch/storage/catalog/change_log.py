"""The change log: what an index has to hear of, written by the transaction that does it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import sqlalchemy as sa

from segsearch.core.arrays import Ids
from segsearch.storage.catalog.database import Database
from segsearch.storage.catalog.portable import insert
from segsearch.storage.catalog.postgres.row_tables import add_rows
from segsearch.storage.catalog.tables import CHANGE_LOG, LOG_START, SEGMENT

# An index that lies further behind takes as long to replay them as to compare all ids.
KEPT_CHANGES = 200_000
PRUNED_SEQ, PRUNED_SEGMENT = "pruned_seq", "pruned_segment"


@dataclass(frozen=True, slots=True)
class Changes:
    """Segments added and removed since a point of the change log, net; `seq` is the new point."""

    seq: int
    added: Ids
    removed: Ids


def log_change(db: sa.Connection, op: str, segment_ids: sa.Select[int]) -> None:
    """Append to the change log what the same transaction does to these segments; those that are
    added, with their vectors, get their rows where a library keeps rows in the same database."""
    if op == "add":  # first: which they are may be told by what the log lacks
        add_rows(db, segment_ids)
    changes = segment_ids.with_only_columns(
        SEGMENT.c.recipe_id, sa.literal(op), SEGMENT.c.id
    ).order_by(SEGMENT.c.id)
    db.execute(sa.insert(CHANGE_LOG).from_select(["recipe_id", "op", "segment_id"], changes))
    _prune(db)


def newest_change(db: sa.Connection) -> int:
    """The last point of the change log; 0 before the first."""
    return db.execute(sa.select(sa.func.max(CHANGE_LOG.c.seq))).scalar() or 0


def log_start(db: sa.Connection) -> tuple[int, int]:
    """The last point that has been pruned, and the highest id of a segment whose addition was; 0
    where nothing has been."""
    rows = {row.name: row.value for row in db.execute(sa.select(LOG_START))}
    return rows.get(PRUNED_SEQ, 0), rows.get(PRUNED_SEGMENT, 0)


def _prune(db: sa.Connection) -> None:
    """Drop what no index is going to replay, once there is a tenth too much of it: what is
    written at each commit stays as small as the commit."""
    newest = newest_change(db)
    oldest = db.execute(sa.select(sa.func.min(CHANGE_LOG.c.seq))).scalar() or 0
    if newest - oldest < KEPT_CHANGES + KEPT_CHANGES // 10:
        return
    end = newest - KEPT_CHANGES
    going = CHANGE_LOG.c.seq <= end
    added = sa.select(sa.func.max(CHANGE_LOG.c.segment_id)).where(going, CHANGE_LOG.c.op == "add")
    segment_id = max(log_start(db)[1], db.execute(added).scalar() or 0)
    for name, value in ((PRUNED_SEQ, end), (PRUNED_SEGMENT, segment_id)):
        row = {"name": name, "value": value}
        upsert = insert(LOG_START).values(row)
        db.execute(upsert.on_conflict_do_update(index_elements=["name"], set_=row))
    db.execute(sa.delete(CHANGE_LOG).where(going))


class ChangeLogMixin(Database):
    """The part of the catalog that an index follows."""

    def changes(self, recipe_id: int, since: int) -> Changes | None:
        """What happened after `since`; None when the log does not reach back that far: then
        `difference` says what an index lacks."""
        if since == self.newest_change():  # before each search, and nearly always
            return Changes(since, np.empty(0, np.int64), np.empty(0, np.int64))
        log = sa.select(CHANGE_LOG.c.op, CHANGE_LOG.c.segment_id)
        log = log.where(CHANGE_LOG.c.seq > since, CHANGE_LOG.c.recipe_id == recipe_id)
        with self._reading() as db:
            latest = newest_change(db)
            if since > latest or since < log_start(db)[0]:
                return None
            last = {row.segment_id: row.op for row in db.execute(log.order_by(CHANGE_LOG.c.seq))}
        added, removed = (
            np.array(sorted(segment_id for segment_id in last if last[segment_id] == op), np.int64)
            for op in ("add", "remove")
        )
        return Changes(latest, added, removed)

    def newest_change(self) -> int:
        """The last point of the change log; 0 before the first."""
        return self._since_written("newest_change", self._newest_change)

    def _newest_change(self) -> int:
        with self._reading() as db:
            return newest_change(db)

    def difference(self, recipe_id: int, held: Ids) -> Changes:
        """What parts the ids (n,) that an index holds, ascending, from a recipe's segments now.

        A segment never changes and its id is never given out again: the same ids are the same
        rows, however far back the log reaches.
        """
        ids = sa.select(SEGMENT.c.id).where(SEGMENT.c.recipe_id == recipe_id)
        with self._reading() as db:
            latest = newest_change(db)
            known = np.fromiter(db.execute(ids.order_by(SEGMENT.c.id)).scalars(), np.int64)
        added = np.setdiff1d(known, held, assume_unique=True)
        return Changes(latest, added, np.setdiff1d(held, known, assume_unique=True))
