"""The rows of a library in a Milvus: one collection a generation, which follows the change log.

How far a collection has followed stands in the catalog, where all who share it see it; one process
at a time brings it up to date. What it does is upserts and deletions by ids that are never given
out twice, so that doing it again does no harm: killed anywhere, on either side, the next one goes
on. Whatever a collection gives is held against the catalog: what was removed never comes back.
"""

from __future__ import annotations

import hashlib
import logging
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np

from segsearch.core.arrays import Ids, Vector, Vectors
from segsearch.core.errors import BusyError, EngineError
from segsearch.core.status import IndexGlance, RowLayout
from segsearch.core.types import Recipe
from segsearch.storage.catalog.backend import Version
from segsearch.storage.catalog.change_log import Changes
from segsearch.storage.catalog.followers import FILLING
from segsearch.storage.catalog.sql_catalog import Catalog
from segsearch.storage.index.allowed import Allowed, is_among
from segsearch.storage.index.library_index import IndexReport, LibraryIndex, MixOf
from segsearch.storage.index.milvus.address import MilvusAddress
from segsearch.storage.index.milvus.conditions import (
    MOST_IDS,
    Condition,
    among,
    condition_of,
    scalars_of,
)
from segsearch.storage.index.milvus.store import (
    BOUNDED,
    EVERY,
    SESSION,
    STRONG,
    Asked,
    CollectionMissingError,
    MilvusStore,
)
from segsearch.storage.index.sample import Sample, sampled
from segsearch.storage.index.synced import flat

LOG = logging.getLogger(__name__)
LAYOUT = 1  # of a collection: another one, and all are made anew
PORTION = 5_000  # segments read from the catalog and written at once
FEW_IDS = 1_024  # that are compared one by one
TIES = 16  # rows asked for beyond those wanted: of equals the smaller ids count
# So long after its own last write a process asks for what it has written; by then all see it.
OWN_SECONDS = 30.0
WAITED_SECONDS = {"bounded": 0.5, "strong": 60.0}  # for who brings a collection up to date
FILLED_SECONDS = 5.0  # for who fills a new one
LOOKS = 100  # for a moment in which nobody writes
Answer = TypeVar("Answer")


@dataclass(slots=True)
class Followed:
    """A collection, of which recipe it is, and the catalog's version when it was last known to be
    up to date; None where it was not then."""

    name: str
    recipe_id: int
    version: Version | None


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

    is_elsewhere = True

    def __init__(
        self,
        catalog: Catalog,
        address: MilvusAddress,
        mix_of: MixOf,
        *,
        consistency: Literal["bounded", "strong"] = "bounded",
    ) -> None:
        super().__init__(catalog, mix_of)
        self._store = MilvusStore(address)
        self._consistency = consistency
        self._changing = threading.RLock()
        self._state: Followed | None = None
        self._sample: tuple[str, int, Sample, Vectors] | None = None
        self._written = -math.inf  # when this process last wrote

    def close(self) -> None:
        """Let go of the Milvus."""
        self._store.close()

    def search(
        self, recipe: tuple[int, Recipe], query: Vector, k: int, allowed: Allowed | None = None
    ) -> tuple[list[float], list[int]]:
        """Scores and segment ids of the best `k` rows for a query (w,), best first."""

        def find(name: str) -> tuple[Vector, Ids]:
            return self._search(recipe, name, Wanted(query.astype(np.float32), k, allowed))

        scores, ids = self._on_current(recipe, find)
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
        return self._on_current(recipe, lambda name: self._rows(recipe, name, ids))

    def sample(self, recipe: tuple[int, Recipe]) -> tuple[Vectors, int]:
        """Rows (m, w) of a fixed sample of the segments, and how many segments there are; of the
        catalog's vectors, which say the same.

        The rows are the same object while the sample is.
        """
        with self._changing:
            name, kept = self._name(recipe), self._sample
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
        return self._on_current(recipe, self._store.ids, must_wait=True)

    def exact(
        self, recipe: tuple[int, Recipe], queries: Vectors, k: int
    ) -> list[tuple[Vector, Ids]]:
        """Scores and segment ids of the best `k` rows for each of some queries (m, w), each row
        compared with each: what `search` is held against."""
        best = [(np.empty(0, np.float32), np.empty(0, np.int64)) for _ in queries]
        known = self._catalog.segment_ids(recipe[0])
        for start in range(0, known.size, PORTION):
            held, rows = self.rows(recipe, known[start : start + PORTION])
            for number, products in enumerate((rows @ queries.T).T):
                scores = np.concatenate((best[number][0], products))
                ids = np.concatenate((best[number][1], held))
                order = np.lexsort((ids, -scores))[:k]
                best[number] = scores[order], ids[order]
        return best

    def open(self, recipe: tuple[int, Recipe]) -> IndexReport:
        """Have the collection there and up to date; how it stands."""
        count = self._on_current(recipe, lambda name: self._store.count(name, level=self._level()))
        return IndexReport(count, self._store.is_lite, is_settled=True)

    def glance(self, recipe: tuple[int, Recipe]) -> tuple[IndexGlance, str | None]:
        """How the collection stands, without bringing it up to date, and what is wrong with it."""
        name = self._name(recipe)
        seq, newest = self._catalog.follower(name), self._catalog.newest_change()
        state = self._state
        is_loaded = state is not None and state.name == name
        is_filled = seq is not None and seq != FILLING
        layout = None
        if is_filled:
            layout = RowLayout.FLAT if self._store.is_lite else RowLayout.LISTS
        behind = max(0, newest - (seq or 0)) if is_filled else newest
        count, damage = 0, None
        try:
            count = self._store.count(name, level=BOUNDED) if self._store.has(name) else 0
        except (
            CollectionMissingError
        ):  # dropped between the two, or not loaded: a search sees to it
            count = 0
        except EngineError as problem:
            damage = str(problem)
        return IndexGlance(count, seq if is_filled else None, behind, layout, is_loaded), damage

    def save(self, recipe: tuple[int, Recipe]) -> None:
        """Bring the collection up to date, which its Milvus keeps. Where that is away or another
        process does it, nothing is lost: the catalog has the vectors, and the log what is new."""
        try:
            self._current(recipe)
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
        name = self._name(recipe)
        with self._changing, self._catalog.following(name, WAITED_SECONDS["strong"]) as still:
            self._take_over(recipe, name, still, from_rows=True)
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
        if allowed is not None and not condition.is_whole:
            if allowed.count <= FEW_IDS:
                scores, held = _scored(*self._rows(recipe, name, allowed.ids), query)
                return scores[:k], held[:k]
            if allowed.count <= MOST_IDS:
                condition = Condition(among(allowed.ids), is_whole=True)
        asked = Asked(condition, self._level(), self._catalog.newest_segment())
        count = k + TIES
        if allowed is not None and not condition.is_whole:  # as many more as do not pass
            share = self._catalog.segment_tally(recipe[0])[0] / max(1, allowed.count)
            count = math.ceil(1.2 * share * count)
        while True:
            scores, ids = self._store.nearest(name, query, count, asked)
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
        held, rows = self._store.rows(name, width, np.unique(ids), level=self._level())
        there = is_among(held, self._catalog.existing(recipe[0], held))
        return held[there], rows[there]

    def _level(self) -> str:
        if self._consistency == "strong":
            return STRONG
        return SESSION if time.monotonic() - self._written < OWN_SECONDS else BOUNDED

    def _on_current(
        self, recipe: tuple[int, Recipe], use: Callable[[str], Answer], *, must_wait: bool = False
    ) -> Answer:
        """What is asked of the collection, once it is up to date. Once more where it has gone
        meanwhile, as at a change of generation, or when somebody deleted it."""
        try:
            return use(self._current(recipe, must_wait=must_wait))
        except CollectionMissingError as problem:
            LOG.info("The collection is looked for again: %s", problem)
            with self._changing:
                self._state = None
            return use(self._current(recipe, must_wait=must_wait))

    def _current(self, recipe: tuple[int, Recipe], *, must_wait: bool = False) -> str:
        """The collection of a recipe, up to date; or as it is, where another process is at it and
        nobody must see the last write."""
        if current := _name_at(self._state, self._catalog.version(), recipe[0]):
            return current
        with self._changing:
            version, state = self._catalog.version(), self._state
            if current := _name_at(state, version, recipe[0]):
                return current  # another thread has seen to it
            name = self._name(recipe)
            seq = self._catalog.follower(name)
            is_known = state is not None and state.name == name
            if not is_known and seq is not None and self._is_there(name):
                is_known = True
            if is_known and seq == self._catalog.newest_change():
                self._state = Followed(name, recipe[0], version)
                return name
            can_wait = is_known and seq not in (None, FILLING) and not must_wait
            if can_wait and self._catalog.read_only:
                return name
            seconds = FILLED_SECONDS if not can_wait else WAITED_SECONDS[self._consistency]
            try:
                with self._catalog.following(name, seconds) as still:
                    self._take_over(recipe, name, still)
            except BusyError:
                if not can_wait or self._consistency == "strong":
                    raise
                return name
            # The point was written behind this version: the next look costs two numbers.
            self._state = Followed(name, recipe[0], version)
            return name

    def _is_there(self, name: str) -> bool:
        """Whether a collection is there; it is in its Milvus's memory then."""
        if not self._store.has(name):
            return False
        self._store.load(name)
        return True

    def _take_over(
        self,
        recipe: tuple[int, Recipe],
        name: str,
        still: Callable[[], None],
        *,
        from_rows: bool = False,
    ) -> None:
        """Bring a collection up to date, by who has the turn; a new one is made, filled, and only
        then the one that the library's name leads to."""
        seq = self._catalog.follower(name)
        if seq is not None and seq > self._catalog.newest_change():
            self._store.drop(name)  # of a later state of a catalog that was taken back
            seq = None
        if not self._is_there(name):
            width = self._mix_of(recipe[1]).width(recipe[1].dimension)
            self._store.create(name, width)
            seq = None
        if seq is None:
            seq = FILLING
            self._catalog.note_follower(name, seq)
        is_new = seq == FILLING
        changes = None if is_new or from_rows else self._catalog.changes(recipe[0], seq)
        if changes is None:  # the ids alone say what is to be done
            changes = self._catalog.difference(recipe[0], self._store.ids(name))
        if changes.seq == seq and not from_rows:
            return
        started = time.monotonic()
        self._apply(recipe, name, changes, still)
        still()
        self._catalog.note_follower(name, changes.seq)
        if is_new:
            extra = {"action": "index.rebuild", "rows": int(changes.added.size)}
            extra["seconds"] = time.monotonic() - started
            LOG.info("Filled the index with %d segments.", changes.added.size, extra=extra)
        self._publish(name)

    def _apply(
        self,
        recipe: tuple[int, Recipe],
        name: str,
        changes: Changes,
        still: Callable[[], None],
    ) -> None:
        mix = self._mix_of(recipe[1])
        for start in range(0, changes.added.size, PORTION):
            ids = changes.added[start : start + PORTION]
            facts = self._catalog.facts(ids)
            scalars = scalars_of(facts)
            for batch in self._catalog.vectors(recipe[0], ids):
                chosen = is_among(facts.ids, batch.ids)
                kept = is_among(batch.ids, facts.ids)  # removed between the two
                own = {
                    field: [value for value, here in zip(values, chosen, strict=True) if here]
                    for field, values in scalars.items()
                }
                still()
                self._store.upsert(name, batch.ids[kept], mix.rows(batch)[kept], own)
            self._written = time.monotonic()
        # What was removed while it was written, or written by who had lost the turn, goes again.
        left = self._catalog.existing(recipe[0], changes.added)
        gone = np.setdiff1d(changes.added, left)
        removed = np.union1d(changes.removed, gone)
        if removed.size:
            still()
            self._store.delete(name, removed)
            self._written = time.monotonic()

    def _publish(self, name: str) -> None:
        """Let the library's name lead to a collection, and drop those of before."""
        alias, _, _ = name.rpartition("_")
        if self._store.target(alias) != name:
            self._store.point(alias, name)
        for other in self._catalog.followers(f"{alias}_"):
            if other != name:
                self._store.drop(other)
                self._catalog.forget_follower(other)

    def _name(self, recipe: tuple[int, Recipe]) -> str:
        """Of the library, as long as its catalog is the same one at the same place, and of what its
        rows are made of."""
        identity = self._catalog.identity()
        generation = (
            LAYOUT, identity, recipe[0], recipe[1].fingerprint, flat(self._mix_of(recipe[1]))
        )  # fmt: skip
        place = self._catalog.place  # a copied folder has the same identity, a database has not
        where = str(place.resolve()) if isinstance(place, Path) else ""
        library = (identity.partition("/")[0], where)
        return f"segsearch_{_digest(library)}_{_digest(generation)}"


def _digest(parts: tuple[object, ...]) -> str:
    return hashlib.blake2b(repr(parts).encode(), digest_size=8).hexdigest()


def _name_at(state: Followed | None, version: Version | None, recipe_id: int) -> str | None:
    """The collection, where it is up to date with a catalog of this version."""
    if state is None or version is None:
        return None
    return state.name if (state.version, state.recipe_id) == (version, recipe_id) else None


def _scored(ids: Ids, rows: Vectors, query: Vector) -> tuple[Vector, Ids]:
    """Scores and ids, best first, ties by the smaller id."""
    scores = np.einsum("nw,w->n", rows, query.astype(np.float32))
    order = np.lexsort((ids, -scores))
    return scores[order], ids[order]
