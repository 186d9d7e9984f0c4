"""Rows laid out so that a graph (HNSW) leads to what words ask for.

A graph links rows that lie near each other, and is walked by inner products. Two things lead such a
walk astray: rows of different lengths, of which the long ones are everybody's neighbours, and what
traits are worth, a number of 0.1 among 512 that decides the answer to words and hardly counts
between two rows. So the second column of the traits, 0 otherwise, makes all rows equally long
(Bachrach et al. 2014, "Speeding up the Xbox recommender system"), and the worth is eight times as
large as in the row, by which the query's share of it is divided. The one meets a 0 of the query,
the other is a power of two: scores stay the same to the last bit. At 100,000 regions a walk past
100 candidates finds 96 % of the ten best by words, along rows as they are 85 % (docs/lab-notes.md).
"""

from __future__ import annotations

import numpy as np

from segsearch.core.arrays import Vector, Vectors
from segsearch.core.mix import EXTRA

STRETCH = np.float32(8)
LENGTH_SQUARED = np.float32(6)  # of a row as it is laid out; longer ones stay as long as they are


def laid_out(rows: Vectors, dimension: int) -> Vectors:
    """Rows (n, w) of `Mix.rows` as a graph has them; rows without traits stay as they are."""
    if rows.shape[1] != dimension + EXTRA:
        return rows
    laid: Vectors = rows.astype(np.float32)
    laid[:, dimension] *= STRETCH
    left = LENGTH_SQUARED - np.einsum("nw,nw->n", laid, laid)
    laid[:, dimension + 1] = np.sqrt(np.maximum(left, 0))
    return laid


def as_mixed(laid: Vectors, dimension: int) -> Vectors:
    """The rows (n, w) that `laid_out` was given, changed in place."""
    if laid.shape[1] == dimension + EXTRA:
        laid[:, dimension] /= STRETCH
        laid[:, dimension + 1] = 0
    return laid


def asked_of(query: Vector, dimension: int) -> Vector:
    """A query (w,) of `Mix.asked` as rows that are laid out are compared with it."""
    if query.size != dimension + EXTRA:
        return query
    asked: Vector = query.astype(np.float32)
    asked[dimension] /= STRETCH
    return asked
