"""API keys of a library on PostgreSQL; those of a folder stay a file."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    if op.get_bind().dialect.name != "postgresql":
        return
    op.create_table(
        "api_key",
        sa.Column("id", sa.Text(collation="C"), primary_key=True),
        sa.Column("name", sa.Text(collation="C"), nullable=False),
        sa.Column("scope", sa.Text(collation="C"), nullable=False),
        sa.Column("hash", sa.Text(collation="C"), nullable=False),
        sa.Column("created_at", sa.Text(collation="C"), nullable=False),
        sa.Column("revoked_at", sa.Text(collation="C")),
        sa.Column("incarnation", sa.Text(collation="C"), nullable=False),
        sa.Column("number", sa.BigInteger, sa.Identity(), nullable=False),  # as they were made
    )


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.drop_table("api_key")
