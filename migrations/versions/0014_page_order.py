"""Pages of PDFs are listed by their number: page 10 behind page 2, and not before it."""

from __future__ import annotations

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

BARE = "rtrim({name}, '0123456789')"
# Seven digits, the most that a page's number has: see `core/names.py`.
PADDED = f"{BARE} || printf('%07d', CAST(substr({{name}}, length({BARE}) + 1) AS INTEGER))"
IS_PAGE = f"{BARE} GLOB '*.pdf#page='"
EVENTS = {"list_page": "INSERT", "list_page_again": "UPDATE OF name"}


def upgrade() -> None:
    op.execute(f"UPDATE listing SET name = {PADDED} WHERE {IS_PAGE}".format(name="name"))
    # Whatever the triggers of 0011 write; what is padded stays so, and fires none again.
    padded, is_page = PADDED.format(name="NEW.name"), IS_PAGE.format(name="NEW.name")
    row = "recipe_id = NEW.recipe_id AND image_id = NEW.image_id"
    for trigger, event in EVENTS.items():
        op.execute(
            f"CREATE TRIGGER {trigger} AFTER {event} ON listing "
            f"WHEN {is_page} AND NEW.name <> {padded} "
            f"BEGIN UPDATE listing SET name = {padded} WHERE {row}; END"
        )


def downgrade() -> None:
    for trigger in EVENTS:
        op.execute(f"DROP TRIGGER {trigger}")
    op.execute(
        f"UPDATE listing SET name = {BARE} || CAST(substr(name, length({BARE}) + 1) AS INTEGER) "
        f"WHERE {IS_PAGE}".format(name="name")
    )
