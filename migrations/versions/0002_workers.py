"""Workers: crashes, interruptions and retries of a picture, vanished files, jobs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

COUNTS = ("total", "done", "segments", "skipped")
ADDED = {"ingest": ("crashes", "interruptions", "retry_at"), "source": ("missing_since",)}


def upgrade() -> None:
    # Plain ADD COLUMN: no table is swapped, so no foreign key can delete a child row.
    for name in ("crashes", "interruptions"):
        column = sa.Column(name, sa.Integer, nullable=False, server_default="0")
        op.add_column("ingest", column)
    op.add_column("ingest", sa.Column("retry_at", sa.Float))
    op.add_column("source", sa.Column("missing_since", sa.Float))
    op.create_table(
        "job",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("preset", sa.Text),
        sa.Column("paths", sa.Text, nullable=False),
        *(sa.Column(name, sa.Integer, nullable=False, server_default="0") for name in COUNTS),
        sa.Column("current", sa.Text),
        sa.Column("error", sa.Text),
        sa.Column("report", sa.Text),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("started_at", sa.Float, nullable=False),
        sa.Column("updated_at", sa.Float, nullable=False),
        sa.Column("finished_at", sa.Float),
        sqlite_autoincrement=True,
    )


def downgrade() -> None:
    op.drop_table("job")
    for table, names in ADDED.items():
        for name in names:
            op.drop_column(table, name)
