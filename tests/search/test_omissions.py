"""What an answer leaves out behind a hit is counted: fragments, repeats, near-duplicates."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Picture

from segsearch.core.arrays import Vector
from segsearch.core.query import Prefer, Query, TextTerm
from segsearch.core.types import Folded, Image, State
from segsearch.search.candidates import PREFER_SLACK
from segsearch.search.omissions import Folding, folded
from tests.search.test_engine_contract import opened, same, term
from tests.search.test_ranking import segment
from tests.support.random_library import Picture as RandomPicture
from tests.support.random_library import libraries, vectors
from tests.support.small_models import Shape, open_small_service, paint

FOLDING = Folding(lambda: 0.1, nests=True, alike=True)
THING = (0.9, segment(1, 1, (0, 0, 20, 20)))
PASSED = [
    THING,
    (0.88, segment(2, 1, (0, 0, 20, 19))),  # the same
    (0.85, segment(3, 1, (2, 2, 8, 8))),  # a part
    (0.84, segment(4, 1, (0, 0, 39, 39))),  # what holds it
    (0.83, segment(5, 1, (25, 25, 30, 30))),  # another thing
    (0.70, segment(6, 1, (3, 3, 9, 9))),  # a part that fits much worse
    (0.60, segment(7, 2, (0, 0, 20, 20))),
    (0.55, segment(8, 2, (3, 3, 9, 9))),
    (0.50, segment(9, 3, (0, 0, 20, 20))),
]


def images(near: tuple[int, ...]) -> dict[int, Image]:
    """The first picture with these near-duplicates."""
    picture = Image(1, "0" * 64, 40, 40, "PNG", (), State.DONE, near_duplicates=near)
    return {1: picture}


def test_what_lies_in_a_hit_around_it_or_is_it_counts_where_it_scores_about_as_well() -> None:
    assert folded([THING], images(()), PASSED, FOLDING) == {1: Folded(parts=3)}
    strict = replace(FOLDING, slack=lambda: 0.03)
    assert folded([THING], images(()), PASSED, strict) == {1: Folded(parts=1)}
    repeats = replace(FOLDING, nests=False)
    assert folded([THING], images(()), PASSED, repeats) == {1: Folded(parts=1)}
    barred = replace(FOLDING, barred={2}, newest=3)
    assert folded([THING], images(()), PASSED, barred) == {1: Folded(parts=1)}


def test_a_near_duplicate_counts_once_where_a_region_of_it_was_looked_at() -> None:
    assert folded([THING], images((2, 4)), PASSED, FOLDING) == {1: Folded(3, 1)}
    assert folded([THING], images((2, 3)), PASSED, FOLDING) == {1: Folded(3, 2)}
    shown = replace(FOLDING, alike=False)
    assert folded([THING], images((2, 3)), PASSED, shown) == {1: Folded(3, 0)}
    second = (0.83, PASSED[4][1])
    both = folded([THING, second], images((2,)), PASSED, FOLDING)
    assert both == {1: Folded(3, 1)}, "behind the picture's first region alone"


@settings(max_examples=10, deadline=None)
@given(
    library=libraries(),
    wanted=vectors,
    per_image=st.integers(1, 3),
    by_picture=st.booleans(),
    engine=st.sampled_from(("exact", "faiss")),
)
def test_parts_are_what_a_naive_count_gives(
    library: list[RandomPicture],
    wanted: Vector,
    per_image: int,
    by_picture: bool,
    engine: str,
) -> None:
    query = Query((term(wanted),), limit=40, per_image=per_image, by_picture=by_picture)
    with opened(library, engine) as made:
        answer = made.ask(query)
        scores = made.scores(wanted)
        shown = {hit.segment.id for hit in answer.hits}
        expected: Counter[int] = Counter()
        for other in made.catalog.segments():
            for hit in answer.hits if other.id not in shown else ():
                near = scores[other.id] >= hit.score - PREFER_SLACK
                if hit.image.id == other.image_id and near and same(other, hit.segment):
                    expected[hit.segment.id] += 1
                    break
        assert {hit.segment.id: hit.folded.parts for hit in answer.hits} == {
            number: expected[number] for number in shown
        }


def test_copies_of_a_picture_stand_behind_the_one_that_is_shown(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    ground = Picture.fromarray(rng.integers(60, 100, (9, 12, 3), dtype=np.uint8))
    file = paint(tmp_path / "pictures" / "a.png", [Shape("red", (10, 10, 50, 40))])
    drawn = Picture.open(file).convert("RGB")
    drawn.paste(ground.resize((60, 90)), (60, 0))
    drawn.save(file)
    for quality in (90, 75):
        drawn.save(file.with_name(f"copy-{quality}.jpg"), quality=quality)
    paint(tmp_path / "pictures" / "b.png", [Shape("red", (70, 40, 110, 80), "disc")])
    with open_small_service(tmp_path / "library") as library:
        library.index([tmp_path / "pictures"])
        assert library.status().near_duplicates == 3
        query = Query((TextTerm("red"),), min_relevance=0, prefer=Prefer.THING)
        for asked in (query, replace(query, by_picture=True)):
            hits = library.search(asked).hits
            behind = {hit.image.paths[0].rpartition("/")[2]: hit.folded for hit in hits}
            assert sorted(count.near_duplicates for count in behind.values()) == [0, 2]
            assert behind["b.png"].near_duplicates == 0
        all_shown = library.search(replace(query, near_duplicates=True)).hits
        assert len({hit.image.id for hit in all_shown}) == 4
        assert {hit.folded.near_duplicates for hit in all_shown} == {0}
