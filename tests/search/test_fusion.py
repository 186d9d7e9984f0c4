"""Two rankings become one; what captions count is the query's to say."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from typing import Any, Literal

import pytest

from segsearch.core.errors import QueryError
from segsearch.core.query import NOT_WEIGHT, PictureTerm, Prefer, Query, SegmentTerm, TextTerm
from segsearch.search import fusion

BY_VECTOR = [1, 2, 3, 4]
BY_WORDS = {"red": [3, 9, 1], "beach": [9]}


def nearest(k: int) -> fusion.Ranking:
    return [0.9, 0.8, 0.7, 0.6][:k], BY_VECTOR[:k]


def by_words(words: str, k: int, *, without: str) -> fusion.Ranking:
    refused = BY_WORDS.get(without, [])
    found = [one for one in BY_WORDS.get(words, []) if one not in refused][:k]
    return [1.0] * len(found), found


def ordered(captions: Literal["off", "join", "only"], *terms: TextTerm | SegmentTerm) -> list[int]:
    query = Query(terms, captions=captions)
    fusion.check(query)
    if captions == "only":
        return fusion.by_captions(query, by_words)(10)[1]
    return (fusion.joined(query, nearest, by_words) if captions == "join" else nearest)(10)[1]


def naive(rankings: Sequence[Sequence[int]]) -> dict[int, float]:
    ids = {one for ranking in rankings for one in ranking}
    return {
        one: sum(1 / (60 + 1 + r.index(one)) for r in rankings if one in r) for one in sorted(ids)
    }


def test_fusion_equals_the_formula_on_random_rankings() -> None:
    rng = random.Random(3)
    for _ in range(200):
        rankings = [rng.sample(range(30), rng.randrange(12)) for _ in range(rng.randrange(4))]
        scores, ids = fusion.fuse(rankings)
        expected = naive(rankings)
        assert dict(zip(ids, scores, strict=True)) == pytest.approx(expected)
        assert ids == sorted(expected, key=lambda one: (-round(expected[one], 12), one))
        assert scores == sorted(scores, reverse=True)


def test_longer_rankings_change_nothing_before_their_end() -> None:
    rng = random.Random(4)
    for _ in range(50):
        rankings = [rng.sample(range(60), 40) for _ in range(2)]
        answers = [fusion.fuse([r[:k] for r in rankings], depth=8) for k in (8, 16, 40)]
        for (scores, ids), (more, others) in itertools.pairwise(answers):
            assert (others[: len(ids)], more[: len(ids)]) == (ids, scores)
            assert more == sorted(more, reverse=True)
        assert set(answers[-1][1]) == {one for ranking in rankings for one in ranking}


@pytest.mark.parametrize(
    ("captions", "expected"),
    [("off", [1, 2, 3, 4]), ("only", [3, 9, 1]), ("join", [1, 3, 2, 9, 4])],
)
def test_captions_count_as_the_query_says(
    captions: Literal["off", "join", "only"], expected: list[int]
) -> None:
    assert ordered(captions, TextTerm("red")) == expected


def test_unwanted_words_keep_captions_out() -> None:
    terms = (TextTerm("red"), TextTerm("beach", NOT_WEIGHT))
    assert ordered("only", *terms) == [3, 1]
    assert 9 not in ordered("join", *terms)


def test_without_words_a_joined_search_goes_by_vectors() -> None:
    assert ordered("join", SegmentTerm(7)) == BY_VECTOR


@pytest.mark.parametrize(
    "terms",
    [
        (TextTerm("red"), SegmentTerm(7)),
        (PictureTerm(b""),),
        (TextTerm(" "),),
        (TextTerm("red", NOT_WEIGHT), SegmentTerm(7)),
    ],
)
def test_captions_alone_are_found_by_words_alone(
    terms: tuple[TextTerm | SegmentTerm | PictureTerm, ...],
) -> None:
    fusion.check(Query(terms, captions="join"))
    with pytest.raises(QueryError):
        fusion.check(Query(terms, captions="only"))


@pytest.mark.parametrize("query", [{"prefer": Prefer.WHOLE}, {"by_picture": True}])
@pytest.mark.parametrize("captions", ["join", "only"])
def test_captions_know_no_wholes_and_parts(captions: Any, query: dict[str, Any]) -> None:
    with pytest.raises(QueryError, match="wholes"):
        fusion.check(Query((TextTerm("red"),), captions=captions, **query))


def test_a_longer_answer_begins_like_a_shorter_one() -> None:
    rng = random.Random(5)
    many = rng.sample(range(1000), 1000)
    said = rng.sample(range(1000), 300)
    query = Query((TextTerm("red"),), captions="join")

    def all_said(words: str, k: int, *, without: str) -> fusion.Ranking:
        assert (words, without) == ("red", "")
        return [1.0] * k, said[:k]

    order = fusion.joined(query, lambda k: ([0.0] * k, many[:k]), all_said)
    assert order(20)[1][:10] == order(100)[1][:10] == order(fusion.DEPTH)[1][:10]
