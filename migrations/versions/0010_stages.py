"""What a job does now, whether it was asked to stop, and where its models run."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("job", sa.Column("stage", sa.Text))
    stopping = sa.Column("stopping", sa.Boolean, nullable=False, server_default="0")
    op.add_column("job", stopping)
    op.add_column("job", sa.Column("device", sa.Text))


def downgrade() -> None:
    for name in ("device", "stopping", "stage"):
        op.drop_column("job", name)
