"""Scenes over random libraries equal what trying every combination of every picture finds."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segsearch.core.arrays import Vector
from segsearch.core.errors import QueryError
from segsearch.core.filters import Filters
from segsearch.core.query import Link, Prefer, SceneQuery, Slot
from segsearch.core.types import Segment
from segsearch.search.scene_assignment import holds
from segsearch.search.scenes import answer_scene
from tests.search.test_engine_contract import ACTIVE, Library, opened, same, term
from tests.support.described import unit
from tests.support.random_library import Picture, RandomRegion, libraries, vectors

RELATIONS = ("left of", "above", "inside", "larger than", "near")


def naive(
    made: Library, wanted: list[Vector], least: list[float], absent: Vector, relation: str | None
) -> list[tuple[float, int, list[int]]]:
    """(fit, image id, segment ids) of the best scene of each picture: two things, one not there."""
    tables = [made.scores(one) for one in wanted]
    worths = [worth_of(table) for table in tables]
    barred = made.scores(absent)
    found = []
    segments = made.catalog.segments()
    for image_id in {one.image_id for one in segments}:
        mine = [one for one in segments if one.image_id == image_id]
        scenes = [
            (sum(worth[one.id] for worth, one in zip(worths, pair, strict=True)) / 2, pair)
            for pair in itertools.product(mine, mine)
            if allowed(pair, tables, least, relation)
            and not any(
                barred[one.id] >= 0.5 and not any(same(one, other, Prefer.ANY) for other in pair)
                for one in mine
            )
        ]
        if scenes:
            fit, pair = min(scenes, key=lambda scene: -scene[0])
            found.append((fit, image_id, [one.id for one in pair]))
    return sorted(found, key=lambda scene: -scene[0])


def worth_of(scores: dict[int, float]) -> dict[int, float]:
    """What regions are worth by their scores: in spreads of these from thirty regions on, which
    may put other pictures first than the scores themselves."""
    if len(scores) < 30:
        return scores
    low, middle = np.quantile(list(scores.values()), [0.16, 0.5])
    return {number: (score - middle) / (middle - low) for number, score in scores.items()}


def allowed(
    pair: tuple[Segment, ...],
    tables: list[dict[int, float]],
    least: list[float],
    relation: str | None,
) -> bool:
    one, other = pair
    return (
        all(
            table[segment.id] >= score
            for table, segment, score in zip(tables, pair, least, strict=True)
        )
        and not same(one, other, Prefer.ANY)  # one thing may lie in another
        and (relation is None or holds(relation, one.mask, other.mask))
    )


@settings(max_examples=40, deadline=None)
@given(
    library=libraries(),
    wanted=st.lists(vectors, min_size=3, max_size=3, unique_by=lambda one: float(one[0])),
    least=st.lists(st.sampled_from((-1.0, 0.0, 0.2)), min_size=2, max_size=2),
    relation=st.none() | st.sampled_from(RELATIONS),
)
def test_a_scene_is_what_trying_everything_finds(
    library: list[Picture], wanted: list[Vector], least: list[float], relation: str | None
) -> None:
    check(library, wanted, least, relation)


@pytest.mark.parametrize("seed", range(8))
def test_a_scene_in_a_library_with_a_background_is_what_trying_everything_finds(seed: int) -> None:
    """Thirty regions, which a library drawn at random seldom has."""
    rng = np.random.default_rng(seed)
    boxes = [(0, 0, 3, 3), (2, 2, 9, 9), (5, 0, 12, 4), (0, 4, 4, 9), (9, 5, 12, 9)]
    library = [
        Picture(
            (12, 9),
            tuple(RandomRegion(box, 0.5, 0.5) for box in boxes),
            f"/{number}.jpg",
            seed=100 * seed + number,
        )
        for number in range(6)
    ]
    check(library, [unit(rng) for _ in range(3)], [-1.0, -1.0], None)


def check(
    library: list[Picture], wanted: list[Vector], least: list[float], relation: str | None
) -> None:
    """A scene of two things, and one that is not there, is what trying everything finds."""
    first, second, third = wanted
    query = SceneQuery(
        (
            Slot("one", (term(first),), min_score=least[0]),
            Slot("gone", (term(third),), absent=True, min_score=0.5),
            Slot("other", (term(second),), min_score=least[1]),
        ),
        () if relation is None else (Link("one", relation, "other"),),
    )
    with opened(library, "faiss") as made:
        answer = answer_scene(made.engine, ACTIVE, query)
        expected = naive(made, [first, second], least, third, relation)
        assert [hit.image.id for hit in answer.hits] == [image_id for _, image_id, _ in expected]
        for hit, (fit, _, numbers) in zip(answer.hits, expected, strict=True):
            assert [hit.regions[name].segment.id for name in ("one", "other")] == numbers
            assert hit.fit == pytest.approx(fit, abs=1e-4)
        assert (answer.message is None) == bool(expected)


def grid(pictures: int = 40) -> list[Picture]:
    """Pictures with a small region left and a large one right."""
    left, right = RandomRegion((0, 0, 2, 2), 0.5, 0.5), RandomRegion((4, 0, 9, 9), 0.5, 0.5)
    return [Picture((9, 9), (left, right), f"/{n}.jpg", seed=n) for n in range(pictures)]


@pytest.mark.parametrize("pictures", [40, 120])
def test_a_scene_is_as_relevant_as_its_least_relevant_region(pictures: int) -> None:
    rng = np.random.default_rng(1)
    slots = tuple(Slot(name, (term(unit(rng)),), min_score=-1.0) for name in "ab")
    with opened(grid(pictures), "faiss") as made:
        query = SceneQuery(slots, limit=pictures, min_relevance=0)
        hits = answer_scene(made.engine, ACTIVE, query).hits
        both = [[hit.regions[name].relevance for name in "ab"] for hit in hits]
        if pictures == 40:  # too few regions to tell
            assert {hit.relevance for hit in hits} == {None}
        else:
            known = [(one, other) for one, other in both if one is not None and other is not None]
            assert len(known) == len(hits) > 0
            assert [hit.relevance for hit in hits] == [min(pair) for pair in known]
            assert len({one < other for one, other in known}) == 2


def test_filters_of_slots_and_of_the_scene_hold() -> None:
    vector = np.ones(8, dtype=np.float32)
    large = Filters(min_area=0.5)
    with opened(grid(), "faiss") as made:
        one = Slot("a", (term(vector),), min_score=-1.0)
        both = SceneQuery(
            (one, Slot("b", (term(vector),), filters=large, min_score=-1.0)),
            limit=50,
            min_relevance=0,
        )
        answer = answer_scene(made.engine, ACTIVE, both)
        assert len(answer.hits) == 40
        assert all(
            hit.regions["a"].segment.mask.area < hit.regions["b"].segment.mask.area
            for hit in answer.hits
        )
        none = answer_scene(
            made.engine, ACTIVE, SceneQuery(both.slots, filters=large, min_relevance=0)
        )
        assert none.hits == ()
        assert none.message == "No picture holds all of it as asked for."


def test_a_small_library_cannot_tell_what_is_not_there_without_a_score() -> None:
    vector = np.ones(8, dtype=np.float32)
    scene = SceneQuery((Slot("a", (term(vector),)), Slot("b", (term(vector),), absent=True)))
    with (
        opened(grid()[:3], "faiss") as made,
        pytest.raises(QueryError, match="min_score"),
    ):
        answer_scene(made.engine, ACTIVE, scene)
