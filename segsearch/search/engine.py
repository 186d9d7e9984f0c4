"""Answers queries: which segments pass, how they score, which of them are the answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from segsearch.core.arrays import Ids, Vector
from segsearch.core.filters import Filters
from segsearch.core.query import (
    ImageTerm,
    Pointed,
    Query,
    SearchAnswer,
    SegmentTerm,
    Term,
    TextTerm,
)
from segsearch.core.types import Hit, Image, Recipe, Segment
from segsearch.search import cursor as cursors
from segsearch.search import fusion, ranking
from segsearch.search.calibration import Calibration, Relevances
from segsearch.search.cursor import Cursor
from segsearch.search.ranking import Ranked, Rules, Shelf
from segsearch.search.relevance import Background, background, rounded
from segsearch.search.vectors import QueryVectors, with_feedback
from segsearch.storage.catalog.sql_catalog import Catalog
from segsearch.storage.index.synced import SyncedIndex

# So few are scored one by one: as fast as the index, and right even over an index that guesses.
EXACT_IDS = 256
IDS_AT_ONCE = 5_000  # SQLite takes 32,766 parameters
PREFER_SPREADS = 1.0  # a whole or part may score so many spreads lower than what it stands for
PREFER_SLACK = 0.05  # ... and this much, as a cosine, where the library is too small for a spread

Active = tuple[int, Recipe]
Nearest = Callable[[int], tuple[list[float], list[int]]]
Siblings = Callable[[int], list[Ranked]]  # the scored regions of an image, best first


@dataclass(frozen=True, slots=True)
class Scored:
    """One vector against the segments that pass: the best k of them, and what chance would give.

    `relevances`, where words alone were asked for, compares with everyday words instead.
    """

    nearest: Nearest
    background: Background | None
    relevances: Relevances | None = None

    def relevance(self, scores: Sequence[float], ids: Sequence[int]) -> Sequence[float | None]:
        """Of the segments with these scores; None where the library is too small to tell."""
        if self.relevances is not None:
            return self.relevances(ids)
        known = self.background
        return [known.relevance(score) if known else None for score in scores]

    def best_relevance(self) -> float | None:
        """The best region's."""
        scores, ids = self.nearest(1)
        return self.relevance(scores, ids)[0] if scores else None

    @property
    def slack(self) -> float:
        """How much lower a whole or a part may score than what it stands for."""
        return PREFER_SPREADS * self.background.spread if self.background else PREFER_SLACK


class SearchEngine:
    """Answers over one library, brought up to date before each."""

    def __init__(self, catalog: Catalog, index: SyncedIndex, vectors: QueryVectors) -> None:
        self._catalog = catalog
        self._index = index
        self._vectors = vectors
        self._calibration = Calibration(index, vectors)

    def search(self, recipe: Active, query: Query) -> SearchAnswer:
        """One page of regions; `SegSearch.search` says which errors are raised."""
        fusion.check(query)
        question = cursors.question_of(query, f"{recipe[0]}/{recipe[1].fingerprint}")
        cursor = cursors.read(query.cursor, question) if query.cursor else None
        newest = cursor.newest if cursor else self._catalog.newest_segment()
        allowed = self.allowed(recipe, query.filters)
        scored, siblings, pointed = self._by_vector_and_words(recipe, query, allowed)
        best, ids = scored.nearest(ranking.first_candidates(query.limit + 1))
        if not best:
            message = None if cursor else _nothing_to_rank(query, allowed)
            return SearchAnswer((), message=message, pointed=pointed)
        relevance = scored.relevance(best[:1], ids[:1])[0]
        may_be_absent = cursor is None and not _is_there(query)
        if may_be_absent and relevance is not None and relevance < query.min_relevance:
            return SearchAnswer((), relevance, _nothing_matches(relevance, query), pointed)
        rules = self._rules(
            query, cursor, newest, ranking.preferred(query.prefer, scored.slack, siblings)
        )
        heads = ranking.rank(
            Shelf(scored.nearest, self.fetch),
            query.limit + 1,
            replace(rules, per_image=1) if query.by_picture else rules,
        )
        page = heads[: query.limit]
        before = len(cursor.shown) if cursor else 0
        found = _grouped(page, rules, siblings) if query.by_picture else list(enumerate(page))
        hits = self._hits(found, before + 1, scored)
        ending = None
        if len(heads) > query.limit:
            ending = _ending(
                query, Cursor(question, 0.0, newest, cursor.shown if cursor else ()), page
            )
        return SearchAnswer(tuple(hits), relevance, None, pointed, ending)

    def _by_vector_and_words(
        self, recipe: Active, query: Query, allowed: Ids | None
    ) -> tuple[Scored, Siblings, tuple[Pointed, ...]]:
        """What vectors find, the words of captions, or both; for captions alone no model runs."""

        def by_words(words: str, k: int) -> fusion.Ranking:
            if allowed is None:
                return self._catalog.search_captions(words, k)
            scores, ids = self._catalog.search_captions(words, fusion.ALL)
            passing = [pair for pair in zip(scores, ids, strict=True) if pair[1] in permitted]
            return [score for score, _ in passing[:k]], [one for _, one in passing[:k]]

        permitted = frozenset(() if allowed is None else allowed.tolist())
        if query.captions == "only":
            return Scored(fusion.by_captions(query, by_words), None), lambda _: [], ()
        wanted, pointed = self.wanted(recipe, query.terms, query.like, query.unlike)
        judged = bool(query.like or query.unlike)
        alone = query.captions == "off" and not judged and are_words(query.terms)
        scored = self.scored(recipe, wanted, allowed, by_words=alone)
        if query.captions == "join":
            scored = Scored(fusion.joined(query, scored.nearest, by_words), None)
        return scored, self._siblings(recipe, wanted, allowed), pointed

    def wanted(
        self, recipe: Active, terms: Sequence[Term], like: Sequence[int], unlike: Sequence[int]
    ) -> tuple[Vector, tuple[Pointed, ...]]:
        """The unit vector (d,) regions are compared with, and what each region term stood for."""
        found = [self._vectors.vector(recipe, term) for term in terms]
        pointed = tuple(one for _, one in found if one is not None)
        vectors = [vector for vector, _ in found]
        weights = [term.weight for term in terms]
        liked, unliked = (
            [self._vectors.stored(recipe, one) for one in ids] for ids in (like, unlike)
        )
        return with_feedback(vectors, weights, liked, unliked), pointed

    def allowed(self, recipe: Active, filters: Filters) -> Ids | None:
        """Ids of the segments that pass, ascending; None where all do."""
        if filters.is_empty:
            return None
        return self._catalog.select_segments(recipe[0], filters)

    def scored(
        self, recipe: Active, wanted: Vector, allowed: Ids | None, *, by_words: bool
    ) -> Scored:
        """How the segments that pass score, by whichever way is faster; both give the same.

        `by_words`: words alone are asked for, and relevance compares them with everyday words.
        """
        rows, count = self._index.sample(recipe)
        count = count if allowed is None else int(allowed.size)
        chance = background(rows @ wanted, count)
        others = self._calibration.relevances(recipe, rows, wanted, count) if by_words else None
        if allowed is not None and allowed.size <= EXACT_IDS:
            scores, ids = self._index.scores(recipe, wanted, allowed)
            return Scored(lambda k: (scores[:k], ids[:k]), chance, others)

        def nearest(k: int) -> tuple[list[float], list[int]]:
            return self._index.search(recipe, wanted, k, allowed)

        return Scored(_remembered(nearest), chance, others)

    def fetch(self, ids: Sequence[int]) -> dict[int, Segment]:
        """Segments by id; those that are gone are left out."""
        found: dict[int, Segment] = {}
        for start in range(0, len(ids), IDS_AT_ONCE):
            some = ids[start : start + IDS_AT_ONCE]
            found |= {one.id: one for one in self._catalog.segments(some)}
        return found

    def images_of(self, segments: Sequence[Segment]) -> dict[int, Image]:
        """The images of some segments by id."""
        numbers = sorted({segment.image_id for segment in segments})
        return {one.id: one for one in self._catalog.images(ids=numbers, limit=len(numbers))}

    def _siblings(self, recipe: Active, wanted: Vector, allowed: Ids | None) -> Siblings:
        """Every segment of an image that passes, best first; looked up once an image."""

        @cache
        def siblings(image_id: int) -> list[Ranked]:
            segments = {one.id: one for one in self._catalog.segments_of(image_id)}
            ids = np.array(sorted(segments), dtype=np.int64)
            if allowed is not None:
                ids = ids[np.isin(ids, allowed)]
            scores, held = self._index.scores(recipe, wanted, ids)
            return [(score, segments[one]) for score, one in zip(scores, held, strict=True)]

        return siblings

    def _rules(
        self,
        query: Query,
        cursor: Cursor | None,
        newest: int,
        accepts: Callable[[float, Segment], bool] | None,
    ) -> Rules:
        rules = Rules(query.per_image, unwanted=frozenset(query.unlike), accepts=accepts)
        if cursor is None:
            return rules
        # A score made of ranks and captions rises when others go, and would pass `below` for ever.
        below = cursor.below if query.captions == "off" else None
        rules = replace(rules, below=below, newest=newest)
        if query.by_picture:
            return replace(rules, closed=frozenset(cursor.shown))
        shown = self.fetch(list(cursor.shown))
        return replace(rules, shown=tuple(shown.values()))

    def _hits(
        self, found: Sequence[tuple[int, Ranked]], first: int, scored: Scored
    ) -> Iterator[Hit]:
        ids = [segment.id for _, (_, segment) in found]
        images = self.images_of([segment for _, (_, segment) in found])
        said = self._catalog.captions(ids)
        relevances = scored.relevance([score for _, (score, _) in found], ids)
        for (number, (score, segment)), relevance in zip(found, relevances, strict=True):
            if segment.image_id in images:
                image = images[segment.image_id]
                captions = said.get(segment.id, ())
                yield Hit(first + number, score, segment, image, relevance, captions)


def are_words(terms: Sequence[Term]) -> bool:
    """Whether words alone are asked for."""
    return all(isinstance(term, TextTerm) for term in terms)


def _is_there(query: Query) -> bool:
    """Whether all that is looked for is stored as it is, and no filter may leave it out."""
    wanted = [term for term in query.terms if term.weight > 0]
    stored = all(isinstance(term, SegmentTerm | ImageTerm) for term in wanted)
    return stored and bool(wanted) and query.filters.is_empty


def _remembered(nearest: Nearest) -> Nearest:
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


def _grouped(heads: Sequence[Ranked], rules: Rules, siblings: Siblings) -> list[tuple[int, Ranked]]:
    """The regions of each head's picture, beside the picture's number in the page."""
    alone = replace(rules, below=None, closed=frozenset())
    return [
        (number, one)
        for number, (_, head) in enumerate(heads)
        for one in ranking.choose(siblings(head.image_id), rules.per_image, alone)
    ]


def _ending(query: Query, cursor: Cursor, page: Sequence[Ranked]) -> str | None:
    """The cursor behind a page; None where it would grow too long."""
    ids = (one.image_id if query.by_picture else one.id for _, one in page)
    shown = (*cursor.shown, *ids)
    if len(shown) > cursors.MAX_SHOWN:
        return None
    return cursors.write(replace(cursor, below=page[-1][0], shown=shown))


def _nothing_to_rank(query: Query, allowed: Ids | None) -> str:
    if allowed is not None and not allowed.size:
        return "No region passes the filters."
    if query.captions == "only":
        return "No caption holds enough of these words."
    return "The library holds no segments yet."


def _nothing_matches(relevance: float, query: Query) -> str:
    return (
        f"Nothing in the library matches: the best region's relevance is {rounded(relevance)}, "
        f"expected {query.min_relevance:g} or more."
    )
