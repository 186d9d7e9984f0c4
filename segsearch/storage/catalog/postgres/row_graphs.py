"""The graphs (HNSW) that rows in pgvector are searched along: built beside searches and writers."""

from __future__ import annotations

import logging
import time

import sqlalchemy as sa

from segsearch.storage.catalog.postgres.row_tables import BUILDING, RowGeneration

LOG = logging.getLogger(__name__)
GRAPH_FROM = 20_000  # rows; fewer are compared with one by one, in a few ms
MOST_NUMBERS = 4_000  # of a row: pgvector builds no graph over longer ones
# Neighbours of a row, and how many are looked at to find them. pgvector's own defaults are 16 and
# 64; twice the looking costs half as much time again, and finds more later.
SHAPE = "m = 16, ef_construction = 128"
BUILD_BYTES = (64_000_000, 1_000_000_000)  # what a build may take of the server's memory
BYTES_BESIDE = 600  # of a row in a graph that is being built: its neighbours, and what holds them
_MEMORY = sa.text(
    "SELECT setting::bigint * 1024 FROM pg_settings WHERE name = 'maintenance_work_mem'"
)
CALLED_OFF = "57014"  # by `row_tables.drop`
_LOCK = sa.text("SELECT pg_try_advisory_lock(:first, :second)")


def state(db: sa.Connection, generation: RowGeneration) -> bool | None:
    """Whether a graph is there; None for one that was not built to its end."""
    asked = sa.text("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(:name)")
    valid = db.execute(asked, {"name": generation.graph}).scalar()
    if valid is None:
        return False
    return True if valid else None


def build(connection: sa.Connection, generation: RowGeneration, rows: int) -> bool:
    """As `KeptRows.build_graph`, over a connection that is not used afterwards."""
    started = time.monotonic()
    least, most = BUILD_BYTES
    needed = int(1.2 * rows * (2 * generation.width + BYTES_BESIDE))
    db = connection.execution_options(isolation_level="AUTOCOMMIT")
    try:
        # Only tried: whoever waits here would be waited for by the build.
        if not db.execute(_LOCK, {"first": BUILDING, "second": generation.id % 2**31}).scalar():
            return False
        found = state(db, generation)
        if found:
            return True
        if found is None:
            db.exec_driver_sql(f"DROP INDEX CONCURRENTLY IF EXISTS {generation.graph}")
        own = int(db.execute(_MEMORY).scalar_one())
        memory = max(own, min(most, max(least, needed)))
        given = {"lock_timeout": "0", "maintenance_work_mem": f"{memory // 1024}kB"}
        set_for(db, given, is_local=False)
        db.exec_driver_sql(
            f"CREATE INDEX CONCURRENTLY {generation.graph} ON {generation.name} "
            f"USING hnsw (mixed halfvec_ip_ops) WITH ({SHAPE})"
        )
    except sa.exc.DBAPIError as problem:
        if getattr(problem.orig, "sqlstate", None) != CALLED_OFF:
            raise
        LOG.info("The graph is not built: its rows are dropped.", extra={"action": "index.settle"})
        return False
    finally:
        connection.invalidate()  # with its lock, and with what was set
    extra = {"action": "index.settle", "rows": rows, "seconds": time.monotonic() - started}
    LOG.info("Built the graph of the index's %d segments.", rows, extra=extra)
    return True


def set_for(db: sa.Connection, settings: dict[str, str], *, is_local: bool = True) -> None:
    """Set what counts until the transaction ends, or else the session."""
    parts = [
        sa.func.set_config(name, value, is_local).label(f"set_{number}")
        for number, (name, value) in enumerate(settings.items())
    ]
    db.execute(sa.select(*parts))
