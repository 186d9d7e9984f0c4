"""Crops of several callers share a batch; each caller gets its own rows, or its own error."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from segsearch.core.arrays import Pixels, Vectors
from segsearch.models.embed.batching import BatchingEmbedder
from tests.support.small_models import COLOURS, ColourEmbedder


class HeldEmbedder(ColourEmbedder):
    """Waits in its first call until it is let go; refuses pictures of one pixel."""

    def __init__(self) -> None:
        self.calls: list[int] = []
        self.began, self.go = threading.Event(), threading.Event()

    def embed_pictures(self, pictures: Sequence[Pixels]) -> Vectors:
        self.calls.append(len(pictures))
        if len(self.calls) == 1:
            self.began.set()
            assert self.go.wait(30)
        if any(picture.shape[:2] == (1, 1) for picture in pictures):
            raise ValueError("one pixel")
        return super().embed_pictures(pictures)


def crops(count: int, colour: str) -> list[Pixels]:
    return [np.full((4 + n, 5, 3), COLOURS[colour], dtype=np.uint8) for n in range(count)]


def outcomes(
    held: HeldEmbedder, first: list[Pixels], others: list[list[Pixels]]
) -> list[Vectors | BaseException]:
    """What each caller gets when the others come while the first is under way."""
    gathering = BatchingEmbedder(held)
    with ThreadPoolExecutor(len(others) + 1) as pool:
        futures = [pool.submit(gathering.embed_pictures, first)]
        assert held.began.wait(30)
        futures += [pool.submit(gathering.embed_pictures, one) for one in others]
        while len(gathering._waiting) < len(others):
            pass
        held.go.set()
        return [one.exception() or one.result() for one in futures]


def test_what_comes_while_the_model_is_busy_goes_through_it_together() -> None:
    held = HeldEmbedder()
    others = [crops(3, "blue"), crops(2, "green"), crops(0, "red"), crops(4, "red")]
    rows = outcomes(held, crops(1, "red"), others)
    assert held.calls == [1, 9]
    for vectors, pictures in zip(rows, [crops(1, "red"), *others], strict=True):
        assert isinstance(vectors, np.ndarray)
        np.testing.assert_array_equal(vectors, ColourEmbedder().embed_pictures(pictures))


def test_an_error_reaches_only_the_caller_whose_crops_raise_it() -> None:
    bad: list[Pixels] = [np.zeros((1, 1, 3), dtype=np.uint8)]
    rows = outcomes(HeldEmbedder(), crops(1, "red"), [crops(2, "blue"), bad])
    assert isinstance(rows[1], np.ndarray)
    assert isinstance(rows[2], ValueError)


def test_words_and_what_is_said_of_the_model_go_through() -> None:
    inner = ColourEmbedder()
    gathering = BatchingEmbedder(inner)
    np.testing.assert_array_equal(gathering.embed_texts(["red"]), inner.embed_texts(["red"]))
    assert gathering.identity == inner.identity
    assert (gathering.dimension, gathering.preprocessing) == (inner.dimension, inner.preprocessing)
    with pytest.raises(TypeError):
        gathering.embed_texts(None)  # type: ignore[arg-type]  # what it raises is what is asked
