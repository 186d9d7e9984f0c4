"""Words for regions: those that fit better than they fit everything, none twice."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from segsearch.core.arrays import Vectors
from segsearch.core.query import SegmentTerm
from segsearch.library import SegSearch
from segsearch.masks.rle import iou
from segsearch.search import naming
from segsearch.search.naming import NAMES, Naming
from tests.conftest import Truth
from tests.support.described import RECIPE

WIDTH = RECIPE.dimension


def unit(rows: Vectors) -> Vectors:
    return np.asarray(rows / np.linalg.norm(rows, axis=-1, keepdims=True), np.float32)


class Words:
    """Vectors of words, and how often they were asked for."""

    def __init__(self, rows: Vectors) -> None:
        self.rows = rows
        self.asked = 0

    def lasting_words(self, _recipe: object, _texts: object) -> Vectors:
        self.asked += 1
        return self.rows


class Index:
    def __init__(self, rows: Vectors) -> None:
        self.rows = rows

    def sample(self, _recipe: object) -> tuple[Vectors, int]:
        return self.rows, len(self.rows)


def made(monkeypatch: pytest.MonkeyPatch, words: Vectors, regions: Vectors) -> tuple[Any, Words]:
    monkeypatch.setattr(naming, "NAMES", tuple("abcdefgh"[: len(words)]))
    vectors = Words(words)
    return Naming(Index(regions), vectors), vectors  # type: ignore[arg-type]  # all they are asked


def test_a_word_that_everything_fits_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    common, rare, other = np.eye(WIDTH, dtype=np.float32)[:3]
    regions = unit(common + 0.2 * rng.standard_normal((200, WIDTH)).astype(np.float32))
    region = unit(common + 0.8 * rare)
    name, _ = made(monkeypatch, np.stack([common, rare, other]), regions)
    first, second, third = name.words((1, RECIPE), region, 3)
    assert (first.text, {second.text, third.text}) == ("b", {"a", "c"})
    assert first.score == pytest.approx(float(region @ rare), abs=1e-6)
    assert first.score < max(second.score, third.score)
    assert first.relevance > 0.9 > second.relevance


def test_words_that_mean_the_same_are_given_once(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    one, other = np.eye(WIDTH, dtype=np.float32)[:2]
    words = np.stack([one, unit(one + 0.1 * other), other])
    name, _ = made(monkeypatch, words, unit(rng.standard_normal((200, WIDTH)).astype(np.float32)))
    assert len(name.words((1, RECIPE), unit(one + 0.05 * other), 3)) == 2


@pytest.mark.parametrize("count", [0, 5, 40])
def test_where_the_library_is_too_small_to_tell_the_cosine_decides_or_there_is_no_relevance(
    count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(2)
    words = np.eye(WIDTH, dtype=np.float32)[:3]
    regions = rng.standard_normal((count, WIDTH)).astype(np.float32)
    name, _ = made(monkeypatch, words, regions)
    best = name.words((1, RECIPE), words[1], 1)[0]
    assert (best.text, best.score, best.relevance) == ("b", pytest.approx(1.0), None)


def test_words_are_embedded_again_only_for_another_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    words = np.eye(WIDTH, dtype=np.float32)[:3]
    name, vectors = made(monkeypatch, words, rng.standard_normal((200, WIDTH)).astype(np.float32))
    for _ in range(3):
        name.words((1, RECIPE), words[0], 2)
    assert vectors.asked == 1
    name._index.rows = name._index.rows[:150].copy()
    name.words((1, RECIPE), words[0], 2)
    assert vectors.asked == 2


def test_no_name_stands_in_the_list_twice() -> None:
    assert len(set(NAMES)) == len(NAMES) > 400


def test_the_first_three_words_hold_the_right_one_for_most_things(
    demo_library: SegSearch, truth: Truth
) -> None:
    """By chance that is so for 0.7 % of them."""
    images = {image.paths[0].rpartition("/")[2]: image for image in demo_library.catalog.images()}
    right = looked_at = 0
    for name, things in truth.things.items():
        for file, mask in things if name in NAMES else ():
            segments = demo_library.catalog.segments_of(images[file].id)
            best = max(segments, key=lambda segment: iou(segment.mask, mask))
            if iou(best.mask, mask) >= 0.5:
                words = demo_library.words(SegmentTerm(best.id), 3)
                looked_at += 1
                right += name in {word.text for word in words}
    assert looked_at > 100
    assert right >= 0.65 * looked_at
