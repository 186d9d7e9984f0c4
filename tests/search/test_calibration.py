"""Everyday words: relevance turns away its share of strange words, whatever regions score with all
of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from segsearch.core.arrays import Ids, Vector, Vectors
from segsearch.core.mix import Mix
from segsearch.core.types import Recipe
from segsearch.search.calibration import PROBE, WORDS, Calibration, EverydayScores, is_centred
from segsearch.search.relevance import MIN_SAMPLE, background

DIMENSION = 64


def rows(rng: np.random.Generator, count: int) -> Vectors:
    drawn = rng.standard_normal((count, DIMENSION)).astype(np.float32)
    return np.asarray(drawn / np.linalg.norm(drawn, axis=1, keepdims=True), np.float32)


def library(rng: np.random.Generator, words: Vectors, count: int = 2000) -> Vectors:
    """Regions of this and that, shorter and longer rows; each a little like one of the words."""
    mixed = rows(rng, count) + 0.3 * words[rng.integers(len(words), size=count)]
    return np.asarray(mixed * rng.uniform(0.5, 1.0, (count, 1)), np.float32)


@pytest.mark.parametrize("count", [30, 2000])
def test_floors_turn_away_their_share_of_words_that_mean_nothing_here(count: int) -> None:
    """Also where filters let only a few of the regions pass. Normal scores have no heavy tail, so
    low floors turn away fewer here than they promise."""
    rng = np.random.default_rng(0)
    words = rows(rng, len(WORDS))
    regions = library(rng, rows(rng, 40))
    relevance = EverydayScores(words, regions).relevance(count)
    best = []
    for query in rows(rng, 300):
        some = regions[rng.permutation(len(regions))[:count]]
        best.append(relevance(some @ query, some).max())
    for floor in (0.2, 0.5, 0.8):
        assert np.mean(np.array(best) < floor) == pytest.approx(floor, abs=0.2)


def test_what_is_there_is_relevant_and_less_so_among_more() -> None:
    rng = np.random.default_rng(1)
    words, query = rows(rng, len(WORDS)), rows(rng, 1)
    regions = library(rng, rows(rng, 40))
    regions[7] = query[0]
    everyday = EverydayScores(words, regions)
    itself, other = everyday.relevance(2000)(regions[[7, 8]] @ query[0], regions[[7, 8]])
    assert itself > 0.99
    assert other < itself
    weak = (0.55 * query).astype(np.float32)
    few, many = (everyday.relevance(n)(weak @ query[0], weak)[0] for n in (200, 200_000))
    assert few > many


def test_a_region_that_answers_everything_counts_less() -> None:
    """Both score alike with the query; one of them scores high and low with all other words."""
    rng = np.random.default_rng(2)
    words, query = rows(rng, len(WORDS)), rows(rng, 1)[0]
    everyday = EverydayScores(words, library(rng, words))
    other = rows(rng, 1)[0]
    other -= (other @ query) * query
    loud = 0.5 * query + 3 * other
    plain = 0.5 * query + 0.3 * other
    pair = np.stack([loud, plain]).astype(np.float32)
    scores = pair @ query
    assert scores[0] == pytest.approx(scores[1], abs=1e-5)
    of_loud, of_plain = everyday.relevance(2000)(scores, pair)
    assert of_loud < of_plain


def test_rows_that_score_with_nothing_divide_by_nothing() -> None:
    rng = np.random.default_rng(3)
    words = rows(rng, len(WORDS))
    empty = np.zeros((MIN_SAMPLE, DIMENSION), np.float32)
    found = EverydayScores(words, empty).relevance(MIN_SAMPLE)(
        np.array([0, 0.5], np.float32), empty[:2]
    )
    assert np.isfinite(found).all()
    assert found[0] < found[1]


def test_too_few_regions_are_refused() -> None:
    rng = np.random.default_rng(4)
    with pytest.raises(ValueError, match=f"expected {MIN_SAMPLE} regions or more, found 99"):
        EverydayScores(rows(rng, 10), rows(rng, MIN_SAMPLE - 1))


def test_pictures_in_a_cone_of_their_own_are_told_apart() -> None:
    """As in models trained by contrast alone: every picture scores about 0.2 with every text."""
    rng = np.random.default_rng(5)
    words, regions = rows(rng, len(PROBE)), rows(rng, 500)
    assert is_centred(words, regions)
    axis = np.zeros(DIMENSION, np.float32)
    axis[0] = 1.0
    assert not is_centred(words + 0.7 * axis, regions + 0.7 * axis)


def test_the_words_are_many_and_different() -> None:
    assert len(WORDS) == len(set(WORDS)) == 108
    assert set(PROBE) < set(WORDS)
    assert len(PROBE) == 8


class Growing:
    """An index whose sample is given, and words that are drawn; all the calibration asks of
    either."""

    def __init__(self) -> None:
        self._rng = np.random.default_rng(7)
        self._drawn: dict[str, Vectors] = {}

    def mix(self, _: object) -> Mix:
        return Mix(0.5, 0.5, 0.0)

    def rows(self, _: object, ids: Ids) -> tuple[Ids, Vectors]:
        return ids, rows(np.random.default_rng(11), len(ids))

    def scores(self, active: object, query: Vector, ids: Ids) -> tuple[list[float], list[int]]:
        held, found = self.rows(active, ids)
        return (found @ query).tolist(), held.tolist()

    def lasting_words(self, _: object, texts: Sequence[str]) -> Vectors:
        for text in texts:
            self._drawn.setdefault(text, rows(self._rng, 1)[0])
        return np.stack([self._drawn[text] for text in texts])


def test_what_is_relevant_does_not_hang_on_what_a_library_held_when_a_process_started() -> None:
    parts = Growing()
    centred = rows(np.random.default_rng(8), 400)
    one_sided = centred + 2 * parts.lasting_words(None, PROBE).mean(axis=0)
    query = rows(np.random.default_rng(9), 1)[0], 0.0
    active = (1, Recipe("small", "s@1", "e@1", DIMENSION, {}, {}, {}))

    def relevances(calibration: Calibration, sample: Vectors) -> Sequence[float | None] | None:
        find = calibration.relevances(active, sample, query, 400)
        return None if find is None else find([1, 2, 3])

    lasting = Calibration(parts, parts)  # type: ignore[arg-type]  # see `Growing`
    seen = [relevances(lasting, sample) for sample in (one_sided, centred, one_sided)]
    fresh = [
        relevances(Calibration(parts, parts), sample)  # type: ignore[arg-type]
        for sample in (one_sided, centred, one_sided)
    ]
    assert seen == fresh
    assert seen[0] is None
    assert seen[1] is not None


def test_where_everyday_words_tell_nothing_a_query_is_judged_beside_its_own_scores() -> None:
    parts = Growing()
    sample, query = rows(np.random.default_rng(8), 400), rows(np.random.default_rng(9), 1)[0]
    active = (1, Recipe("small", "s@1", "e@1", DIMENSION, {}, {}, {}))
    calibration = Calibration(parts, parts)  # type: ignore[arg-type]  # see `Growing`
    ids = np.arange(1, 6)
    chance = background(sample @ query, 400)
    assert chance is not None
    _, held = parts.rows(None, ids)
    expected = [chance.relevance(float(score)) for score in held @ query]
    find = calibration.by_themselves(active, sample, query, 400)
    assert find([1, 2, 3, 4, 5]) == pytest.approx(expected)
    few = calibration.by_themselves(active, sample[:10], query, 400)
    assert few([1]) == [None]
