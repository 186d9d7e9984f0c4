"""A search of videos gives moments: when a thing is there, once, and no video fills a page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from segsearch.core.answers import SearchAnswer
from segsearch.core.errors import QueryError
from segsearch.core.lives import Life, Shot
from segsearch.core.query import AnswerOrder, Link, Query, SceneQuery, SegmentTerm, Slot, TextTerm
from segsearch.core.types import Segment
from segsearch.core.video import Moment
from segsearch.library import SegSearch
from segsearch.search.moments import Appearance, in_order, moments_of
from segsearch.search.ranking import Nearest, Rules, rank
from segsearch.search.shot_facts import ShotFacts
from tests.search.test_ranking import segment
from tests.support.painted_film import Filmed, film, still
from tests.support.query_plans import statements
from tests.support.small_models import Shape, open_small_service, paint

RED = Query((TextTerm("red"),), min_relevance=0, limit=20)
LEFT, RIGHT = (2, 10, 12, 20), (40, 10, 50, 20)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[SegSearch]:
    with open_small_service(tmp_path / "library") as made:
        yield made


def times(answer: SearchAnswer) -> list[tuple[float, float]]:
    lives = [hit.segment.life for hit in answer.hits]
    return [(life.t_start, life.t_end) for life in lives if life is not None]


def appearance(
    rank: int, t_start: float, t_end: float, video_id: int = 1, score: float = 0.4
) -> Appearance:
    return Appearance(rank, video_id, Life(t_start, t_end, (t_start + t_end) / 2), score)


def test_hits_that_lie_at_most_two_seconds_apart_are_one_moment() -> None:
    shown = [
        appearance(1, 10, 12),
        appearance(2, 30, 32),
        appearance(3, 14, 15),
        appearance(4, 6, 8),
        appearance(5, 34.5, 36),
        appearance(6, 15, 16, video_id=2),
    ]
    assert moments_of(shown) == (
        Moment(1, 6, 15, 11, (1, 3, 4)),
        Moment(1, 30, 32, 31, (2,)),
        Moment(1, 34.5, 36, 35.25, (5,)),
        Moment(2, 15, 16, 15.5, (6,)),
    )


def test_what_scores_much_less_is_there_by_the_way() -> None:
    shown = [
        appearance(1, 10, 12, score=0.6),
        appearance(2, 12, 14, score=0.5),
        appearance(3, 14, 20, score=0.3),
        appearance(4, 20, 22, score=0.25),
        appearance(5, 4, 10, score=-0.1),
    ]
    moments = moments_of(shown)
    assert [moment.ranks for moment in moments] == [(1, 2), (3, 4), (5,)]
    assert (moments[0].t_start, moments[0].t_end) == (10, 14)


def test_what_another_hit_goes_on_in_is_no_part_of_a_moment() -> None:
    shown = [
        appearance(1, 10, 12),
        replace(appearance(1, 12, 14), goes_on=True),
        appearance(2, 11, 13),
        replace(appearance(2, 14, 20), goes_on=True),
        appearance(3, 40, 42),
        replace(appearance(3, 42, 44), goes_on=True),
    ]
    assert [(one.t_start, one.t_end, one.ranks) for one in moments_of(shown)] == [
        (10, 14, (1, 2)),
        (40, 44, (3,)),
    ]


def test_a_long_moment_covers_what_begins_after_a_short_one_in_it() -> None:
    shown = [appearance(1, 0, 100), appearance(2, 5, 6), appearance(3, 90, 95)]
    assert moments_of(shown) == (Moment(1, 0, 100, 50, (1, 2, 3)),)
    assert moments_of([]) == ()


def test_a_hit_of_a_video_says_when_it_is_there_and_the_answer_its_moments(
    service: SegSearch,
) -> None:
    film(
        service,
        "/v/a.mp4",
        (0, 10, 20, 40),
        [[still("red", 1, 6)], [still("blue", 11, 19)], [still("red", 30, 38)]],
    )
    answer = service.search(RED)
    assert times(answer)[:2] == [(1, 6), (30, 38)]
    assert [hit.image.shot.t_start for hit in answer.hits[:2] if hit.image.shot] == [0, 20]
    first = answer.moments[0]
    assert (first.t_start, first.t_end, first.best_seconds, first.ranks) == (1, 6, 3.5, (1,))
    assert {moment.video_id for moment in answer.moments} == {1}


def test_a_thing_that_goes_on_in_the_next_shot_is_one_hit(service: SegSearch) -> None:
    film(
        service,
        "/v/a.mp4",
        (0, 10, 20, 30),
        [[still("red", 5, 10)], [still("red", 11, 20)], [still("red", 25, 30)]],
    )
    answer = service.search(RED)
    assert times(answer) == [(5, 10), (25, 30)], "the second follows the first by a second"
    assert [hit.folded.moments for hit in answer.hits] == [1, 0]
    assert [(one.t_start, one.t_end) for one in answer.moments] == [(5, 20), (25, 30)]
    every = service.search(replace(RED, near_duplicates=True))
    assert times(every) == [(5, 10), (11, 20), (25, 30)]
    assert [(one.t_start, one.t_end) for one in every.moments] == [(5, 20), (25, 30)]
    assert {hit.folded.moments for hit in every.hits} == {0}


def test_two_things_that_look_alike_at_one_time_are_two_hits(service: SegSearch) -> None:
    both = [
        Filmed("red", 0, 9, {2: LEFT, 5: LEFT}),
        Filmed("red", 0, 9, {2: RIGHT, 5: RIGHT}),
        Filmed("red", 1, 9, {5: RIGHT}),  # the second once more
    ]
    film(service, "/v/a.mp4", (0, 10), [both])
    answer = service.search(RED)
    assert times(answer) == [(0, 9), (0, 9)]
    assert sorted(hit.folded.parts for hit in answer.hits) == [0, 1]


def test_things_in_one_place_at_different_times_are_different_things(service: SegSearch) -> None:
    crossing = [
        Filmed("red", 0, 9, {2: LEFT, 5: RIGHT}),
        Filmed("red", 0, 9, {2: RIGHT, 5: LEFT}),
    ]
    film(service, "/v/a.mp4", (0, 10), [crossing])
    assert len(service.search(RED).hits) == 2


def test_one_video_gives_at_most_its_share_of_a_page(service: SegSearch, tmp_path: Path) -> None:
    cuts = tuple(range(0, 70, 10))
    film(service, "/v/a.mp4", cuts, [[still("red", at + 4, at + 6)] for at in cuts[:-1]])
    film(service, "/v/b.mp4", (0, 10), [[still("red", 4, 6)]])
    paint(tmp_path / "pictures" / "c.png", [Shape("red", (10, 10, 40, 40))])
    service.index([tmp_path / "pictures"])

    def videos(query: Query) -> list[int | None]:
        shots = [hit.image.shot for hit in service.search(query).hits]
        return [shot.video_id if shot else None for shot in shots]

    assert sorted(videos(RED), key=str) == [1, 1, 1, 2, None]
    assert len(videos(replace(RED, per_video=1))) == 3
    assert len(videos(replace(RED, per_video=None))) == 8
    pages: list[int | None] = []
    query = replace(RED, limit=2)
    for _ in range(4):
        answer = service.search(query)
        pages += [hit.image.shot.video_id if hit.image.shot else None for hit in answer.hits]
        if answer.next_cursor is None:
            break
        query = replace(query, cursor=answer.next_cursor)
    assert sorted(pages, key=str) == [1, 1, 1, 2, None], "of all pages together"
    for grouped in (replace(RED, by_picture=True), replace(RED, by_picture=True, limit=2)):
        assert len({hit.image.id for hit in service.search(grouped).hits}) == min(5, grouped.limit)


def test_a_long_video_is_passed_by_once_it_has_its_share() -> None:
    whole = (0, 0, 40, 40)
    life = Life(0, 9, 5)
    of_long = [replace(segment(number, number, whole), life=life) for number in range(1, 9_000)]
    others = [replace(segment(10_000 + at, 10_000 + at, whole), life=life) for at in range(3)]
    segments = {one.id: one for one in (*of_long, *others)}
    footage = ShotFacts(lambda ids: {one: Shot(int(one >= 10_000), 0, 9, 5) for one in ids})
    asked: list[int] = []

    def best(k: int, some: list[Segment]) -> tuple[list[float], list[int]]:
        asked.append(min(k, len(some)))
        return [1 - one.id / 20_000 for one in some[:k]], [one.id for one in some[:k]]

    def without(videos: Sequence[int]) -> Nearest:
        assert list(videos) == [0]
        return lambda k: best(k, others)

    ranked, _ = rank(
        lambda k: best(k, [*of_long, *others]),
        lambda ids: {number: segments[number] for number in ids},
        5,
        Rules(3, per_video=3, footage=footage),
        without=without,
    )
    assert [one.id for _, one in ranked] == [1, 2, 3, 10_000, 10_001]
    assert sum(asked) < len(segments)


def test_an_answer_by_video_keeps_the_regions_of_a_video_together(
    service: SegSearch, tmp_path: Path
) -> None:
    film(
        service,
        "/v/a.mp4",
        (0, 10, 20),
        [[still("red", 7, 8), still("red blue", 1, 2, RIGHT)], [still("red", 15, 18)]],
    )
    film(service, "/v/b.mp4", (0, 10), [[still("red blue", 4, 6)]])
    paint(tmp_path / "pictures" / "c.png", [Shape("red", (10, 10, 40, 40))])
    service.index([tmp_path / "pictures"])
    query = replace(RED, by_video=True)
    answer = service.search(query)
    groups: dict[int, list[int]] = {}
    for hit in answer.hits:
        groups.setdefault(hit.rank, []).append(hit.image.shot.video_id if hit.image.shot else 0)
    assert sorted(groups.values()) == [[0], [1, 1, 1], [2]]
    assert list(groups) == [1, 2, 3]
    assert {len({moment.ranks for moment in answer.moments}), len(answer.moments)} == {2, 4}
    first = service.search(replace(query, limit=2))
    assert first.next_cursor is not None
    second = service.search(replace(query, limit=2, cursor=first.next_cursor))
    assert [hit.segment.id for hit in (*first.hits, *second.hits)] == [
        hit.segment.id for hit in answer.hits
    ]
    in_time = service.search(replace(query, order=AnswerOrder.FIRST))
    of_first = [hit.segment.life for hit in in_time.hits if hit.image.paths[0].startswith("/v/a")]
    assert [life.t_start for life in of_first if life] == [1, 7, 15]
    with pytest.raises(QueryError, match="one of them"):
        replace(query, by_picture=True)


def test_what_is_of_pictures_stands_behind_what_has_a_time() -> None:
    whole = (0, 0, 40, 40)
    picture, other = segment(1, 1, whole), segment(2, 2, whole)
    late, early, in_second = (
        replace(segment(number, image_id, whole), life=life)
        for number, image_id, life in (
            (3, 3, Life(8, 9, 8.5)),
            (4, 4, Life(1, 3, 2)),
            (5, 5, Life(0, 7, 2)),
        )
    )
    videos = {3: Shot(1, 5, 10, 7), 4: Shot(1, 0, 5, 2), 5: Shot(2, 0, 9, 4)}
    footage = ShotFacts(lambda ids: {number: videos[number] for number in ids})
    footage.look_up([late, early, in_second])
    ranked = [(0.9, picture), (0.8, late), (0.7, in_second), (0.6, early), (0.5, other)]

    def ids(order: AnswerOrder) -> list[int]:
        return [one.id for _, one in in_order(order, ranked, footage)]

    assert ids(AnswerOrder.RELEVANCE) == [1, 3, 5, 4, 2]
    assert ids(AnswerOrder.FIRST) == [4, 3, 5, 1, 2]
    assert ids(AnswerOrder.LONGEST) == [5, 4, 3, 1, 2]


def test_an_answer_can_be_put_in_the_order_of_time(service: SegSearch) -> None:
    film(
        service,
        "/v/a.mp4",
        (0, 10, 20, 30, 40, 50),
        [
            [still("red blue", 1, 3)],
            [still("red", 14, 16)],
            [still("red", 22, 29)],
            [still("red", 30.5, 33)],
            [still("red", 44, 45)],
        ],
    )
    film(service, "/v/b.mp4", (0, 10), [[still("red", 2, 8)]])
    first = service.search(replace(RED, order=AnswerOrder.FIRST))
    assert times(first) == [(14, 16), (22, 29), (44, 45), (2, 8)]  # 30.5 goes on from 22
    assert [hit.rank for hit in first.hits] == [1, 2, 3, 4]
    longest = service.search(replace(RED, order=AnswerOrder.LONGEST))
    assert times(longest) == [(22, 29), (2, 8), (14, 16), (44, 45)]
    few = service.search(replace(RED, order=AnswerOrder.FIRST, limit=1))
    assert (times(few), few.next_cursor) == ([(14, 16)], None)


def test_a_stored_thing_of_a_video_finds_others_than_itself(
    service: SegSearch, tmp_path: Path
) -> None:
    paint(tmp_path / "pictures" / "c.png", [Shape("red", (10, 10, 40, 40))])
    service.index([tmp_path / "pictures"])
    shots = film(
        service,
        "/v/a.mp4",
        (0, 10, 20),
        [
            [Filmed("red", 0, 9, {5: LEFT}), Filmed("red", 0, 9, {5: RIGHT})],
            [still("red", 15, 18)],
        ],
    )
    track, other = service.catalog.segments_of(shots[0])
    query = Query((SegmentTerm(track.id),), limit=20)
    ids = [hit.segment.id for hit in service.search(query).hits]
    assert track.id not in ids
    assert other.id in ids
    elsewhere = service.search(replace(query, elsewhere=True)).hits
    assert {hit.image.id for hit in elsewhere}.isdisjoint({shots[0]})
    assert {hit.image.id for hit in elsewhere} >= {shots[1]}
    picture = next(hit for hit in elsewhere if hit.image.shot is None)
    of_picture = replace(query, terms=(SegmentTerm(picture.segment.id),), elsewhere=True)
    assert picture.segment.id in {hit.segment.id for hit in service.search(of_picture).hits}


def scene(*links: Link, absent: str | None = None) -> SceneQuery:
    slots = [Slot("red", terms=(TextTerm("red"),), min_score=0.5)]
    slots.append(Slot("blue", terms=(TextTerm("blue"),), min_score=0.5))
    if absent:
        slots.append(Slot(absent, terms=(TextTerm(absent),), absent=True, min_score=0.5))
    return SceneQuery(tuple(slots), links, min_relevance=0)


def test_the_things_of_a_scene_must_lie_so_at_one_moment(service: SegSearch) -> None:
    shots = film(
        service,
        "/v/a.mp4",
        (0, 10, 20, 30),
        [
            [  # red passes by blue
                Filmed("red", 0, 9, {2: LEFT, 5: LEFT, 8: RIGHT}),
                Filmed("blue", 1, 10, {2: (20, 10, 30, 20), 5: (20, 10, 30, 20), 8: LEFT}),
                Filmed("green", 0, 3, {2: (0, 30, 8, 38)}),
            ],
            [Filmed("red", 10, 12, {11: LEFT}), Filmed("blue", 15, 19, {17: RIGHT})],
            [Filmed("red", 20, 28, {22: RIGHT}), Filmed("blue", 20, 28, {22: LEFT})],
        ],
    )
    left = service.search_scene(scene(Link("red", "left of", "blue")))
    assert [(hit.image.id, hit.seconds) for hit in left.hits] == [(shots[0], 2)]
    red = left.hits[0].regions["red"].segment
    assert red.mask.box.as_tuple() == LEFT
    assert red.life == Life(0, 9, 2)
    assert [(one.t_start, one.t_end, one.ranks) for one in left.moments] == [(1, 9, (1,))]
    right = service.search_scene(scene(Link("red", "right of", "blue")))
    assert {(hit.image.id, hit.seconds) for hit in right.hits} == {(shots[0], 8), (shots[2], 22)}
    box = right.hits[0].regions["red"].segment.mask.box
    assert box.as_tuple() == RIGHT, "as it lies at that moment"
    both = service.search_scene(scene())
    assert {hit.image.id for hit in both.hits} == {shots[0], shots[2]}, "never at once in another"
    without = service.search_scene(scene(Link("red", "left of", "blue"), absent="green"))
    assert [(hit.image.id, hit.seconds) for hit in without.hits] == [(shots[0], 5)]


def test_one_video_gives_at_most_its_share_of_scenes(service: SegSearch) -> None:
    cuts = tuple(range(0, 60, 10))
    things = [
        [Filmed("red", at, at + 9, {at + 5: LEFT}), Filmed("blue", at, at + 9, {at + 5: RIGHT})]
        for at in cuts[:-1]
    ]
    film(service, "/v/a.mp4", cuts, things)
    film(service, "/v/b.mp4", (0, 10), things[:1])
    asked = scene()
    videos = [hit.image.shot.video_id for hit in service.search_scene(asked).hits if hit.image.shot]
    assert sorted(videos) == [1, 1, 1, 2]
    assert len(service.search_scene(replace(asked, per_video=1)).hits) == 2
    assert len(service.search_scene(replace(asked, per_video=None)).hits) == 6


def test_pictures_are_found_as_if_no_video_were_there(service: SegSearch, tmp_path: Path) -> None:
    for number in range(14):
        shapes = [Shape("red", (5 + number, 5, 40, 40)), Shape("blue", (60, 10, 90, 70))]
        paint(tmp_path / "pictures" / f"{number}.png", shapes)
    service.index([tmp_path / "pictures"])
    # So few that no region of the video is looked at.
    query = Query((TextTerm("blue"),), min_relevance=0, limit=1, near_duplicates=True)

    def asked() -> tuple[SearchAnswer, int]:
        service.search(query)
        with statements() as sent:
            answer = service.search(query)
        return answer, len(sent)

    before = asked()
    film(service, "/v/a.mp4", (0, 10), [[still("green", 4, 6)]])
    after = asked()
    assert after[0].hits == before[0].hits
    assert after[0].moments == ()
    assert after[1] == before[1]
