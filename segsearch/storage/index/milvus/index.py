"""The rows of a library in a Milvus: one collection a generation, which follows the change log.

Whatever a collection gives is held against the catalog, so that what was removed never comes back,
and more are asked for until there are enough. Scores are computed here, from the rows.
"""

from __future__ import annotations

import logging
import math
import threading
from dataclasses import dataclass

import numpy as np

from segsearch.core.arrays import Ids, Vector, Vectors
from segsearch.core.errors import BusyError, EngineError
from segsearch.core.status import IndexGlance, RowLayout
from segsearch.core.types import Recipe
from segsearch.storage.catalog.followers import FILLING
from segsearch.storage.catalog.sql_catalog import Catalog
from segsearch.storage.index.allowed import Allowed, is_among
from segsearch.storage.index.graph_rows import as_mixed, asked_of
from segsearch.storage.index.library_index import IndexReport, LibraryIndex, MixOf, best_rows
from segsearch.storage.index.milvus.address import MilvusAddress
from segsearch.storage.index.milvus.conditions import (
    MOST_IDS,
    Condition,
    among,
    condition_of,
)
from segsearch.storage.index.milvus.follower import CollectionFollower, Consistency
from segsearch.storage.index.milvus.store import (
    BOUNDED,
    EVERY,
    STRONG,
    CollectionMissingError,
    MilvusStore,
    RowSearch,
)
from segsearch.storage.index.sample import Sample, sampled

LOG = logging.getLogger(__name__)
PORTION = 5_000  # rows compared one by one at once
FEW_IDS = 1_024  # that are compared one by one
TIES = 16  # rows asked for beyond those wanted: of equals the smaller ids count
LOOKS = 100  # for a moment in which nobody writes


@dataclass(frozen=True, slots=True)
class Wanted:
    """A query (w,), how many rows of those that may answer, and which those are; None for all."""

    query: Vector
    k: int
    allowed: Allowed | None


class MilvusIndex(LibraryIndex):
    """The rows of one library in a Milvus. Thread-safe.

    Searches see what this process has applied; what others have, at the latest a few seconds on,
    or at once with `consistency` "strong". EngineError where the Milvus is away.
    """

    name = "milvus"
    is_elsewhere = True

    def __init__(
        self,
        catalog: Catalog,
        address: MilvusAddress,
        mix_of: MixOf,
        *,
        consistency: Consistency = "bounded",
    ) -> None:
        super().__init__(catalog, mix_of)
        self._store = MilvusStore(address)
        self._follower = CollectionFollower(catalog, self._store, mix_of, consistency)
        self._sampling = threading.Lock()
        self._sample: tuple[str, int, Sample, Vectors] | None = None

    def close(self) -> None:
        """Let go of the Milvus."""
        self._store.close()

    def search(
        self, recipe: tuple[int, Recipe], query: Vector, k: int, allowed: Allowed | None = None
    ) -> tuple[list[float], list[int]]:
        """Scores and segment ids of the best `k` rows for a query (w,), best first."""

        def find(name: str) -> tuple[Vector, Ids]:
            return self._search(recipe, name, Wanted(query.astype(np.float32), k, allowed))

        scores, ids = self._follower.on_current(recipe, find)
        return scores.tolist(), ids.tolist()

    def scores(
        self, recipe: tuple[int, Recipe], query: Vector, ids: Ids
    ) -> tuple[list[float], list[int]]:
        """Scores of these segments, each compared on its own, best first; ties go to the smaller
        id. Ids that are gone are left out."""
        scores, held = _scored(*self.rows(recipe, ids), query)
        return scores.tolist(), held.tolist()

    def rows(self, recipe: tuple[int, Recipe], ids: Ids) -> tuple[Ids, Vectors]:
        """The rows (n, w) of segments that a search has just found, beside their ids; those
        that are gone are left out."""
        return self._follower.on_current(recipe, lambda name: self._rows(recipe, name, ids))

    def sample(self, recipe: tuple[int, Recipe]) -> tuple[Vectors, int]:
        """Rows (m, w) of a fixed sample of the segments, and how many segments there are; of the
        catalog's vectors, which say the same.

        The rows are the same object while the sample is.
        """
        with self._sampling:
            name, kept = self._follower.name(recipe), self._sample
            seq = self._catalog.newest_change()
            count, _, _ = self._catalog.segment_tally(recipe[0])
            if kept is not None and kept[0] == name:
                if kept[1] == seq:
                    return kept[3], count
                changes = self._catalog.changes(recipe[0], kept[1])
                if changes and kept[2].holds_after(changes.added, changes.removed, count):
                    self._sample = (name, changes.seq, kept[2], kept[3])
                    return kept[3], count
            # What is committed from here on is looked at again: the point is older than the ids.
            ids = self._catalog.segment_ids(recipe[0])
            sample = sampled(ids)
            mix = self._mix_of(recipe[1])
            parts = [mix.rows(part) for part in self._catalog.vectors(recipe[0], sample.ids)]
            empty = np.empty((0, mix.width(recipe[1].dimension)), np.float32)
            rows = np.concatenate([empty, *parts])
            self._sample = (name, seq, sample, rows)
            return rows, int(ids.size)

    def ids(self, recipe: tuple[int, Recipe]) -> Ids:
        """Every segment id the index holds, once it is up to date, ascending."""
        return self._follower.on_current(recipe, self._store.ids, must_wait=True)

    def exact(
        self, recipe: tuple[int, Recipe], queries: Vectors, k: int
    ) -> list[tuple[Vector, Ids]]:
        """Scores and segment ids of the best `k` rows for each of some queries (m, w), each row
        compared with each: what `search` is held against."""
        known = self._catalog.segment_ids(recipe[0])
        starts = range(0, known.size, PORTION)
        portions = (self.rows(recipe, known[one : one + PORTION]) for one in starts)
        return best_rows(portions, queries, k)

    def open(self, recipe: tuple[int, Recipe]) -> IndexReport:
        """Have the collection there and up to date; how it stands."""
        # Under Session a server still counts what it was just told to delete.
        count = self._follower.on_current(
            recipe, lambda name: self._store.count(name, level=STRONG)
        )
        return IndexReport(count, self._layout, is_settled=True)

    def glance(self, recipe: tuple[int, Recipe]) -> tuple[IndexGlance, str | None]:
        """How the collection stands, without bringing it up to date, and what is wrong with it."""
        name = self._follower.name(recipe)
        seq, newest = self._catalog.follower(name), self._catalog.newest_change()
        is_loaded = self._follower.is_known(name)
        is_filled = seq is not None and seq != FILLING
        layout = self._layout if is_filled else None
        behind = max(0, newest - (seq or 0)) if is_filled else newest
        count, damage = 0, None
        try:
            count = self._store.count(name, level=BOUNDED) if self._store.has(name) else 0
        except CollectionMissingError:  # dropped just now, or not loaded: a search sees to it
            count = 0
        except EngineError as problem:
            damage = str(problem)
        generation = seq if is_filled else None
        return IndexGlance(count, generation, behind, layout, is_loaded, self.name), damage

    @property
    def _layout(self) -> RowLayout:
        return RowLayout.FLAT if self._store.is_lite else RowLayout.GRAPH

    def save(self, recipe: tuple[int, Recipe]) -> None:
        """Bring the collection up to date, which its Milvus keeps. Where that is away or another
        process does it, nothing is lost: the catalog has the vectors, and the log what is new."""
        try:
            self._follower.on_current(recipe, lambda _: None)
        except (EngineError, BusyError) as problem:
            extra = {"action": "index.behind"}
            LOG.warning("The index is brought up to date later: %s", problem, extra=extra)

    def settle(self, recipe: tuple[int, Recipe]) -> None:
        """`save`: a Milvus puts rows in order by itself."""
        self.save(recipe)

    def rebuild_if_needed(self, recipe: tuple[int, Recipe]) -> bool:
        """Write what the catalog has and the collection lacks, and delete what it has too much;
        whether that was needed."""
        held, known = self._at_one_point(recipe)
        if np.array_equal(held, known):
            return False
        self._follower.put_right(recipe)
        return True

    def problems(self, recipe: tuple[int, Recipe]) -> list[str]:
        """What keeps the collection from being used, and ids that differ from the catalog's."""
        try:
            held, known = self._at_one_point(recipe)
        except (EngineError, BusyError) as problem:
            return [str(problem)]
        if np.array_equal(held, known):
            return []
        extra, missing = np.setdiff1d(held, known).size, np.setdiff1d(known, held).size
        return [f"The index misses {missing} segments and holds {extra} unknown ones."]

    def _at_one_point(self, recipe: tuple[int, Recipe]) -> tuple[Ids, Ids]:
        """The collection's ids and the catalog's, between which no other process has written; where
        others write all the time, two that are the same will do."""
        for _ in range(LOOKS):
            before = self._catalog.newest_change()
            held, known = self.ids(recipe), self._catalog.segment_ids(recipe[0])
            if np.array_equal(held, known) or before == self._catalog.newest_change():
                break
        return held, known

    def _search(self, recipe: tuple[int, Recipe], name: str, wanted: Wanted) -> tuple[Vector, Ids]:
        query, k, allowed = wanted.query, wanted.k, wanted.allowed
        condition = EVERY if allowed is None else condition_of(allowed)
        if allowed is not None and allowed.count <= FEW_IDS:  # a graph misses some of few
            scores, held = _scored(*self._rows(recipe, name, allowed.ids), query)
            return scores[:k], held[:k]
        if allowed is not None and not condition.is_whole and allowed.count <= MOST_IDS:
            condition = Condition(among(allowed.ids), is_whole=True)
        asked = RowSearch(condition, self._follower.level(), self._catalog.newest_segment())
        laid = asked_of(query, recipe[1].dimension)
        count = k + TIES
        if allowed is not None and not condition.is_whole:  # as many more as do not pass
            share = self._catalog.segment_tally(recipe[0])[0] / max(1, allowed.count)
            count = math.ceil(1.2 * share * count)
        while True:
            scores, ids = self._store.nearest(name, laid, count, asked)
            passes = is_among(ids, self._catalog.existing(recipe[0], ids))
            if allowed is not None and not condition.is_whole:
                passes &= allowed.has(ids)
            if np.count_nonzero(passes) >= k:
                return scores[passes][:k], ids[passes][:k]
            if ids.size < count:
                return self._completed(recipe, name, wanted, (scores[passes], ids[passes]))
            count *= 4

    def _completed(
        self, recipe: tuple[int, Recipe], name: str, wanted: Wanted, found: tuple[Vector, Ids]
    ) -> tuple[Vector, Ids]:
        """What was found, and as many more as there are: a graph may not lead to all of few rows,
        and what has just been written may not be there yet."""
        allowed = wanted.allowed
        passing = self._catalog.segment_ids(recipe[0]) if allowed is None else allowed.ids
        scores, ids = found
        missing = np.setdiff1d(passing, ids)
        for start in range(0, missing.size, PORTION):
            some = self._rows(recipe, name, missing[start : start + PORTION])
            more = _scored(*some, wanted.query)
            scores = np.concatenate((scores, more[0]))
            ids = np.concatenate((ids, more[1]))
            order = np.lexsort((ids, -scores))[: wanted.k]
            scores, ids = scores[order], ids[order]
        return scores, ids

    def _rows(self, recipe: tuple[int, Recipe], name: str, ids: Ids) -> tuple[Ids, Vectors]:
        width = self._mix_of(recipe[1]).width(recipe[1].dimension)
        held, rows = self._store.rows(name, width, np.unique(ids), level=self._follower.level())
        there = is_among(held, self._catalog.existing(recipe[0], held))
        return held[there], as_mixed(rows[there], recipe[1].dimension)


def _scored(ids: Ids, rows: Vectors, query: Vector) -> tuple[Vector, Ids]:
    """Scores and ids, best first, ties by the smaller id."""
    scores = np.einsum("nw,w->n", rows, query.astype(np.float32))
    order = np.lexsort((ids, -scores))
    return scores[order], ids[order]
