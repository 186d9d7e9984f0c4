"""Queries that cannot be answered are refused when they are made."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from segsearch.core.errors import QueryError
from segsearch.core.query import (
    MAX_TERMS,
    Link,
    Query,
    RegionTerm,
    SceneQuery,
    Slot,
    TextTerm,
    VectorTerm,
)

A = TextTerm("a")


@pytest.mark.parametrize(
    ("build", "sentence"),
    [
        (partial(Query, ()), "The query is empty: give words, a picture or a segment"),
        (partial(Query, (TextTerm("a", -1.0),)), "The query is empty"),
        (partial(Query, (), unlike=(3,)), "The query is empty"),
        (partial(Query, (A,), limit=0), "The limit is 0, expected 1 to 1000."),
        (partial(Query, (A,), limit=-1), "The limit is -1, expected 1 to 1000."),
        (partial(Query, (A,), limit=1001), "The limit is 1001, expected 1 to 1000."),
        (partial(Query, (A,), per_image=0), "The per_image is 0, expected 1 to 1000."),
        (partial(Query, (A,), min_relevance=2), "min_relevance is 2, expected a share from 0 to 1"),
        (partial(Query, (A,), like=(0,)), f"The like is 0, expected 1 to {2**63 - 1}."),
        (partial(Query, (TextTerm("a", 0.0),)), "weight 0, expected a number other than 0."),
        (partial(Query, (A,) * (MAX_TERMS + 1)), "has 33 terms, expected at most 32."),
        (partial(Query, (A,) * MAX_TERMS, unlike=(1,)), "has 33 terms, expected at most 32."),
        (partial(Query, (A,), cursor="x" * 50_001), "The cursor is wrong: String should have at"),
        (partial(TextTerm, "a", float("nan")), "The term's weight is nan, expected a finite"),
        (partial(VectorTerm, (1.0,), float("inf")), "The term's weight is inf, expected a finite"),
        (partial(RegionTerm, 1, ((1.0, float("nan")),)), "The region's points is nan, expected"),
        (partial(RegionTerm, 1, ((1.0, 2.0),) * 65), "points lists 65 values, expected at most 64"),
        (partial(Slot, "a", ()), "The query is empty"),
        (partial(Slot, "", (A,)), "The slot's name holds an empty name."),
        (partial(Slot, "a", (A,), min_score=float("nan")), "The slot's min_score is nan"),
        (partial(SceneQuery, (Slot("a", (A,)),), limit=0), "The limit is 0, expected 1 to 1000."),
    ],
    ids=lambda given: given if isinstance(given, str) else "",
)
def test_what_cannot_be_meant_is_refused_by_a_sentence(build: Any, sentence: str) -> None:
    with pytest.raises(QueryError) as told:
        build()
    assert sentence in str(told.value)


def test_values_are_compared_and_kept_in_sets() -> None:
    query = Query((A, RegionTerm(b"bytes", ((1, 2),))), limit=3)
    assert {query, replace(query, limit=3)} == {query}
    assert query != replace(query, limit=4)
    with pytest.raises(QueryError, match="The limit is 0"):
        replace(query, limit=0)
    scene = SceneQuery((Slot("a", (A,)), Slot("b", (A,))), (Link("a", "left of", "b"),))
    assert hash(scene) == hash(replace(scene))


def test_only_segments_that_were_right_are_a_query_too() -> None:
    assert Query((), like=(3,)).like == (3,)
