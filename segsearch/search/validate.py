"""Checks queries, and turns the vectors of their terms into the one that regions are compared with.

What follows stands in `asking.py`: filters, scores, ranking.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from segsearch.core.arrays import Vector
from segsearch.core.errors import QueryError
from segsearch.core.filters import check_filters
from segsearch.core.query import MAX_LIMIT, MAX_TERMS, MAX_TEXT_CHARACTERS, Query, Term, VectorTerm

# Rocchio's feedback with the usual weights (Manning et al., Introduction to Information
# Retrieval, section 9.1.1): what was judged right pulls, what was judged wrong pushes less.


def check(query: Query) -> None:
    """QueryError with one sentence when a query cannot be answered."""
    if not 1 <= query.limit <= MAX_LIMIT:
        raise QueryError(f"The limit is {query.limit}, expected 1 to {MAX_LIMIT}.")
    if not 1 <= query.per_image <= MAX_LIMIT:
        raise QueryError(f"Regions per image are {query.per_image}, expected 1 to {MAX_LIMIT}.")
    if not 0 <= query.min_relevance <= 1:
        raise QueryError(f"The least relevance is {query.min_relevance}, expected 0 to 1.")
    check_terms(query.terms, len(query.like) + len(query.unlike), liked=bool(query.like))
    check_filters(query.filters)


def check_terms(terms: Sequence[Term], judged: int = 0, *, liked: bool = False) -> None:
    """QueryError for too many terms (with the `judged` segments), one that weighs nothing, or
    none to look for, only some to steer away from."""
    count = len(terms) + judged
    if count > MAX_TERMS:
        raise QueryError(f"The query has {count} terms, expected at most {MAX_TERMS}.")
    for term in terms:
        if not np.isfinite(term.weight) or term.weight == 0:
            raise QueryError(f"A term has weight {term.weight}, expected a number other than 0.")
    if not liked and not any(term.weight > 0 for term in terms):
        raise QueryError("The query is empty: give words, a picture or a segment to look for.")


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


def check_vector(term: VectorTerm, dimension: int) -> Vector:
    """The term's vector (d,) at unit length; QueryError for one without direction."""
    if len(term.values) != dimension:
        raise QueryError(
            f"The vector has {len(term.values)} numbers, the library's embedder makes {dimension}."
        )
    vector = np.array(term.values, dtype=np.float64)
    length = float(np.linalg.norm(vector))
    if not np.isfinite(length) or length == 0:
        raise QueryError("The vector has no direction: expected finite numbers, not all 0.")
    return (vector / length).astype(np.float32)
