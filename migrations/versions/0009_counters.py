"""For a million segments: vectors in a table of their own, what is asked often by index, and
numbers that are kept instead of counted."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

KEPT = (
    "id, image_id, recipe_id, x0, y0, x1, y1, area, counts, predicted_iou, stability, "
    "holds, lies_in"
)
# The image's size is not known any more when its segments go with it, so each row has its tenth.
TENTH = (
    "min(9, segment.area * 10 / max(1, (SELECT width * height FROM image "
    "WHERE image.id = segment.image_id)))"
)
# Table, kind, recipe, key, and which rows count, of a row called NEW or OLD.
COUNTED = (
    ("image", "images", "0", "''", None),
    ("image", "format", "0", "{row}.format", "{row}.format <> ''"),
    ("source", "missing", "0", "''", "{row}.missing_since IS NOT NULL"),
    ("source", "excluded", "0", "''", "{row}.excluded_since IS NOT NULL"),
    ("ingest", "state", "{row}.recipe_id", "{row}.state", None),
    ("caption", "captions", "0", "''", None),
    ("segment", "segments", "{row}.recipe_id", "{row}.area_tenth", None),
)
CHANGING = {  # columns whose change moves a row from one number to another
    "format": "format",
    "missing": "missing_since",
    "excluded": "excluded_since",
    "state": "recipe_id, state",
    "segments": "recipe_id, area_tenth",
}
FIRST_LINK = (
    "NOT EXISTS (SELECT 1 FROM near_duplicate WHERE image_id = {row}.image_id "
    "AND other_id <> {row}.other_id)"
)
LINKED = ("near_duplicate", "near_duplicates", "0", "''", FIRST_LINK)


def upgrade() -> None:
    db = op.get_bind()
    if db.exec_driver_sql("PRAGMA foreign_keys").scalar():
        raise RuntimeError("Foreign keys are on: dropping a table would empty those that hang on.")
    _part_vectors(db)
    op.create_index("segment_by_image", "segment", ["image_id", "recipe_id"])
    op.create_index("segment_by_recipe", "segment", ["recipe_id"])
    for name in ("missing", "excluded"):
        where = sa.text(f"{name}_since IS NOT NULL")
        op.create_index(f"source_{name}", "source", ["path"], sqlite_where=where)
    op.create_index("source_by_folded", "source", ["folded"])
    op.create_table(
        "counter",
        sa.Column("kind", sa.Text, primary_key=True),
        sa.Column("recipe_id", sa.Integer, primary_key=True),
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("count", sa.Integer, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "log_start",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("value", sa.Integer, nullable=False),
    )
    for table, kind, recipe, key, condition in (*COUNTED, LINKED):
        _count(db, table, kind, recipe, key, condition)
        _create_triggers(table, kind, recipe, key, condition)


def _part_vectors(db: sa.Connection) -> None:
    """The table of segments anew, without vectors: dropping columns would write all of it twice."""
    op.create_table(
        "segment_vector",
        sa.Column(
            "segment_id",
            sa.Integer,
            sa.ForeignKey("segment.id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("context_vector", sa.LargeBinary, nullable=False),
        sa.Column("masked_vector", sa.LargeBinary, nullable=False),
    )
    vectors = "SELECT id, context_vector, masked_vector FROM segment ORDER BY id"
    db.exec_driver_sql(f"INSERT INTO segment_vector {vectors}")
    newest = db.exec_driver_sql("SELECT seq FROM sqlite_sequence WHERE name = 'segment'").scalar()
    op.create_table(
        "segment_new",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column(
            "image_id", sa.Integer, sa.ForeignKey("image.id", ondelete="CASCADE"), nullable=False
        ),
        sa.Column(
            "recipe_id", sa.Integer, sa.ForeignKey("recipe.id", ondelete="CASCADE"), nullable=False
        ),
        *(sa.Column(name, sa.Integer, nullable=False) for name in ("x0", "y0", "x1", "y1")),
        sa.Column("area", sa.Integer, nullable=False),
        sa.Column("counts", sa.LargeBinary, nullable=False),
        sa.Column("predicted_iou", sa.Float, nullable=False),
        sa.Column("stability", sa.Float, nullable=False),
        sa.Column("holds", sa.Integer, nullable=False, server_default="0"),
        sa.Column("lies_in", sa.Integer, nullable=False, server_default="0"),
        sa.Column("area_tenth", sa.Integer, nullable=False),
        sqlite_autoincrement=True,
    )
    rows = f"SELECT {KEPT}, coalesce({TENTH}, 0) FROM segment ORDER BY id"
    db.exec_driver_sql(f"INSERT INTO segment_new ({KEPT}, area_tenth) {rows}")
    db.exec_driver_sql("DROP TABLE segment")
    db.exec_driver_sql("ALTER TABLE segment_new RENAME TO segment")
    # Ids that were given out are never given out again, whatever has been removed since.
    db.exec_driver_sql("DELETE FROM sqlite_sequence WHERE name = 'segment'")
    if newest is not None:
        db.exec_driver_sql("INSERT INTO sqlite_sequence VALUES ('segment', ?)", (newest,))


def _count(  # noqa: PLR0913  one row of the list above
    db: sa.Connection, table: str, kind: str, recipe: str, key: str, condition: str | None
) -> None:
    counted = "count(*)"
    if kind == "near_duplicates":
        counted, condition = "count(DISTINCT image_id)", None
    where = f"WHERE {condition.format(row=table)}" if condition else ""
    db.exec_driver_sql(
        f"INSERT INTO counter SELECT '{kind}', {recipe.format(row=table)}, "
        f"{key.format(row=table)}, {counted} FROM {table} {where} GROUP BY 2, 3"
    )


def _create_triggers(table: str, kind: str, recipe: str, key: str, condition: str | None) -> None:
    when = {
        row: f"WHEN {condition.format(row=row)} " if condition else "" for row in ("NEW", "OLD")
    }
    up, down = (
        _step(kind, recipe.format(row=row), key.format(row=row), by)
        for row, by in (("NEW", 1), ("OLD", -1))
    )
    name = f"count_{kind}"
    op.execute(f"CREATE TRIGGER {name}_up AFTER INSERT ON {table} {when['NEW']}BEGIN {up}; END")
    op.execute(f"CREATE TRIGGER {name}_down AFTER DELETE ON {table} {when['OLD']}BEGIN {down}; END")
    if kind in CHANGING:
        event = f"AFTER UPDATE OF {CHANGING[kind]} ON {table}"
        op.execute(f"CREATE TRIGGER {name}_off {event} {when['OLD']}BEGIN {down}; END")
        op.execute(f"CREATE TRIGGER {name}_on {event} {when['NEW']}BEGIN {up}; END")


def _step(kind: str, recipe: str, key: str, by: int) -> str:
    return (
        f"INSERT INTO counter VALUES ('{kind}', {recipe}, {key}, {by}) "
        f"ON CONFLICT (kind, recipe_id, key) DO UPDATE SET count = count + ({by})"
    )


def downgrade() -> None:
    db = op.get_bind()
    triggers = "SELECT name FROM sqlite_master WHERE type = 'trigger' AND name LIKE 'count_%'"
    for name in db.exec_driver_sql(triggers).scalars().all():
        op.execute(f"DROP TRIGGER {name}")
    op.drop_table("counter")
    op.drop_table("log_start")
    for name, table in (
        ("source_by_folded", "source"),
        ("source_missing", "source"),
        ("source_excluded", "source"),
        ("segment_by_image", "segment"),
        ("segment_by_recipe", "segment"),
    ):
        op.drop_index(name, table)
    op.drop_column("segment", "area_tenth")
    op.create_index("ix_segment_image_id", "segment", ["image_id"])
    for name in ("context_vector", "masked_vector"):
        empty = sa.text("x''")
        op.add_column(
            "segment", sa.Column(name, sa.LargeBinary, nullable=False, server_default=empty)
        )
        taken = f"SELECT {name} FROM segment_vector WHERE segment_id = segment.id"
        db.exec_driver_sql(f"UPDATE segment SET {name} = ({taken})")
    op.drop_table("segment_vector")
