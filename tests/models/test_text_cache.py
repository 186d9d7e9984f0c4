"""Words asked for again come from memory, and are the very vectors the model gives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
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


LASTING = ["red", "blue", "green"]


def lasting(folder: Path, texts: Sequence[str] = LASTING) -> tuple[Vectors, list[str]]:
    """The rows that a process of its own gives, and what it had to ask its model for."""
    model = CountingEmbedder()
    rows = CachedTextEmbedder(model, folder=folder).embed_lasting_texts(texts)
    return rows, model.asked


def test_lasting_texts_go_through_the_model_once_whatever_the_process(tmp_path: Path) -> None:
    first, asked = lasting(tmp_path / "words")
    again, asked_again = lasting(tmp_path / "words")
    assert (asked, asked_again) == (LASTING, [])
    assert again.dtype == np.float32
    assert np.array_equal(again, first)
    assert np.array_equal(first, ColourEmbedder().embed_texts(LASTING))


def test_other_texts_and_other_weights_are_other_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lasting(tmp_path)
    assert lasting(tmp_path, LASTING[::-1])[1] == LASTING[::-1]
    assert lasting(tmp_path, LASTING[:2])[1] == LASTING[:2]
    monkeypatch.setattr(CountingEmbedder, "identity", "colours@" + "1" * 64)
    assert lasting(tmp_path)[1] == LASTING
    assert lasting(tmp_path)[1] == []


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-1],
        lambda data: data[:-3] + bytes([data[-3] ^ 1]) + data[-2:],
        lambda data: data.replace(b'"of": "', b'"of": "0', 1),
        lambda data: data.replace(b'"shape": [3', b'"shape": [4', 1),
        lambda data: b"[]\n" + data,
        lambda data: data[:0],
        lambda data: data[: data.index(b"\n")],
    ],
    ids=["cut", "bit", "foreign", "count", "list", "empty", "header"],
)
def test_damaged_rows_are_made_again(damage: Callable[[bytes], bytes], tmp_path: Path) -> None:
    first, _ = lasting(tmp_path)
    (file,) = tmp_path.iterdir()
    file.write_bytes(damage(file.read_bytes()))
    again, asked = lasting(tmp_path)
    assert asked == LASTING
    assert np.array_equal(again, first)
    assert lasting(tmp_path)[1] == []
    assert list(tmp_path.iterdir()) == [file]


def test_where_nothing_can_be_kept_the_model_answers(tmp_path: Path) -> None:
    (tmp_path / "words").write_text("a file, not a folder")
    for _ in range(2):
        rows, asked = lasting(tmp_path / "words")
        assert asked == LASTING
        assert rows.shape == (3, ColourEmbedder().dimension)
