"""What the catalog promises about captions: once each, gone with their segment, found by words."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from segsearch.core.arrays import DescribedPicture, DescribedSegment
from segsearch.core.types import Origin, PictureInfo, Proposal, Recipe, Segment
from segsearch.masks.rle import encode, iou
from segsearch.storage.catalog.backend import Place
from segsearch.storage.catalog.captions import CARRIED_IOU
from segsearch.storage.catalog.sql_catalog import Catalog
from tests.storage.test_catalog import STAMP, store, take
from tests.support.described import DIMENSION, RECIPE, describe, unit

ME = Origin("eye-1", "localhost:8001", "0" * 64)
OTHER = Origin("eye-2", "localhost:8001", "0" * 64)
SAID = {1: "A red umbrella on a beach", 2: "A dog on a beach", 3: "A green door"}


# These look into the file, or take statements that SQLite alone has.
IN_A_FILE = pytest.mark.parametrize("place", ["sqlite"], indirect=True)


@pytest.fixture
def catalog(place: Place) -> Iterator[Catalog]:
    made = Catalog(place)
    store(made, "/a", 1, segments=3)
    for segment_id, text in SAID.items():
        assert made.add_caption(segment_id, text, ME)
    yield made
    made.close()


def found(catalog: Catalog, words: str, k: int = 10) -> list[int]:
    return catalog.search_captions(words, k)[1]


def test_a_caption_comes_back_with_where_it_is_from(catalog: Catalog) -> None:
    (caption,) = catalog.captions([1])[1]
    assert (caption.segment_id, caption.text, caption.origin) == (1, SAID[1], ME)
    assert caption.created_at.endswith("+00:00")
    assert set(catalog.captions([2, 3, 99])) == {2, 3}


def test_the_same_model_and_prompt_replace_and_others_add(catalog: Catalog) -> None:
    catalog.add_caption(1, "A parasol", ME)
    assert [caption.text for caption in catalog.captions([1])[1]] == ["A parasol"]
    assert found(catalog, "umbrella") == []
    assert found(catalog, "parasol") == [1]
    catalog.add_caption(1, "An umbrella again", OTHER)
    assert {caption.origin for caption in catalog.captions([1])[1]} == {ME, OTHER}
    assert found(catalog, "umbrella") == [1]
    assert catalog.captioned([1, 2, 3], OTHER) == {1}
    assert catalog.captioned([1, 2], ME) == {1, 2}


def test_a_caption_of_a_segment_that_is_gone_is_not_kept(catalog: Catalog) -> None:
    assert not catalog.add_caption(99, "Nothing", ME)
    assert catalog.captions([99]) == {}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("umbrella", [1]),
        ("UMBRELLAS", [1]),  # word stems, whatever the case
        ("red beach", [1, 2]),  # most of the words first
        ("beach", [2, 1]),  # of equals the shorter caption
        ("a", [3, 2, 1]),  # words that all captions hold count only when there are no others
        ("a zebra", []),
        ("a green zebra", [3]),
        ("", []),
        ("  \n ", []),
    ],
)
def test_the_captions_that_hold_most_of_the_words_come_first(
    catalog: Catalog, words: str, expected: list[int]
) -> None:
    assert found(catalog, words) == expected


def test_scores_are_shares_and_at_most_k_come_back(catalog: Catalog) -> None:
    scores, ids = catalog.search_captions("red beach", 10)
    assert ids == [1, 2]
    assert scores[0] == pytest.approx(1.0)
    assert 0.3 < scores[1] < 1
    assert found(catalog, "beach", 1) == [2]


ODD = [
    '"', '""', "'", "*", "umbrella*", "NEAR", "NEAR(red umbrella, 2)", "red AND", "AND OR NOT",
    "text:red", "{text}: red", "-red", "+red", "^red", "(", ")", "red)", "\\", ";--", "%", "_",
    "😀", "👩‍👩‍👧", "\0", "red\0umbrella", "\ud800", "\u202e", "é̂", "  ", "?", ":m0", "a" * 5000,
    "x " * 5000, "caption_words", "rank", "日本語", "\x1b[0m",
]  # fmt: skip


@pytest.mark.parametrize("words", ODD, ids=range(len(ODD)))
def test_no_odd_character_is_an_operator(catalog: Catalog, words: str) -> None:
    assert len(found(catalog, words)) <= 3
    assert 1 in found(catalog, f"umbrella {words}"[:200] if len(words) > 200 else "umbrella")


def test_operators_are_looked_for_as_words(catalog: Catalog) -> None:
    catalog.add_caption(3, 'A sign that says "NOT near the dog" 😀', ME)
    assert found(catalog, "NOT") == [3]
    assert found(catalog, 'near "dog"')[0] == 3
    assert found(catalog, "umbrella NOT beach")[0] == 1


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(words=st.text(st.characters(), max_size=60))
def test_any_text_is_a_query(catalog: Catalog, words: str) -> None:
    scores, ids = catalog.search_captions(words, 3)
    assert len(scores) == len(ids) <= 3
    assert scores == sorted(scores, reverse=True)


@IN_A_FILE
def test_captions_go_with_their_segments_words_and_all(catalog: Catalog, tmp_path: Path) -> None:
    store(catalog, "/b", 2, segments=1)
    assert catalog.add_caption(4, "A blue umbrella", ME)
    assert found(catalog, "umbrella") == [4, 1]
    assert catalog.remove_images(catalog.find_images(["/a"])) == 1
    assert found(catalog, "umbrella") == [4]
    assert found(catalog, "dog") == []
    assert catalog.captions([1, 2, 3]) == {}
    with closing(sqlite3.connect(tmp_path / "catalog.sqlite")) as db:
        assert db.execute("SELECT count(*) FROM caption_words_docsize").fetchone() == (1,)
        db.execute("INSERT INTO caption_words (caption_words) VALUES ('integrity-check')")


def test_only_captions_of_the_recipe_in_use_are_found(catalog: Catalog) -> None:
    other = Recipe("test", "s@2", "e@1", DIMENSION, {}, {}, {})
    second = catalog.register_recipe(other)
    catalog.queue_all(second)
    assert catalog.commit(take(catalog, second), describe(5, 1))
    assert catalog.add_caption(4, "A red umbrella", ME)
    assert found(catalog, "umbrella") == [1]
    catalog.switch_recipe(second)
    assert found(catalog, "umbrella") == [4]
    assert found(catalog, "dog") == []


@pytest.mark.parametrize("keep_old", [False, True])
@IN_A_FILE
def test_captions_move_to_the_masks_of_a_second_generation_that_match(
    catalog: Catalog, tmp_path: Path, keep_old: bool
) -> None:
    first_said = catalog.captions([1])[1][0]
    second = catalog.register_recipe(Recipe("test", "s@2", "e@1", DIMENSION, {}, {}, {}))
    catalog.queue_all(second)
    assert catalog.commit(take(catalog, second), describe(5, 2))  # the third has no match
    assert catalog.add_caption(5, "A puppy", ME)
    catalog.switch_recipe(second, keep_old=keep_old)
    assert found(catalog, "umbrella") == [4]
    assert catalog.captions([4])[4] == (replace(first_said, segment_id=4),)
    assert [caption.text for caption in catalog.captions([5])[5]] == ["A puppy"]
    assert found(catalog, "door") == []
    with closing(sqlite3.connect(tmp_path / "catalog.sqlite")) as db:
        assert db.execute("SELECT count(*) FROM caption").fetchone() == (5 if keep_old else 2,)
        db.execute("INSERT INTO caption_words (caption_words) VALUES ('integrity-check')")


def squares(rng: np.random.Generator, count: int) -> DescribedPicture:
    """A picture of 40 x 30 pixels with rectangles of about the same size here and there."""
    described = []
    for _ in range(count):
        x, y = (int(value) for value in rng.integers(0, 6, 2))
        window = np.ones(rng.integers(8, 12, 2), dtype=bool)
        window[0, : int(rng.integers(0, 5))] = False
        mask = encode(window, origin=(x, y), size=(30, 40))
        assert mask is not None
        described.append(DescribedSegment(Proposal(mask, 0.9, 0.8), unit(rng), unit(rng)))
    return DescribedPicture(PictureInfo(40, 30, "PNG"), unit(rng), tuple(described))


def test_each_caption_moves_to_the_best_match_of_its_picture_in_one_look(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    second = Recipe("test", "s@2", "e@1", DIMENSION, {}, {}, {})
    looks = []
    for pictures in (8, 24):
        catalog = Catalog(tmp_path / f"{pictures}.sqlite")
        before = [store_as(catalog, RECIPE, n, squares(rng, 5)) for n in range(pictures)]
        told = [segment for segments in before for segment in segments]
        for segment in told:
            assert catalog.add_caption(segment.id, f"said of {segment.id}", ME)
        after = [store_as(catalog, second, n, squares(rng, 9)) for n in range(pictures)]
        recipe_id = catalog.register_recipe(second)
        with counted() as statements:
            assert catalog.switch_recipe(recipe_id, keep_old=True)
        looks.append(len(statements))
        expected: dict[int, str] = {}
        for olds, news in zip(before, after, strict=True):
            for old in olds:
                match = max(news, key=lambda new: iou(new.mask, old.mask))
                if iou(match.mask, old.mask) >= CARRIED_IOU:
                    expected.setdefault(match.id, f"said of {old.id}")
        found = catalog.captions([segment.id for segments in after for segment in segments])
        assert expected
        assert {segment_id: said[0].text for segment_id, said in found.items()} == expected
        catalog.close()
    assert looks[0] == looks[1]


@contextmanager
def counted() -> Iterator[list[str]]:
    """The statements that any engine runs."""
    statements: list[str] = []

    def note(*given: Any) -> None:
        statements.append(given[2])

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)


def store_as(
    catalog: Catalog, recipe: Recipe, number: int, picture: DescribedPicture
) -> list[Segment]:
    """A described picture's segments under a recipe, with the ids they got."""
    recipe_id = catalog.register_recipe(recipe)
    catalog.record_file(f"/{number}", STAMP, f"sha-{number}", recipe_id)
    claim = take(catalog, recipe_id)
    assert catalog.commit(claim, picture)
    ids = catalog.segment_ids(recipe_id)[-len(picture.segments) :].tolist()
    return [
        Segment(segment_id, claim.image_id, told.proposal.mask, 0.9, 0.8)
        for segment_id, told in zip(ids, picture.segments, strict=True)
    ]


@IN_A_FILE
def test_words_that_went_missing_are_found_out_and_entered_again(
    catalog: Catalog, tmp_path: Path
) -> None:
    with closing(sqlite3.connect(tmp_path / "catalog.sqlite")) as db, db:
        db.execute("INSERT INTO caption_words (caption_words) VALUES ('delete-all')")
    assert found(catalog, "dog") == []
    (problem,) = catalog.problems((1, RECIPE))
    assert problem == "The words of 3 rows of caption are missing in caption_words, 0 are of none."
    assert catalog.repair((1, RECIPE)) == ["The words of captions and pictures were entered again."]
    assert list(catalog.problems((1, RECIPE))) == []
    assert found(catalog, "dog") == [2]


@IN_A_FILE
def test_a_backup_holds_the_captions(catalog: Catalog, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "catalog.sqlite")) as db, db:
        db.execute("UPDATE image SET sha256 = ?", ["a" * 64])  # `store` writes what is none
    catalog.backup(tmp_path / "copy")
    catalog.remove_images(catalog.find_images(["/a"]))
    catalog.restore(tmp_path / "copy")
    assert found(catalog, "dog") == [2]
    assert catalog.captions([1])[1][0].text == SAID[1]
