"""Keeps everyday words ready for the library's active recipe, and tells how relevant finds are."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from segsearch.core.arrays import Vector, Vectors
from segsearch.search import everyday
from segsearch.search.everyday import Everyday
from segsearch.search.relevance import MIN_SAMPLE
from segsearch.search.vectors import Active, TermVectors
from segsearch.storage.index.synced import SyncedIndex

Relevances = Callable[[Sequence[int]], Sequence[float | None]]


class Comparing:
    """Compares finds by words with everyday words; these are embedded once a recipe, and scored
    again when the library's sample changes."""

    def __init__(self, projection: SyncedIndex, terms: TermVectors) -> None:
        self._projection = projection
        self._terms = terms
        self._words: dict[str, Vectors | None] = {}
        self._kept: tuple[Vectors, Everyday] | None = None

    def relevances(
        self, recipe: Active, sample: Vectors, wanted: Vector, count: int
    ) -> Relevances | None:
        """What gives the relevances of segments, by id, for a query (d,) among `count` regions, of
        which `sample` (n, d) are some.

        None where the library is too small, or its models keep words and pictures apart. A segment
        that is gone has None.
        """
        if len(sample) < MIN_SAMPLE:
            return None
        words = self._everyday_words(recipe, sample)
        if words is None:
            return None
        kept = self._kept
        if kept is None or kept[0] is not sample:
            kept = self._kept = (sample, Everyday(words, sample))
        relevance = kept[1].relevance(count)
        known: dict[int, float] = {}

        def relevances(ids: Sequence[int]) -> Sequence[float | None]:
            new = [one for one in ids if one not in known]
            if new:
                held, rows = self._projection.rows(recipe, np.array(new, dtype=np.int64))
                found = relevance(rows @ wanted, rows).tolist()
                known.update(zip(held.tolist(), found, strict=True))
            return [known.get(one) for one in ids]

        return relevances

    def _everyday_words(self, recipe: Active, sample: Vectors) -> Vectors | None:
        """The rows (m, d) of all everyday words; None where a few show that they tell nothing."""
        fingerprint = recipe[1].fingerprint
        if fingerprint not in self._words:
            probe = self._terms.words(recipe, everyday.PROBE)
            fits = everyday.is_centred(probe, sample)
            self._words[fingerprint] = self._terms.words(recipe, everyday.WORDS) if fits else None
        return self._words[fingerprint]
