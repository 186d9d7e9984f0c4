"""The index as tables of the catalog's own database (pgvector): written with the segments, so that
nothing has to follow, and asked by statements that hold the filters, too.

What rows are made of is a property of the library: the mix that its rows were made with counts,
whatever this process would make them with; `repair` makes them anew.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from segsearch.core.arrays import Ids, Vector, Vectors
from segsearch.core.errors import ConflictError, DamageError, DiskFullError, ReadOnlyError
from segsearch.core.mix import Mix
from segsearch.core.status import IndexGlance, RowLayout
from segsearch.core.types import Recipe
from segsearch.storage.catalog.postgres import row_tables
from segsearch.storage.catalog.postgres.kept_rows import KeptRows
from segsearch.storage.catalog.postgres.row_graphs import GRAPH_FROM, MOST_NUMBERS
from segsearch.storage.catalog.postgres.row_tables import RowGeneration
from segsearch.storage.catalog.sql_catalog import Catalog
from segsearch.storage.index.allowed import Allowed
from segsearch.storage.index.library_index import IndexReport, LibraryIndex, MixOf, best_rows
from segsearch.storage.index.sample import Sample

LOG = logging.getLogger(__name__)
CHECKED_ROWS = 1_000  # of the sample, compared with what the catalog's vectors make
# What a row may differ by: traits are summed up by BLAS, whose last digit depends on how many rows
# are summed up at once and on the processor, so that float16 may be rounded the other way.
ROUNDED = 2.0**-9, 1e-5  # of the number, and whatever it is
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class _KeptSample:
    """A sample with its rows (m, w), of which generation of which catalog, and the point of the
    change log up to which it is known to hold."""

    owner: tuple[str, int]
    seq: int
    sample: Sample
    rows: Vectors


class PgvectorIndex(LibraryIndex):
    """The rows of one library's active recipe, in the database that holds the catalog. Thread-safe;
    holds nothing but the sample.

    `mix_of` says what rows are made of that are made now. A library's mix may be another.
    """

    name = "pgvector"
    takes_filters = True

    def __init__(self, catalog: Catalog, mix_of: MixOf) -> None:
        super().__init__(catalog, mix_of)
        self._rows = KeptRows(catalog)
        self._making = threading.Lock()
        self._sampling = threading.Lock()
        self._kept: _KeptSample | None = None

    def mix(self, recipe: Recipe) -> Mix:
        """What the library's rows are made of."""
        return self._rows.mix(recipe) or self._mix_of(recipe)

    def begin(self, recipe: tuple[int, Recipe]) -> None:
        """Have a table for the rows of a recipe, before its first segment is stored."""
        self._current(recipe)

    def search(
        self, recipe: tuple[int, Recipe], query: Vector, k: int, allowed: Allowed | None = None
    ) -> tuple[list[float], list[int]]:
        """Scores and segment ids of the best `k` rows for a query (w,), best first, ties by the
        smaller id; with `allowed`, of those that may answer."""

        def ask(generation: RowGeneration) -> tuple[list[float], list[int]]:
            return self._rows.nearest(generation, query, k, allowed, self._count(recipe))

        return self._answer(recipe, ask)

    def scores(
        self, recipe: tuple[int, Recipe], query: Vector, ids: Ids
    ) -> tuple[list[float], list[int]]:
        """Scores of these segments, each compared on its own, best first; ties go to the smaller
        id. Ids that are gone are left out."""
        return self._answer(recipe, lambda one: self._rows.scores(one, query, ids))

    def rows(self, recipe: tuple[int, Recipe], ids: Ids) -> tuple[Ids, Vectors]:
        """The rows (n, w) of segments, beside their ids; those that are gone are left out."""
        return self._answer(recipe, lambda one: self._rows.rows(one, ids))

    def sample(self, recipe: tuple[int, Recipe]) -> tuple[Vectors, int]:
        """Rows (m, w) of a fixed sample of the segments, and how many segments there are."""
        return self._answer(recipe, lambda one: self._sample(recipe, one))

    def _sample(self, recipe: tuple[int, Recipe], generation: RowGeneration) -> tuple[Vectors, int]:
        with self._sampling:
            owner = self._catalog.identity(), generation.id
            seq = self._catalog.newest_change()  # first: the sample is as new or newer
            count, kept = self._count(recipe), self._kept
            if kept is None or kept.owner != owner or not self._holds(recipe, kept, seq, count):
                kept = _KeptSample(owner, seq, *self._rows.sample(generation, count))
            self._kept = _KeptSample(owner, seq, kept.sample, kept.rows)
            return kept.rows, count

    def _holds(self, recipe: tuple[int, Recipe], kept: _KeptSample, seq: int, count: int) -> bool:
        """Whether a sample is the same after what has happened since."""
        if kept.seq == seq:
            return True
        changes = self._catalog.changes(recipe[0], kept.seq)
        if changes is None:
            return False
        return kept.sample.holds_after(changes.added, changes.removed, count)

    def ids(self, recipe: tuple[int, Recipe]) -> Ids:
        """Every segment id the index holds, ascending."""
        return self._answer(recipe, self._rows.ids)

    def exact(
        self, recipe: tuple[int, Recipe], queries: Vectors, k: int
    ) -> list[tuple[Vector, Ids]]:
        """Scores and segment ids of the best `k` rows for each of some queries (m, w), each row
        compared with each, and none of it by the database."""
        return best_rows(self._rows.batches(self._current(recipe)), queries, k)

    def open(self, recipe: tuple[int, Recipe]) -> IndexReport:
        """Have the rows ready; how they lie."""
        generation, count = self._current(recipe), self._count(recipe)
        is_settled = not self._lacks_graph(generation, count)
        return IndexReport(count, self._layout(generation), is_settled)

    def glance(self, recipe: tuple[int, Recipe]) -> tuple[IndexGlance, str | None]:
        """How the index stands, and what is wrong with it."""
        known = self._rows.generation(recipe[0])
        if known is None:
            behind = self._catalog.newest_change()
            return IndexGlance(0, None, behind, None, False, self.name), None
        layout = self._layout(known)
        here = IndexGlance(self._count(recipe), known.id, 0, layout, False, self.name)
        return here, self._other_mix(recipe)

    def save(self, recipe: tuple[int, Recipe]) -> None:
        """Nothing: rows are kept as they are written."""

    def settle(self, recipe: tuple[int, Recipe]) -> None:
        """Build the graph, where there are many rows and none is there or its build broke off."""
        self._build_graph(self._current(recipe))

    def _build_graph(self, generation: RowGeneration) -> None:
        count = self._rows.count(generation.recipe_id)
        if not self._lacks_graph(generation, count):
            return
        try:
            self._rows.build_graph(generation, count)
        except DiskFullError as problem:  # searches compare with each row meanwhile
            extra = {"action": "index.settle"}
            LOG.warning("The index stays without a graph: %s", problem, extra=extra)

    def _lacks_graph(self, generation: RowGeneration, count: int) -> bool:
        """Whether one is to be built: there are many rows, or a build broke off."""
        has_graph = self._rows.has_graph(generation)
        if has_graph or generation.width > MOST_NUMBERS:
            return False
        return has_graph is None or count >= GRAPH_FROM

    def rebuild_if_needed(self, recipe: tuple[int, Recipe]) -> bool:
        """Make the rows anew when they are not the catalog's, or are made of another mix than this
        process would make them of; whether that was needed."""
        known = self._rows.generation(recipe[0])
        if known is not None and self._other_mix(recipe) is None:
            wrong = [*self._rows.problems(known), *self._differing(recipe)]
            if not wrong and not self._rows.is_filling(recipe[0]):
                return False  # a graph is built by `settle`
        with self._making:
            self._make(recipe, anew=True)
        return True

    def _make(self, recipe: tuple[int, Recipe], *, anew: bool) -> None:
        made = self._rows.begin(recipe, self._mix_of(recipe[1]), anew=anew)
        self._rows.fill(made)
        if self._rows.generation(recipe[0]) is not None:
            self._build_graph(made)  # searches walk along that of the one before until then
        self._rows.finish(made)

    def problems(self, recipe: tuple[int, Recipe]) -> list[str]:
        """What is wrong with the rows: held against the catalog's segments, and a part of them
        against its vectors."""
        known = self._rows.generation(recipe[0])
        if known is None:
            return ["The library has no rows in pgvector yet: a search or `segsearch repair` does."]
        found = [*self._rows.problems(known), *self._differing(recipe)]
        if self._rows.has_graph(known) is None:
            found.append("The graph of the index was not built to its end.")
        if other := self._other_mix(recipe):
            found.append(other)
        if self._rows.is_filling(recipe[0]):
            found.append("Rows of the index are being filled in, or were not to their end.")
        return found

    def _differing(self, recipe: tuple[int, Recipe]) -> list[str]:
        """A sentence where rows are not what the catalog's vectors make."""
        generation = self._current(recipe)
        chosen = self._rows.sample(generation, self._count(recipe))[0].ids[:CHECKED_ROWS]
        ids, rows = self._rows.rows(generation, chosen)
        made = dict(zip(ids.tolist(), rows, strict=True))
        wrong = 0
        for batch in self._catalog.vectors(recipe[0], ids):
            expected = generation.mix.rows(batch)
            pairs = zip(batch.ids.tolist(), expected, strict=True)
            wrong += sum(not _is_alike(made[number], row) for number, row in pairs)
        if not wrong:
            return []
        return [f"Of {len(ids)} rows of the index {wrong} are not what their vectors make."]

    def _other_mix(self, recipe: tuple[int, Recipe]) -> str | None:
        known = self._rows.generation(recipe[0])
        if known is None or row_tables.has_mix(known.mix, self._mix_of(recipe[1])):
            return None
        return (
            "The rows of the index were made with other weights than this process has: theirs "
            "count, until `segsearch repair` makes them anew."
        )

    def _layout(self, generation: RowGeneration) -> RowLayout:
        return RowLayout.GRAPH if self._rows.has_graph(generation) else RowLayout.FLAT

    def _count(self, recipe: tuple[int, Recipe]) -> int:
        return self._rows.count(recipe[0])

    def _answer(self, recipe: tuple[int, Recipe], ask: Callable[[RowGeneration], Answer]) -> Answer:
        generation = self._current(recipe)
        try:
            return ask(generation)
        except DamageError:
            newer = self._current(recipe)  # another process may have made rows anew just now
            if newer.id == generation.id:
                raise
        return ask(newer)

    def _current(self, recipe: tuple[int, Recipe]) -> RowGeneration:
        """The generation that searches use; made and filled where there is none."""
        known = self._rows.generation(recipe[0])
        if known is not None:
            return known
        if not self._rows.is_on():
            raise self._rows.off()
        if self._catalog.read_only:
            raise ReadOnlyError(
                f"The library {self._catalog.name!r} has no rows in pgvector yet: search it once "
                "where it can be written."
            )
        with self._making:
            known = self._rows.generation(recipe[0])
            if known is not None:
                return known
            self._make(recipe, anew=False)
        made = self._rows.generation(recipe[0])
        if made is None:
            raise ConflictError("The rows of the index were dropped while they were made.")
        return made


def _is_alike(row: Vector, made: Vector) -> bool:
    """Whether a row (w,) is what its vectors make (w,), but for rounding."""
    return row.shape == made.shape and np.allclose(row, made, *ROUNDED)
