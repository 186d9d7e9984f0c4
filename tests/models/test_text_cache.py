"""Words asked for again come from memory, and are the very vectors the model gives."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as some

from segsearch.core.arrays import Vectors
from segsearch.models.embed.text_cache import CachedTextEmbedder
from tests.support.small_models import ColourEmbedder


class CountingEmbedder(ColourEmbedder):
    def __init__(self) -> None:
        self.asked: list[str] = []

    def embed_texts(self, texts: Sequence[str]) -> Vectors:
        self.asked += texts
        return super().embed_texts(texts)


WORDS = some.lists(
    some.sampled_from(["red", "blue", "green thing", "none", "red blue"]), max_size=6
)


@given(some.lists(WORDS, max_size=6), some.integers(1, 3))
def test_the_answers_are_those_of_the_model(calls: list[list[str]], kept: int) -> None:
    cached, plain = CachedTextEmbedder(CountingEmbedder(), kept), ColourEmbedder()
    for texts in calls:
        vectors, expected = cached.embed_texts(texts), plain.embed_texts(texts)
        assert vectors.shape == expected.shape
        assert np.array_equal(vectors, expected)
        assert len(cached._known) <= kept


def test_known_words_cost_no_model_call_until_others_push_them_out() -> None:
    model = CountingEmbedder()
    cached = CachedTextEmbedder(model, 2)
    cached.embed_texts(["red", "red"])
    cached.embed_texts(["blue", "red"])
    assert model.asked == ["red", "blue"]
    cached.embed_texts(["green"])  # pushes blue out: red was asked for after it
    cached.embed_texts(["red"])
    cached.embed_texts(["blue"])
    assert model.asked == ["red", "blue", "green", "blue"]


def test_what_is_given_out_may_be_changed() -> None:
    cached = CachedTextEmbedder(ColourEmbedder())
    cached.embed_texts(["red"])[:] = 0
    assert cached.embed_texts(["red"]).any()
