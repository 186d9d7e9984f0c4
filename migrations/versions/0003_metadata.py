"""What pictures say of themselves, tags, perceptual hashes with their near-duplicates."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

COLUMNS = ("lens", "latitude", "longitude", "orientation", "icc_profile", "size_bytes")


def upgrade() -> None:
    # Plain ADD COLUMN: a batch would copy the table, and its deletion would cascade.
    op.add_column("image", sa.Column("lens", sa.Text))
    op.add_column("image", sa.Column("latitude", sa.Float))
    op.add_column("image", sa.Column("longitude", sa.Float))
    op.add_column("image", sa.Column("orientation", sa.Integer, nullable=False, server_default="1"))
    op.add_column("image", sa.Column("icc_profile", sa.Text))
    op.add_column(
        "image", sa.Column("size_bytes", sa.BigInteger, nullable=False, server_default="0")
    )
    op.add_column("image", sa.Column("perceptual_hash", sa.Text))
    op.execute(
        "UPDATE image SET size_bytes = coalesce("
        "(SELECT max(size_bytes) FROM source WHERE image_id = image.id), 0)"
    )
    op.create_table(
        "image_tag",
        _image_id(),
        sa.Column("tag", sa.Text, primary_key=True, index=True),
    )
    op.create_table(
        "hash_band",
        _image_id(),
        sa.Column("band", sa.Integer, primary_key=True),
        sa.Column("value", sa.Integer, nullable=False),
    )
    op.create_index("hash_band_by_value", "hash_band", ["band", "value"])
    op.create_table(
        "near_duplicate",
        _image_id(),
        sa.Column(
            "other_id",
            sa.Integer,
            sa.ForeignKey("image.id", ondelete="CASCADE"),
            primary_key=True,
            index=True,
        ),
        sa.Column("bits", sa.Integer, nullable=False),
    )


def _image_id() -> sa.Column[int]:
    return sa.Column(
        "image_id", sa.Integer, sa.ForeignKey("image.id", ondelete="CASCADE"), primary_key=True
    )


def downgrade() -> None:
    for table in ("near_duplicate", "hash_band", "image_tag"):
        op.drop_table(table)
    for name in (*COLUMNS, "perceptual_hash"):
        op.drop_column("image", name)
