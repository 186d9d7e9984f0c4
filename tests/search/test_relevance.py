"""Relevance: the chance that nothing scores so high by accident, as drawn samples confirm."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from segsearch.search.relevance import (
    MIN_SAMPLE,
    MIN_SPREAD_SAMPLE,
    Background,
    background,
    rounded,
)
from segsearch.storage.index.sample import sampled


def chance(rng: np.random.Generator, count: int) -> NDArray[np.float32]:
    """Scores as a query has them with what it does not mean: a bell with an exponential tail."""
    return (0.1 + 0.03 * rng.logistic(size=count)).astype(np.float32)


def of(scores: NDArray[np.float32], count: int | None = None) -> Background:
    found = background(scores, count or scores.size)
    assert found is not None
    return found


@pytest.mark.parametrize("passing", [1, 4, 12, 2000])
def test_floors_turn_away_their_share_of_queries_for_what_is_not_there(passing: int) -> None:
    """Also where filters let only a few of the regions pass."""
    rng = np.random.default_rng(0)
    best = []
    for _ in range(400):
        scores = chance(rng, 2000)
        relevance = of(scores, passing).relevance(float(scores[:passing].max()))
        assert relevance is not None
        best.append(relevance)
    for floor in (0.2, 0.5, 0.8):
        assert np.mean(np.array(best) < floor) == pytest.approx(floor, abs=0.12)


def test_relevance_grows_with_the_score_and_falls_with_the_library() -> None:
    scores = chance(np.random.default_rng(1), 2000)
    known, larger = of(scores), of(scores, 200_000)
    levels = [known.relevance(score) for score in (0.0, 0.2, 0.3, 0.4, 0.6, 0.9)]
    assert levels == sorted(levels, key=float)  # type: ignore[arg-type]  # none is None
    assert levels[0] == pytest.approx(0, abs=1e-3)
    assert levels[-1] == pytest.approx(1, abs=1e-3)
    assert larger.relevance(0.4) < known.relevance(0.4)  # type: ignore[operator]  # both known
    assert larger.spreads(0.4) == known.spreads(0.4)


@pytest.mark.parametrize("share", [0.001, 0.02, 0.1, 0.3])
def test_what_is_there_is_relevant_however_common_it_is(share: float) -> None:
    rng = np.random.default_rng(2)
    scores = chance(rng, 4000)
    there = rng.random(4000) < share
    scores[there] = (0.5 + 0.03 * rng.standard_normal(there.sum())).astype(np.float32)
    found = of(scores).relevance(float(scores.max()))
    assert found is not None
    assert found > 0.9


def test_too_few_regions_tell_nothing() -> None:
    rng = np.random.default_rng(3)
    assert background(chance(rng, MIN_SPREAD_SAMPLE - 1), 29) is None
    few = of(chance(rng, MIN_SAMPLE - 1))
    assert few.relevance(0.9) is None
    assert few.spreads(0.9) > few.spreads(0.1)
    assert of(chance(rng, MIN_SAMPLE)).relevance(0.9) is not None


@pytest.mark.parametrize("value", [0.0, 0.3])
def test_scores_that_are_all_alike_divide_by_nothing(value: float) -> None:
    same = of(np.full(500, value, dtype=np.float32))
    assert same.relevance(value) == pytest.approx(0, abs=1e-9)
    assert same.relevance(value + 0.5) == 1


@pytest.mark.parametrize("removed", [0, 1, 40])
def test_a_sample_stays_while_few_come_and_go(removed: int) -> None:
    """`holds_after` says so where it is the same, and only there."""
    ids = np.arange(1, 50_001, dtype=np.int64)
    sample = sampled(ids, 500)
    assert sample.ids.size == 500
    assert abs(sample.ids.mean() - 25_000) < 2_500  # from everywhere, not from one end
    rng = np.random.default_rng(removed)
    stayed = 0
    for size in [10] * 50:
        added = np.arange(50_001, 50_001 + size, dtype=np.int64)
        gone = rng.choice(ids, removed, replace=False)
        now = sampled(np.setdiff1d(np.append(ids, added), gone), 500)
        holds = sample.holds_after(added, gone, ids.size + size - removed)
        assert holds == (now.ids.tolist() == sample.ids.tolist())
        stayed += holds
    assert stayed > 10


def test_a_sample_follows_a_library_that_grows() -> None:
    sample = sampled(np.arange(1, 2, dtype=np.int64))
    renewed = 0
    for count in range(20, 60_000, 20):
        added = np.arange(count - 19, count + 1, dtype=np.int64)
        if not sample.holds_after(added, added[:0], count):
            sample = sampled(np.arange(1, count + 1, dtype=np.int64), 500)
            renewed += 1
        assert sample.milestone <= count
        assert count < 500 or sample.milestone >= 0.9 * count
    assert renewed < 1_500  # of 3,000 times


@pytest.mark.parametrize(("value", "text"), [(0.1499, "0.14"), (0.9999, "0.99"), (0, "0.00")])
def test_what_is_below_a_floor_does_not_look_like_it(value: float, text: str) -> None:
    assert rounded(value) == text
