"""The catalog's tables as SQLAlchemy describes them; `migrations/` holds the same, step by step."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from segsearch.storage.catalog.portable import TEXT, WIDE

METADATA = sa.MetaData()


def _marked(name: str, column: str) -> sa.Index:
    """An index of the paths that bear a mark, which are few."""
    where = sa.text(f"{column} IS NOT NULL")
    return sa.Index(name, "path", sqlite_where=where, postgresql_where=where)


def _hangs_on(table: str) -> sa.Column[Any]:
    """The key of a row that goes with one of another table."""
    gone = sa.ForeignKey(f"{table}.id", ondelete="CASCADE")
    return sa.Column(f"{table}_id", WIDE, gone, primary_key=True)


def _given(kind: Any, *names: str) -> list[sa.Column[Any]]:
    return [sa.Column(name, kind, nullable=False) for name in names]


def _mask() -> list[sa.Column[Any]]:
    corners = _given(sa.Integer, "x0", "y0", "x1", "y1")
    return [*corners, *_given(WIDE, "area"), *_given(sa.LargeBinary, "counts")]


LIBRARY = sa.Table(
    "library",
    METADATA,
    sa.Column("key", TEXT, primary_key=True),
    sa.Column("value", TEXT, nullable=False),
)

RECIPE = sa.Table(
    "recipe",
    METADATA,
    sa.Column("id", WIDE, primary_key=True),
    sa.Column("fingerprint", TEXT, nullable=False, unique=True),
    sa.Column("document", TEXT, nullable=False),
    sa.Column("active", sa.Boolean, nullable=False),
    sqlite_autoincrement=True,
)

IMAGE = sa.Table(
    "image",
    METADATA,
    sa.Column("id", WIDE, primary_key=True),
    sa.Column("sha256", TEXT, nullable=False, unique=True),
    sa.Column("width", WIDE, nullable=False, server_default="0"),
    sa.Column("height", WIDE, nullable=False, server_default="0"),
    sa.Column("format", TEXT, nullable=False, server_default=""),
    sa.Column("taken_at", sa.DateTime),
    sa.Column("camera", TEXT),
    sa.Column("lens", TEXT),
    sa.Column("latitude", sa.Float),
    sa.Column("longitude", sa.Float),
    sa.Column("orientation", sa.Integer, nullable=False, server_default="1"),
    sa.Column("icc_profile", TEXT),
    sa.Column("size_bytes", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("perceptual_hash", TEXT),
    sa.Column("added_at", sa.Float, nullable=False, server_default="0"),
    sqlite_autoincrement=True,
)

SOURCE = sa.Table(
    "source",
    METADATA,
    sa.Column("path", TEXT, primary_key=True),
    sa.Column("image_id", sa.ForeignKey("image.id", ondelete="CASCADE"), nullable=False),
    *_given(sa.BigInteger, "size_bytes", "mtime_ns"),
    sa.Column("missing_since", sa.Float),  # when the file was first found to be gone
    # What it is compared by: `core.names.folded`. The path itself stays as the disk has it.
    sa.Column("folded", TEXT, nullable=False, server_default=""),
    sa.Column("excluded_since", sa.Float),  # when a run first left it out by its globs
    sa.Index("source_by_folded", "folded"),
    # The first path of a picture, and its oldest file.
    sa.Index("source_by_image", "image_id", "path"),
    sa.Index("source_by_time", "image_id", "mtime_ns"),
    _marked("source_missing", "missing_since"),
    _marked("source_excluded", "excluded_since"),
)


def _queue_of(name: str, *more: sa.Column[Any]) -> sa.Table:
    """A table with a row for each image and recipe: how far it is, and who holds it."""
    return sa.Table(
        name,
        METADATA,
        sa.Column("image_id", sa.ForeignKey("image.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("recipe_id", sa.ForeignKey("recipe.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False, server_default="0"),
        sa.Column("owner", TEXT),
        sa.Column("lease_until", sa.Float),
        sa.Column("reason", TEXT),
        # Deaths of a model process over this picture, deaths of whole workers that happened to
        # hold it, and errors that the models raised.
        sa.Column("crashes", sa.Integer, nullable=False, server_default="0"),
        sa.Column("interruptions", sa.Integer, nullable=False, server_default="0"),
        sa.Column("errors", sa.Integer, nullable=False, server_default="0"),
        sa.Column("retry_at", sa.Float),
        *more,
        sa.Index(f"{name}_by_state", "recipe_id", "state", "image_id"),
    )


INGEST = _queue_of(
    "ingest",
    sa.Column("picture_vector", sa.LargeBinary),
    # Segments a person has removed: a picture without any is then no contradiction.
    sa.Column("removed_segments", sa.Integer, nullable=False, server_default="0"),
)

SEGMENT = sa.Table(
    "segment",
    METADATA,
    sa.Column("id", WIDE, primary_key=True),
    sa.Column("image_id", sa.ForeignKey("image.id", ondelete="CASCADE"), nullable=False),
    sa.Column("recipe_id", sa.ForeignKey("recipe.id", ondelete="CASCADE"), nullable=False),
    *_mask(),
    *_given(sa.Float, "predicted_iou", "stability"),
    # Regions of the same picture that lie in it, and those it lies in.
    sa.Column("holds", sa.Integer, nullable=False, server_default="0"),
    sa.Column("lies_in", sa.Integer, nullable=False, server_default="0"),
    sa.Column("area_tenth", sa.Integer, nullable=False),  # 0 to 9: tenth of the picture's area
    sa.Column("kind", TEXT, nullable=False, server_default="thing"),  # core.text.RegionKind
    sa.Column("reading_order", sa.Integer),  # of the elements of a page, from 1
    sa.Column("of_text", sa.Boolean, nullable=False, server_default="0"),  # reading has added it
    sa.Index("segment_by_image", "image_id", "recipe_id"),
    sa.Index("segment_by_recipe", "recipe_id"),  # holds the ids, too, in their order
    sqlite_autoincrement=True,
)

# A row for each segment, apart from it: who asks for masks, counts or places reads past no vectors.
SEGMENT_VECTOR = sa.Table(
    "segment_vector",
    METADATA,
    _hangs_on("segment"),
    *_given(sa.LargeBinary, "context_vector", "masked_vector"),
)

# What a first look says of a file, as `core.video.VideoInfo` has it; it goes with its last shot.
VIDEO = sa.Table(
    "video",
    METADATA,
    sa.Column("id", WIDE, primary_key=True),
    sa.Column("sha256", TEXT, nullable=False, unique=True),  # of the file
    *_given(WIDE, "width", "height"),
    *_given(sa.Float, "seconds", "frame_rate"),
    *_given(TEXT, "codec", "container"),
    sa.Column("made_at", sa.DateTime),
    sa.Column("has_sound", sa.Boolean, nullable=False, server_default="0"),
    sa.Column("lost", TEXT),
    sa.Column("added_at", sa.Float, nullable=False),
    sqlite_autoincrement=True,
)

# The part of a video that an image stands for; all times are seconds of the video.
SHOT = sa.Table(
    "shot",
    METADATA,
    _hangs_on("image"),
    sa.Column(
        "video_id", sa.ForeignKey("video.id", ondelete="CASCADE"), nullable=False, index=True
    ),
    *_given(sa.Float, "t_start", "t_end"),
    sa.Column("seconds", sa.Float),  # of the frame that is shown for it, once it is described
)

# When a segment of a shot is there.
TRACK = sa.Table(
    "track",
    METADATA,
    _hangs_on("segment"),
    *_given(sa.Float, "t_start", "t_end", "best_seconds"),
)

# Its masks at the keyframes that show it.
TRACK_MASK = sa.Table(
    "track_mask",
    METADATA,
    _hangs_on("segment"),
    sa.Column("seconds", sa.Float, primary_key=True),
    *_mask(),
)

# Numbers that would take a whole table to find out: kept by triggers, see 0009 and `counters.py`.
COUNTER = sa.Table(
    "counter",
    METADATA,
    sa.Column("kind", TEXT, primary_key=True),
    sa.Column("recipe_id", WIDE, primary_key=True),  # 0 where no recipe has a say
    sa.Column("key", TEXT, primary_key=True),
    sa.Column("count", WIDE, nullable=False),
    sqlite_with_rowid=False,
)

# What a library is browsed by: a row for each picture that is done under a recipe, kept by
# triggers, see 0011 and `listing.py`.
LISTING = sa.Table(
    "listing",
    METADATA,
    sa.Column("recipe_id", WIDE, primary_key=True),
    sa.Column("image_id", WIDE, primary_key=True),
    sa.Column("date", TEXT, nullable=False),  # 2024-07-14 12:31:05
    sa.Column("date_from", TEXT, nullable=False),  # camera, file, added
    sa.Column("name", TEXT, nullable=False),  # of the file, folded; a page's is padded
    sa.Index("listing_by_date", "recipe_id", "date", "image_id"),
    sa.Index("listing_by_name", "recipe_id", "name", "image_id"),
    sqlite_with_rowid=False,
)

# What a vision model said; the table `caption_words` (FTS5) follows it by triggers, see 0004.
CAPTION = sa.Table(
    "caption",
    METADATA,
    sa.Column("id", WIDE, primary_key=True),
    sa.Column("segment_id", sa.ForeignKey("segment.id", ondelete="CASCADE"), nullable=False),
    sa.Column("text", TEXT, nullable=False),
    sa.Column("model", TEXT, nullable=False),
    sa.Column("host", TEXT, nullable=False),
    sa.Column("prompt_sha256", TEXT, nullable=False),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.UniqueConstraint("segment_id", "model", "prompt_sha256", name="caption_once"),
    sqlite_autoincrement=True,
)

# Whether a picture's text has been read.
READING = _queue_of(
    "reading",
    sa.Column("reader", TEXT),  # name@sha256-of-weights, once it is done
)

TEXT_LINE = sa.Table(
    "text_line",
    METADATA,
    sa.Column("id", WIDE, primary_key=True),
    sa.Column("image_id", sa.ForeignKey("image.id", ondelete="CASCADE"), nullable=False),
    sa.Column(
        "recipe_id", sa.ForeignKey("recipe.id", ondelete="CASCADE"), nullable=False, index=True
    ),
    sa.Column("segment_id", sa.ForeignKey("segment.id", ondelete="SET NULL"), index=True),
    sa.Column("element_id", sa.ForeignKey("segment.id", ondelete="SET NULL"), index=True),
    sa.Column("position", sa.Integer, nullable=False),  # from 1, as the picture is read
    sa.Column("corners", TEXT, nullable=False),  # JSON: four of x, y
    sa.Column("text", TEXT, nullable=False),
    sa.Column("score", sa.Float, nullable=False),
    sa.Index("text_line_by_image", "image_id", "recipe_id", "position"),
    sqlite_autoincrement=True,
)

# All lines of a picture as one text, in the two forms that words are looked for in; the tables
# `text_words` and `text_grams` (FTS5) follow it by triggers, see 0013.
PICTURE_TEXT = sa.Table(
    "picture_text",
    METADATA,
    sa.Column("id", WIDE, primary_key=True),
    sa.Column("image_id", sa.ForeignKey("image.id", ondelete="CASCADE"), nullable=False),
    sa.Column(
        "recipe_id", sa.ForeignKey("recipe.id", ondelete="CASCADE"), nullable=False, index=True
    ),
    sa.Column("folded", TEXT, nullable=False),  # core.text.folded_text
    sa.Column("spaced", TEXT, nullable=False),  # core.text.spaced_text
    sa.UniqueConstraint("image_id", "recipe_id", name="picture_text_once"),
    sqlite_autoincrement=True,
)

CHANGE_LOG = sa.Table(
    "change_log",
    METADATA,
    sa.Column("seq", WIDE, primary_key=True),
    sa.Column("recipe_id", WIDE, nullable=False),
    sa.Column("op", TEXT, nullable=False),
    sa.Column("segment_id", WIDE, nullable=False),
    sqlite_autoincrement=True,
)

# Where the change log starts: older entries have been pruned.
LOG_START = sa.Table(
    "log_start",
    METADATA,
    sa.Column("name", TEXT, primary_key=True),
    sa.Column("value", WIDE, nullable=False),
)

# Where the rows of an index lie in PostgreSQL (pgvector): a table of its own for each, see
# `postgres/vector_rows.py`. A library in a file has none.
VECTOR_GENERATION = sa.Table(
    "vector_generation",
    METADATA,
    sa.Column("id", WIDE, primary_key=True),
    sa.Column(
        "recipe_id", sa.ForeignKey("recipe.id", ondelete="CASCADE"), nullable=False, index=True
    ),
    sa.Column("mix", TEXT, nullable=False),  # JSON: what rows are made of, as `core.mix.Mix` has it
    sa.Column("dimension", sa.Integer, nullable=False),  # of the vectors
    sa.Column("width", sa.Integer, nullable=False),  # of the rows
    # Whether every segment of before has its row; those that come have it from the start.
    sa.Column("filled", sa.Boolean, nullable=False, server_default="0"),
    sqlite_autoincrement=True,
)

# How far an index outside of the library has followed the change log, by the name of what holds
# its rows; -1 while it is being filled.
VECTOR_FOLLOWER = sa.Table(
    "vector_follower",
    METADATA,
    sa.Column("name", TEXT, primary_key=True),
    sa.Column("seq", WIDE, nullable=False),
)

JOB = sa.Table(
    "job",
    METADATA,
    sa.Column("id", WIDE, primary_key=True),
    sa.Column("kind", TEXT, nullable=False),
    sa.Column("state", TEXT, nullable=False),
    sa.Column("preset", TEXT),
    sa.Column("paths", TEXT, nullable=False),  # JSON
    sa.Column("total", sa.Integer, nullable=False, server_default="0"),
    sa.Column("done", sa.Integer, nullable=False, server_default="0"),
    sa.Column("segments", sa.Integer, nullable=False, server_default="0"),
    sa.Column("skipped", sa.Integer, nullable=False, server_default="0"),
    sa.Column("current", TEXT),
    sa.Column("error", TEXT),
    sa.Column("report", TEXT),
    sa.Column("owner", TEXT, nullable=False),
    sa.Column("started_at", sa.Float, nullable=False),
    sa.Column("updated_at", sa.Float, nullable=False),
    sa.Column("finished_at", sa.Float),
    sa.Column("stage", TEXT),
    sa.Column("stopping", sa.Boolean, nullable=False, server_default="0"),
    sa.Column("device", TEXT),
    sqlite_autoincrement=True,
)

IMAGE_TAG = sa.Table(
    "image_tag",
    METADATA,
    sa.Column("image_id", sa.ForeignKey("image.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("tag", TEXT, primary_key=True, index=True),
)

HASH_BAND = sa.Table(
    "hash_band",
    METADATA,
    sa.Column("image_id", sa.ForeignKey("image.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("band", sa.Integer, primary_key=True),
    sa.Column("value", sa.Integer, nullable=False),
    sa.Index("hash_band_by_value", "band", "value"),
)

NEAR_DUPLICATE = sa.Table(
    "near_duplicate",
    METADATA,
    sa.Column("image_id", sa.ForeignKey("image.id", ondelete="CASCADE"), primary_key=True),
    sa.Column(
        "other_id", sa.ForeignKey("image.id", ondelete="CASCADE"), primary_key=True, index=True
    ),
    sa.Column("bits", sa.Integer, nullable=False),
)

COLLECTION = sa.Table(
    "collection",
    METADATA,
    sa.Column("id", WIDE, primary_key=True),
    sa.Column("name", TEXT, nullable=False, unique=True),
    sa.Column("created_at", sa.Float, nullable=False),
    sqlite_autoincrement=True,
)

COLLECTION_IMAGE = sa.Table(
    "collection_image",
    METADATA,
    sa.Column(
        "collection_id", sa.ForeignKey("collection.id", ondelete="CASCADE"), primary_key=True
    ),
    sa.Column(
        "image_id", sa.ForeignKey("image.id", ondelete="CASCADE"), primary_key=True, index=True
    ),
)

SAVED_SEARCH = sa.Table(
    "saved_search",
    METADATA,
    sa.Column("name", TEXT, primary_key=True),
    sa.Column("address", TEXT, nullable=False),
    sa.Column("saved_at", sa.Float, nullable=False),
)

# Id of the recipe that searches use.
ACTIVE_RECIPE = sa.select(RECIPE.c.id).where(RECIPE.c.active).scalar_subquery()
