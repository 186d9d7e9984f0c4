"""A fixed sample of a library's segments: what a query scores by chance is judged on it.

It depends on the segments that are there and on nothing else: not on when a process started, nor
on what it has seen before. What follows the newest milestone, one id in a few hundredths of a
percent, stays outside: so the sample stays the same while a picture or two are added, and what has
been worked out for it holds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segsearch.core.arrays import Ids

SAMPLE = 8_192  # regions; their rows take 16 MB at 512 numbers each
STEPS = 256  # milestones in a library, at least
SALT = 0x5E65EA7C


@dataclass(frozen=True, slots=True)
class Sample:
    """Ids (m,), ascending; `milestone` is the newest that could be among them, `spacing` how far
    apart milestones are, 0 where there are none yet."""

    ids: Ids
    milestone: int
    spacing: int

    def holds_after(self, added: Ids, removed: Ids, count: int) -> bool:
        """Whether `sampled` gives the same once some ids have come and gone, of which `count` are
        there then."""
        if spacing(count) != self.spacing or np.isin(self.ids, removed).any():
            return False
        if (removed == self.milestone).any() or (added <= self.milestone).any():
            return False
        return not is_milestone(added, self.spacing).any()


def sampled(ids: Ids, size: int = SAMPLE) -> Sample:
    """A sample of at most `size` of these ids, all of them: those up to the newest milestone whose
    hash is smallest."""
    apart = spacing(ids.size)
    milestones = ids[is_milestone(ids, apart)]
    milestone = int((milestones if milestones.size else ids).max(initial=-1))
    chosen = spread_over(ids[ids <= milestone], size)
    return Sample(chosen, milestone, apart if milestones.size else 0)


def spread_over(ids: Ids, size: int) -> Ids:
    """At most `size` of these ids, ascending: those whose hash is smallest, so that few of them
    change while few ids come and go."""
    if ids.size > size:
        ids = ids[np.argpartition(_hash(ids), size - 1)[:size]]
    return np.sort(ids)


def spacing(count: int) -> int:
    """How far apart milestones are, among so many ids: a power of two."""
    return 1 << max(0, int(count // STEPS).bit_length() - 1)


def is_milestone(ids: Ids, apart: int) -> NDArray[np.bool_]:
    """Which ids (n,) are milestones: one in `apart`, by chance."""
    chosen: NDArray[np.bool_] = _hash(ids ^ SALT) % np.uint64(apart) == 0
    return chosen


def columns_of(ids: Ids) -> tuple[Ids, NDArray[np.int16]]:
    """What a table keeps of ids (n,), to find a sample without reading all of them: numbers in the
    order of their hashes, and levels. Milestones `apart` are those of level log2(apart) or more."""
    hashes = (_hash(ids) ^ np.uint64(1 << 63)).view(np.int64)
    salted = _hash(ids ^ SALT)
    lowest = salted & (~salted + np.uint64(1))  # its lowest bit that is set
    levels = np.where(salted == 0, 64, np.log2(np.maximum(lowest, 1).astype(np.float64)))
    return hashes, levels.astype(np.int16)


def _hash(ids: Ids) -> NDArray[np.uint64]:
    """The finalizer of SplitMix64 (Steele, Lea, Flood 2014), which spreads neighbours apart."""
    x = ids.astype(np.uint64)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    hashed: NDArray[np.uint64] = x ^ (x >> np.uint64(31))
    return hashed
