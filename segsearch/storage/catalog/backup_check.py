"""Looks a foreign catalog through before it is taken over: SQLite checks no values by itself.

What could do harm is refused with a sentence: tables, triggers and views that are not ours, text
where a number belongs, names that lead out of the library. What is only damaged is not looked for.
"""

from __future__ import annotations

import json
import os
import re
import sqlite3
from contextlib import closing
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from segsearch.core.errors import DamageError, InputError, PathError
from segsearch.core.names import check_tag, checked_name
from segsearch.core.types import JobStage, JobState, State
from segsearch.media.sources.paths import WEB, normal, scheme_of
from segsearch.storage.catalog.engine import SCHEMA, migrations_config, new_catalog
from segsearch.storage.catalog.rows import recipe_from
from segsearch.storage.catalog.saved_searches import check_address
from segsearch.storage.catalog.tables import (
    COLLECTION,
    IMAGE,
    IMAGE_TAG,
    INGEST,
    JOB,
    METADATA,
    RECIPE,
    SAVED_SEARCH,
    SOURCE,
    VIDEO,
)

SHA256 = "length({0}) != 64 OR {0} GLOB '*[^0-9a-f]*'"
LATEST_SECONDS = 253_402_300_799.0  # the end of the year 9999, as far as Python counts
REPORT = re.compile(r"reports/job-\d+\.jsonl", re.ASCII)
# What a value of each kind is to SQLite; of those that a column's type is of the first counts.
STORED: tuple[tuple[type[Any], str], ...] = (
    (sa.Boolean, "typeof({0}) = 'integer' AND {0} IN (0, 1)"),
    (sa.Integer, "typeof({0}) = 'integer'"),
    (sa.Float, "typeof({0}) IN ('real', 'integer') AND abs({0}) < 1e300"),
    (sa.DateTime, "typeof({0}) = 'text'"),
    (sa.Text, "typeof({0}) = 'text'"),
    (sa.LargeBinary, "typeof({0}) = 'blob'"),
)
Schema = dict[tuple[str, str], object]


def check_schema_of(db: sqlite3.Connection, revision: str) -> None:
    """DamageError unless a database holds the tables, indexes and triggers that our migrations make
    up to a revision, and nothing besides: a trigger would run with the library's rights."""
    present, own = _schema(db), _made_at(revision)
    for kind, name in sorted(present.keys() ^ own.keys()):
        what = "is not of segsearch" if (kind, name) in present else "is missing"
        raise DamageError(f"its {kind} {name!r} {what}")
    for (kind, name), made in own.items():
        if present[kind, name] != made:
            raise DamageError(f"its {kind} {name!r} is not as segsearch makes it")


def check_values(db: sa.Connection, max_pixels: int) -> None:
    """DamageError when a row holds what this program never writes."""
    for table in METADATA.sorted_tables:
        _check_types(db, table)
    _check_conditions(db, max_pixels)
    for table, column, problem_of in (
        (SOURCE, SOURCE.c.path, _path_problem),
        (IMAGE, IMAGE.c.taken_at, _time_problem),
        (VIDEO, VIDEO.c.made_at, _time_problem),
        (RECIPE, RECIPE.c.document, _recipe_problem),
        (JOB, JOB.c.paths, _list_problem),
        (JOB, JOB.c.report, _report_problem),
        (COLLECTION, COLLECTION.c.name, _name_problem),
        (SAVED_SEARCH, SAVED_SEARCH.c.name, _name_problem),
        (SAVED_SEARCH, SAVED_SEARCH.c.address, _address_problem),
        (IMAGE_TAG, IMAGE_TAG.c.tag, _tag_problem),
    ):
        plain = sa.select(sa.cast(column, sa.Text)).where(column.is_not(None)).distinct()
        for value in db.execute(plain).scalars():
            if problem := problem_of(value):
                where = f"its {table.name}.{column.name} {value[:120]!r}"
                raise DamageError(f"{where} {problem}")


def _schema(db: sqlite3.Connection) -> Schema:
    """Each table by its columns, all else by its statement, whatever its spaces and quotes."""
    found: Schema = {}
    rows = db.execute("SELECT type, name, tbl_name, sql FROM sqlite_master").fetchall()
    for kind, name, table, statement in rows:
        if name.startswith("sqlite_") and not name.startswith("sqlite_stat"):
            continue  # SQLite's own; statistics would come from ANALYZE, which nobody runs
        text = " ".join(re.sub(r'["`\[\]]', "", statement or "").split()).lower()
        if kind == "table" and not text.startswith("create virtual"):
            columns = db.execute("SELECT * FROM pragma_table_xinfo(?)", (name,)).fetchall()
            # cid, name, type, notnull, default, pk, hidden: defaults may be written in other words.
            found[kind, name] = [(row[1], row[2].upper(), *row[3:4], *row[5:]) for row in columns]
        else:
            found[kind, name] = (table, text)
    return found


def _made_at(revision: str) -> Schema:
    """What our migrations make up to a revision."""
    if revision == SCHEMA:
        with closing(sqlite3.connect(":memory:")) as new:
            for statement in new_catalog():
                new.execute(statement)
            return _schema(new)
    from alembic import command  # nothing else here needs it, and few restore what is old

    engine = sa.create_engine("sqlite://", poolclass=sa.pool.StaticPool)
    config = migrations_config()
    try:
        with engine.begin() as db:
            config.attributes["connection"] = db
            command.upgrade(config, revision)
            made: Any = db.connection.driver_connection
            return _schema(made)
    finally:
        engine.dispose()


def _check_types(db: sa.Connection, table: sa.Table) -> None:
    for column in table.columns:
        name = f'"{column.name}"'
        stored: Any = getattr(column.type, "impl_instance", column.type)
        is_right = next(text for kind, text in STORED if isinstance(stored, kind))
        right = f"({is_right.format(name)})"
        if column.nullable:
            right = f"({name} IS NULL OR {right})"
        _refuse(db, table, f"NOT {right}", f"{table.name}.{column.name} of a wrong kind")


def _check_conditions(db: sa.Connection, max_pixels: int) -> None:
    """What columns hold that stand for files, sizes, states and times."""
    states = ", ".join(f"'{state.value}'" for state in State)
    ends = ", ".join(f"'{state.value}'" for state in JobState)
    _refuse(db, IMAGE, SHA256.format("sha256"), "an image.sha256 that is no sha256")
    _refuse(db, IMAGE, "width < 0 OR height < 0", "a picture of less than no size")
    pixels = f"width > {max_pixels} OR height > {max_pixels} OR width * height > {max_pixels}"
    allowed = f"the {max_pixels:,} pixels that SEGSEARCH_MAX_PIXELS allows"
    _refuse(db, IMAGE, pixels, f"a picture of more than {allowed}")
    _refuse(db, IMAGE, "orientation NOT BETWEEN 1 AND 8", "an image.orientation that is none")
    hashed = "length(perceptual_hash) != 32 OR perceptual_hash GLOB '*[^0-9a-f]*'"
    _refuse(db, IMAGE, hashed, "an image.perceptual_hash that is none")
    _refuse(db, VIDEO, SHA256.format("sha256"), "a video.sha256 that is no sha256")
    lacking = "width < 1 OR height < 1 OR seconds < 0 OR frame_rate < 0"
    _refuse(db, VIDEO, lacking, "a video of less than no size")
    unlikely = "abs(predicted_iou) > 10 OR abs(stability) > 10 OR holds < 0 OR lies_in < 0"
    _refuse(db, METADATA.tables["segment"], unlikely, "a segment whose quality is none")
    _refuse(
        db, METADATA.tables["segment"], "area_tenth NOT BETWEEN 0 AND 9", "a tenth that is none"
    )
    newest = "(SELECT coalesce(max(seq), 0) FROM change_log)"
    beyond = f"name = 'pruned_seq' AND value NOT BETWEEN 0 AND {newest}"
    _refuse(db, METADATA.tables["log_start"], beyond, "a change log that starts behind its end")
    _refuse(db, INGEST, f"state NOT IN ({states})", "an ingest.state that is none")
    _refuse(db, JOB, f"state NOT IN ({ends})", "a job.state that is none")
    stages = ", ".join(f"'{stage.value}'" for stage in JobStage)
    _refuse(db, JOB, f"stage NOT IN ({stages})", "a job.stage that is none")
    for column in ("started_at", "updated_at", "finished_at"):
        outside = f"{column} NOT BETWEEN 0 AND {LATEST_SECONDS}"
        _refuse(db, JOB, outside, f"a job.{column} that is no time")
    listing = METADATA.tables["listing"]
    outside = f"added_at NOT BETWEEN 0 AND {LATEST_SECONDS}"
    _refuse(db, IMAGE, outside, "an image.added_at that is no time")
    wrong = "date NOT GLOB '????-??-?? ??:??:??' OR date_from NOT IN ('camera', 'file', 'added')"
    _refuse(db, listing, wrong, "a listing.date that is no time")
    caption = METADATA.tables["caption"]
    outside = f"created_at NOT BETWEEN 0 AND {LATEST_SECONDS}"
    _refuse(db, caption, outside, "a caption.created_at that is no time")
    outside = f"saved_at NOT BETWEEN 0 AND {LATEST_SECONDS}"
    _refuse(db, SAVED_SEARCH, outside, "a saved_search.saved_at that is no time")


def _refuse(db: sa.Connection, table: sa.Table, wrong: str, what: str) -> None:
    """DamageError when a row of a table fulfils a condition of ours."""
    query = f'SELECT 1 FROM "{table.name}" WHERE {wrong} LIMIT 1'  # noqa: S608  names of our own
    if db.exec_driver_sql(query).first():
        raise DamageError(f"it holds {what}")


def _path_problem(path: str) -> str | None:
    """The catalog holds absolute paths without `..`, and URLs: one name a place.

    The disk is not asked: it may spell an accent in another way by now.
    """
    if scheme_of(path) is None:
        same = path.startswith("/") and os.path.abspath(path) == path
    else:
        try:
            same = normal(path) == path
        except (PathError, ValueError):
            same = False
    if not same or "\0" in path or (scheme_of(path) not in {None, *WEB} and "::" in path):
        return "is no path or URL as segsearch writes them"
    return None


def _time_problem(text: str) -> str | None:
    try:
        datetime.strptime(text.partition(".")[0], "%Y-%m-%d %H:%M:%S")  # noqa: DTZ007  local time
    except ValueError:
        return "is no time"
    return None


def _recipe_problem(document: str) -> str | None:
    try:
        recipe = recipe_from(document)
        names = (recipe.preset, recipe.segmenter, recipe.embedder)
        parts = (recipe.generator, recipe.crop, recipe.preprocessing)
        right = all(isinstance(name, str) for name in names)
        right = right and all(isinstance(part, dict) for part in parts)
        right = right and type(recipe.dimension) is int and recipe.dimension > 0
    except (ValueError, TypeError, RecursionError):
        right = False
    return None if right else "is no recipe"


def _list_problem(text: str) -> str | None:
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        values = None
    right = isinstance(values, list) and all(isinstance(value, str) for value in values)
    return None if right else "is no list of paths"


def _report_problem(name: str) -> str | None:
    return None if REPORT.fullmatch(name) else "is no report of a job"


def _name_problem(name: str) -> str | None:
    try:
        return None if checked_name(name) == name else "is no name"
    except InputError:
        return "is no name"


def _address_problem(text: str) -> str | None:
    try:
        return None if check_address(text) == text else "is no address"
    except InputError:
        return "is no address"


def _tag_problem(text: str) -> str | None:
    try:
        return None if check_tag(text) == text else "is no tag"
    except InputError:
        return "is no tag"
