"""A library on PostgreSQL as the first version of them made it: revision 0014."""

from __future__ import annotations

import psycopg

from segsearch.storage.catalog.postgres.schema import VIDEO_FUNCTIONS

# What has come since.
TABLES = (
    "vector_generation", "api_key", "request_count", "vector_follower", "track_mask", "track",
    "shot", "video",
)  # fmt: skip


def make_older(address: str) -> None:
    """Take away from an empty or filled library what later revisions have brought."""
    with psycopg.connect(address) as db:
        for table in TABLES:
            db.execute(f"DROP TABLE {table}".encode())
        for function in VIDEO_FUNCTIONS:
            db.execute(f"DROP FUNCTION {function}()".encode())
        db.execute("UPDATE alembic_version SET version_num = '0014'")
