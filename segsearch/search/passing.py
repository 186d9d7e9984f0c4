"""Which segments pass a query's filters, remembered while nobody writes to the library."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from cachetools import LRUCache

from segsearch.core.arrays import Ids
from segsearch.core.filters import Filters
from segsearch.search.region_map.maps import RegionMaps, ids_within
from segsearch.search.vectors import Active
from segsearch.storage.catalog.backend import Version
from segsearch.storage.catalog.sql_catalog import Catalog
from segsearch.storage.index.allowed import Allowed, is_among

KEPT_FILTERS = 16
KEPT_IDS = 4_000_000  # of all filters together: 32 MB


@dataclass(frozen=True, slots=True)
class _OfRecipe:
    """`allowed.PassingSegments` over a catalog; numbers are kept until a commit."""

    catalog: Catalog
    recipe_id: int
    kept: LRUCache[Hashable, int]
    lock: threading.Lock

    def count(self, filters: Sequence[Filters], only: Ids | None, never: Ids | None) -> int:
        version = self.catalog.version()
        if version is None or only is not None or never is not None:
            return self.catalog.count_segments(self.recipe_id, filters, only, never)
        key = (version, self.recipe_id, tuple(filters))
        with self.lock:  # even a look changes the order in which they go
            known = self.kept.get(key)
        if known is None:  # two threads may both count: that is no harm
            known = self.catalog.count_segments(self.recipe_id, filters)
            with self.lock:
                self.kept[key] = known
        return known

    def page(
        self,
        filters: Sequence[Filters],
        only: Ids | None,
        never: Ids | None,
        after: int,
        limit: int | None,
    ) -> Ids:
        return self.catalog.segments_passing(
            self.recipe_id, filters, only, never, after=after, limit=limit
        )


class Passing:
    """The ids that pass filters. Thread-safe.

    With `counted`, for an index that looks at filters itself, none are fetched where their number
    will do.

    Finding them takes as long as reading the part of the catalog that a filter asks for; the same
    filter again takes nothing until something is committed.
    """

    def __init__(self, catalog: Catalog, maps: RegionMaps, *, counted: bool = False) -> None:
        self._catalog = catalog
        self._maps = maps
        self._counts: LRUCache[Hashable, int] | None = LRUCache(KEPT_FILTERS) if counted else None
        self._kept: OrderedDict[tuple[int, Filters, str], Ids] = OrderedDict()
        self._version: Version | None = None
        self._lock = threading.Lock()

    def allowed(self, recipe: Active, filters: Filters) -> Allowed:
        """The regions of a recipe that pass; QueryError as for `ids`."""
        counts = self._counts
        asks = None if counts is None else _OfRecipe(self._catalog, recipe[0], counts, self._lock)
        if not filters.asks_map:
            return Allowed((filters,), partial(self.ids, recipe, filters), asks=asks)
        on_map = ids_within(self._maps.asked(recipe, filters), filters)
        others = replace(filters, map_area=None, map_cluster=None)
        return Allowed((others,), partial(self.ids, recipe, others), only=on_map, asks=asks)

    def ids(self, recipe: Active, filters: Filters) -> Ids:
        """Ids (n,) of a recipe's segments that pass, ascending; not to be written to. QueryError
        where filters ask for a map and there is none."""
        version = self._catalog.version()  # asked before the ids: they are as new or newer
        made = self._maps.asked(recipe, filters) if filters.asks_map else None
        # A map changes without a commit.
        key = (recipe[0], filters, "" if made is None else made.digest)
        with self._lock:
            if version != self._version:
                self._kept.clear()
                self._version = version
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        if made is None:
            ids = self._catalog.select_segments(recipe[0], filters)
        else:  # those on a map may be gone since it was made
            there = self.ids(recipe, replace(filters, map_area=None, map_cluster=None))
            on_map = ids_within(made, filters)
            ids = on_map[is_among(on_map, there)]
        ids.flags.writeable = False
        with self._lock:
            if version is not None and version == self._version:
                self._kept[key] = ids
                self._forget()
        return ids

    def _forget(self) -> None:
        """Let go of what has not been asked for the longest, until the rest is small enough."""
        while len(self._kept) > KEPT_FILTERS or (
            len(self._kept) > 1 and sum(ids.size for ids in self._kept.values()) > KEPT_IDS
        ):
            self._kept.popitem(last=False)
