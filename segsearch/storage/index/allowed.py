"""Which regions may answer: as the filters that they pass, and as ids for who needs those."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from segsearch.core.arrays import Ids
from segsearch.core.filters import Filters


@dataclass(frozen=True)
class Allowed:
    """The regions of a recipe that pass all of some filters, but for those that `never` may answer.

    `filters` ask for no map: what a map says is `only`, ids (m,) ascending that alone may answer.
    `find` gives the ids that pass `filters`, ascending; it is called when they are first needed.
    An index that looks at filters while it searches takes `filters`, `only` and `never`, and asks
    for no `ids`.
    """

    filters: tuple[Filters, ...]
    find: Callable[[], Ids]
    only: Ids | None = None
    never: Ids | None = None

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

    @property
    def count(self) -> int:
        """How many regions may answer."""
        return int(self.ids.size)

    def has(self, ids: Ids) -> NDArray[np.bool_]:
        """Which of some ids (m,) may answer."""
        return is_among(ids, self.ids)

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
