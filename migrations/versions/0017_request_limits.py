"""Nodes that serve one library on a server share what each caller may still ask."""

from __future__ import annotations

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

# As `segsearch/storage/catalog/request_limits.py` describes it; no part of a SQLite file.
TABLE = """
CREATE UNLOGGED TABLE IF NOT EXISTS request_count (
    caller TEXT COLLATE "C" PRIMARY KEY,
    remaining DOUBLE PRECISION NOT NULL,
    at DOUBLE PRECISION NOT NULL
)
"""


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute(TABLE)


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP TABLE request_count")
