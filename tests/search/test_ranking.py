"""Ranking: no answer twice, no picture too often."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import replace

import numpy as np
import pytest

from segsearch.core.types import Segment
from segsearch.masks.rle import encode
from segsearch.search.ranking import Fetch, Nearest, Rules, choose, rank


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
    return [one.id for _, one in rank(*source(segments)[0], limit, Rules(per_image))[0]]


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
    found = [one.id for _, one in rank(*candidates, 4, Rules(3))[0]]
    assert found == [1, 1000, 1001, 1002]
    assert len(asked) > 1


@pytest.mark.parametrize("order", [(1, 2, 3), (2, 1, 3)])
def test_a_thing_is_followed_neither_by_its_parts_nor_by_what_holds_it(
    order: tuple[int, ...],
) -> None:
    """Whichever of thing and part came first."""
    places = {1: (0, 0, 20, 20), 2: (2, 2, 8, 8), 3: (22, 22, 30, 30)}
    pairs = [(1 - 0.1 * at, segment(n, 1, places[n])) for at, n in enumerate(order)]
    assert [one.id for _, one in choose(pairs, 9, Rules(9))] == list(order)
    whole = choose(pairs, 9, Rules(9, whole_things=True))
    assert [one.id for _, one in whole] == [order[0], 3]
    after = Rules(9, whole_things=True, shown=(pairs[0][1],))
    assert [one.id for _, one in choose(pairs, 9, after)] == [3]


def test_of_near_duplicates_the_best_picture_alone_is_shown() -> None:
    pairs = [
        (0.9, segment(1, 1, (0, 0, 9, 9))),
        (0.8, segment(2, 2, (0, 0, 9, 9))),  # 1 and 2 look the same
        (0.7, segment(3, 1, (20, 20, 29, 29))),
        (0.6, segment(4, 3, (0, 0, 9, 9))),  # like 2, not like 1
    ]
    alike = {1: frozenset({2}), 2: frozenset({1, 3}), 3: frozenset({2})}
    asked = []

    def near(image_ids: Set[int]) -> dict[int, frozenset[int]]:
        asked.append(set(image_ids))
        return alike

    rules = Rules(9, alike=near)
    assert [one.id for _, one in choose(pairs, 9, rules)] == [1, 3, 4]
    assert asked == [{1, 2, 3}], "once for all candidates"
    second_page = replace(rules, shown=(pairs[0][1],))
    assert [one.id for _, one in choose(pairs, 9, second_page)] == [3, 4]
    by_picture = replace(rules, closed=frozenset({1}))
    assert [one.id for _, one in choose(pairs, 9, by_picture)] == [4]


def test_what_scores_far_below_the_best_of_its_picture_does_not_follow_it() -> None:
    places = [(0, 0, 5, 5), (10, 10, 15, 15), (20, 20, 25, 25)]
    first, alike, beside = (segment(n, 1, place) for n, place in enumerate(places, start=1))
    other = segment(4, 2, (0, 0, 5, 5))
    pairs = [(0.8, first), (0.75, alike), (0.6, other), (0.5, beside)]
    near = Rules(3, behind=0.1)
    assert [one.id for _, one in choose(pairs, 10, near)] == [1, 2, 4]
    assert [one.id for _, one in choose(pairs, 10, replace(near, behind=None))] == [1, 2, 4, 3]
    later = replace(near, shown=(first,), below=0.79)
    assert [one.id for _, one in choose(pairs, 10, later)] == [2, 4], "nor on a later page"
    unwanted = replace(near, unwanted=frozenset({1}))
    assert [one.id for _, one in choose(pairs, 10, unwanted)] == [2, 4], "judged by what is barred"
