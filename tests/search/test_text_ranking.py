"""Where regions that are found by their text stand, and how text is asked for among words."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from segsearch.core.query import Query, TextTerm, WrittenTerm, terms_of_words
from segsearch.core.types import Origin
from segsearch.search import fusion, text_ranking
from tests.support.small_models import Shape, open_small_service, paint
from tests.support.written import write


def test_lifting_equals_the_rule_on_random_rankings() -> None:
    rng = random.Random(11)
    for _ in range(200):
        vector = rng.sample(range(60), rng.randrange(1, 40))
        cosines = {one: round(rng.uniform(-0.2, 0.6), 3) for one in range(60)}
        vector.sort(key=lambda one: -cosines[one])
        text = rng.sample(range(60), rng.randrange(1, 9))
        # What vectors have not ranked scores no higher than what they have.
        floor = cosines[vector[-1]]
        own = {one: cosines[one] if one in vector else floor - 0.1 for one in text}

        def nearest(k: int, vector: list[int] = vector, cosines: dict[int, float] = cosines) -> Any:
            return [cosines[one] for one in vector[:k]], vector[:k]

        scores, ids = text_ranking.lifted(nearest, text, own)(500)
        fused = dict(zip(*reversed(fusion.fuse([vector, text])), strict=True))
        assert [fused[one] for one in ids] == pytest.approx(sorted(fused.values(), reverse=True))
        assert {*ids} == {*vector, *text}
        assert scores == sorted(scores, reverse=True)
        assert [one for one in ids if one not in text] == [one for one in vector if one not in text]
        for place, (score, one) in enumerate(zip(scores, ids, strict=True)):
            following = scores[place + 1 : place + 2]
            expected = max([own[one], *following]) if one in text else cosines[one]
            assert score == expected
        alone = text_ranking.lifted(nearest, text, own, alone=True)(500)
        assert alone[1] == text
        assert alone[0] == sorted(alone[0], reverse=True)


def test_a_longer_lifted_answer_begins_like_a_shorter_one() -> None:
    rng = random.Random(12)
    vector = rng.sample(range(3_000), 2_500)
    text = rng.sample(range(3_000), 300)
    own = {one: 1.0 - vector.index(one) / 2_500 if one in vector else -1.0 for one in text}

    def nearest(k: int) -> tuple[list[float], list[int]]:
        return [1.0 - rank / 2_500 for rank in range(2_500)][:k], vector[:k]

    order = text_ranking.lifted(nearest, text, own)
    for k in (10, 500, 1_000, 1_500, 2_000):
        scores, ids = order(k)
        more, others = order(5_000)
        assert (ids, scores) == (others[:k], more[:k])
    assert len(others) == len({*vector, *text})


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("red umbrella", [TextTerm("red umbrella")]),
        ("context: dog", [TextTerm("context: dog")]),
        ("context:dog", [TextTerm("context:dog")]),
        ("text", [TextTerm("text")]),
        ("text:", [TextTerm("text:")]),
        ("text: dog", [TextTerm("text: dog")]),
        ('text:"" ', [TextTerm('text:"" ')]),
        ("text:!", [TextTerm("text:!")]),
        ("a  text", [TextTerm("a  text")]),
        ("text:exit", [WrittenTerm("exit")]),
        ("Text:exit", [WrittenTerm("exit")]),
        ('text:"24 hours"', [WrittenTerm('"24 hours"')]),
        ("text:“24 hours”", [WrittenTerm('"24 hours"')]),
        ('text:"24 hours', [WrittenTerm('"24 hours')]),
        ("red  text:stair* dog", [TextTerm("red dog"), WrittenTerm("stair*")]),
        ("a -text:sold", [TextTerm("a"), WrittenTerm("sold", -1.0)]),
        ("text:a text:b", [WrittenTerm("a"), WrittenTerm("b")]),
        ("", [TextTerm("")]),
    ],
)
def test_text_is_taken_out_of_words(typed: str, expected: list[Any]) -> None:
    assert list(terms_of_words(typed)) == expected
    away = [replace(term, weight=-0.5) for term in expected]
    assert list(terms_of_words(typed, -0.5)) == away


def test_plain_words_join_fewer_regions_than_words_said_to_be_text() -> None:
    for typed, depth in (("exit", 200), ("exit -text:red", 200), ("red text:exit", 1_000)):
        asked = text_ranking.text_query(Query(terms_of_words(typed)))
        assert asked is not None
        assert text_ranking.depth_of(asked) == depth


def test_that_nothing_was_read_is_said(tmp_path: Path) -> None:
    paint(tmp_path / "pictures" / "a.png", [Shape("red", (5, 5, 55, 50))], size=(120, 90))
    with open_small_service(tmp_path / "library") as made:
        made.index([tmp_path / "pictures"])
        assert "index --read" in (made.search_text("text:exit").message or "")


def test_text_is_a_third_ranking_beside_captions(tmp_path: Path) -> None:
    for name, colour in (("one", "red"), ("two", "blue")):
        paint(tmp_path / "pictures" / f"{name}.png", [Shape(colour, (10, 10, 40, 40))])
    with open_small_service(tmp_path / "library") as made:
        made.index([tmp_path / "pictures"])
        write(made.catalog, {2: [("red", 0)]})
        query = Query((TextTerm("red"),), captions="join")
        plain = made.search(replace(query, written="off")).hits
        assert [hit.image.id for hit in plain] == [1, 2]
        (blue,) = made.catalog.segments_of(2)
        assert made.catalog.add_caption(blue.id, "Not a red thing", Origin("m", "h", "0" * 64))
        first = made.search(query).hits[0]
        assert first.image.id == 2
        assert first.score == pytest.approx(2 / 61 + 1 / 62)
        assert [line.line.text for line in first.lines] == ["red"]
