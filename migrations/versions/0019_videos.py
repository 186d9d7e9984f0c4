"""Videos: their shots, which are images, and how the segments of these live."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from segsearch.storage.catalog.portable import TEXT, WIDE
from segsearch.storage.catalog.postgres import schema

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

COUNT = (
    "INSERT INTO counter VALUES ('videos', 0, '', {by}) "
    "ON CONFLICT (kind, recipe_id, key) DO UPDATE SET count = count + ({by})"
)
# A shot is listed by when it begins, with six digits before the point and three behind it: see
# `core/names.py`. What is padded stays so.
BARE = "rtrim({name}, '0123456789.,')"
TIMES = f"substr({{name}}, length({BARE}) + 1)"
PADDED = (
    f"{BARE} || printf('%010.3f', CAST({TIMES} AS REAL)) || substr({TIMES}, instr({TIMES}, ','))"
)
IS_SHOT = f"{BARE} GLOB '*#t=' AND {TIMES} GLOB '[0-9]*,[0-9]*' AND {TIMES} NOT GLOB '*,*,*'"
ROW = "recipe_id = NEW.recipe_id AND image_id = NEW.image_id"
LIST = (
    f"WHEN {IS_SHOT} AND NEW.name <> {PADDED} "
    f"BEGIN UPDATE listing SET name = {PADDED} WHERE {ROW}; END"
).format(name="NEW.name")
TRIGGERS = {
    "video_gone": (
        "DELETE ON shot WHEN NOT EXISTS (SELECT 1 FROM shot WHERE video_id = OLD.video_id) "
        "BEGIN DELETE FROM video WHERE id = OLD.video_id; END"
    ),
    "count_videos_up": f"INSERT ON video BEGIN {COUNT.format(by=1)}; END",
    "count_videos_down": f"DELETE ON video BEGIN {COUNT.format(by=-1)}; END",
    "list_shot": f"INSERT ON listing {LIST}",
    "list_shot_again": f"UPDATE OF name ON listing {LIST}",
}


def upgrade() -> None:
    op.create_table(
        "video",
        sa.Column("id", WIDE, primary_key=True),
        sa.Column("sha256", TEXT, nullable=False, unique=True),
        sa.Column("width", WIDE, nullable=False),
        sa.Column("height", WIDE, nullable=False),
        sa.Column("seconds", sa.Float, nullable=False),
        sa.Column("frame_rate", sa.Float, nullable=False),
        sa.Column("codec", TEXT, nullable=False),
        sa.Column("container", TEXT, nullable=False),
        sa.Column("made_at", sa.DateTime),
        sa.Column("has_sound", sa.Boolean, nullable=False, server_default="0"),
        sa.Column("lost", TEXT),
        sa.Column("added_at", sa.Float, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "shot",
        _hangs_on("image"),
        sa.Column("video_id", WIDE, sa.ForeignKey("video.id", ondelete="CASCADE"), nullable=False),
        sa.Column("t_start", sa.Float, nullable=False),
        sa.Column("t_end", sa.Float, nullable=False),
        sa.Column("seconds", sa.Float),
    )
    op.create_index("ix_shot_video_id", "shot", ["video_id"])
    op.create_table(
        "track",
        _hangs_on("segment"),
        sa.Column("t_start", sa.Float, nullable=False),
        sa.Column("t_end", sa.Float, nullable=False),
        sa.Column("best_seconds", sa.Float, nullable=False),
    )
    op.create_table(
        "track_mask",
        _hangs_on("segment"),
        sa.Column("seconds", sa.Float, primary_key=True),
        *(sa.Column(name, sa.Integer, nullable=False) for name in ("x0", "y0", "x1", "y1")),
        sa.Column("area", WIDE, nullable=False),
        sa.Column("counts", sa.LargeBinary, nullable=False),
    )
    db = op.get_bind()
    if db.dialect.name == "postgresql":
        for statement in schema.for_videos(db.dialect):
            db.exec_driver_sql(statement)
        return
    for name, what in TRIGGERS.items():
        op.execute(f"CREATE TRIGGER {name} AFTER {what}")


def _hangs_on(table: str) -> sa.Column[int]:
    gone = sa.ForeignKey(f"{table}.id", ondelete="CASCADE")
    return sa.Column(f"{table}_id", WIDE, gone, primary_key=True)


def downgrade() -> None:
    db = op.get_bind()
    if db.dialect.name == "sqlite":
        for name in TRIGGERS:
            op.execute(f"DROP TRIGGER IF EXISTS {name}")
    for table in ("track_mask", "track", "shot", "video"):
        op.drop_table(table)
    if db.dialect.name == "postgresql":
        for name in schema.VIDEO_FUNCTIONS:
            op.execute(f"DROP FUNCTION {name}()")
