"""A fixed sample of a library's segments: what a query scores by chance is judged on it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segsearch.core.arrays import Ids

SAMPLE = 8_192  # regions; their rows take 16 MB at 512 numbers each


def sampled(ids: Ids, size: int = SAMPLE) -> Ids:
    """At most `size` of these ids, ascending: those whose hash is smallest.

    A segment that comes or goes changes the sample by one segment at most, so relevances hardly
    move while a library grows.
    """
    if ids.size <= size:
        return np.sort(ids)
    kept = np.argpartition(_hash(ids), size - 1)[:size]
    return np.sort(ids[kept])


def _hash(ids: Ids) -> NDArray[np.uint64]:
    """The finalizer of SplitMix64 (Steele, Lea, Flood 2014), which spreads neighbours apart."""
    x = ids.astype(np.uint64)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    hashed: NDArray[np.uint64] = x ^ (x >> np.uint64(31))
    return hashed
