"""Captions: what a vision model said of a segment, and the words of it to search by."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# The index of words holds no text of its own, so it must hear of each change, with the old text.
# Rows that go with their segment by a foreign key fire these triggers too.
FORGET = (
    "INSERT INTO caption_words (caption_words, rowid, text) VALUES ('delete', OLD.id, OLD.text)"
)
ENTER = "INSERT INTO caption_words (rowid, text) VALUES (NEW.id, NEW.text)"
TRIGGERS = {
    "caption_added": f"AFTER INSERT ON caption BEGIN {ENTER}; END",
    "caption_removed": f"AFTER DELETE ON caption BEGIN {FORGET}; END",
    "caption_changed": f"AFTER UPDATE ON caption BEGIN {FORGET}; {ENTER}; END",
}


def upgrade() -> None:
    op.create_table(
        "caption",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column(
            "segment_id",
            sa.Integer,
            sa.ForeignKey("segment.id", ondelete="CASCADE"),
            nullable=False,
        ),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("host", sa.Text, nullable=False),
        sa.Column("prompt_sha256", sa.Text, nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.UniqueConstraint("segment_id", "model", "prompt_sha256", name="caption_once"),
        sqlite_autoincrement=True,
    )
    op.execute(
        "CREATE VIRTUAL TABLE caption_words USING fts5("
        "text, content='caption', content_rowid='id', "
        "tokenize='porter unicode61 remove_diacritics 2')"
    )
    for name, what in TRIGGERS.items():
        op.execute(f"CREATE TRIGGER {name} {what}")


def downgrade() -> None:
    for name in TRIGGERS:
        op.execute(f"DROP TRIGGER {name}")
    op.drop_table("caption_words")
    op.drop_table("caption")
