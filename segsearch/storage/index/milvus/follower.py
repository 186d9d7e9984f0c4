"""Brings a library's collection in a Milvus up to date with the catalog, one process at a time.

How far a collection has followed stands in the catalog, where all who share it see it. What is done
is upserts and deletions by ids that are never given out twice, so that doing it again does no harm:
killed anywhere, on either side, the next one goes on.
"""

from __future__ import annotations

import hashlib
import logging
import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np

from segsearch.core.arrays import Ids
from segsearch.core.errors import BusyError, EngineError
from segsearch.core.types import Recipe
from segsearch.storage.catalog.backend import Version
from segsearch.storage.catalog.change_log import Changes
from segsearch.storage.catalog.followers import FILLING
from segsearch.storage.catalog.sql_catalog import Catalog
from segsearch.storage.index.allowed import is_among
from segsearch.storage.index.graph_rows import laid_out
from segsearch.storage.index.library_index import MixOf
from segsearch.storage.index.milvus.conditions import scalars_of
from segsearch.storage.index.milvus.store import (
    BOUNDED,
    SESSION,
    STRONG,
    CollectionMissingError,
    MilvusStore,
)
from segsearch.storage.index.synced import flat

LOG = logging.getLogger(__name__)
LAYOUT = 1  # of a collection: another one, and all are made anew
PORTION = 5_000  # segments read from the catalog and written at once
# So long after its own last write a process asks for what it has written; by then all see it.
OWN_SECONDS = 30.0
WAITED_SECONDS = {"bounded": 0.5, "strong": 60.0}  # for who brings a collection up to date
FILLED_SECONDS = 5.0  # for who fills a new one
Consistency = Literal["bounded", "strong"]
Answer = TypeVar("Answer")


@dataclass(slots=True)
class Followed:
    """A collection, of which recipe it is, and the catalog's version when it was last known to be
    up to date; None where it was not then."""

    name: str
    recipe_id: int
    version: Version | None


class CollectionFollower:
    """What of a library's recipes stands in a Milvus. Thread-safe."""

    def __init__(
        self, catalog: Catalog, store: MilvusStore, mix_of: MixOf, consistency: Consistency
    ) -> None:
        self._catalog = catalog
        self._store = store
        self._mix_of = mix_of
        self._consistency = consistency
        self._changing = threading.RLock()
        self._state: Followed | None = None
        self._written = -math.inf  # when this process last wrote

    def is_known(self, name: str) -> bool:
        """Whether this process has used a collection."""
        state = self._state
        return state is not None and state.name == name

    def put_right(self, recipe: tuple[int, Recipe]) -> None:
        """Compare a collection's ids with the catalog's, write what it lacks and delete the
        rest."""
        name = self.name(recipe)
        seconds = WAITED_SECONDS["strong"]
        with _told(), self._changing, self._catalog.following(name, seconds) as still:
            self._take_over(recipe, name, still, from_rows=True)

    def level(self) -> str:
        """How new what a search sees must be."""
        if self._consistency == "strong":
            return STRONG
        return SESSION if time.monotonic() - self._written < OWN_SECONDS else BOUNDED

    def on_current(
        self, recipe: tuple[int, Recipe], use: Callable[[str], Answer], *, must_wait: bool = False
    ) -> Answer:
        """What is asked of the collection, once it is up to date. Once more where it has gone
        meanwhile, as at a change of generation, or when somebody deleted it."""
        try:
            return use(self.current(recipe, must_wait=must_wait))
        except CollectionMissingError as problem:
            LOG.info("The collection is looked for again: %s", problem)
            with self._changing:
                self._state = None
            with _told():
                return use(self.current(recipe, must_wait=must_wait))

    def current(self, recipe: tuple[int, Recipe], *, must_wait: bool = False) -> str:
        """The collection of a recipe, up to date; or as it is, where another process or thread is
        at it and nobody must see the last write."""
        if current := _name_at(self._state, self._catalog.version(), recipe[0]):
            return current
        name, state = self.name(recipe), self._state
        can_wait = state is not None and state.name == name and not must_wait
        is_patient = not can_wait or self._consistency == "strong"
        seconds = -1 if is_patient else WAITED_SECONDS["bounded"]
        if not self._changing.acquire(timeout=seconds):  # another thread brings it up to date
            return name
        try:
            return self._brought(recipe, must_wait=must_wait)
        finally:
            self._changing.release()

    def _brought(self, recipe: tuple[int, Recipe], *, must_wait: bool) -> str:
        version, state = self._catalog.version(), self._state
        if current := _name_at(state, version, recipe[0]):
            return current  # another thread has seen to it
        name = self.name(recipe)
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
                rows = laid_out(mix.rows(batch)[kept], recipe[1].dimension)
                self._store.upsert(name, batch.ids[kept], rows, own)
            self._written = time.monotonic()
            # What another process has removed while this one stood still before it wrote goes at
            # once, though the turn is lost: an id that is gone never comes back.
            self._forget(name, self._gone(recipe, ids))
        for start in range(0, changes.added.size, PORTION):  # removed while the others were written
            self._forget(name, self._gone(recipe, changes.added[start : start + PORTION]))
        self._forget(name, changes.removed)

    def _gone(self, recipe: tuple[int, Recipe], ids: Ids) -> Ids:
        return np.setdiff1d(ids, self._catalog.existing(recipe[0], ids))

    def _forget(self, name: str, ids: Ids) -> None:
        if ids.size:
            self._store.delete(name, ids)
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

    def name(self, recipe: tuple[int, Recipe]) -> str:
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


@contextmanager
def _told() -> Iterator[None]:
    """EngineError where a collection is gone once more."""
    try:
        yield
    except CollectionMissingError as problem:
        raise EngineError(str(problem)) from problem


def _digest(parts: tuple[object, ...]) -> str:
    return hashlib.blake2b(repr(parts).encode(), digest_size=8).hexdigest()


def _name_at(state: Followed | None, version: Version | None, recipe_id: int) -> str | None:
    """The collection, where it is up to date with a catalog of this version."""
    if state is None or version is None:
        return None
    return state.name if (state.version, state.recipe_id) == (version, recipe_id) else None
