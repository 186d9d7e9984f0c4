"""The first schema: images and their sources, recipes, ingest states, segments, change log."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "library",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
    )
    op.create_table(
        "recipe",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("fingerprint", sa.Text, nullable=False, unique=True),
        sa.Column("document", sa.Text, nullable=False),
        sa.Column("active", sa.Boolean, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "image",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("sha256", sa.Text, nullable=False, unique=True),
        sa.Column("width", sa.Integer, nullable=False, server_default="0"),
        sa.Column("height", sa.Integer, nullable=False, server_default="0"),
        sa.Column("format", sa.Text, nullable=False, server_default=""),
        sa.Column("taken_at", sa.DateTime),
        sa.Column("camera", sa.Text),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "source",
        sa.Column("path", sa.Text, primary_key=True),
        _image_id(),
        sa.Column("size_bytes", sa.BigInteger, nullable=False),
        sa.Column("mtime_ns", sa.BigInteger, nullable=False),
    )
    _create_ingest()
    _create_segments()


def _image_id() -> sa.Column[int]:
    return sa.Column(
        "image_id",
        sa.Integer,
        sa.ForeignKey("image.id", ondelete="CASCADE"),
        nullable=False,
        index=True,
    )


def _create_ingest() -> None:
    op.create_table(
        "ingest",
        sa.Column(
            "image_id", sa.Integer, sa.ForeignKey("image.id", ondelete="CASCADE"), primary_key=True
        ),
        sa.Column(
            "recipe_id",
            sa.Integer,
            sa.ForeignKey("recipe.id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False, server_default="0"),
        sa.Column("owner", sa.Text),
        sa.Column("lease_until", sa.Float),
        sa.Column("reason", sa.Text),
        sa.Column("picture_vector", sa.LargeBinary),
    )
    op.create_index("ingest_by_state", "ingest", ["recipe_id", "state", "image_id"])


def _create_segments() -> None:
    op.create_table(
        "segment",
        sa.Column("id", sa.Integer, primary_key=True),
        _image_id(),
        sa.Column(
            "recipe_id", sa.Integer, sa.ForeignKey("recipe.id", ondelete="CASCADE"), nullable=False
        ),
        *(sa.Column(name, sa.Integer, nullable=False) for name in ("x0", "y0", "x1", "y1")),
        sa.Column("area", sa.Integer, nullable=False),
        sa.Column("counts", sa.LargeBinary, nullable=False),
        sa.Column("predicted_iou", sa.Float, nullable=False),
        sa.Column("stability", sa.Float, nullable=False),
        sa.Column("context_vector", sa.LargeBinary, nullable=False),
        sa.Column("masked_vector", sa.LargeBinary, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "change_log",
        sa.Column("seq", sa.Integer, primary_key=True),
        sa.Column("recipe_id", sa.Integer, nullable=False),
        sa.Column("op", sa.Text, nullable=False),
        sa.Column("segment_id", sa.Integer, nullable=False),
        sqlite_autoincrement=True,
    )


def downgrade() -> None:
    for table in ("change_log", "segment", "ingest", "source", "image", "recipe", "library"):
        op.drop_table(table)
