"""Regions are put in the order a vision model gives them; whatever it does, none is lost."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from segsearch.core.answers import SearchAnswer
from segsearch.core.errors import EndpointMissingError, QueryError
from segsearch.core.judged_order import judged_order
from segsearch.core.query import Query, SegmentTerm, TextTerm
from segsearch.core.types import Hit
from segsearch.export.rerank import AT_ONCE, Reranked, RerankOptions, query_words, score_in
from segsearch.export.vision_chat import Endpoint
from segsearch.library import SegSearch
from tests.support.captioned import REGIONS, decoded_pictures, texts, truth
from tests.support.vision import (
    CUT,
    DROPPED,
    HANGING,
    ScriptedEndpoint,
    completion,
    endpoint,
    seen,
    told,
    vision_endpoint,
)

COLOUR = "red"  # the words say it
pytestmark = pytest.mark.server
Scores = some.lists(some.none() | some.sampled_from([0.0, 0.1, 0.5, 1.0]), max_size=12)


def unlike(service: SegSearch, **options: Any) -> tuple[Query, SearchAnswer]:
    """A query that says a colour, and whose answer has the regions of that colour last."""
    ids = [number for number, (text,) in truth(service).items() if f" {COLOUR} " not in text]
    terms = (SegmentTerm(ids[0]), TextTerm(COLOUR, 0.01))
    options = {"limit": REGIONS, "min_relevance": 0, "near_duplicates": True, **options}
    query = Query(terms, **options)
    return query, service.search(query)


def run(
    service: SegSearch, server: ScriptedEndpoint, query: Query, answer: SearchAnswer,
    options: RerankOptions | None = None, **named: Any,
) -> Reranked:  # fmt: skip
    return service.questions.rerank(
        query, answer, options or RerankOptions(), endpoint(server, **named)
    )


def is_right(service: SegSearch, hit: Hit) -> bool:
    return f" {COLOUR} " in truth(service)[hit.segment.id][0]


def ids(hits: Sequence[Hit]) -> list[int]:
    return [hit.segment.id for hit in hits]


@given(Scores)
def test_judged_entries_share_out_their_places_and_the_others_keep_theirs(
    scores: list[float | None],
) -> None:
    order = judged_order(scores)
    assert sorted(order) == list(range(len(scores)))  # nothing lost, nothing twice
    for place, score in enumerate(scores):
        assert (order[place] == place) or score is not None
    judged = [(scores[entry], -entry) for entry in order if scores[entry] is not None]
    assert judged == sorted(judged, reverse=True)


@pytest.mark.parametrize(
    ("said", "score"),
    [
        ('{"score": 0.85}', 0.85),
        ('```json\n{"score": 1}\n```', 1.0),
        ('Surely.\n{"Score": "0.4", "why": "{}"}', 0.4),
        ('{"score": 0.2} no, wait: {"score": 0.7}', 0.7),
        ('{"answer": "yes", "score": true}', 1.0),
        ('{"score": 0.9', 0.9),
        ('score: 0.75 because it is red', 0.75),
        ("**Score = 80%**", 0.8),
        ("The score is .5", 0.5),
        ("0.6", 0.6),
        (".6", 0.6),
        (" 0.30. ", 0.3),
        ("90 %", 0.9),
        ("8/10", 0.8),
        ("Yes, that is a red thing.", 1.0),
        ("*No*", 0.0),
        ("false", 0.0),
        ('{"score": 85}', None),
        ('{"score": -0.5}', None),
        ('{"score": NaN}', None),
        ('{"score": Infinity}', None),
        ('{"score": null}', None),
        ('{"score": [1]}', None),
        ('{"score": 1e999}', None),
        (f'{{"score": {"9" * 400}}}', None),
        ("score: 12", None),
        ("3/0", None),
        ("110 %", None),
        ("maybe", None),
        ("notable", None),
        ("I see 2 things, 1 of them red", None),
        ("", None),
        (".", None),
        ("[" * 9_000, None),
        ("{" * 9_000, None),
        ("9" * 9_000, None),
        ("score" * 2_000, None),
    ],
)  # fmt: skip
def test_a_score_is_read_however_it_is_written(said: str, score: float | None) -> None:
    assert score_in(said) == (score if score is None else pytest.approx(score))


@given(some.text(max_size=60) | some.text('score:=.0123456789%/{}"yesno ', max_size=40))
def test_whatever_is_said_is_a_share_or_nothing(said: str) -> None:
    score = score_in(said)
    assert score is None or 0 <= score <= 1


def test_those_come_first_that_the_model_is_surest_of(service: SegSearch) -> None:
    query, answer = unlike(service)
    assert len(answer.hits) == REGIONS
    right = sum(is_right(service, hit) for hit in answer.hits)
    assert right
    assert not any(is_right(service, hit) for hit in answer.hits[:right])
    with vision_endpoint(seconds=0.05) as server:
        result = run(service, server, query, answer)
    hits = result.answer.hits
    assert all(is_right(service, hit) for hit in hits[:right])
    others = [hit for hit in answer.hits if not is_right(service, hit)]
    assert ids(hits[right:]) == ids(others)  # equal ones in their order
    assert [hit.rank for hit in hits] == [hit.rank for hit in answer.hits]
    by_id = {hit.segment.id: hit for hit in answer.hits}
    assert all(hit.score == by_id[hit.segment.id].score for hit in hits)
    assert (result.regions, result.scored, result.requests) == (REGIONS, REGIONS, REGIONS)
    assert (result.changed, result.message) == (True, None)
    assert 1 < server.busiest <= 4
    assert 'show this: "red"?' in told(server.asked[0])
    assert texts(service) == {}


def test_no_more_than_the_first_are_asked_about(service: SegSearch) -> None:
    query, answer = unlike(service)
    with vision_endpoint() as server:
        result = run(service, server, query, answer, RerankOptions(3))
        assert len(server.asked) == 3
        assert ids(result.answer.hits[3:]) == ids(answer.hits[3:])
        assert "Reranking changed nothing." in (result.message or "")
        run(service, server, query, answer, RerankOptions(100))
        assert len(server.asked) == 3 + REGIONS
        one = unlike(service, limit=1)
        alone = run(service, server, *one)
        assert (alone.answer, alone.requests) == (one[1], 0)
        assert len(server.asked) == 3 + REGIONS
    assert "fewer than two" in (alone.message or "")


def test_a_picture_is_decoded_once_and_only_what_is_sent_is_kept(service: SegSearch) -> None:
    query, answer = unlike(service)
    held: list[int] = []
    with decoded_pictures() as decoded, vision_endpoint() as server:
        asked = threading.Barrier(AT_ONCE, lambda: held.append(decoded.in_memory()))

        def say(body: dict[str, Any]) -> str:
            if len(server.asked) <= AT_ONCE:
                asked.wait(60)
            return seen(body)

        server.says = say
        assert run(service, server, query, answer).scored == REGIONS
    assert held == [0]
    assert sorted(decoded.image_ids) == sorted({hit.image.id for hit in answer.hits})


def test_all_who_rerank_have_one_picture_in_memory(service: SegSearch) -> None:
    query, answer = unlike(service)
    with decoded_pictures() as decoded, vision_endpoint() as server, ThreadPoolExecutor(4) as pool:
        runs = [pool.submit(run, service, server, query, answer) for _ in range(4)]
        assert [one.result().scored for one in runs] == [REGIONS] * 4
    assert len(decoded.image_ids) == 4 * len({hit.image.id for hit in answer.hits})
    assert set(decoded.held) == {0}


def test_a_budget_of_requests_holds_lost_answers_included(service: SegSearch) -> None:
    query, answer = unlike(service)
    with vision_endpoint([CUT, DROPPED]) as server:
        result = run(service, server, query, answer, RerankOptions(10, most=5))
    assert (len(server.asked), result.requests) == (5, 5)
    assert result.scored <= 5
    assert sorted(ids(result.answer.hits)) == sorted(ids(answer.hits))
    assert f"judged {result.scored} of 10 regions" in (result.message or "")


def test_time_is_bounded_for_all_of_them_together(service: SegSearch) -> None:
    """The endpoint would keep each connection for 20 seconds, and the run for 50."""
    query, answer = unlike(service)
    with vision_endpoint([HANGING] * REGIONS) as server:
        result = run(service, server, query, answer, RerankOptions(10, seconds=1.0))
        assert len(server.asked) <= 4  # nothing is begun when time is up
    assert (result.answer, result.scored, result.changed) == (answer, 0, False)
    assert "changed nothing" in (result.message or "")
    assert "0 of 10" in (result.message or "")
    assert not [one for one in threading.enumerate() if one.name.startswith("rerank")]


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        ((401, {}), "status 401"),
        ((400, {}), "status 400"),
        ((429, {"Retry-After": "500"}), "500 s"),
        ((302, {"Location": "http://127.0.0.1:1/"}), "status 302"),
        (completion("a nice picture"), "holds no score"),
        (completion("I'm sorry, but I can't help with that."), "holds no score"),
        (completion(""), "empty"),
        (b"<html></html>", "a page"),
        (b"\xff\xfe", "no chat completion"),
    ],
    ids=range(9),
)
def test_an_endpoint_that_says_nothing_useful_changes_nothing(
    service: SegSearch, behaviour: Any, words: str
) -> None:
    query, answer = unlike(service)
    with vision_endpoint([behaviour] * 5 * REGIONS) as server:
        result = run(service, server, query, answer)
        assert result.requests <= REGIONS
    assert (result.answer, result.scored, result.changed) == (answer, 0, False)
    assert words in (result.message or "")


def test_nobody_there_changes_nothing(service: SegSearch) -> None:
    query, answer = unlike(service)
    nobody = Endpoint("http://127.0.0.1:9/v1", "m", pause_seconds=0.01)
    result = service.questions.rerank(query, answer, RerankOptions(), nobody)
    assert (result.answer, result.requests) == (answer, 0)
    assert "nobody answers" in (result.message or "")


def test_one_that_cannot_be_judged_keeps_its_place(service: SegSearch) -> None:
    query, answer = unlike(service)
    with vision_endpoint([completion("hm")]) as server:
        result = run(service, server, query, answer)
    assert result.scored == REGIONS - 1
    order = ids(result.answer.hits)
    assert sorted(order) == sorted(ids(answer.hits))
    assert "judged 9 of 10 regions" in (result.message or "")


def test_a_picture_that_is_gone_keeps_its_regions_where_they_are(service: SegSearch) -> None:
    query, answer = unlike(service)
    gone = answer.hits[0].image
    Path(gone.paths[0]).unlink()
    with vision_endpoint() as server:
        result = run(service, server, query, answer)
    places = {
        hit.segment.id: place for place, hit in enumerate(answer.hits) if hit.image.id == gone.id
    }
    assert {n: ids(result.answer.hits).index(n) for n in places} == places
    assert len(server.asked) == REGIONS - len(places)
    assert result.changed


def test_pictures_move_with_all_their_regions(service: SegSearch) -> None:
    query, answer = unlike(service, by_picture=True, limit=5, per_image=2)
    assert [hit.rank for hit in answer.hits] == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    with vision_endpoint() as server:
        result = run(service, server, query, answer)
    hits = result.answer.hits
    assert [hit.rank for hit in hits] == [hit.rank for hit in answer.hits]
    assert sorted(ids(hits)) == sorted(ids(answer.hits))
    pictures = [hit.image.id for hit in hits]
    assert pictures[::2] == pictures[1::2]
    best = {
        image_id: any(is_right(service, hit) for hit in hits if hit.image.id == image_id)
        for image_id in pictures
    }
    shows = [best[image_id] for image_id in pictures]
    assert shows == sorted(shows, reverse=True)
    assert result.changed


def test_the_words_of_a_query_are_what_it_says() -> None:
    terms = (TextTerm("a red cup"), TextTerm(" "), TextTerm("people\ud83d", -0.5), SegmentTerm(1))
    assert query_words(Query(terms)) == '"a red cup", and not "people?"'
    for wordless in ((SegmentTerm(1),), (TextTerm("red", -1.0), SegmentTerm(1)), (TextTerm(" "),)):
        with pytest.raises(QueryError, match="needs words"):
            query_words(Query(wordless))


@pytest.mark.parametrize(
    "wrong",
    [
        {"first": 0}, {"first": 101}, {"seconds": 0}, {"seconds": float("nan")},
        {"seconds": 601}, {"most": 0},
    ],
    ids=json.dumps,
)  # fmt: skip
def test_bounds_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(QueryError):
        RerankOptions(**wrong)


def test_without_an_endpoint_the_search_is_not_even_made(service: SegSearch) -> None:
    with pytest.raises(EndpointMissingError):
        service.questions.check_rerank(Query((TextTerm("red"),)))
