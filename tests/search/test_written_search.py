"""Words that stand in pictures take part in searches, and change nothing where none do."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from segsearch.core.answers import SceneHit, SearchAnswer
from segsearch.core.errors import QueryError
from segsearch.core.filters import Filters
from segsearch.core.query import (
    ImageTerm,
    Prefer,
    Query,
    SceneQuery,
    SegmentTerm,
    Slot,
    TextTerm,
    WrittenTerm,
    terms_of_words,
)
from segsearch.core.types import Hit
from segsearch.export.scene_documents import SceneDocument
from segsearch.library import SegSearch
from tests.support.query_plans import statements
from tests.support.small_models import NAMES, Shape, open_small_service, paint
from tests.support.written import Placed, write

COLOURS = [name for name in NAMES if name not in ("white", "black")]
# By picture: the first region is the larger shape, the second the smaller one.
TEXTS: dict[int, list[Placed]] = {
    1: [("Fire exit", 1)],
    4: [("open 24", 0), ("hours", 0), ("red door", 1)],
    7: [("EXIT to the red gate", 1), ("exit", 0)],
    9: [("exits and stairs", 0)],
    12: [("exit exit exit and much more besides", 0)],
}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SegSearch]:
    """Sixty pictures of two things each, some with text."""
    folder = tmp_path_factory.mktemp("written")
    for number in range(60):
        large, small = COLOURS[number % 6], COLOURS[(number // 6 + number + 1) % 6]
        shapes = [
            Shape(large, (5, 5, 55 + number % 7, 50 + number % 5)),
            Shape(small, (70, 10, 85 + number % 11, 40)),
        ]
        paint(folder / "pictures" / f"{number:02}.png", shapes, size=(120 + number, 90))
    with open_small_service(folder / "library") as made:
        made.index([folder / "pictures"])
        write(made.catalog, TEXTS)
        yield made


def asked(service: SegSearch, words: str, **options: Any) -> SearchAnswer:
    return service.search(Query(terms_of_words(words), **options))


def pictures(answer: SearchAnswer) -> list[int]:
    return [hit.image.id for hit in answer.hits]


def texts(hit: Hit) -> list[str]:
    """Those of its lines that were asked for."""
    return [line.line.text for line in hit.lines if line.id in hit.found_lines]


# What words that stand in pictures change


def test_pictures_that_show_all_the_words_come_first_and_are_no_chance(service: SegSearch) -> None:
    for words, expected in (
        ("exit", [7, 1, 12]),  # in its order: of equal ones the shorter text
        ("red door", [4]),
        ("fire exit", [1]),
        ('"24 hours"', [4]),
    ):
        answer = asked(service, words, near_duplicates=True, per_image=1)
        first = answer.hits[: len(expected)]
        assert sorted(hit.image.id for hit in first) == sorted(expected)
        assert [hit.relevance for hit in first] == [1.0] * len(expected)
        assert all(texts(hit) for hit in first)
        assert answer.relevance == 1.0


def test_where_vectors_find_nothing_what_the_text_shows_is_the_answer(service: SegSearch) -> None:
    alike: dict[str, Any] = {"near_duplicates": True}
    nothing = asked(service, "exit", written="off", **alike)
    assert nothing.hits == ()
    assert nothing.message is not None
    answer = asked(service, "exit", **alike)
    assert sorted(pictures(answer)) == [1, 7, 7, 12]
    assert answer.relevance == 1.0
    scores = [hit.score for hit in answer.hits]
    assert scores == sorted(scores, reverse=True)
    first = asked(service, "exit", **alike, limit=2)
    second = asked(service, "exit", **alike, limit=2, cursor=first.next_cursor)
    ids = [hit.segment.id for hit in answer.hits]
    assert [hit.segment.id for hit in (*first.hits, *second.hits)] == ids
    assert second.next_cursor is None
    every = asked(service, "exit", min_relevance=0, limit=100, near_duplicates=True)
    assert len(every.hits) > 40


def test_what_vectors_find_keeps_its_score_and_order(service: SegSearch) -> None:
    options: dict[str, Any] = {"limit": 100, "min_relevance": 0, "prefer": Prefer.ANY}
    options |= {"near_duplicates": True, "per_image": 9}
    plain = asked(service, "red", written="off", **options).hits
    joined = asked(service, "red", **options).hits
    lifted = {hit.segment.id for hit in joined if hit.found_lines}
    assert len(lifted) == 2  # "red door", "the red gate"
    known = {hit.segment.id: hit for hit in plain}
    assert {hit.segment.id for hit in joined} == known.keys()
    ours = [hit for hit in joined if hit.segment.id not in lifted]
    assert [h.segment.id for h in ours] == [
        h.segment.id for h in plain if h.segment.id not in lifted
    ]
    for hit in ours:
        before = known[hit.segment.id]
        assert (hit.score, hit.relevance) == (before.score, before.relevance)
    for hit in joined:
        assert hit.score >= known[hit.segment.id].score
    scores = [hit.score for hit in joined]
    assert scores == sorted(scores, reverse=True)


QUERIES: list[dict[str, Any]] = [
    {},
    {"limit": 3, "per_image": 1},
    {"by_picture": True, "limit": 4},
    {"prefer": Prefer.WHOLE},
    {"prefer": Prefer.PART, "by_picture": True},
    {"prefer": Prefer.ANY, "near_duplicates": True, "limit": 60, "min_relevance": 0},
    {"filters": Filters(min_area=0.05), "limit": 5},
    {"filters": Filters(image_ids=(2, 3, 7, 12)), "min_relevance": 0},
    {"like": (3,), "unlike": (6,)},
]


@pytest.mark.parametrize("number", range(len(QUERIES)))
def test_without_a_text_that_shows_all_the_words_an_answer_is_what_it_was(
    service: SegSearch, number: int
) -> None:
    rng = random.Random(number)
    for _ in range(6):
        # No picture shows all of these: `green` and `blue` stand in none.
        words = [rng.choice(("green", "blue")), *rng.sample(("red", "exit", "door", "a"), 2)]
        rng.shuffle(words)
        query = Query((TextTerm(" ".join(words)),), **QUERIES[number])
        for _ in range(3):
            answer, before = service.search(query), service.search(replace(query, written="off"))
            assert answer.hits == before.hits
            assert (answer.relevance, answer.message) == (before.relevance, before.message)
            assert (answer.next_cursor is None) == (before.next_cursor is None)
            if answer.next_cursor is None:
                break
            query = replace(query, cursor=answer.next_cursor)
            # The cursor of the other one differs by the question alone.
            service_query = replace(query, written="off", cursor=before.next_cursor)
            assert service.search(service_query).hits == service.search(query).hits
            break


def test_words_beside_pictures_and_segments_say_what_things_look_like(service: SegSearch) -> None:
    query = Query((TextTerm("exit"), SegmentTerm(5)), min_relevance=0)
    assert service.search(query) == service.search(replace(query, written="off"))


@pytest.mark.parametrize("words", ["exit", "red", "red text:exit", "text:exit", "exit red"])
@pytest.mark.parametrize("by_picture", [False, True])
@pytest.mark.parametrize("prefer", [Prefer.ANY, Prefer.THING, Prefer.WHOLE])
def test_pages_give_each_region_once_in_the_order_of_one_long_answer(
    service: SegSearch, words: str, by_picture: bool, prefer: Prefer
) -> None:
    options: dict[str, Any] = {"min_relevance": 0, "by_picture": by_picture, "prefer": prefer}
    whole = asked(service, words, limit=500, **options)
    query = Query(terms_of_words(words), limit=3, **options)
    seen: list[Hit] = []
    for _ in range(100):
        answer = service.search(query)
        seen += answer.hits
        if answer.next_cursor is None:
            break
        query = replace(query, cursor=answer.next_cursor)
    assert [hit.segment.id for hit in seen] == [hit.segment.id for hit in whole.hits]
    assert [hit.found_lines for hit in seen] == [hit.found_lines for hit in whole.hits]


def test_pages_hold_while_pictures_go(tmp_path: Path) -> None:
    for number in range(12):
        shape = Shape(COLOURS[number % 6], (5, 5, 40 + number, 50))
        paint(tmp_path / "pictures" / f"{number:02}.png", [shape])
    with open_small_service(tmp_path / "library") as made:
        made.index([tmp_path / "pictures"])
        write(made.catalog, {number: [("red wine", 0)] for number in range(1, 13, 2)})
        query = Query((TextTerm("red"),), limit=2, min_relevance=0, near_duplicates=True)
        expected = {hit.segment.id for hit in made.search(replace(query, limit=99)).hits}
        seen: list[int] = []
        gone: set[int] = set()
        for number in range(20):
            answer = made.search(query)
            seen += [hit.segment.id for hit in answer.hits]
            if answer.next_cursor is None:
                break
            query = replace(query, cursor=answer.next_cursor)
            if number < 3:
                going = max(expected - {*seen} - gone)
                gone.add(going)
                made.catalog.remove_images([made.catalog.segment(going).image_id])
        assert len(seen) == len({*seen})
        assert {*seen} == expected - gone


def test_by_picture_the_region_that_shows_the_words_is_among_those_of_its_picture(
    service: SegSearch,
) -> None:
    answer = asked(service, "fire exit", by_picture=True)
    (first, *_) = [hit for hit in answer.hits if hit.rank == 1]
    assert (first.image.id, texts(first)) == (1, ["Fire exit"])
    answer = asked(service, "exit red", by_picture=True, min_relevance=0, limit=3)
    first = answer.hits[0]
    assert (first.image.id, texts(first)) == (7, ["EXIT to the red gate"])
    alone = asked(service, "text:exit", by_picture=True)
    grouped = [(hit.rank, hit.image.id) for hit in alone.hits]
    assert grouped == [(1, 1), (2, 7), (2, 7), (3, 12), (4, 9)]


# Words that are asked for as text


def test_written_words_alone_run_no_model(
    service: SegSearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service._vectors, "_models_of", None)  # a call would fail
    for terms, options in (
        ((WrittenTerm("exit"),), {}),
        ((TextTerm("exit"),), {"written": "only"}),
        ((WrittenTerm("exit"),), {"by_picture": True}),
        ((WrittenTerm("exit"),), {"prefer": Prefer.WHOLE}),
    ):
        answer = service.search(Query(terms, **options))
        assert [hit.score for hit in answer.hits] == [1.0] * 4 + [0.5]
        assert {*pictures(answer)} == {1, 7, 9, 12}
        assert {hit.relevance for hit in answer.hits} == {None}
        assert texts(answer.hits[-1]) == ["exits and stairs"]
    none = asked(service, "text:zebra")
    assert (none.hits, none.message) == ((), "No picture shows enough of these words.")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("text:exit", {1, 7, 9, 12}),
        ('text:"24 hours"', {4}),
        ('text:"fire exit" -text:stairs', {1}),
        ("text:exit -text:fire", {7, 9, 12}),
        ('text:exit -text:fire -text:"much more"', {7, 9}),
        ("text:stair*", {9}),
        ("text:exit text:gate", {7}),
    ],
)
def test_what_must_stand_there_and_what_must_not(
    service: SegSearch, words: str, expected: set[int]
) -> None:
    assert {*pictures(asked(service, words))} >= expected
    first = asked(service, words, limit=len(expected), per_image=1)
    assert {*pictures(first)} == expected


def test_what_must_not_stand_there_keeps_pictures_out_of_any_search(service: SegSearch) -> None:
    options: dict[str, Any] = {"min_relevance": 0, "limit": 500, "near_duplicates": True}
    every = {*pictures(asked(service, "red", **options))}
    left = {*pictures(asked(service, "red -text:exit", **options))}
    assert left == every - {1, 7, 9, 12}
    some = Filters(image_ids=(1, 2, 3))
    assert {*pictures(asked(service, "red -text:exit", filters=some, **options))} == {2, 3}
    like = service.search(Query((ImageTerm(1), WrittenTerm("exit", -1.0)), **options))
    assert not {1, 7, 9, 12} & {*pictures(like)}
    said = service.search(
        Query(
            (TextTerm("red"), WrittenTerm("exit", -1.0)),
            captions="join",
            **{
                **options,
                "near_duplicates": False,
            },
        )
    )
    assert not {1, 7, 9, 12} & {*pictures(said)}


def test_written_words_beside_others_are_joined_by_rank(service: SegSearch) -> None:
    answer = asked(service, "red text:exit", min_relevance=0, limit=5)
    assert {hit.relevance for hit in answer.hits if hit.found_lines} <= {1.0, 0.5}
    assert answer.hits[0].found_lines or answer.hits[0].score > 0.5
    like = service.search(Query((WrittenTerm("24 hours"),), like=(1,), limit=3))
    assert 4 in pictures(like)


@pytest.mark.parametrize(
    "query",
    [
        lambda: Query((WrittenTerm(" "),)),
        lambda: Query((WrittenTerm("..."),)),
        lambda: Query((WrittenTerm("x" * 1_001),)),
        lambda: Query((WrittenTerm("a"), TextTerm("b", -0.5))),
        lambda: Query((TextTerm("a"), SegmentTerm(1)), written="only"),
        lambda: Query((TextTerm("a"),), written="only", like=(1,)),
        lambda: Query((TextTerm("!"),), written="only"),
        lambda: Query((WrittenTerm("a"),), captions="only"),
        lambda: Query((TextTerm("a"),), captions="only", written="only"),
        lambda: Query((WrittenTerm("a", -1.0),)),
    ],
)
def test_what_cannot_be_meant_is_refused(service: SegSearch, query: Any) -> None:
    with pytest.raises(QueryError):
        service.search(query())
    with pytest.raises(QueryError, match="leave out what stands in pictures"):
        service.search(Query((WrittenTerm("a"),), captions="only"))
    with pytest.raises(QueryError, match="only leaves out"):
        service.search(Query((WrittenTerm("a", -1.0),)))
    with pytest.raises(QueryError, match="looks like"):
        Slot("sign", (WrittenTerm("exit"),))


def test_the_regions_of_a_scene_have_their_lines(service: SegSearch) -> None:
    options: dict[str, Any] = {"min_relevance": 0, "filters": Filters(image_ids=tuple(TEXTS))}
    scenes = [
        hit
        for colour in COLOURS
        for hit in service.search_scene(
            SceneQuery((Slot("it", (TextTerm(colour),)),), **options)
        ).hits
    ]
    regions = [region for hit in scenes for region in hit.regions.values()]
    lines = service.catalog.lines_by_segment([hit.segment.id for hit in regions])
    assert lines
    for hit in regions:
        assert list(hit.lines) == lines.get(hit.segment.id, [])
    document = SceneDocument.of(next(hit for hit in scenes if any_lines(hit)))
    said = [line.text for region in document.regions.values() for line in region.lines]
    assert said
    assert {*said} <= {str(text) for placed in TEXTS.values() for text, *_ in placed}


def any_lines(scene: SceneHit) -> bool:
    return any(hit.lines for hit in scene.regions.values())


def test_regions_are_filtered_by_text_and_kind(service: SegSearch) -> None:
    options: dict[str, Any] = {"min_relevance": 0, "limit": 500, "prefer": Prefer.ANY}
    options |= {"near_duplicates": True}

    def regions(**filters: Any) -> set[int]:
        hits = asked(service, "red", filters=Filters(**filters), **options).hits
        return {hit.segment.id for hit in hits}

    with_text = regions(has_text=True)
    lines = [line for image in TEXTS for line in service.catalog.lines_of(image)]
    assert with_text == {line.segment_id for line in lines}
    assert regions(has_text=False) == regions() - with_text
    assert regions(kinds=("thing",)) == regions()
    assert regions(kinds=("text", "cell")) == set()
    with pytest.raises(QueryError):
        Filters(kinds=("letter",))  # type: ignore[arg-type]  # no kind


def test_long_answers_take_as_many_statements_as_short_ones(service: SegSearch) -> None:
    for words in ("red", "text:exit", "red text:exit"):
        counts = []
        for limit in (2, 10):
            options: dict[str, Any] = {"min_relevance": 0, "near_duplicates": True}
            query = Query(terms_of_words(words), limit=limit, **options)
            service.search(query)
            with statements() as sent:
                service.search(query)
            counts.append(len(sent))
        assert counts[0] == counts[1]
