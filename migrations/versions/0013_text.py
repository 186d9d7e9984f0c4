"""Text in pictures: which have been read, the lines, and their words to search by."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

# Whole words and their beginnings, and parts of them; neither holds text of its own, so both must
# hear of each change, with the old text. Rows that go by a foreign key fire these triggers too.
# Marks (M) are parts of words, as vowels of Hindi and Thai are.
INDEXES = {
    "text_words": ("spaced", "unicode61 remove_diacritics 0 categories 'L* N* Co M*'"),
    "text_grams": ("folded", "trigram case_sensitive 1"),
}
FORGET = "INSERT INTO {name} ({name}, rowid, {column}) VALUES ('delete', OLD.id, OLD.{column})"
ENTER = "INSERT INTO {name} (rowid, {column}) VALUES (NEW.id, NEW.{column})"
EVENTS = {"added": ("INSERT", [ENTER]), "removed": ("DELETE", [FORGET])}
EVENTS["changed"] = ("UPDATE", [FORGET, ENTER])
# As `counter.py` knows them: those that have been read, by state, and lines.
COUNTED = (
    ("reading", "reading", "{row}.recipe_id", "{row}.state"),
    ("text_line", "lines", "{row}.recipe_id", "''"),
)
ADD = (
    "INSERT INTO counter (kind, recipe_id, key, count) SELECT '{kind}', {recipe}, {key}, {by} "
    "WHERE true ON CONFLICT DO UPDATE SET count = count + excluded.count"
)


def upgrade() -> None:
    kind = sa.Column("kind", sa.Text, nullable=False, server_default="thing")
    op.add_column("segment", kind)
    op.add_column("segment", sa.Column("reading_order", sa.Integer))
    made = sa.Column("of_text", sa.Boolean, nullable=False, server_default="0")
    op.add_column("segment", made)
    _create_reading()
    _create_lines()
    for name, (column, tokenizer) in INDEXES.items():
        op.execute(
            f"CREATE VIRTUAL TABLE {name} USING fts5({column}, content='picture_text', "
            f"content_rowid='id', tokenize=\"{tokenizer}\")"
        )
        for event, (verb, statements) in EVENTS.items():
            body = "; ".join(each.format(name=name, column=column) for each in statements)
            op.execute(
                f"CREATE TRIGGER {name}_{event} AFTER {verb} ON picture_text BEGIN {body}; END"
            )
    for table, kind_, recipe, key in COUNTED:
        _count_by_triggers(table, kind_, recipe, key)


def _create_reading() -> None:
    numbers = [
        sa.Column(name, sa.Integer, nullable=False, server_default="0")
        for name in ("crashes", "interruptions", "errors")
    ]
    op.create_table(
        "reading",
        _parent("image", primary_key=True),
        _parent("recipe", primary_key=True),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False, server_default="0"),
        sa.Column("owner", sa.Text),
        sa.Column("lease_until", sa.Float),
        sa.Column("reason", sa.Text),
        *numbers,
        sa.Column("retry_at", sa.Float),
        sa.Column("reader", sa.Text),
    )
    op.create_index("reading_by_state", "reading", ["recipe_id", "state", "image_id"])


def _create_lines() -> None:
    op.create_table(
        "text_line",
        sa.Column("id", sa.Integer, primary_key=True),
        _parent("image"),
        _parent("recipe"),
        sa.Column("segment_id", sa.Integer, sa.ForeignKey("segment.id", ondelete="SET NULL")),
        sa.Column("element_id", sa.Integer, sa.ForeignKey("segment.id", ondelete="SET NULL")),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("corners", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("score", sa.Float, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_text_line_segment_id", "text_line", ["segment_id"])
    op.create_index("ix_text_line_element_id", "text_line", ["element_id"])
    op.create_index("text_line_by_image", "text_line", ["image_id", "recipe_id", "position"])
    op.create_table(
        "picture_text",
        sa.Column("id", sa.Integer, primary_key=True),
        _parent("image"),
        _parent("recipe"),
        sa.Column("folded", sa.Text, nullable=False),
        sa.Column("spaced", sa.Text, nullable=False),
        sa.UniqueConstraint("image_id", "recipe_id", name="picture_text_once"),
        sqlite_autoincrement=True,
    )
    for table in ("text_line", "picture_text"):
        op.create_index(f"ix_{table}_recipe_id", table, ["recipe_id"])


def _parent(table: str, *, primary_key: bool = False) -> sa.Column[int]:
    key = sa.ForeignKey(f"{table}.id", ondelete="CASCADE")
    return sa.Column(f"{table}_id", sa.Integer, key, primary_key=primary_key, nullable=False)


def _count_by_triggers(table: str, kind: str, recipe: str, key: str) -> None:
    def change(row: str, by: int) -> str:
        names = {"recipe": recipe.format(row=row), "key": key.format(row=row)}
        return ADD.format(kind=kind, by=by, **names)

    for event, rows in {
        "INSERT": [("NEW", 1)],
        "DELETE": [("OLD", -1)],
        "UPDATE OF state": [("OLD", -1), ("NEW", 1)],
    }.items():
        if event.startswith("UPDATE") and table != "reading":
            continue
        body = "; ".join(change(row, by) for row, by in rows)
        name = f"count_{kind}_{event.partition(' ')[0].lower()}"
        op.execute(f"CREATE TRIGGER {name} AFTER {event} ON {table} BEGIN {body}; END")


def downgrade() -> None:
    for name in INDEXES:
        op.drop_table(name)
    for name in ("picture_text", "text_line", "reading"):
        op.drop_table(name)
    for name in ("of_text", "reading_order", "kind"):
        op.drop_column("segment", name)
    op.execute("DELETE FROM counter WHERE kind IN ('reading', 'lines')")
