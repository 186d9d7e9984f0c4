"""What may answer a query, whichever way it is found: the best k, and what chance would give."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from segsearch.core.text_query import TextRanking
from segsearch.search.calibration import RelevanceOfIds
from segsearch.search.ranking import Nearest
from segsearch.search.relevance import Background

PREFER_SPREADS = 1.0  # a whole or part may score so many spreads lower than what it stands for
PREFER_SLACK = 0.05  # ... or this much, as a cosine, where the library is too small for a spread


@dataclass(frozen=True, slots=True)
class Candidates:
    """The segments that pass, scored by one vector: the best k, and what chance would give.

    `relevances`, where words alone were asked for, compares with everyday words instead.
    `measure` gives how far the query's scores spread by chance, where the library tells. With
    `by_rank` scores are no cosines, or no longer those of the regions alone. `found` are regions
    whose text answers, with their `own` cosines, that have not been joined to the others yet;
    `shown` has, once they have, which share of the words asked for each of them shows. `lines` are
    the ids of those that do, by their region's. `without` gives the best k that are in none of some
    videos, where scores are cosines.
    """

    nearest: Nearest
    judge: Callable[[], Background | None] = lambda: None
    measure: Callable[[], float | None] = lambda: None
    relevances: RelevanceOfIds | None = None
    by_rank: bool = False
    found: TextRanking = field(default_factory=TextRanking)
    own: Mapping[int, float] = field(default_factory=dict)
    shown: Mapping[int, float] = field(default_factory=dict)
    lines: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    without: Callable[[Sequence[int]], Nearest] | None = None

    @property
    def background(self) -> Background | None:
        """How the query scores by chance; None where the library is too small to tell, and where
        captions take part. Worked out when it is first asked for."""
        return self.judge()

    def relevance(self, scores: Sequence[float], ids: Sequence[int]) -> Sequence[float | None]:
        """Of the segments with these scores; None where the library is too small to tell. Of those
        that were found by their text, the share that it shows."""
        relevances = self._by_vectors(scores, ids)
        if not self.shown:
            return relevances
        return [self.shown.get(one, by) for one, by in zip(ids, relevances, strict=True)]

    def _by_vectors(self, scores: Sequence[float], ids: Sequence[int]) -> Sequence[float | None]:
        if self.relevances is not None:
            return self.relevances(ids)
        known = self.background
        return [known.relevance(score) if known else None for score in scores]

    def best_relevance(self) -> float | None:
        """The relevance of the best region."""
        scores, ids = self.nearest(1)
        return self.relevance(scores, ids)[0] if scores else None

    @property
    def spread(self) -> float | None:
        """How far the query's scores spread by chance, from a part of the sample; None as for
        `background`. Worked out each time."""
        return self.measure()

    @property
    def slack(self) -> float:
        """How much lower a whole or a part may score than what it stands for."""
        spread = self.spread
        return PREFER_SLACK if spread is None else PREFER_SPREADS * spread


def remembered(nearest: Nearest) -> Nearest:
    """The same, without asking again for what an earlier answer holds."""
    kept: list[tuple[int, list[float], list[int]]] = []

    def once(k: int) -> tuple[list[float], list[int]]:
        for asked, scores, ids in kept:
            if k <= asked or len(ids) < asked:
                return scores[:k], ids[:k]
        scores, ids = nearest(k)
        kept[:] = [(k, scores, ids)]
        return scores, ids

    return once
