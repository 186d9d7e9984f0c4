"""Ranking: no answer twice, no picture too often."""

from __future__ import annotations

import numpy as np
import pytest

from segsearch.core.types import Segment
from segsearch.masks.rle import encode
from segsearch.search.ranking import Fetch, Nearest, Rules, rank


def segment(number: int, image_id: int, box: tuple[int, int, int, int]) -> Segment:
    frame = np.zeros((40, 40), dtype=bool)
    frame[box[1] : box[3], box[0] : box[2]] = True
    mask = encode(frame)
    assert mask is not None
    return Segment(number, image_id, mask, 0.9, 0.9)


def source(segments: list[Segment]) -> tuple[tuple[Nearest, Fetch], list[int]]:
    """Segments in ranked order, and a note of how many were asked for each time."""
    asked: list[int] = []

    def nearest(k: int) -> tuple[list[float], list[int]]:
        asked.append(k)
        some = segments[:k]
        return [1 - 0.001 * n for n in range(len(some))], [one.id for one in some]

    return (nearest, lambda ids: {s.id: s for s in segments if s.id in ids}), asked


def ranked(segments: list[Segment], limit: int = 10, per_image: int = 3) -> list[int]:
    return [one.id for _, one in rank(*source(segments)[0], limit, Rules(per_image))]


@pytest.mark.parametrize(
    ("second", "kept"),
    [
        ((0, 0, 20, 20), [1]),  # the same
        ((0, 0, 20, 19), [1]),  # almost the same
        ((2, 2, 18, 18), [1]),  # lies inside and is not much smaller
        ((0, 0, 10, 10), [1, 2]),  # a part
        ((20, 20, 30, 30), [1, 2]),  # another place
    ],
)
def test_one_thing_is_answered_once(second: tuple[int, int, int, int], kept: list[int]) -> None:
    assert ranked([segment(1, 1, (0, 0, 20, 20)), segment(2, 1, second)]) == kept


def test_the_same_place_in_another_picture_is_another_answer() -> None:
    assert ranked([segment(1, 1, (0, 0, 20, 20)), segment(2, 2, (0, 0, 20, 20))]) == [1, 2]


def test_a_picture_gives_at_most_its_share() -> None:
    places = [(0, 0, 5, 5), (10, 10, 15, 15), (20, 20, 25, 25), (30, 30, 35, 35)]
    segments = [segment(n, 1, place) for n, place in enumerate(places, start=1)]
    assert ranked([*segments, segment(9, 2, (0, 0, 5, 5))], per_image=2) == [1, 2, 9]


def test_many_repeats_do_not_shorten_the_answer() -> None:
    repeats = [segment(n, 1, (0, 0, 20, 20)) for n in range(1, 200)]
    others = [segment(1000 + n, 2 + n, (0, 0, 20, 20)) for n in range(3)]
    candidates, asked = source([*repeats, *others])
    found = [one.id for _, one in rank(*candidates, 4, Rules(3))]
    assert found == [1, 1000, 1001, 1002]
    assert len(asked) > 1
