"""A hit is a thing: what regions' traits count, and near-duplicates, through the whole service."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from segsearch.core.answers import SearchAnswer
from segsearch.core.mix import TRAITS, Mix
from segsearch.core.query import Prefer, Query, SegmentTerm, TextTerm
from segsearch.library import SegSearch
from tests.support.small_models import Shape, open_small_service, paint

SMALL, LARGE, BLUE = (10, 10, 22, 22), (20, 20, 80, 80), (85, 5, 118, 60)
WEIGHT, TIMES_AS_LARGE = -0.5, 25  # small things are wanted here
BY_SIZE = tuple(WEIGHT if name == "log_share" else 0.0 for name in TRAITS)


def boxes(answer: SearchAnswer) -> list[tuple[int, int, int, int]]:
    return [hit.segment.mask.box.as_tuple() for hit in answer.hits]


def opened(folder: Path, mix: Mix) -> SegSearch:
    service = open_small_service(folder / "library", mix=mix)
    service.index([folder / "pictures"])
    return service


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A small red thing alone on its picture, and a large one beside something blue."""
    paint(tmp_path / "pictures" / "a.png", [Shape("red", SMALL)])
    paint(tmp_path / "pictures" / "b.png", [Shape("red", LARGE), Shape("blue", BLUE)])
    return tmp_path


def test_what_was_learnt_of_traits_orders_regions_that_words_find_alike(pictures: Path) -> None:
    with opened(pictures, Mix(0.0, 1.0, 0.0)) as service:
        plain = service.search(Query((TextTerm("red"),), limit=2))
    assert boxes(plain) == [LARGE, SMALL]
    between = plain.hits[0].score - plain.hits[1].score
    worth = -WEIGHT * math.log(TIMES_AS_LARGE)
    with opened(pictures, Mix(0.0, 1.0, 0.0, BY_SIZE, offset=1.0)) as service:
        first, second = service.search(Query((TextTerm("red"),), limit=2)).hits
        assert first.segment.mask.box.as_tuple() == SMALL
        assert first.score - second.score == pytest.approx(worth - between, abs=5e-3)
        wanted = Query((TextTerm("red"),), limit=2, prefer=Prefer.ANY)
        assert boxes(service.search(wanted)) == [LARGE, SMALL], "traits count nothing here"
        alike = Query((SegmentTerm(second.segment.id),), limit=1)
        assert boxes(service.search(alike)) == [LARGE], "nor for what is no word"
        terms = (TextTerm("red"), SegmentTerm(second.segment.id, weight=1 / 3))
        apart = []
        for prefer in (Prefer.THING, Prefer.ANY):
            scores = {
                hit.segment.id: hit.score
                for hit in service.search(Query(terms, limit=2, prefer=prefer)).hits
            }
            apart.append(scores[first.segment.id] - scores[second.segment.id])
        assert apart[0] - apart[1] == pytest.approx(0.75 * worth, abs=5e-3), (
            "words are 3 of 4 parts"
        )


def test_a_library_that_was_indexed_under_another_mix_needs_no_new_masks(pictures: Path) -> None:
    words = Query((TextTerm("red"),), limit=1)
    with opened(pictures, Mix(0.0, 1.0, 0.0)) as service:
        assert boxes(service.search(words)) == [LARGE]
    with open_small_service(pictures / "library", mix=Mix(0.0, 1.0, 0.0, BY_SIZE)) as service:
        assert boxes(service.search(words)) == [SMALL]


def test_near_duplicates_are_shown_once_and_on_request(tmp_path: Path) -> None:
    shapes = [Shape("red", LARGE), Shape("blue", BLUE)]
    folder = tmp_path / "pictures"
    paint(folder / "first.png", shapes)
    paint(folder / "again.jpg", shapes, quality=95)
    paint(folder / "other.png", [Shape("red", (60, 5, 110, 30), "disc"), Shape("green", SMALL)])
    with opened(tmp_path, Mix(0.5, 0.5, 0.0)) as service:
        hits = service.search(Query((TextTerm("red"),), limit=9, per_image=1, min_relevance=0)).hits
        shown = [Path(hit.image.paths[0]).name for hit in hits]
        assert len(shown) == 2
        assert "other.png" in shown
        first = next(hit for hit in hits if hit.segment.mask.box.as_tuple() == LARGE)
        assert len(first.image.near_duplicates) == 1
        every = Query((TextTerm("red"),), limit=9, per_image=1, near_duplicates=True)
        assert len(service.search(every).hits) == 3
        pages = []
        page = Query((TextTerm("red"),), limit=1, per_image=1)
        while True:
            answer = service.search(page)
            pages += [Path(hit.image.paths[0]).name for hit in answer.hits]
            if answer.next_cursor is None:
                break
            page = Query((TextTerm("red"),), limit=1, per_image=1, cursor=answer.next_cursor)
        assert pages == shown, "later pages leave it out, too"
