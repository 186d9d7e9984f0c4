"""Turns a query into ranked regions: a vector from its terms, the best rows, no repeats."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from segsearch import masks
from segsearch.domain import Query, Segment
from segsearch.errors import QueryError
from segsearch.ports import Vector

NOT_WEIGHT = -0.5  # what "not WORDS" counts against the other terms
MAX_LIMIT = 1000
MAX_TERMS = 32
MAX_TEXT_CHARACTERS = 1000
SAME_THING_IOU = 0.7  # two regions of one picture that overlap more are one answer
SAME_THING_INSIDE = 0.92  # ... or where the smaller lies in the larger and is not much smaller
SAME_THING_SIZE = 0.5

Ranked = tuple[float, Segment]


def check(query: Query) -> None:
    """QueryError with one sentence when a query cannot be answered."""
    if not query.terms:
        raise QueryError("The query is empty: give words, a picture or a segment to look for.")
    if len(query.terms) > MAX_TERMS:
        raise QueryError(f"The query has {len(query.terms)} terms, expected at most {MAX_TERMS}.")
    if not 1 <= query.limit <= MAX_LIMIT:
        raise QueryError(f"The limit is {query.limit}, expected 1 to {MAX_LIMIT}.")
    if not 1 <= query.per_image <= MAX_LIMIT:
        raise QueryError(f"Regions per image are {query.per_image}, expected 1 to {MAX_LIMIT}.")
    for term in query.terms:
        if not np.isfinite(term.weight) or term.weight == 0:
            raise QueryError(f"A term has weight {term.weight}, expected a number other than 0.")


def check_text(text: str) -> str:
    """The words without surrounding space; QueryError when nothing is left, or far too much."""
    words = " ".join(text.split())
    if not words:
        raise QueryError("The query is empty: give words to look for.")
    if len(words) > MAX_TEXT_CHARACTERS:
        raise QueryError(
            f"The query has {len(words)} characters, expected at most {MAX_TEXT_CHARACTERS}."
        )
    return words


def combine(vectors: Sequence[Vector], weights: Sequence[float]) -> Vector:
    """The weighted sum of unit vectors (d,) at unit length; QueryError when terms cancel out."""
    total = np.zeros_like(vectors[0])
    for vector, weight in zip(vectors, weights, strict=True):
        total = total + weight * vector
    length = float(np.linalg.norm(total))
    if length < 1e-6:
        raise QueryError("The query's terms cancel each other out.")
    return (total / length).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Shelf:
    """Where candidates come from: the best `k` (score, id), and segments by id."""

    nearest: Callable[[int], tuple[list[float], list[int]]]
    fetch: Callable[[list[int]], dict[int, Segment]]


def rank(shelf: Shelf, limit: int, per_image: int) -> list[Ranked]:
    """The best `limit` regions, at most `per_image` of one picture and none twice the same thing.

    Asks for more candidates until enough are left, so that a picture with many overlapping
    regions does not shorten the answer.
    """
    k = limit * 4 + 16
    while True:
        scores, ids = shelf.nearest(k)
        segments = shelf.fetch(ids)
        pairs = [
            (score, segments[one])
            for score, one in zip(scores, ids, strict=True)
            if one in segments
        ]
        kept = _without_repeats(pairs, limit, per_image)
        if len(kept) == limit or len(ids) < k:
            return kept
        k *= 4


def _without_repeats(pairs: Sequence[Ranked], limit: int, per_image: int) -> list[Ranked]:
    kept: list[Ranked] = []
    by_image: dict[int, list[Segment]] = defaultdict(list)
    for score, segment in pairs:
        others = by_image[segment.image_id]
        if len(others) >= per_image or any(same_thing(segment, other) for other in others):
            continue
        others.append(segment)
        kept.append((score, segment))
        if len(kept) == limit:
            break
    return kept


def same_thing(first: Segment, second: Segment) -> bool:
    """Whether two regions of one picture would look like one answer given twice."""
    small, large = sorted((first.mask, second.mask), key=lambda mask: mask.area)
    shared = masks.intersection(small, large)
    if shared >= SAME_THING_IOU * (small.area + large.area - shared):
        return True
    inside = shared >= SAME_THING_INSIDE * small.area
    return inside and small.area >= SAME_THING_SIZE * large.area
