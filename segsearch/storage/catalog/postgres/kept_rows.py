"""Asks and keeps the rows of an index that lie beside the catalog, in pgvector.

Searches are statements: filters stand beside the distance, so no id leaves the database that is no
hit. Whether a library keeps its rows here is a property of the library, noted in it.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import numpy as np
import sqlalchemy as sa

from segsearch.core.arrays import Ids, Vector, Vectors
from segsearch.core.errors import ConflictError, DamageError, EngineError
from segsearch.core.mix import Mix
from segsearch.core.types import Recipe
from segsearch.storage.catalog.counters import tallies
from segsearch.storage.catalog.database import Database
from segsearch.storage.catalog.filtering import get_ready, of_segments
from segsearch.storage.catalog.portable import insert
from segsearch.storage.catalog.postgres import row_graphs, row_tables
from segsearch.storage.catalog.postgres.row_graphs import set_for
from segsearch.storage.catalog.postgres.row_tables import RowGeneration
from segsearch.storage.catalog.postgres.server_errors import rights_to
from segsearch.storage.catalog.tables import LIBRARY, RECIPE, SEGMENT, VECTOR_GENERATION
from segsearch.storage.index.allowed import Allowed
from segsearch.storage.index.graph_rows import asked_of
from segsearch.storage.index.sample import SAMPLE, Sample, spacing

LOG = logging.getLogger(__name__)
KEPT = "vectors"  # a key of `library`: where its rows are kept
PGVECTOR = "pgvector"
OLDEST = (0, 8)  # of pgvector: the first that searches on until enough rows have passed
FILLED_ROWS = 10_000  # in one transaction, for which writers wait
READ_ROWS = 4_096  # held in memory at once
EXACT_ROWS = 10_000  # that pass: so few are compared with one by one
SPARE_ROWS = 32  # beyond those asked for: the graph is asked in float16
BREADTH = (100, 1_000)  # of a walk along the graph; pgvector takes no more, and then goes on
WALK_SHARE = 10  # of all rows a tenth is walked along at most, then each is compared with
DEEPEST = 200_000  # rows of a walk
NO_TABLE = "42P01"
_NOTED = sa.select(LIBRARY.c.value).where(LIBRARY.c.key == KEPT)
USUAL = {"jit": "off", "plan_cache_mode": "force_custom_plan"}
# Along the graph or not at all: a plan that sorts would compare with every row. A walk ends where
# we say: what ends it by itself fills up with rows that are not the nearest.
ALONG = {
    "enable_seqscan": "off",
    "enable_sort": "off",
    "hnsw.iterative_scan": "relaxed_order",
    "hnsw.max_scan_tuples": str(2**31 - 1),
    "hnsw.scan_mem_multiplier": "100",
}


class KeptRows(Database):
    """The rows of a library on PostgreSQL, beside its catalog."""

    def __init__(self, catalog: Database) -> None:
        super().__init__(catalog._backend)
        self.read_only = catalog.read_only

    # Whether there are any

    def is_on(self) -> bool:
        """Whether this library keeps its rows here."""
        return self._since_written(KEPT, self._is_on)

    def _is_on(self) -> bool:
        with self._reading() as db:
            return bool(db.execute(_NOTED).scalar() == PGVECTOR)

    def off(self) -> ConflictError:
        """What to tell who still looks for rows here when there are to be none."""
        return ConflictError(
            f"The library {self.name!r} no longer keeps its rows in pgvector: start this process "
            "again."
        )

    def turn_on(self) -> None:
        """Note that this library keeps its rows here. EngineError where the server has no pgvector,
        or one that is too old; ReadOnlyError where this role may not write, or not bring it in."""
        with self._writing() as db:
            self._bring_in(db)
            with self._rights():
                for statement in row_tables.FORGET:
                    db.exec_driver_sql(statement)
            row = {"key": KEPT, "value": PGVECTOR}
            db.execute(insert(LIBRARY).values(row).on_conflict_do_nothing())

    def turn_off(self) -> bool:
        """Drop all rows, and keep none from here on; whether there were any to keep."""
        with self._writing() as db:
            for generation in row_tables.generations(db):
                row_tables.drop(db, generation)
            return bool(db.execute(sa.delete(LIBRARY).where(LIBRARY.c.key == KEPT)).rowcount)

    def _bring_in(self, db: sa.Connection) -> None:
        """Have pgvector in the database."""
        asked = "SELECT installed_version, default_version FROM pg_available_extensions "
        known = db.exec_driver_sql(asked + "WHERE name = 'vector'").first()
        version = None if known is None else known[0] or known[1]
        if version is None or _numbers(version) < OLDEST:
            has = "has none" if version is None else f"has {version}"
            raise EngineError(
                f"The server of {self.name!r} {has}, SEGSEARCH_INDEX=pgvector needs its extension "
                f"vector {'.'.join(map(str, OLDEST))} or later: install pgvector there."
            )
        if known is not None and known[0] is None:
            with self._rights():
                db.exec_driver_sql("CREATE EXTENSION IF NOT EXISTS vector")

    def _rights(self) -> AbstractContextManager[None]:
        refused = f"The rows of the library {self.name!r} cannot be kept in pgvector"
        return rights_to(refused, "Let the database's owner do it once.")

    # Generations

    def generation(self, recipe_id: int) -> RowGeneration | None:
        """The newest one of a recipe that is whole; None where there is none."""
        return next((one for one in reversed(self._generations(recipe_id)) if one.filled), None)

    def mix(self, recipe: Recipe) -> Mix | None:
        """What the rows of a recipe are made of; None where it has none that are whole."""
        return self._since_written((KEPT, recipe.fingerprint), lambda: self._mix(recipe))

    def _mix(self, recipe: Recipe) -> Mix | None:
        query = sa.select(RECIPE.c.id).where(RECIPE.c.fingerprint == recipe.fingerprint)
        with self._reading() as db:
            recipe_id = db.execute(query).scalar()
        known = None if recipe_id is None else self.generation(recipe_id)
        return None if known is None else known.mix

    def _generations(self, recipe_id: int) -> list[RowGeneration]:
        return self._since_written((KEPT, recipe_id), lambda: self._read_generations(recipe_id))

    def _read_generations(self, recipe_id: int) -> list[RowGeneration]:
        with self._reading() as db:
            return row_tables.generations(db, recipe_id)

    def count(self, recipe_id: int) -> int:
        """How many segments a recipe has, and so rows."""
        return self._since_written((KEPT, "count", recipe_id), lambda: self._read_count(recipe_id))

    def _read_count(self, recipe_id: int) -> int:
        with self._reading() as db:
            return tallies(db, recipe_id).get("segments", Counter[str]()).total()

    def begin(self, recipe: tuple[int, Recipe], mix: Mix, *, anew: bool = False) -> RowGeneration:
        """A generation of a recipe, of this mix: one that is whole, unless it is to be made
        `anew`, or one that is being filled, or else a new one. New segments get their rows in it
        from here on. ConflictError where the library keeps its rows here no longer."""
        with self._writing() as db, self._rights():
            if db.execute(_NOTED).scalar() != PGVECTOR:
                raise self.off()
            row_tables.forget_lost(db)
            for one in row_tables.generations(db, recipe[0]):
                if row_tables.has_mix(one.mix, mix) and not (anew and one.filled):
                    return one
                if not one.filled:  # somebody has given up
                    row_tables.drop(db, one)
            row_tables.make(db, recipe[0], mix, recipe[1].dimension)
            return row_tables.generations(db, recipe[0])[-1]

    def is_filling(self, recipe_id: int) -> bool:
        """Whether a generation of a recipe is not whole."""
        return any(not one.filled for one in self._generations(recipe_id))

    def fill(self, generation: RowGeneration) -> None:
        """Give every segment its row, some in each transaction: killed, the next one goes on, and
        two at once share the work."""
        started = time.monotonic()
        last: int | None = 0
        while last is not None:
            with self._writing() as db:
                last = row_tables.fill(db, generation, last, FILLED_ROWS)
        seconds = time.monotonic() - started
        extra = {"action": "index.fill", "generation": generation.id, "seconds": seconds}
        LOG.info("Filled the rows of generation %d from the catalog.", generation.id, extra=extra)

    def finish(self, generation: RowGeneration) -> None:
        """Let a generation that was filled count; older ones of its recipe go."""
        this = VECTOR_GENERATION.c.id == generation.id
        with self._writing() as db:
            db.execute(sa.update(VECTOR_GENERATION).where(this).values(filled=True))
            for one in row_tables.generations(db, generation.recipe_id):
                if one.id < generation.id:
                    row_tables.drop(db, one)

    # The graph

    def has_graph(self, generation: RowGeneration) -> bool | None:
        """Whether its graph is there; None for one whose build broke off."""
        key = (KEPT, "graph", generation.id)
        return self._since_written(key, lambda: self._has_graph(generation))

    def _has_graph(self, generation: RowGeneration) -> bool | None:
        with self._reading() as db:
            return row_graphs.state(db, generation)

    def build_graph(self, generation: RowGeneration, rows: int) -> bool:
        """Build the graph while others search and write; False, and nothing is done, where another
        process does. What is left of a build that broke off goes first."""
        with self._backend.errors(), self._engine.connect() as connection:
            return row_graphs.build(connection, generation, rows)

    # Answers

    def nearest(
        self, generation: RowGeneration, query: Vector, k: int, allowed: Allowed | None, rows: int
    ) -> tuple[list[float], list[int]]:
        """Scores and ids of the best `k` rows for a query (w,), best first, ties by the smaller
        id; `rows` is how many there are. Never fewer than `k` where as many pass."""
        passing = rows if allowed is None else allowed.count
        asked = k + max(SPARE_ROWS, k // 4)
        # Among so many of the nearest rows enough pass, and as many again.
        depth = asked if allowed is None else 2 * asked * rows // max(1, passing)
        is_few = allowed is not None and passing <= max(EXACT_ROWS, depth)
        if not is_few and self.has_graph(generation):
            while depth <= min(DEEPEST, rows // WALK_SHARE):
                scores, ids = self._best(generation, query, k, allowed, depth)
                if len(ids) >= min(k, passing):
                    return scores, ids
                depth *= 4  # the nearest pass more seldom than others
        return self._best(generation, query, k, allowed)

    def _best(
        self,
        generation: RowGeneration,
        query: Vector,
        k: int,
        allowed: Allowed | None,
        depth: int | None = None,
    ) -> tuple[list[float], list[int]]:
        """The best of the rows that pass, each compared with; or of so many that the graph finds
        to be the nearest."""
        with self._asking() as db:
            if depth is not None:
                breadth = {"hnsw.ef_search": str(max(BREADTH[0], min(BREADTH[1], depth)))}
                set_for(db, ALONG | breadth)
            if allowed is not None:
                for one in allowed.filters:
                    get_ready(db, one)
            rows = db.execute(best_rows(generation, query, k, allowed, depth)).all()
        return [row.score for row in rows], [row.segment_id for row in rows]

    def scores(
        self, generation: RowGeneration, query: Vector, ids: Ids
    ) -> tuple[list[float], list[int]]:
        """Scores of some rows, best first; those that are gone are left out."""
        return self._best(generation, query, max(1, ids.size), Allowed.of_ids(ids))

    def rows(self, generation: RowGeneration, ids: Ids) -> tuple[Ids, Vectors]:
        """Some rows (n, w) by ascending id; those that are gone are left out."""
        query = _whole(generation).where(*row_tables.among(generation, ids, None))
        with self._asking() as db:
            return _rows_of(db.execute(query).all(), generation)

    def batches(self, generation: RowGeneration) -> Iterator[tuple[Ids, Vectors]]:
        """All rows by ascending id, some at a time."""
        with self._asking() as db:
            found = db.execute(_whole(generation).execution_options(yield_per=READ_ROWS))
            for rows in found.partitions():
                yield _rows_of(rows, generation)

    def ids(self, generation: RowGeneration) -> Ids:
        """The ids of all rows, ascending."""
        row = generation.table.c.segment_id
        with self._asking() as db:
            return np.array(db.execute(sa.select(row).order_by(row)).scalars().all(), np.int64)

    def sample(self, generation: RowGeneration, count: int) -> tuple[Sample, Vectors]:
        """What `index.sample.sampled` chooses of all ids, of which there are `count`, with its
        rows; found by two indexes."""
        row, apart = generation.table.c, spacing(count)
        newest = sa.select(row.segment_id).order_by(row.segment_id.desc()).limit(1)
        levels = sa.select(sa.func.max(row.segment_id)).where(
            row.milestone >= apart.bit_length() - 1
        )
        with self._asking() as db:
            milestone = db.execute(levels).scalar()
            last = milestone if milestone is not None else db.execute(newest).scalar() or -1
            chosen = sa.select(row.segment_id).where(row.segment_id <= last)
            chosen = chosen.order_by(row.sample_hash).limit(SAMPLE)
            query = _whole(generation).where(row.segment_id.in_(chosen))
            ids, rows = _rows_of(db.execute(query).all(), generation)
        return Sample(ids, int(last), 0 if milestone is None else apart), rows

    # What is wrong

    def problems(self, generation: RowGeneration) -> Iterator[str]:
        """A sentence for rows that are missing, unknown or of another width."""
        row = generation.table.c.segment_id
        own = SEGMENT.c.recipe_id == generation.recipe_id
        there = sa.exists().where(row == SEGMENT.c.id)
        known = sa.exists().where(row == SEGMENT.c.id, own)
        lacking = sa.select(sa.func.count()).select_from(SEGMENT).where(own, ~there)
        unknown = sa.select(sa.func.count()).select_from(generation.table).where(~known)
        width = sa.text(
            "SELECT format_type(atttypid, atttypmod) FROM pg_attribute "
            "WHERE attrelid = to_regclass(:name) AND attname = 'mixed'"
        )
        with self._asking() as db:
            missing, extra = (db.execute(query).scalar_one() for query in (lacking, unknown))
            kind = db.execute(width, {"name": generation.name}).scalar()
        if missing or extra:
            yield f"The index misses {missing} segments and holds {extra} unknown ones."
        if kind != f"halfvec({generation.width})":
            yield f"The rows of the index are {kind}, expected halfvec({generation.width})."

    @contextmanager
    def _asking(self) -> Iterator[sa.Connection]:
        """A transaction that reads rows; DamageError where their table is not there."""
        with self._reading() as db:
            set_for(db, USUAL)
            try:
                yield db
            except sa.exc.ProgrammingError as problem:
                if getattr(problem.orig, "sqlstate", None) != NO_TABLE:
                    raise
                raise DamageError(
                    f"The rows of the library {self.name!r} are gone: run `segsearch repair`."
                ) from problem


def best_rows(
    generation: RowGeneration,
    query: Vector,
    k: int,
    allowed: Allowed | None,
    depth: int | None,
) -> sa.Select[Any]:
    """The statement of a search: ids and scores of the best `k` rows that pass; of the nearest
    `depth` along the graph, where that is given."""
    row = generation.table.c
    query = asked_of(query, generation.dimension)
    score = row_tables.product(row.mixed, generation.width, query).label("score")
    found = sa.select(row.segment_id, score)
    if depth is not None:
        own = generation.table.alias("along")
        along = sa.select(own.c.segment_id)
        along = along.order_by(row_tables.distance(own.c.mixed, generation.width, query))
        near = along.limit(depth).cte("near").prefix_with("MATERIALIZED", dialect="postgresql")
        found = found.where(row.segment_id == near.c.segment_id)
    if allowed is not None:
        found = found.where(*row_tables.among(generation, allowed.only, allowed.never))
    if allowed is not None and allowed.filters:
        found = of_segments(found, allowed.filters).where(SEGMENT.c.id == row.segment_id)
    return found.order_by(sa.desc("score"), row.segment_id).limit(k)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdecimal())


def _whole(generation: RowGeneration) -> sa.Select[Any]:
    row = generation.table.c
    sent = sa.func.halfvec_send(row.mixed, type_=sa.LargeBinary)
    return sa.select(row.segment_id, sent).order_by(row.segment_id)


def _rows_of(rows: Sequence[Any], generation: RowGeneration) -> tuple[Ids, Vectors]:
    ids = np.array([number for number, _ in rows], np.int64)
    return ids, row_tables.rows_from([bytes(sent) for _, sent in rows], generation)
