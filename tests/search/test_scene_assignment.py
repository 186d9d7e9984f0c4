"""Scenes: the regions that fill the slots are those that trying every combination finds."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segsearch.core.errors import QueryError
from segsearch.core.query import Link, SceneQuery, Slot, TextTerm
from segsearch.core.types import Segment
from segsearch.masks.relations import relations
from segsearch.masks.rle import encode
from segsearch.search.ranking import same_thing
from segsearch.search.scene_assignment import (
    LINKS,
    SceneProblem,
    SlotCandidate,
    assign,
    check_scene,
    holds,
)

SIDE = 24


def segment(number: int, x0: int, y0: int, width: int, height: int) -> Segment:
    window = np.ones((height, width), dtype=bool)
    mask = encode(window, origin=(x0, y0), size=(SIDE, SIDE))
    assert mask is not None
    return Segment(number, 1, mask, 0.9, 0.9)


@st.composite
def segments(draw: st.DrawFn) -> list[Segment]:
    made = []
    for number in range(1, draw(st.integers(1, 7)) + 1):
        x0, y0 = draw(st.integers(0, SIDE - 4)), draw(st.integers(0, SIDE - 4))
        width = draw(st.integers(2, SIDE - x0))
        made.append(segment(number, x0, y0, width, draw(st.integers(2, SIDE - y0))))
    return made


@st.composite
def problems(draw: st.DrawFn) -> SceneProblem:
    """One to three slots that are there and up to two that are not, over the same regions."""
    regions = draw(segments())
    present, absent = draw(st.integers(1, 3)), draw(st.integers(0, 2))

    def options(least: int) -> tuple[SlotCandidate, ...]:
        chosen = draw(
            st.lists(st.sampled_from(regions), min_size=least, unique_by=lambda one: one.id)
        )
        # Tenths, so that sums tie: then the smaller ids have to win.
        worths = [draw(st.integers(0, 9)) / 8 for _ in chosen]
        pairs = sorted(zip(worths, chosen, strict=True), key=lambda pair: (-pair[0], pair[1].id))
        return tuple(SlotCandidate(one, worth, worth) for worth, one in pairs)

    slots = range(present + absent)
    pairs = [(a, b) for a in slots for b in slots if a != b and min(a, b) < present]
    links = draw(
        st.lists(st.tuples(st.sampled_from(pairs), st.sampled_from(LINKS)), max_size=3)
        if pairs
        else st.just([])
    )
    return SceneProblem(
        tuple(options(1) for _ in range(present)),
        tuple(options(0) for _ in range(absent)),
        tuple((one, relation, other) for (one, other), relation in links),
    )


def tried_out(problem: SceneProblem) -> tuple[SlotCandidate, ...] | None:
    """Every combination, one after the other."""
    fitting = [chosen for chosen in itertools.product(*problem.present) if fits(problem, chosen)]
    return min(
        fitting,
        key=lambda chosen: (-sum(one.worth for one in chosen), [one.segment.id for one in chosen]),
        default=None,
    )


def fits(problem: SceneProblem, chosen: tuple[SlotCandidate, ...]) -> bool:
    count = len(chosen)
    for one, other in itertools.combinations(chosen, 2):
        if one.segment.id == other.segment.id or same_thing(one.segment, other.segment):
            return False
    for first, relation, second in problem.links:
        if max(first, second) < count and not lies(relation, chosen[first], chosen[second]):
            return False
    for number, options in enumerate(problem.absent, start=count):
        mine = [link for link in problem.links if number in (link[0], link[2])]
        for option in options:
            everyone = {**dict(enumerate(chosen)), number: option}
            is_chosen = any(same_thing(option.segment, one.segment) for one in chosen)
            if not is_chosen and all(
                lies(relation, everyone[a], everyone[b]) for a, relation, b in mine
            ):
                return False
    return True


def lies(relation: str, one: SlotCandidate, other: SlotCandidate) -> bool:
    a, b = one.segment.mask, other.segment.mask
    if relation == "larger than":
        return a.area > b.area
    if relation == "smaller than":
        return b.area > a.area
    return relation in [found.value for found in relations(a, b)]


@settings(max_examples=300, deadline=None)
@given(problems())
def test_the_best_assignment_is_the_one_that_trying_all_finds(problem: SceneProblem) -> None:
    assert assign(problem) == tried_out(problem)


def test_a_second_mask_of_what_was_chosen_is_nothing_that_must_not_be_there() -> None:
    dog, again, other = (segment(number, x0, 0, 10, 10) for number, x0 in ((1, 0), (2, 1), (3, 14)))
    chosen = (SlotCandidate(dog, 0.9, 3.0),)
    assert (
        assign(SceneProblem((chosen,), ((*chosen, SlotCandidate(again, 0.8, 2.0)),), ())) == chosen
    )
    assert assign(SceneProblem((chosen,), ((SlotCandidate(other, 0.8, 2.0),),), ())) is None


def test_relations_are_told_from_the_masks() -> None:
    left, right = segment(1, 0, 0, 4, 4), segment(2, 10, 0, 8, 8)
    assert holds("left of", left.mask, right.mask)
    assert not holds("right of", left.mask, right.mask)
    assert holds("smaller than", left.mask, right.mask)
    assert holds("larger than", right.mask, left.mask)
    assert not holds("larger than", right.mask, right.mask)


DOG, CAT, NOBODY = (
    Slot("dog", (TextTerm("dog"),)),
    Slot("cat", (TextTerm("cat"),)),
    Slot("person", (TextTerm("person"),), absent=True),
)


@pytest.mark.parametrize(
    ("query", "words"),
    [
        (SceneQuery(()), "there"),
        (SceneQuery((NOBODY,)), "there"),
        (SceneQuery((DOG, DOG)), "differ"),
        (SceneQuery((DOG, CAT), (Link("dog", "beside", "cat"),)), "beside"),
        (SceneQuery((DOG, CAT), (Link("dog", "near", "cow"),)), "cow"),
        (SceneQuery((DOG, CAT), (Link("dog", "near", "dog"),)), "two slots"),
        (SceneQuery((DOG, *(Slot(str(n), DOG.terms) for n in range(6)))), "7 slots"),
        (SceneQuery((DOG, CAT), (Link("dog", "near", "cat"),) * 17), "17 relations"),
    ],
)
def test_a_scene_that_cannot_be_meant_is_refused(query: SceneQuery, words: str) -> None:
    with pytest.raises(QueryError, match=words):
        check_scene(query)


def test_a_link_may_be_with_what_must_not_be_there() -> None:
    check_scene(SceneQuery((DOG, NOBODY), (Link("person", "left of", "dog"),)))


def test_many_regions_end_soon() -> None:
    """Six slots, thirty regions each, and links that cannot all hold."""
    everyone = tuple(
        SlotCandidate(segment(number, number % 20, number // 20 * 4, 2, 2), 1.0, 1.0)
        for number in range(1, 31)
    )
    links = tuple((n, "left of", (n + 1) % 6) for n in range(6))
    assert assign(SceneProblem((everyone,) * 6, (), links)) is None
