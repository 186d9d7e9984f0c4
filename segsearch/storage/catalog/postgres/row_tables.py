"""Tables of pgvector that hold the rows of an index: one for each generation, written by whoever
writes segments, in the same transaction. Segments that go take their rows with them, by a trigger.

A generation is the rows of one recipe's segments, mixed in one way. From the moment it is there
every new segment gets its row; those of before are filled in, some at a time; then it counts.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import astuple, dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from segsearch.core.arrays import Ids, Vector, Vectors
from segsearch.core.mix import Mix
from segsearch.storage.catalog.rows import of_vectors, vectors_from
from segsearch.storage.catalog.tables import INGEST, SEGMENT, SEGMENT_VECTOR, VECTOR_GENERATION
from segsearch.storage.index.graph_rows import as_mixed, laid_out
from segsearch.storage.index.sample import columns_of

_ID = VECTOR_GENERATION.c.id
BATCH_ROWS = 2_000  # of segments, mixed and written at once
LONGEST_PLAIN = 3_900  # numbers of a row that fits into a page of 8 KB
# Not by foreign keys: a table that has one cannot be dropped while anybody reads `segment`.
FORGET = (
    "CREATE OR REPLACE FUNCTION forget_rows() RETURNS trigger LANGUAGE plpgsql AS $$ "
    "DECLARE name text; BEGIN "
    "FOR name IN SELECT 'segment_row_' || id FROM vector_generation LOOP "
    "IF to_regclass(name) IS NOT NULL THEN EXECUTE "
    "'DELETE FROM ' || name || ' WHERE segment_id IN (SELECT id FROM old_rows)'; END IF; "
    "END LOOP; RETURN NULL; END $$",
    "CREATE OR REPLACE TRIGGER forget_rows AFTER DELETE ON segment "
    "REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION forget_rows()",
)
BUILDING = 0x5E65ED  # first half of the lock of who builds a graph
_CALL_OFF = sa.text(
    "SELECT pg_cancel_backend(pid) FROM pg_locks JOIN pg_stat_activity USING (pid) "
    "WHERE locktype = 'advisory' AND granted AND objsubid = 2 AND classid::bigint = :first "
    "AND objid::bigint = :second AND datname = current_database() AND usename = current_user"
)
_HEAD = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TAIL = b"\xff\xff"


class HalfVector(sa.types.UserDefinedType[Any]):
    """pgvector's `halfvec(w)`: float16."""

    cache_ok = True

    def __init__(self, width: int) -> None:
        self.width = width

    def get_col_spec(self, **_: Any) -> str:
        """As SQL has it."""
        return f"halfvec({self.width})"


class FullVector(HalfVector):
    """pgvector's `vector(w)`: float32."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        """As SQL has it."""
        return f"vector({self.width})"


@dataclass(frozen=True, slots=True)
class RowGeneration:
    """One table of rows (n, w): of which recipe, what they are made of, and whether all segments
    have theirs."""

    id: int
    recipe_id: int
    mix: Mix
    dimension: int
    width: int
    filled: bool

    @property
    def name(self) -> str:
        """Of its table."""
        return f"segment_row_{self.id}"

    @property
    def graph(self) -> str:
        """The name of its HNSW index, which is there once there are many rows."""
        return f"{self.name}_graph"

    @property
    def table(self) -> sa.Table:
        """As SQLAlchemy knows it."""
        return _table(self.name, self.width)


@lru_cache(16)
def _table(name: str, width: int) -> sa.Table:
    return sa.Table(
        name,
        sa.MetaData(),
        sa.Column("segment_id", sa.BigInteger, primary_key=True),
        sa.Column("sample_hash", sa.BigInteger),
        sa.Column("milestone", sa.SmallInteger),
        sa.Column("mixed", HalfVector(width)),
    )


def generations(db: sa.Connection, recipe_id: int | None = None) -> list[RowGeneration]:
    """All whose tables are there, or a recipe's, oldest first."""
    there = sa.func.to_regclass(sa.literal("segment_row_") + sa.cast(_ID, sa.Text)).is_not(None)
    query = sa.select(VECTOR_GENERATION).where(there).order_by(_ID)
    if recipe_id is not None:
        query = query.where(VECTOR_GENERATION.c.recipe_id == recipe_id)
    return [
        RowGeneration(
            row.id, row.recipe_id, _mix_from(row.mix), row.dimension, row.width, row.filled
        )
        for row in db.execute(query)
    ]


def forget_lost(db: sa.Connection) -> None:
    """Forget generations whose tables somebody has dropped."""
    held = [one.id for one in generations(db)]
    db.execute(sa.delete(VECTOR_GENERATION).where(_ID.not_in(held)))


def _mix_from(document: str) -> Mix:
    context, masked, picture, things, offset = json.loads(document)
    return Mix(context, masked, picture, tuple(things), offset)


def make(db: sa.Connection, recipe_id: int, mix: Mix, dimension: int) -> None:
    """Make a generation without rows, in a transaction of a writer."""
    width = mix.width(dimension)
    values = {"recipe_id": recipe_id, "mix": json.dumps(astuple(mix)), "filled": False}
    added = sa.insert(VECTOR_GENERATION).values(**values, dimension=dimension, width=width)
    number = db.execute(added.returning(_ID)).scalar_one()
    made = RowGeneration(number, recipe_id, mix, dimension, width, filled=False)
    storage = "PLAIN" if width <= LONGEST_PLAIN else "EXTERNAL"  # never squeezed, it takes time
    db.exec_driver_sql(
        f"CREATE TABLE {made.name} ("
        "segment_id bigint PRIMARY KEY, "
        "sample_hash bigint NOT NULL, milestone smallint NOT NULL, "
        f"mixed halfvec({width}) STORAGE {storage} NOT NULL)"
    )
    # As `storage.index.sample` chooses: the smallest hashes, up to the newest milestone.
    for column in ("sample_hash", "milestone"):
        db.exec_driver_sql(f"CREATE INDEX ON {made.name} ({column}, segment_id)")


def drop(db: sa.Connection, generation: RowGeneration) -> None:
    """Drop a generation with its table; a graph that is being built over it is called off: all
    writers, and all who search these rows, would wait for it with us."""
    db.execute(_CALL_OFF, {"first": BUILDING, "second": generation.id % 2**31})
    db.exec_driver_sql(f"DROP TABLE IF EXISTS {generation.name}")
    db.execute(sa.delete(VECTOR_GENERATION).where(VECTOR_GENERATION.c.id == generation.id))


def drop_others(db: sa.Connection, recipe_id: int) -> None:
    """Drop the generations of all recipes but one, before those go."""
    if db.dialect.name != "postgresql":
        return
    for generation in generations(db):
        if generation.recipe_id != recipe_id:
            drop(db, generation)


def add_rows(db: sa.Connection, segment_ids: sa.Select[int]) -> None:
    """Give segments that have just been stored their rows, in all generations of their recipes."""
    if db.dialect.name != "postgresql":
        return
    for generation in generations(db):
        query = _lacking(generation).where(SEGMENT.c.id.in_(segment_ids.correlate(None)))
        _write(db, generation, query)


def fill(db: sa.Connection, generation: RowGeneration, after: int, limit: int) -> int | None:
    """Give the next segments beyond an id that lack their rows theirs, `limit` at most; the last
    of them, None where there is none left."""
    query = _lacking(generation).where(SEGMENT.c.id > after).limit(limit)
    return _write(db, generation, query)


def _lacking(generation: RowGeneration) -> sa.Select[Any]:
    """The vectors of segments without a row, as `of_vectors` gives them; damaged ones are passed
    over: `verify` finds those."""
    row = generation.table.c.segment_id
    vectors = (
        SEGMENT_VECTOR.c.context_vector,
        SEGMENT_VECTOR.c.masked_vector,
        INGEST.c.picture_vector,
    )
    fit = (sa.func.length(vector) == 2 * generation.dimension for vector in vectors)
    there = sa.exists().where(row == SEGMENT.c.id)
    return of_vectors(generation.recipe_id).where(~there, *fit)


def _write(db: sa.Connection, generation: RowGeneration, query: sa.Select[Any]) -> int | None:
    last = None
    rows = db.execute(query).all()
    for start in range(0, len(rows), BATCH_ROWS):
        batch = vectors_from([tuple(row) for row in rows[start : start + BATCH_ROWS]])
        laid = laid_out(generation.mix.rows(batch), generation.dimension)
        _copy(db, generation, batch.ids, laid)
        last = int(batch.ids[-1])
    return last


def _copy(db: sa.Connection, generation: RowGeneration, ids: Ids, rows: Vectors) -> None:
    """Write rows (n, w) by COPY in PostgreSQL's own binary form, as numbers: as text they would
    take four times the bytes
    (https://www.postgresql.org/docs/current/sql-copy.html#SQL-COPY-BINARY-FORMAT)."""
    width = generation.width
    fields = [
        ("fields", ">i2"), ("id_bytes", ">i4"), ("segment_id", ">i8"), ("hash_bytes", ">i4"),
        ("sample_hash", ">i8"), ("level_bytes", ">i4"), ("milestone", ">i2"),
        ("row_bytes", ">i4"), ("width", ">i2"), ("unused", ">i2"), ("mixed", ">f2", (width,)),
    ]  # fmt: skip
    tuples: Any = np.zeros(len(ids), np.dtype(fields))
    for name, value in (
        ("fields", 4), ("id_bytes", 8), ("hash_bytes", 8), ("level_bytes", 2),
        ("row_bytes", 4 + 2 * width), ("width", width),
    ):  # fmt: skip
        tuples[name] = value
    tuples["segment_id"], tuples["mixed"] = ids, rows
    tuples["sample_hash"], tuples["milestone"] = columns_of(ids)
    columns = "segment_id, sample_hash, milestone, mixed"
    statement = f"COPY {generation.name} ({columns}) FROM STDIN (FORMAT BINARY)"
    driver: Any = db.connection.driver_connection
    dialect: Any = db.dialect
    try:
        with driver.cursor() as cursor, cursor.copy(statement) as copy:
            copy.write(_HEAD + tuples.tobytes() + _TAIL)
    except dialect.loaded_dbapi.Error as problem:  # past SQLAlchemy, whose errors become ours
        raise sa.exc.DBAPIError(statement, None, problem) from problem


def among(generation: RowGeneration, only: Ids | None, never: Ids | None) -> Iterator[Any]:
    """Conditions: a row is one of some ids (m,), and none of others; hashed, whatever the way."""
    row = generation.table.c.segment_id
    if only is not None:
        yield row == sa.any_(sa.literal(only.tolist(), ARRAY(sa.BigInteger)))
    if never is not None and never.size:
        yield row != sa.all_(sa.literal(never.tolist(), ARRAY(sa.BigInteger)))


def product(row: Any, width: int, query: Vector) -> sa.ColumnElement[float]:
    """The product of a row with a query (w,) of `graph_rows.asked_of`, in float32: half a query's
    digits would be lost in `halfvec`."""
    given = sa.cast(sa.literal(text_of(query), sa.Text), FullVector(width))
    whole = sa.cast(row, FullVector(width))
    return -whole.op("<#>", return_type=sa.Float())(given)


def distance(row: Any, width: int, query: Vector) -> sa.ColumnElement[float]:
    """What a graph puts rows in order by, the nearest first."""
    given = sa.cast(sa.literal(text_of(query), sa.Text), HalfVector(width))
    apart: sa.ColumnElement[float] = row.op("<#>", return_type=sa.Float())(given)
    return apart


def text_of(query: Vector) -> str:
    """A query (w,) as pgvector reads it."""
    return str(query.tolist())


def rows_from(blobs: list[bytes], generation: RowGeneration) -> Vectors:
    """(n, w) float32 rows, as they are mixed, from what `halfvec_send` gives: two numbers of 16
    bits before them."""
    numbers = np.frombuffer(b"".join(blobs), ">f2").reshape(len(blobs), 2 + generation.width)
    return as_mixed(numbers[:, 2:].astype(np.float32), generation.dimension)


def has_mix(mix: Mix, other: Mix) -> bool:
    """Whether two make the same rows; one has been JSON."""
    return json.dumps(astuple(mix)) == json.dumps(astuple(other))
