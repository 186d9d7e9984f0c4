"""Errors of the models over a picture, counted apart from workers that died while they held it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("ingest", sa.Column("errors", sa.Integer, nullable=False, server_default="0"))


def downgrade() -> None:
    op.drop_column("ingest", "errors")
