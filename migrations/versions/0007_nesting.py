"""How the regions of a picture lie in each other: parts are told from whole things by it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name in ("holds", "lies_in"):
        op.add_column("segment", sa.Column(name, sa.Integer, nullable=False, server_default="0"))


def downgrade() -> None:
    for name in ("lies_in", "holds"):
        op.drop_column("segment", name)
