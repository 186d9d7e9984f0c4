"""Keeps the vector index equal to the catalog: loads a snapshot, replays the change log's tail.

One invariant holds: the index's ids are the catalog's at the point of the log it has applied. So a
crash between commit and index, or a worker in another process, needs no repair and no messages.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import cast

import numpy as np

from segsearch.core.arrays import Ids, Vector, VectorRows, Vectors
from segsearch.core.errors import BusyError, DamageError, DiskFullError
from segsearch.core.mix import Mix
from segsearch.core.status import IndexGlance, RowLayout
from segsearch.core.types import Recipe
from segsearch.storage.catalog.backend import Version
from segsearch.storage.catalog.sql_catalog import Catalog
from segsearch.storage.index import snapshots
from segsearch.storage.index.allowed import Allowed, ids_of
from segsearch.storage.index.library_index import (
    ROWS_AT_ONCE,
    IndexReport,
    LibraryIndex,
    MixOf,
    best_rows,
)
from segsearch.storage.index.protocol import IndexFactory, VectorIndex
from segsearch.storage.index.sample import Sample, sampled
from segsearch.storage.index.snapshots import Binding

LOG = logging.getLogger(__name__)
LOOKS = 100  # for a moment in which nobody writes


@dataclass(slots=True)
class IndexState:
    """An index, of which recipe of which catalog it is, and the point of the change log it has
    applied; `version` is the catalog's when it was last known to be up to date."""

    index: VectorIndex
    recipe_id: int
    identity: str
    seq: int
    version: Version | None = None
    sample: tuple[Sample, Vectors] | None = None

    def is_at(self, version: Version, recipe_id: int) -> bool:
        """Whether it is up to date with a catalog of this version."""
        return self.version == version and self.recipe_id == recipe_id

    def forget_sample(self, added: Ids, removed: Ids) -> None:
        """Let go of the sample, unless it is the same after these changes."""
        sample = self.sample
        if sample and not sample[0].holds_after(added, removed, len(self.index)):
            self.sample = None


class SyncedIndex(LibraryIndex):
    """The index of one library's active recipe, brought up to date before each use. Thread-safe:
    searches run side by side, and beside a change that has not been made yet they wait for it.
    Locks are taken in one order: `_saving`, the folder's, `_changing`.

    `mix_of` says what a recipe's rows are made of. Queries here have the rows' length w: what
    `Mix.asked` makes of a vector (d,).
    """

    def __init__(
        self, catalog: Catalog, factory: IndexFactory, folder: Path, mix_of: MixOf
    ) -> None:
        super().__init__(catalog, mix_of)
        self._factory = factory
        self._folder = folder
        self._changing = threading.RLock()
        self._saving = threading.Lock()
        self._state: IndexState | None = None
        self._saved_seq = -1

    def search(
        self, recipe: tuple[int, Recipe], query: Vector, k: int, allowed: Allowed | None = None
    ) -> tuple[list[float], list[int]]:
        """Scores and segment ids of the best `k` rows for a query (w,), best first."""
        scores, ids = self._current(recipe).index.search(query, k, allowed=ids_of(allowed))
        return scores.tolist(), ids.tolist()

    def scores(
        self, recipe: tuple[int, Recipe], query: Vector, ids: Ids
    ) -> tuple[list[float], list[int]]:
        """Scores of these segments, each compared on its own, best first; ties go to the smaller
        id. Ids that are gone are left out."""
        held, rows = self._current(recipe).index.rows(ids)
        scores = np.einsum("nw,w->n", rows, query)  # no threads that wait for each other
        order = np.lexsort((held, -scores))
        return scores[order].tolist(), held[order].tolist()

    def rows(self, recipe: tuple[int, Recipe], ids: Ids) -> tuple[Ids, Vectors]:
        """The rows (n, w) of segments that a search has just found, beside their ids; those
        that are gone are left out."""
        state = self._state
        is_loaded = state is not None and state.recipe_id == recipe[0]
        return (cast(IndexState, state) if is_loaded else self._current(recipe)).index.rows(ids)

    def sample(self, recipe: tuple[int, Recipe]) -> tuple[Vectors, int]:
        """Rows (m, w) of a fixed sample of the segments, and how many segments there are.

        The rows are the same object while the sample is.
        """
        state = self._current(recipe)
        with self._changing:
            if state.sample is None:
                chosen = sampled(state.index.ids())
                state.sample = chosen, state.index.rows(chosen.ids)[1]
            return state.sample[1], len(state.index)

    def ids(self, recipe: tuple[int, Recipe]) -> Ids:
        """Every segment id the index holds, once it is up to date, ascending."""
        return self._current(recipe).index.ids()

    def open(self, recipe: tuple[int, Recipe]) -> IndexReport:
        """Have the index in memory and up to date; how it stands."""
        index = self._current(recipe).index
        return IndexReport(len(index), _layout(index), index.is_settled)

    def glance(self, recipe: tuple[int, Recipe]) -> tuple[IndexGlance, str | None]:
        """How the index stands, without loading it, and what is wrong with it on disk."""
        identity, state = self._catalog.identity(), self._state
        manifest, damage = snapshots.glance(self._folder, self._binding(recipe, identity))
        newest, generation = self._catalog.newest_change(), manifest.seq if manifest else None
        if state is not None and (state.recipe_id, state.identity) == (recipe[0], identity):
            behind = max(0, newest - state.seq)
            layout = _layout(state.index)
            here = IndexGlance(len(state.index), generation, behind, layout, True, self.name)
            return here, damage
        if manifest is None:
            return IndexGlance(0, None, newest, None, False, self.name), damage
        layout = RowLayout.LISTS if snapshots.has_lists(manifest) else RowLayout.FLAT
        behind = max(0, newest - manifest.seq)
        there = IndexGlance(manifest.count, generation, behind, layout, False, self.name)
        return there, damage

    def save(self, recipe: tuple[int, Recipe]) -> None:
        """Write a snapshot of what is new, unless the newest one says the same.

        Where somebody is writing one already, nothing is written: the next one has it all, and the
        change log until then.
        """
        if self._is_saved(recipe) or not self._saving.acquire(blocking=False):
            return
        try:
            with snapshots.locked(self._folder, waits=False):
                self._write(recipe)
        except BusyError as problem:
            LOG.info("No snapshot is written now: %s", problem)
        finally:
            self._saving.release()

    def _is_saved(self, recipe: tuple[int, Recipe]) -> bool:
        seq = self._current(recipe).seq
        return seq == self._saved_seq and (self._folder / f"g{seq}.json").is_file()

    def settle(self, recipe: tuple[int, Recipe]) -> None:
        """`save`, and before it, where many rows have come since, put all into the order that
        searches want: a minute a million rows, in which others search and change the library."""
        if self._current(recipe).index.is_settled:
            self.save(recipe)
            return
        with self._saving, snapshots.locked(self._folder):
            self._saved_seq = -1
            if not self._take_up(recipe):
                self._settle(recipe)
            self._write(recipe)

    def _settle(self, recipe: tuple[int, Recipe]) -> None:
        started = time.monotonic()
        index = self._current(recipe).index
        try:
            snapshots.settle(self._folder, index)
        except DiskFullError as problem:  # what is new may have room
            LOG.warning("The index stays as it is: %s", problem, extra={"action": "index.settle"})
            return
        seconds = time.monotonic() - started
        extra = {"action": "index.settle", "rows": len(index), "seconds": seconds}
        LOG.info("Put the index's %d segments into lists.", len(index), extra=extra)

    def _write(self, recipe: tuple[int, Recipe]) -> None:
        with self._changing:
            state = self._current(recipe)
            try:
                names = snapshots.save(self._folder, state.index, state.seq)
            except DamageError as problem:
                LOG.warning("The index is opened again: %s", problem)
                self._state = None
                state = self._current(recipe)
                names = snapshots.save(self._folder, state.index, state.seq)
            seq, count = state.seq, len(state.index)
        binding = self._binding(recipe, state.identity)
        snapshots.publish(self._folder, names, seq, count, binding)
        self._saved_seq = seq

    def _take_up(self, recipe: tuple[int, Recipe]) -> bool:
        """Whether another process has settled the index meanwhile; then that one is used."""
        state = self._current(recipe)
        binding = self._binding(recipe, state.identity)
        found = snapshots.newest(self._folder, self._factory, binding)
        if found is None or found[0].is_exact or not found[0].is_settled:
            return False
        theirs = IndexState(found[0], recipe[0], state.identity, found[1])
        with self._changing:
            if not (self._catch_up(recipe, theirs) and theirs.index.is_settled):
                return False
            self._state = theirs
        return True

    def exact(
        self, recipe: tuple[int, Recipe], queries: Vectors, k: int
    ) -> list[tuple[Vector, Ids]]:
        """Scores and segment ids of the best `k` rows for each of some queries (m, w), each row
        compared with each: what `search` is held against."""
        index = self._current(recipe).index
        ids = index.ids()
        starts = range(0, ids.size, ROWS_AT_ONCE)
        return best_rows((index.rows(ids[one : one + ROWS_AT_ONCE]) for one in starts), queries, k)

    def rebuild_if_needed(self, recipe: tuple[int, Recipe]) -> bool:
        """Build the index anew when its ids are not the catalog's; whether that was needed."""
        with self._changing:
            known = self._catalog.segment_ids(recipe[0])
            state = self._current(recipe)
            if np.array_equal(state.index.ids(), known):
                return False
            self._state = self._rebuilt(recipe, state.identity)
            return True

    def problems(self, recipe: tuple[int, Recipe]) -> list[str]:
        """What is wrong with the snapshots on disk, and ids that differ from the catalog's."""
        problems = snapshots.problems(self._folder)
        try:
            held, known = self._at_one_point(recipe)
        except DamageError as problem:
            return [*problems, f"The index cannot be built: {problem}"]
        if not np.array_equal(held, known):
            extra, missing = np.setdiff1d(held, known).size, np.setdiff1d(known, held).size
            problems.append(f"The index misses {missing} segments and holds {extra} unknown ones.")
        return problems

    def _at_one_point(self, recipe: tuple[int, Recipe]) -> tuple[Ids, Ids]:
        """The index's ids and the catalog's, between which no other process has written.

        Where others write all the time, two that are the same will do.
        """
        with self._changing:
            for _ in range(LOOKS):
                state = self._current(recipe)
                held, known = state.index.ids(), self._catalog.segment_ids(recipe[0])
                changes = self._catalog.changes(recipe[0], state.seq)
                is_still = changes is not None and changes.seq == state.seq
                if is_still or np.array_equal(held, known):
                    break
        return held, known

    def _binding(self, recipe: tuple[int, Recipe], identity: str) -> Binding:
        # The id too: a recipe that is dropped and made again starts another generation.
        generation = f"{recipe[0]}/{recipe[1].fingerprint}"
        return Binding(identity, generation, flat(self._mix_of(recipe[1])), self._factory.kind)

    def _current(self, recipe: tuple[int, Recipe]) -> IndexState:
        version = self._catalog.version()
        state = self._state
        if state is not None and version is not None and state.is_at(version, recipe[0]):
            return state
        with self._changing:
            version = self._catalog.version()
            state = self._state
            if state is not None and version is not None and state.is_at(version, recipe[0]):
                return state  # another thread has seen to it
            identity = self._catalog.identity()  # another one after a restore
            if state is None or (state.recipe_id, state.identity) != (recipe[0], identity):
                state = self._loaded(recipe, identity)
            if not self._catch_up(recipe, state):
                LOG.warning("The change log ends before the index does: rebuilding the index.")
                state = self._rebuilt(recipe, identity)
            state.version = version
            self._state = state
            return state

    def _loaded(self, recipe: tuple[int, Recipe], identity: str) -> IndexState:
        """From the newest snapshot, else from the catalog."""
        snapshot = snapshots.newest(self._folder, self._factory, self._binding(recipe, identity))
        if snapshot is None:
            state = self._rebuilt(recipe, identity)
            self._saved_seq = -1
            return state
        state = IndexState(snapshot[0], recipe[0], identity, snapshot[1])
        self._saved_seq = state.seq
        return state

    def _rebuilt(self, recipe: tuple[int, Recipe], identity: str) -> IndexState:
        """From the catalog's vectors alone; about 10 seconds a million segments."""
        started = time.monotonic()
        seq = self._catalog.newest_change()
        self._state = None  # room for the new one
        mix = self._mix_of(recipe[1])
        index = self._factory.create(mix.width(recipe[1].dimension))
        # Only a whole one counts: half of one would be searched as if it were all there is.
        _add(index, mix, self._catalog.vectors(recipe[0]))
        self._saved_seq = -1
        seconds = time.monotonic() - started
        extra = {"action": "index.rebuild", "rows": len(index), "seconds": seconds}
        LOG.info("Built the index of %d segments from the catalog.", len(index), extra=extra)
        return IndexState(index, recipe[0], identity, seq)

    def _catch_up(self, recipe: tuple[int, Recipe], state: IndexState) -> bool:
        """Apply what has happened since to an index; False where nobody knows what that is."""
        changes = self._catalog.changes(recipe[0], state.seq)
        if changes is None and state.seq <= self._catalog.newest_change():
            # The log has been pruned: the ids alone say what is to be done.
            changes = self._catalog.difference(recipe[0], state.index.ids())
        if changes is None:
            return False
        if changes.seq != state.seq:
            state.index.remove(changes.removed)
            rows = self._catalog.vectors(recipe[0], changes.added)
            _add(state.index, self._mix_of(recipe[1]), rows)
            state.seq = changes.seq
            state.forget_sample(changes.added, changes.removed)
        return True


def _layout(index: VectorIndex) -> RowLayout:
    return RowLayout.FLAT if index.is_exact else RowLayout.LISTS


def _add(index: VectorIndex, mix: Mix, batches: Iterable[VectorRows]) -> None:
    """Add segments' rows to an index, many at once."""
    ids: list[Ids] = []
    rows: list[Vectors] = []
    for batch in batches:
        ids.append(batch.ids)
        rows.append(mix.rows(batch))
        if sum(some.size for some in ids) >= ROWS_AT_ONCE:
            index.add(np.concatenate(ids), np.concatenate(rows))
            ids, rows = [], []
    if ids:
        index.add(np.concatenate(ids), np.concatenate(rows))


def flat(mix: Mix) -> tuple[float, ...]:
    """A mix as the numbers that a snapshot is bound to."""
    context, masked, picture, things, offset = astuple(mix)
    return (context, masked, picture, offset, *things)
