"""A row for each picture that is done, by which a library is browsed: its day and its name."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

HEX = "[0-9a-f]"
# A file, or the folder of one, in a library's uploads: its time is when it was sent.
UPLOAD = f"folded GLOB '*/uploads/{HEX * 2}/{HEX * 64}[./]*'"
TAKEN = "substr(image.taken_at, 1, 19)"
ADDED = "datetime(image.added_at, 'unixepoch')"
# Each stops at the first row of an index that is no upload: what a path costs does not grow
# with the copies of its picture.
FILE = (
    "(SELECT datetime(mtime_ns / 1000000000, 'unixepoch') FROM source "
    f"WHERE image_id = image.id AND mtime_ns > 0 AND NOT {UPLOAD} ORDER BY mtime_ns LIMIT 1)"
)
# What stands behind the last slash of the path that is shown first.
FIRST = (
    "(SELECT substr(folded, length(rtrim(folded, replace(folded, '/', ''))) + 1) "
    "FROM source WHERE image_id = image.id {own} ORDER BY path LIMIT 1)"
)
NAME = f"coalesce({FIRST.format(own=f'AND NOT {UPLOAD}')}, {FIRST.format(own='')}, '')"
SHOWN = (
    f"coalesce({TAKEN}, {FILE}, {ADDED}), "
    f"CASE WHEN {TAKEN} IS NOT NULL THEN 'camera' WHEN {FILE} IS NOT NULL THEN 'file' "
    f"ELSE 'added' END, {NAME}"
)
COLUMNS = "(recipe_id, image_id, date, date_from, name)"
DONE = (
    f"SELECT ingest.recipe_id, ingest.image_id, {SHOWN} FROM ingest "
    "JOIN image ON image.id = ingest.image_id WHERE ingest.state = 'done'"
)


def _take(row: str) -> str:
    return f"DELETE FROM listing WHERE image_id = {row}.image_id AND recipe_id = {row}.recipe_id"


def _put(row: str) -> str:
    of_row = f"ingest.image_id = {row}.image_id AND ingest.recipe_id = {row}.recipe_id"
    return f"{_take(row)}; INSERT INTO listing {COLUMNS} {DONE} AND {of_row}"


def _look_again(image_id: str) -> str:
    """What a picture is listed by, found out again; one that is just going has no row of its own
    any more."""
    shown = f"(SELECT {SHOWN} FROM image WHERE image.id = listing.image_id)"
    there = f"EXISTS (SELECT 1 FROM image WHERE image.id = {image_id})"
    changed = f"UPDATE listing SET (date, date_from, name) = {shown}"
    rows = f"recipe_id IN (SELECT id FROM recipe) AND image_id = {image_id}"
    return f"{changed} WHERE {rows} AND {there}"


MOVED = "OLD.image_id IS NOT NEW.image_id OR OLD.mtime_ns IS NOT NEW.mtime_ns"
TRIGGERS = {
    "list_done": f"INSERT ON ingest WHEN NEW.state = 'done' BEGIN {_put('NEW')}; END",
    "list_on": (
        "UPDATE OF state ON ingest WHEN NEW.state = 'done' AND OLD.state <> 'done' "
        f"BEGIN {_put('NEW')}; END"
    ),
    "list_off": (
        "UPDATE OF state ON ingest WHEN NEW.state <> 'done' AND OLD.state = 'done' "
        f"BEGIN {_take('OLD')}; END"
    ),
    "list_gone": f"DELETE ON ingest WHEN OLD.state = 'done' BEGIN {_take('OLD')}; END",
    "list_taken": (
        "UPDATE OF taken_at ON image WHEN OLD.taken_at IS NOT NEW.taken_at "
        f"BEGIN {_look_again('NEW.id')}; END"
    ),
    "list_path": f"INSERT ON source BEGIN {_look_again('NEW.image_id')}; END",
    "list_path_gone": f"DELETE ON source BEGIN {_look_again('OLD.image_id')}; END",
    "list_path_moved": (
        f"UPDATE OF image_id, mtime_ns ON source WHEN {MOVED} "
        f"BEGIN {_look_again('NEW.image_id')}; {_look_again('OLD.image_id')}; END"
    ),
}


def upgrade() -> None:
    # When a picture came is not known of those that are there: now is the latest it can be.
    op.add_column("image", sa.Column("added_at", sa.Float, nullable=False, server_default="0"))
    op.execute("UPDATE image SET added_at = (julianday('now') - 2440587.5) * 86400.0")
    op.create_table(
        "listing",
        sa.Column("recipe_id", sa.Integer, primary_key=True),
        sa.Column("image_id", sa.Integer, primary_key=True),
        sa.Column("date", sa.Text, nullable=False),
        sa.Column("date_from", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("source_by_image", "source", ["image_id", "path"])
    op.create_index("source_by_time", "source", ["image_id", "mtime_ns"])
    op.drop_index("ix_source_image_id", "source")  # the first of these serves as well
    op.execute(f"INSERT INTO listing {COLUMNS} {DONE}")
    op.create_index("listing_by_date", "listing", ["recipe_id", "date", "image_id"])
    op.create_index("listing_by_name", "listing", ["recipe_id", "name", "image_id"])
    for name, what in TRIGGERS.items():
        op.execute(f"CREATE TRIGGER {name} AFTER {what}")


def downgrade() -> None:
    for name in TRIGGERS:
        op.execute(f"DROP TRIGGER {name}")
    op.drop_table("listing")
    op.create_index("ix_source_image_id", "source", ["image_id"])
    op.drop_index("source_by_time", "source")
    op.drop_index("source_by_image", "source")
    op.drop_column("image", "added_at")
