"""Rows as graphs have them: the same scores, one length, and back again."""

from __future__ import annotations

import numpy as np

from segsearch.core.arrays import VectorRows, Vectors
from segsearch.core.mix import TRAITS, Mix
from segsearch.storage.index.graph_rows import as_mixed, asked_of, laid_out

DIMENSION = 32
LEARNT = Mix(0.4, 0.4, 0.2, (0.2, *[0.01] * (len(TRAITS) - 1)), -0.1)
PLAIN = Mix(0.4, 0.4, 0.2)


def units(rng: np.random.Generator, count: int) -> Vectors:
    rows = rng.standard_normal((count, DIMENSION)).astype(np.float32)
    unit: Vectors = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit


def rows_of(mix: Mix, count: int = 200) -> Vectors:
    rng = np.random.default_rng(5)
    traits = rng.random((count, len(TRAITS))).astype(np.float32)
    context, masked, picture = (units(rng, count) for _ in range(3))
    return mix.rows(VectorRows(np.arange(count), context, masked, picture, traits))


def test_scores_are_the_same_to_the_last_bit() -> None:
    rows = rows_of(LEARNT)
    queries = LEARNT.asked(units(np.random.default_rng(6), 20), 1.0)
    laid = laid_out(rows, DIMENSION).astype(np.float16).astype(np.float32)
    for query in queries:
        asked = asked_of(query, DIMENSION)
        # Summed up in float64, in which these products have no rounding that order could change.
        expected = (rows.astype(np.float64) * query).sum(axis=1)
        assert (expected == (laid.astype(np.float64) * asked).sum(axis=1)).all()


def test_rows_are_of_one_length() -> None:
    rows = rows_of(LEARNT)
    assert np.ptp(np.linalg.norm(rows, axis=1)) > 0.05
    assert np.ptp(np.linalg.norm(laid_out(rows, DIMENSION), axis=1)) < 1e-5


def test_rows_come_back_as_they_were_mixed() -> None:
    rows = rows_of(LEARNT)
    kept = rows.copy()
    assert (as_mixed(laid_out(rows, DIMENSION), DIMENSION) == kept).all()
    assert (rows == kept).all()


def test_rows_longer_than_all_others_keep_their_scores() -> None:
    rows = rows_of(LEARNT)
    rows[0] *= 40
    laid = laid_out(rows, DIMENSION)
    assert np.isfinite(laid).all()
    assert laid[0, DIMENSION + 1] == 0


def test_rows_without_traits_stay_as_they_are() -> None:
    rows = rows_of(PLAIN)
    query = PLAIN.asked(rows[0], 1.0)
    assert (laid_out(rows, DIMENSION) == rows).all()
    assert (as_mixed(rows.copy(), DIMENSION) == rows).all()
    assert (asked_of(query, DIMENSION) == query).all()
