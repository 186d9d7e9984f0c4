"""Checks what only a search can judge of words and vectors; `core/query.py` checks the rest."""

from __future__ import annotations

import numpy as np

from segsearch.core.arrays import Vector
from segsearch.core.errors import QueryError
from segsearch.core.query import MAX_TEXT_CHARACTERS, VectorTerm


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
