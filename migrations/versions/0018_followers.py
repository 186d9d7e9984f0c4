"""How far an index that several machines share has followed the change log."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from segsearch.storage.catalog.portable import TEXT, WIDE

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "vector_follower",
        sa.Column("name", TEXT, primary_key=True),
        sa.Column("seq", WIDE, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("vector_follower")
