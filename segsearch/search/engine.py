"""Answers queries: which segments pass, how they score, which of them are the answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache, partial

import numpy as np
from numpy.typing import NDArray

from segsearch.core.answers import Pointed, SearchAnswer
from segsearch.core.arrays import Vector, Vectors
from segsearch.core.filters import Filters
from segsearch.core.lives import Life
from segsearch.core.query import Prefer, Query, Term, seen_terms
from segsearch.core.text import TextLine
from segsearch.core.text_query import TextQuery, TextRanking
from segsearch.core.types import MAX_ID, Caption, Folded, Hit, Image, Segment
from segsearch.search import answer_rules, fusion, ranking, text_ranking
from segsearch.search import cursor as cursors
from segsearch.search.answer_rules import are_words, things_asked
from segsearch.search.calibration import Calibration
from segsearch.search.candidates import Candidates, remembered
from segsearch.search.cursor import Cursor
from segsearch.search.moments import appearances, moments_of
from segsearch.search.omissions import folded
from segsearch.search.passing import Passing
from segsearch.search.picture_groups import Siblings, beside, grouped, grouped_by_video
from segsearch.search.ranking import Nearest, Ranked, Rules
from segsearch.search.region_map.maps import RegionMaps
from segsearch.search.relevance import Background, background, rounded, spread_of
from segsearch.search.shot_facts import ShotFacts
from segsearch.search.vectors import Active, QueryVectors, with_feedback
from segsearch.storage.catalog.sql_catalog import Catalog
from segsearch.storage.index.allowed import Allowed, ids_of
from segsearch.storage.index.library_index import LibraryIndex

# So few are scored one by one: as fast as the index, and right even over an index that guesses.
EXACT_IDS = 256
IDS_AT_ONCE = 5_000  # SQLite takes 32,766 parameters
# The spread of a query's scores is measured on so many rows of the sample, spread over it: all of
# them would take longer than the rest of a search, and these tell it to a twentieth.
SPREAD_ROWS = 1_024


class SearchEngine:
    """Answers over one library, brought up to date before each."""

    def __init__(
        self, catalog: Catalog, index: LibraryIndex, vectors: QueryVectors, maps: RegionMaps
    ) -> None:
        self._catalog = catalog
        self._index = index
        self._vectors = vectors
        self._calibration = Calibration(index, vectors)
        self._passing = Passing(catalog, maps, counted=index.takes_filters)

    def search(self, recipe: Active, query: Query) -> SearchAnswer:
        """One page of regions; `SegSearch.search` says which errors are raised."""
        text = text_ranking.text_query(query)
        if query.captions != "off":
            fusion.check(query)
        question = cursors.question_of(query, f"{recipe[0]}/{recipe[1].fingerprint}")
        cursor = cursors.read(query.cursor, question) if query.cursor else None
        newest = cursor.newest if cursor else self._catalog.newest_segment()
        allowed = self._allowed(recipe, query)
        candidates, siblings, pointed = self._candidates(recipe, query, allowed, text)
        scores, ids = candidates.nearest(ranking.first_candidates(query.limit + 1))
        if not scores:
            message = None if cursor else self._nothing_to_rank(query, allowed)
            return SearchAnswer((), message=message, pointed=pointed)
        relevance = candidates.relevance(scores[:1], ids[:1])[0]
        is_chance = relevance is not None and relevance < query.min_relevance
        if candidates.found.ids:
            alone = is_chance and not self._is_there(query)
            candidates, siblings = text_ranking.joined(candidates, siblings, alone=alone)
            relevance = candidates.best_relevance()
        elif relevance is not None and is_chance and not (cursor or self._is_there(query)):
            return SearchAnswer((), relevance, _nothing_matches(relevance, query), pointed)
        rules = self._rules(recipe, query, cursor)
        accepts = None
        if query.prefer in (Prefer.WHOLE, Prefer.PART):
            accepts = ranking.preferred(query.prefer, candidates.slack, siblings, rules.footage)
        rules = answer_rules.of_candidates(query, rules, candidates, accepts)
        first_rules, depth = answer_rules.heads_of(query, rules), answer_rules.depth_of(query)
        ranked, passed = ranking.rank(
            candidates.nearest, self.fetch, depth, first_rules, without=candidates.without
        )
        if answer_rules.is_ordered(query):
            ranked = answer_rules.ordered(query, rules, ranked, candidates)
        page = ranked[: query.limit]
        shown = cursor.shown if cursor else ()
        numbered = list(enumerate(page))
        if query.by_video:
            numbered = grouped_by_video(page, passed, rules, siblings, query.order)
        elif query.by_picture:
            numbered = grouped(page, rules, siblings)
            passed = beside(page, passed, siblings)
        folding = answer_rules.folding_of(query, rules, candidates)
        going_on: dict[int, list[Life]] = {}
        fold = partial(folded, passed=passed, folding=folding, going_on=going_on)
        hits = tuple(self._hits(numbered, len(shown) + 1, candidates, fold))
        following = None
        if len(ranked) > query.limit:
            following = _cursor_behind(query, Cursor(question, 0.0, newest, shown), page)
        moments = moments_of(appearances(hits, going_on))
        return SearchAnswer(hits, relevance, None, pointed, following, moments)

    def _candidates(
        self, recipe: Active, query: Query, allowed: Allowed | None, text: TextQuery | None
    ) -> tuple[Candidates, Siblings, tuple[Pointed, ...]]:
        """What vectors find, the words of captions, those in pictures, or more of them; for words
        of captions or in pictures alone no model runs."""

        def captions(words: str, k: int, *, without: str) -> tuple[list[float], list[int]]:
            return self._catalog.search_captions(words, k, without=without, allowed=ids_of(allowed))

        if query.captions == "only":
            return Candidates(fusion.by_captions(query, captions), by_rank=True), Siblings(), ()
        if text is not None and text_ranking.is_alone(query):
            find = partial(self._catalog.search_text, text, allowed=allowed)
            return text_ranking.by_text(find), Siblings(partial(self._with_text, find)), ()
        vector, pointed = self.query_vector(recipe, query.terms, query.like, query.unlike)
        things = things_asked(query.terms) if query.prefer in (Prefer.THING, Prefer.WHOLE) else 0.0
        mix = self._index.mix(recipe[1])
        asked, words, judged = mix.asked(vector, things), None, query.like or query.unlike
        if query.captions == "off" and things_asked(query.terms) == 1.0 and are_words(query.terms):
            # Judgements change what comes first, not how sure it is that it is what words mean.
            said = self.query_vector(recipe, query.terms, (), ())[0] if judged else vector
            words = (mix.asked(said, things), things)
        candidates = self.candidates(recipe, asked, allowed, words)
        found = TextRanking()
        if text is not None:
            depth = text_ranking.depth_of(text)
            found = self._catalog.search_text(text, depth, allowed=allowed)
        if query.captions == "join":
            nearest = fusion.joined(query, candidates.nearest, captions, found.ids)
            candidates = Candidates(nearest, by_rank=True, lines=found.lines)
        elif found.ids:
            scores, ids = self._index.scores(recipe, asked, np.sort(np.array(found.ids, np.int64)))
            own = dict(zip(ids, scores, strict=True))
            candidates = replace(candidates, found=found, own=own)
        siblings = Siblings(partial(self._scored, recipe, asked, allowed))
        return candidates, siblings, pointed

    def query_vector(
        self, recipe: Active, terms: Sequence[Term], like: Sequence[int], unlike: Sequence[int]
    ) -> tuple[Vector, tuple[Pointed, ...]]:
        """The unit vector (d,) regions are compared with, and what each region term stood for."""
        seen = seen_terms(terms)
        pairs = [self._vectors.vector(recipe, term) for term in seen]
        pointed = tuple(region for _, region in pairs if region is not None)
        vectors = [vector for vector, _ in pairs]
        weights = [term.weight for term in seen]
        liked, unliked = (
            [self._vectors.stored(recipe, segment_id) for segment_id in ids]
            for ids in (like, unlike)
        )
        return with_feedback(vectors, weights, liked, unliked), pointed

    def allowed(self, recipe: Active, filters: Filters) -> Allowed | None:
        """Those segments that pass; None where all do."""
        if filters.is_empty:
            return None
        return self._passing.allowed(recipe, filters)

    def _nothing_to_rank(self, query: Query, allowed: Allowed | None) -> str:
        if allowed is not None and not allowed.count:
            return "No region passes the filters."
        if text_ranking.is_alone(query):
            if not self._catalog.pictures_read():
                return "No picture's text was read: `segsearch index --read` does."
            return "No picture shows enough of these words."
        if query.captions == "only":
            return "No caption holds enough of these words."
        return "The library holds no segments yet."

    def _allowed(self, recipe: Active, query: Query) -> Allowed | None:
        """`allowed` by the query's filters, without pictures that show what must not stand there;
        where nothing else is looked for, those are left out with the rest."""
        unwanted = text_ranking.unwanted_text(query)
        if not unwanted or text_ranking.is_alone(query):
            return self.allowed(recipe, query.filters)
        ids = self._catalog.segments_with_text(unwanted)
        if not ids.size:
            return self.allowed(recipe, query.filters)
        return self._passing.allowed(recipe, query.filters).without(ids)

    def asked(self, recipe: Active, terms: Sequence[Term]) -> Vector:
        """What terms without judged segments look for (w,), as the index takes it."""
        vector, _ = self.query_vector(recipe, terms, (), ())
        return self._index.mix(recipe[1]).asked(vector, things_asked(terms))

    def candidates(
        self,
        recipe: Active,
        vector: Vector,
        allowed: Allowed | None,
        words: tuple[Vector, float] | None,
    ) -> Candidates:
        """How the segments that pass score for a query (w,), by whichever way is faster; both give
        the same.

        `words`, where words alone are asked for: they without judgements (w,), and how much the
        regions' traits count. Relevance is theirs, and compares with everyday words, asked for
        alike.
        """
        rows, count = self._index.sample(recipe)
        count = count if allowed is None else allowed.count

        @cache
        def judge() -> Background | None:
            return background(_products(rows, vector), count)

        def measure() -> float | None:
            return spread_of(_products(rows[:: max(1, len(rows) // SPREAD_ROWS)], vector))

        others = None
        if words is not None:
            others = self._calibration.relevances(recipe, rows, words, count)
            if others is None and not np.array_equal(words[0], vector):
                others = self._calibration.by_themselves(recipe, rows, words[0], count)
        if allowed is not None and allowed.count <= EXACT_IDS:
            scores, ids = self._index.scores(recipe, vector, allowed.ids)
            return Candidates(lambda k: (scores[:k], ids[:k]), judge, measure, others)

        def nearest(k: int) -> tuple[list[float], list[int]]:
            return self._index.search(recipe, vector, k, allowed)

        def without(video_ids: Sequence[int]) -> Nearest:
            there = self._passing.ids(recipe, Filters(videos=tuple(video_ids)))
            rest = allowed or self._passing.allowed(recipe, Filters())
            return lambda k: self._index.search(recipe, vector, k, rest.without(there))

        return Candidates(remembered(nearest), judge, measure, others, without=without)

    def fetch(self, ids: Sequence[int]) -> dict[int, Segment]:
        """Segments by id; those that are gone are left out."""
        segments: dict[int, Segment] = {}
        for start in range(0, len(ids), IDS_AT_ONCE):
            some = self._catalog.segments(ids[start : start + IDS_AT_ONCE])
            segments |= {segment.id: segment for segment in some}
        return segments

    def images_of(self, segments: Sequence[Segment]) -> dict[int, Image]:
        """The images of some segments by id."""
        ids = sorted({segment.image_id for segment in segments})
        return {image.id: image for image in self._catalog.images(ids=ids, limit=len(ids))}

    def said_of(
        self, ids: Sequence[int]
    ) -> tuple[dict[int, tuple[Caption, ...]], dict[int, list[TextLine]]]:
        """The captions of some segments, newest first, and their lines of text, by their ids."""
        return self._catalog.captions(ids), self._catalog.lines_by_segment(ids)

    def _scored(
        self, recipe: Active, vector: Vector, allowed: Allowed | None, image_ids: Sequence[int]
    ) -> list[Ranked]:
        """Every segment of some images that passes, best first."""
        by_image = self._catalog.segments_by_image(image_ids)
        segments = {segment.id: segment for some in by_image.values() for segment in some}
        ids = np.array(sorted(segments), dtype=np.int64)
        if allowed is not None:
            ids = ids[allowed.has(ids)]
        scores, held = self._index.scores(recipe, vector, ids)
        return [(score, segments[number]) for score, number in zip(scores, held, strict=True)]

    def _with_text(
        self, find: Callable[..., TextRanking], image_ids: Sequence[int]
    ) -> list[Ranked]:
        """Every region of some images whose text answers, best first."""
        found = find(MAX_ID, image_ids=image_ids)
        segments = self.fetch(found.ids)
        pairs = zip(found.scores, found.ids, strict=True)
        return [(score, segments[number]) for score, number in pairs if number in segments]

    def _is_there(self, query: Query) -> bool:
        """Whether all that is looked for is stored as it is, or as a picture that looks almost the
        same, and no filter may leave it out; or somebody has said of a region that it is right."""
        if query.like:
            return True
        positive = [term for term in query.terms if term.weight > 0]
        if not positive or not query.filters.is_empty:
            return False
        return all(self._vectors.is_stored(term) for term in positive)

    def _rules(self, recipe: Active, query: Query, cursor: Cursor | None) -> Rules:
        alike, footage = self._catalog.near_duplicates, self.footage(recipe)
        return answer_rules.rules_of(query, cursor, self.fetch, alike, footage)

    def footage(self, recipe: Active) -> ShotFacts:
        """What is looked up of regions of videos."""

        def vectors(segment_ids: Sequence[int]) -> dict[int, Vector]:
            ids = np.array(sorted(segment_ids), dtype=np.int64)
            found: dict[int, Vector] = {}
            for rows in self._catalog.vectors(recipe[0], ids):
                found |= zip(rows.ids.tolist(), rows.masked, strict=True)
            return found

        return ShotFacts(self._catalog.shots, self._catalog.key_masks, vectors)

    def _hits(
        self,
        numbered: Sequence[tuple[int, Ranked]],
        first_rank: int,
        candidates: Candidates,
        fold: Callable[[Sequence[Ranked], Mapping[int, Image]], Mapping[int, Folded]],
    ) -> Iterator[Hit]:
        ids = [segment.id for _, (_, segment) in numbered]
        images = self.images_of([segment for _, (_, segment) in numbered])
        behind = fold([pair for _, pair in numbered], images)
        captions, lines = self.said_of(ids)
        relevances = candidates.relevance([score for _, (score, _) in numbered], ids)
        for (number, (score, segment)), relevance in zip(numbered, relevances, strict=True):
            image = images.get(segment.image_id)
            if image is not None:
                yield Hit(
                    first_rank + number,
                    score,
                    segment,
                    image,
                    relevance,
                    captions.get(segment.id, ()),
                    behind.get(segment.id, Folded()),
                    tuple(lines.get(segment.id, ())),
                    candidates.lines.get(segment.id, ()),
                )


def _products(rows: Vectors, vector: Vector) -> NDArray[np.float32]:
    """The products (n,) of rows (n, w) with a query (w,).

    Not by `@`: where cores are busy its threads wait for each other, 8 ms for what one of them
    does in 0.1.
    """
    return np.asarray(np.einsum("nw,w->n", rows, vector))


def _cursor_behind(query: Query, cursor: Cursor, page: Sequence[Ranked]) -> str | None:
    """The cursor behind a page; None where it would grow too long."""
    groups = query.by_picture or query.by_video
    ids = (segment.image_id if groups else segment.id for _, segment in page)
    shown = (*cursor.shown, *ids)
    if len(shown) > cursors.MAX_SHOWN:
        return None
    return cursors.write(replace(cursor, below=page[-1][0], shown=shown))


def _nothing_matches(relevance: float, query: Query) -> str:
    return (
        f"Nothing in the library matches: the best region's relevance is {rounded(relevance)}, "
        f"expected {query.min_relevance:g} or more."
    )
