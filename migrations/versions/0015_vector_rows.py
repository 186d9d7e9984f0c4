"""Where the rows of an index lie in PostgreSQL: a library on a server may keep them in pgvector."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

WIDE = sa.BigInteger().with_variant(sa.Integer, "sqlite")
TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "vector_generation",
        sa.Column("id", WIDE, primary_key=True),
        sa.Column(
            "recipe_id", WIDE, sa.ForeignKey("recipe.id", ondelete="CASCADE"), nullable=False
        ),
        sa.Column("mix", TEXT, nullable=False),
        sa.Column("dimension", sa.Integer, nullable=False),
        sa.Column("width", sa.Integer, nullable=False),
        sa.Column("filled", sa.Boolean, nullable=False, server_default="0"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_vector_generation_recipe_id", "vector_generation", ["recipe_id"])


def downgrade() -> None:
    op.drop_table("vector_generation")
