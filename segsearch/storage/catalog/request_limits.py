"""How much each caller may still ask, where several nodes serve one library: a bucket a caller, on
the server that they have in common. A SQLite file has none: its nodes would wait for each other.
"""

from __future__ import annotations

from collections.abc import Mapping

import sqlalchemy as sa

from segsearch.storage.catalog.database import Database
from segsearch.storage.catalog.portable import NOW, TEXT, insert, larger, smaller

SETTLED_MS = 2_000  # how long the server may take over it
FORGOTTEN_SECONDS = 60.0  # after which any bucket is full again
FORGETS_EVERY = 60  # settlements of a process
# Tables of PostgreSQL alone, so none of the catalog's: it is neither copied nor counted. What a
# server that crashes forgets are a few seconds of requests.
REQUEST_COUNT = sa.Table(
    "request_count",
    sa.MetaData(),
    sa.Column("caller", TEXT, primary_key=True),
    sa.Column("remaining", sa.Float, nullable=False),
    sa.Column("at", sa.Float, nullable=False),
    prefixes=["UNLOGGED"],
)


class RequestLimitMixin(Database):
    """The part of the catalog by which nodes share what callers may ask."""

    _settlements = 0

    @property
    def shares_limits(self) -> bool:
        """Whether other nodes are told: not of a file, and not where nothing may be written."""
        return self._engine.dialect.name == "postgresql" and not self.read_only

    def settle_requests(
        self, spent: Mapping[str, int], *, per_second: float, most: float
    ) -> dict[str, float]:
        """Take what callers have asked out of their buckets, which hold `most` and fill so fast;
        what remains of each comes back, below 0 for who has asked too much of several nodes.

        One statement, whatever the number of callers. Raises EngineError and BusyError soon where
        the server is away or slow.
        """
        if not spent or not self.shares_limits:
            return {}
        kept, given = REQUEST_COUNT.c, sorted(spent)  # in one order: nobody waits in a circle
        rows = [{"caller": name, "remaining": most - spent[name]} for name in given]
        taken = insert(REQUEST_COUNT).values([{**row, "at": NOW} for row in rows])
        filled = smaller(kept.remaining + per_second * larger(NOW - kept.at, 0.0), most)
        left = filled - (most - taken.excluded.remaining)
        taken = taken.on_conflict_do_update(
            index_elements=["caller"], set_={"remaining": left, "at": NOW}
        )
        with self._claiming() as db:
            db.exec_driver_sql(f"SET LOCAL statement_timeout = {SETTLED_MS}")
            if self._settlements % FORGETS_EVERY == 0:
                old = sa.select(kept.caller).where(kept.at < NOW - FORGOTTEN_SECONDS)
                free = old.with_for_update(skip_locked=True)
                db.execute(sa.delete(REQUEST_COUNT).where(kept.caller.in_(free)))
            self._settlements += 1
            said = db.execute(taken.returning(kept.caller, kept.remaining))
            return {row.caller: row.remaining for row in said}
