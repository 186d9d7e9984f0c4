"""Keeps the vector index equal to the catalog: loads a snapshot, replays the change log's tail.

One invariant holds: the index's ids are the catalog's at the point of the log it has applied. So a
crash between commit and index, or a worker in another process, needs no repair and no messages.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import astuple
from pathlib import Path
from typing import cast

import numpy as np

from segsearch.core.arrays import Ids, Vector, Vectors
from segsearch.core.errors import DamageError, NotFoundError
from segsearch.core.mix import Mix, row_of
from segsearch.core.types import Recipe
from segsearch.storage.catalog.sql_catalog import Catalog
from segsearch.storage.index import snapshots
from segsearch.storage.index.protocol import IndexFactory, VectorIndex
from segsearch.storage.index.sample import sampled
from segsearch.storage.index.snapshots import Binding

LOG = logging.getLogger(__name__)
LOOKS = 100  # for a moment in which nobody writes


MixOf = Callable[[Recipe], Mix]


class SyncedIndex:
    """The index of one library's active recipe, brought up to date before each use. Thread-safe.

    `mix_of` says what a recipe's rows are made of. Queries here have the rows' length w: what
    `Mix.asked` makes of a vector (d,).
    """

    def __init__(
        self, catalog: Catalog, factory: IndexFactory, folder: Path, mix_of: MixOf
    ) -> None:
        self._catalog = catalog
        self._factory = factory
        self._folder = folder
        self._mix_of = mix_of
        self._lock = threading.RLock()
        self._index: VectorIndex | None = None
        self._recipe_id = -1
        self._identity = ""
        self._seq = 0
        self._saved_seq = -1
        self._sample: tuple[tuple[str, int], int, Vectors] | None = None

    def mix(self, recipe: Recipe) -> Mix:
        """How much each of a segment's vectors, and what else is known of it, counts."""
        return self._mix_of(recipe)

    def search(
        self, recipe: tuple[int, Recipe], query: Vector, k: int, allowed: Ids | None = None
    ) -> tuple[list[float], list[int]]:
        """Scores and segment ids of the best `k` rows for a query (w,), best first."""
        with self._lock:
            index = self._current(recipe)
            scores, ids = index.search(query, k, allowed=allowed)
        return scores.tolist(), ids.tolist()

    def scores(
        self, recipe: tuple[int, Recipe], query: Vector, ids: Ids
    ) -> tuple[list[float], list[int]]:
        """Scores of these segments, each compared on its own, best first; ties go to the smaller
        id. Ids that are gone are left out."""
        with self._lock:
            held, rows = self._current(recipe).rows(ids)
        scores = rows @ query
        order = np.lexsort((held, -scores))
        return scores[order].tolist(), held[order].tolist()

    def rows(self, recipe: tuple[int, Recipe], ids: Ids) -> tuple[Ids, Vectors]:
        """The rows (n, w) of segments that a search has just found, beside their ids; those
        that are gone are left out."""
        with self._lock:
            is_loaded = self._index is not None and self._recipe_id == recipe[0]
            index = cast(VectorIndex, self._index) if is_loaded else self._current(recipe)
            return index.rows(ids)

    def sample(self, recipe: tuple[int, Recipe]) -> tuple[Vectors, int]:
        """Rows (m, w) of a fixed sample of the segments, and how many segments there are.

        Taken anew when the number of segments has moved by a hundredth.
        """
        with self._lock:
            index = self._current(recipe)
            count = len(index)
            generation = (self._identity, self._recipe_id)
            kept = self._sample
            if kept is None or kept[0] != generation or abs(kept[1] - count) * 100 > count:
                _, rows = index.rows(sampled(index.ids()))
                kept = self._sample = (generation, count, rows)
            return kept[2], count

    def vector(self, recipe: tuple[int, Recipe], segment_id: int) -> Vector:
        """What to look for to find a stored segment's like: its mixed row (d,) at unit length.

        NotFoundError when the recipe has no such segment.
        """
        for rows in self._catalog.vectors(recipe[0], np.array([segment_id], dtype=np.int64)):
            return row_of(self._mix_of(recipe[1]), rows)
        raise NotFoundError(f"There is no segment {segment_id} in the library.")

    def picture_vector(self, recipe: tuple[int, Recipe], image_id: int) -> Vector:
        """What describes an image as a whole (d,), at unit length; NotFoundError when there is no
        such image, or it has not been described yet."""
        vector = self._catalog.picture_vector(recipe[0], image_id)
        if vector is None:
            raise NotFoundError(f"There is no described image {image_id} in the library.")
        return vector

    def ids(self, recipe: tuple[int, Recipe]) -> Ids:
        """Every segment id the index holds, once it is up to date, ascending."""
        with self._lock:
            return self._current(recipe).ids()

    def save(self, recipe: tuple[int, Recipe]) -> None:
        """Write a snapshot, unless the newest one says the same."""
        with self._lock:
            index = self._current(recipe)
            if self._seq != self._saved_seq:
                snapshots.write(self._folder, index, self._seq, self._binding(recipe))
                self._saved_seq = self._seq

    def rebuild_if_needed(self, recipe: tuple[int, Recipe]) -> bool:
        """Build the index anew when its ids are not the catalog's; whether that was needed."""
        with self._lock:
            known = self._catalog.segment_ids(recipe[0])
            if np.array_equal(self._current(recipe).ids(), known):
                return False
            self._rebuild(recipe)
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
        with self._lock:
            for _ in range(LOOKS):
                held, known = self._current(recipe).ids(), self._catalog.segment_ids(recipe[0])
                changes = self._catalog.changes(recipe[0], self._seq)
                is_still = changes is not None and changes.seq == self._seq
                if is_still or np.array_equal(held, known):
                    break
        return held, known

    def _binding(self, recipe: tuple[int, Recipe]) -> Binding:
        # The id too: a recipe that is dropped and made again starts another generation.
        generation = f"{recipe[0]}/{recipe[1].fingerprint}"
        return Binding(
            self._catalog.identity(),
            generation,
            flat(self._mix_of(recipe[1])),
            self._factory.kind,
        )

    def _current(self, recipe: tuple[int, Recipe]) -> VectorIndex:
        identity = self._catalog.identity()  # another one after a restore, by whatever process
        if self._index is None or (self._recipe_id, self._identity) != (recipe[0], identity):
            self._load(recipe)
            self._identity = identity
        changes = self._catalog.changes(recipe[0], self._seq)
        if changes is None and self._seq <= self._catalog.newest_change():
            # The log has been pruned: the ids alone say what is to be done.
            changes = self._catalog.difference(recipe[0], cast(VectorIndex, self._index).ids())
        if changes is None:
            LOG.warning("The change log ends before the index does: rebuilding the index.")
            self._rebuild(recipe)
        elif changes.seq != self._seq:
            self._apply(recipe, changes.added, changes.removed)
            self._seq = changes.seq
        return cast(VectorIndex, self._index)  # _load has set it

    def _load(self, recipe: tuple[int, Recipe]) -> None:
        snapshot = snapshots.newest(self._folder, self._factory, self._binding(recipe))
        if snapshot is None:
            self._rebuild(recipe)
        else:
            self._index, self._seq = snapshot
            self._saved_seq = self._seq
        self._recipe_id = recipe[0]

    def _rebuild(self, recipe: tuple[int, Recipe]) -> None:
        """The index from the catalog's vectors alone; about 5 seconds a million segments."""
        started = time.monotonic()
        seq = self._catalog.newest_change()
        self._index = None  # room for the new one
        mix = self._mix_of(recipe[1])
        index = self._factory.create(mix.width(recipe[1].dimension))
        for rows in self._catalog.vectors(recipe[0]):
            index.add(rows.ids, mix.rows(rows))
        # Only a whole one counts: half of one would be searched as if it were all there is.
        self._index, self._seq, self._saved_seq = index, seq, -1
        seconds = time.monotonic() - started
        extra = {"action": "index.rebuild", "rows": len(index), "seconds": seconds}
        LOG.info("Built the index of %d segments from the catalog.", len(index), extra=extra)

    def _apply(self, recipe: tuple[int, Recipe], added: Ids, removed: Ids) -> None:
        if self._index is None:
            return
        self._index.remove(removed)
        mix = self._mix_of(recipe[1])
        for rows in self._catalog.vectors(recipe[0], added):
            self._index.add(rows.ids, mix.rows(rows))


def flat(mix: Mix) -> tuple[float, ...]:
    """A mix as the numbers that a snapshot is bound to."""
    context, masked, picture, things, offset = astuple(mix)
    return (context, masked, picture, offset, *things)
