"""What rows of an index are made of, and how queries meet them."""

from __future__ import annotations

import numpy as np
import pytest

from segsearch.core.arrays import VectorRows
from segsearch.core.mix import EXTRA, TRAITS, Mix, row_of
from segsearch.models.presets import DEMO, PRESETS

DIMENSION, COUNT = 32, 5


@pytest.fixture
def rows() -> VectorRows:
    rng = np.random.default_rng(1)
    parts = rng.normal(size=(3, COUNT, DIMENSION)).astype(np.float32)
    parts /= np.linalg.norm(parts, axis=2, keepdims=True)
    traits = rng.normal(size=(COUNT, len(TRAITS))).astype(np.float32)
    context, masked, picture = parts
    return VectorRows(np.arange(COUNT), context, masked, picture, traits)


def learnt() -> Mix:
    weights = np.linspace(-0.1, 0.1, len(TRAITS)).tolist()
    return Mix(0.6, 0.3, 0.1, tuple(weights), 0.05)


def test_where_nothing_was_learnt_rows_are_the_vectors_alone(rows: VectorRows) -> None:
    mix, query = Mix(0.6, 0.3, 0.1), rows.picture[0]
    assert mix.rows(rows).shape == (COUNT, mix.width(DIMENSION)) == (COUNT, DIMENSION)
    assert mix.asked(query, 1.0) is query
    assert not mix.worth(rows.traits).any()


@pytest.mark.parametrize("things", [0.0, 0.4, 1.0])
def test_one_product_adds_what_traits_count_to_the_cosines(rows: VectorRows, things: float) -> None:
    mix, query = learnt(), rows.picture[0]
    cosines = 0.6 * rows.context @ query + 0.3 * rows.masked @ query + 0.1 * rows.picture @ query
    worth = rows.traits @ np.array(mix.things) + 0.05
    found = mix.rows(rows) @ mix.asked(query, things)
    np.testing.assert_allclose(found, cosines + things * worth, atol=2e-3)
    assert mix.rows(rows).shape == (COUNT, DIMENSION + EXTRA)


def test_many_queries_are_asked_alike(rows: VectorRows) -> None:
    mix = learnt()
    together = mix.asked(rows.context, 0.5)
    assert np.array_equal(together[2], mix.asked(rows.context[2], 0.5))


def test_what_finds_the_like_of_a_region_has_no_traits_in_it(rows: VectorRows) -> None:
    first = row_of(learnt(), rows)
    assert first.shape == (DIMENSION,)
    assert np.linalg.norm(first) == pytest.approx(1)
    assert np.array_equal(first, row_of(Mix(0.6, 0.3, 0.1), rows))


def test_a_preset_that_has_learnt_knows_every_trait_and_others_are_neutral() -> None:
    for preset in PRESETS.values():
        mix = preset.mix
        assert mix.context + mix.masked + mix.picture == pytest.approx(1, abs=1e-3)
        if preset.models == DEMO.models:
            assert len(mix.things) == len(TRAITS)
            assert mix.things[TRAITS.index("predicted_iou")] > 0, "a good mask is no worse a thing"
        else:
            assert not mix.things
