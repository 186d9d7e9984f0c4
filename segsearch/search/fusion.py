"""Joins what vectors find with what the words of captions find, into one ranking."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import cache
from typing import Protocol

from segsearch.core.errors import QueryError
from segsearch.core.query import Prefer, Query, TextTerm
from segsearch.search.vectors import check_text

Ranking = tuple[list[float], list[int]]  # scores and segment ids, best first
Nearest = Callable[[int], Ranking]  # the best k


class ByWords(Protocol):
    """The best k for words, without what others find."""

    def __call__(self, words: str, k: int, *, without: str) -> Ranking: ...


# Cormack, Clarke & Buettcher, "Reciprocal Rank Fusion outperforms Condorcet and individual Rank
# Learning Methods", SIGIR 2009: the constant that keeps the first ranks from deciding alone.
RANK_OFFSET = 60
DEPTH = 1_000  # of each ranking that is joined, however many regions are asked for


def check(query: Query) -> None:
    """QueryError where captions cannot take part in what is asked for."""
    if query.captions != "off" and (
        query.by_picture or query.by_video or query.prefer in (Prefer.WHOLE, Prefer.PART)
    ):
        raise QueryError("Captions say nothing of wholes and parts: leave out grouping and prefer.")
    if query.captions != "only":
        return
    if query.like or query.unlike:
        raise QueryError("Captions are found by words alone: leave out what was right or wrong.")
    texts = [term for term in query.terms if isinstance(term, TextTerm)]
    if len(texts) < len(query.terms):
        raise QueryError("Captions are found by words alone: leave out pictures and segments.")
    for term in texts:
        check_text(term.text)
    if not _words(query, 1):
        raise QueryError("The query has no words to look for in captions.")


def by_captions(query: Query, by_words: ByWords) -> Nearest:
    """Where a search of captions alone takes its candidates from; a score is the share of the
    words that a caption holds."""
    return lambda k: _by_captions(query, by_words, k)


def joined(
    query: Query, by_vector: Nearest, by_words: ByWords, by_text: Sequence[int] = ()
) -> Nearest:
    """Where a search of both takes its candidates from: `fuse` says how they score. Regions that
    were found by their text, best first, are a third ranking."""

    @cache
    def to_depth(depth: int) -> Ranking:
        return fuse([by_vector(depth)[1], _by_captions(query, by_words, depth)[1], by_text])

    return lambda k: to_depth(max(k, DEPTH))


def fuse(rankings: Sequence[Sequence[int]], depth: int = DEPTH) -> Ranking:
    """Reciprocal rank fusion: every id once, best first; of equal ones the smaller id.

    A score is the sum of 1 / (60 + rank) over the rankings in whose first `depth` an id stands, of
    two at most 0.033. What stands only behind those counts by its best rank alone: so longer
    rankings add to the end of the answer, and change nothing before it.
    """
    scores: dict[int, float] = defaultdict(float)
    for ranking in rankings:
        for rank, segment_id in enumerate(ranking[:depth], start=1):
            scores[segment_id] += 1 / (RANK_OFFSET + rank)
    behind: dict[int, float] = {}
    for ranking in rankings:
        for rank, segment_id in enumerate(ranking[depth:], start=depth + 1):
            if segment_id not in scores:
                best = behind.get(segment_id, 0.0)
                behind[segment_id] = max(best, 1 / (RANK_OFFSET + rank))
    scores |= behind
    ids = sorted(scores, key=lambda segment_id: (-scores[segment_id], segment_id))
    return [scores[segment_id] for segment_id in ids], ids


def _by_captions(query: Query, by_words: ByWords, k: int) -> Ranking:
    """The best k of the captions that hold the words, without those that hold unwanted ones."""
    words, unwanted_words = _words(query, 1), _words(query, -1)
    if not words:
        return [], []
    return by_words(words, k, without=unwanted_words)


def _words(query: Query, sign: int) -> str:
    """The words of all terms whose weight has this sign."""
    texts = [
        term.text for term in query.terms if isinstance(term, TextTerm) and term.weight * sign > 0
    ]
    return " ".join(" ".join(texts).split())
