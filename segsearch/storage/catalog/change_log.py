"""The change log: what an index has to hear of, written by the transaction that does it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import sqlalchemy as sa

from segsearch.core.arrays import Ids
from segsearch.storage.catalog.database import Database
from segsearch.storage.catalog.tables import CHANGE_LOG, SEGMENT


@dataclass(frozen=True, slots=True)
class Changes:
    """Segments added and removed since a point of the change log, net; `seq` is the new point."""

    seq: int
    added: Ids
    removed: Ids


def log_change(db: sa.Connection, op: str, segment_ids: sa.Select[int]) -> None:
    """Append to the change log what the same transaction does to these segments."""
    changes = segment_ids.with_only_columns(
        SEGMENT.c.recipe_id, sa.literal(op), SEGMENT.c.id
    ).order_by(SEGMENT.c.id)
    db.execute(sa.insert(CHANGE_LOG).from_select(["recipe_id", "op", "segment_id"], changes))


class ChangeLogMixin(Database):
    """The part of the catalog that an index follows."""

    def changes(self, recipe_id: int, since: int) -> Changes | None:
        """What happened after `since`; None when the log does not reach back that far."""
        log = sa.select(CHANGE_LOG.c.op, CHANGE_LOG.c.segment_id)
        log = log.where(CHANGE_LOG.c.seq > since, CHANGE_LOG.c.recipe_id == recipe_id)
        with self._reading() as db:
            latest = db.execute(sa.select(sa.func.max(CHANGE_LOG.c.seq))).scalar() or 0
            if since > latest:
                return None
            last = {row.segment_id: row.op for row in db.execute(log.order_by(CHANGE_LOG.c.seq))}
        added, removed = (
            np.array(sorted(segment_id for segment_id in last if last[segment_id] == op), np.int64)
            for op in ("add", "remove")
        )
        return Changes(latest, added, removed)
