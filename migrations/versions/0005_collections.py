"""Collections of images; segments that a person has removed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "collection",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.Text, nullable=False, unique=True),
        sa.Column("created_at", sa.Float, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "collection_image",
        sa.Column(
            "collection_id",
            sa.Integer,
            sa.ForeignKey("collection.id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column(
            "image_id",
            sa.Integer,
            sa.ForeignKey("image.id", ondelete="CASCADE"),
            primary_key=True,
            index=True,
        ),
    )
    column = sa.Column("removed_segments", sa.Integer, nullable=False, server_default="0")
    op.add_column("ingest", column)


def downgrade() -> None:
    op.drop_column("ingest", "removed_segments")
    op.drop_table("collection_image")
    op.drop_table("collection")
