"""Which regions may answer: as the filters that they pass, and as ids for who needs those."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from segsearch.core.arrays import Ids
from segsearch.core.filters import Filters


class PassingSegments(Protocol):
    """Asks a catalog which of a recipe's segments pass, as `FilterMixin` has it."""

    def count(self, filters: Sequence[Filters], only: Ids | None, never: Ids | None) -> int:
        """How many pass."""
        ...

    def page(
        self,
        filters: Sequence[Filters],
        only: Ids | None,
        never: Ids | None,
        after: int,
        limit: int | None,
    ) -> Ids:
        """Ids (n,) of those that pass beyond an id, ascending, `limit` at most."""
        ...


@dataclass(frozen=True)
class Allowed:
    """The regions of a recipe that pass all of some filters, but for those that `never` may answer.

    `filters` ask for no map: what a map says is `only`, ids (m,) ascending that alone may answer.
    `find` gives the ids that pass `filters`, ascending; it is called when they are first needed.
    An index that looks at filters while it searches takes `filters`, `only` and `never`, and asks
    for no `ids`; with `asks`, what else is asked here fetches no more ids than it gives either.
    """

    filters: tuple[Filters, ...]
    find: Callable[[], Ids]
    only: Ids | None = None
    never: Ids | None = None
    asks: PassingSegments | None = None

    @classmethod
    def of_ids(cls, ids: Ids) -> Allowed:
        """These, ids (m,) ascending, and no others."""
        return cls((), lambda: ids, only=ids)

    @cached_property
    def ids(self) -> Ids:
        """Every id that may answer (n,), ascending; not to be written to."""
        ids = self.find()
        if self.filters and self.only is not None:  # without filters, `find` gives `only`
            ids = self.only[is_among(self.only, ids)]
        return ids if self.never is None else ids[~is_among(ids, self.never)]

    @cached_property
    def count(self) -> int:
        """How many regions may answer."""
        if self.asks is None or "ids" in self.__dict__:
            return int(self.ids.size)
        return self.asks.count(self.filters, self.only, self.never)

    def has(self, ids: Ids) -> NDArray[np.bool_]:
        """Which of some ids (m,) may answer."""
        if self.asks is None or "ids" in self.__dict__:
            return is_among(ids, self.ids)
        some = np.unique(ids)
        if self.only is not None:
            some = some[is_among(some, self.only)]
        return is_among(ids, self.asks.page(self.filters, some, self.never, 0, None))

    def page(self, after: int, limit: int) -> Ids:
        """Ids (n,) of those that may answer beyond an id, ascending, `limit` at most."""
        if self.asks is None or "ids" in self.__dict__:
            start = int(np.searchsorted(self.ids, after, side="right"))
            return self.ids[start : start + limit]
        return self.asks.page(self.filters, self.only, self.never, after, limit)

    def without(self, ids: Ids) -> Allowed:
        """The same, but for some ids (m,) ascending."""
        never = ids if self.never is None else np.union1d(self.never, ids)
        return replace(self, never=never)

    def __and__(self, other: Allowed) -> Allowed:
        """Those that may answer by both."""
        given = [one for one in (self.only, other.only) if one is not None]
        barred = [one for one in (self.never, other.never) if one is not None]

        def find() -> Ids:
            return self.ids[is_among(self.ids, other.ids)]

        return Allowed(
            self.filters + other.filters,
            find,
            given[0][is_among(given[0], given[-1])] if given else None,
            np.unique(np.concatenate(barred)) if barred else None,
            self.asks or other.asks,
        )


def ids_of(allowed: Allowed | None) -> Ids | None:
    """The ids of those that may answer; None where all may."""
    return None if allowed is None else allowed.ids


def is_among(ids: Ids, allowed: Ids) -> NDArray[np.bool_]:
    """Which ids (n,) are among some (m,) ascending; takes no look at all of these."""
    if allowed.size == 0:
        return np.zeros(ids.size, dtype=bool)
    places = np.minimum(np.searchsorted(allowed, ids), allowed.size - 1)
    found: NDArray[np.bool_] = allowed[places] == ids
    return found
