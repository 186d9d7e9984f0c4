"""What grows with the library is found by an index: no statement reads a large table whole."""

from __future__ import annotations

import inspect
import itertools
import sqlite3
import tracemalloc
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from segsearch.core.filters import Filters
from segsearch.core.types import FileStamp
from segsearch.export.coco import write_coco
from segsearch.export.documents import write_json_lines
from segsearch.storage.catalog import captions, change_log, files
from segsearch.storage.catalog.sql_catalog import Catalog
from tests.support.catalog_calls import CALLS, ORIGIN, OTHER, WHOLE, store
from tests.support.described import DIMENSION, RECIPE, describe
from tests.support.large_catalog import fill
from tests.support.query_plans import machine_steps, scans, statements
from tests.support.written import write


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    catalog = Catalog(tmp_path / "catalog.sqlite")
    catalog.register_recipe(RECIPE)
    for number in range(6):
        store(catalog, number)
    return catalog


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalog]:
    """200,000 segments of 4,000 pictures."""
    made = fill(tmp_path_factory.mktemp("large") / "catalog.sqlite", 4_000, 50)
    yield made
    made.close()


def test_storing_a_picture_reads_no_table_whole(catalog: Catalog) -> None:
    with scans() as found:
        store(catalog, 100)
    assert found == []


def test_storing_a_picture_takes_as_many_statements_for_fifty_regions_as_for_three(
    catalog: Catalog,
) -> None:
    counts = []
    for number, segments in ((200, 3), (201, 50)):
        with statements() as sent:
            store(catalog, number, segments)
        counts.append(len(sent))
    assert counts[0] == counts[1] < 30


def test_the_near_duplicates_of_an_answer_are_looked_up(catalog: Catalog) -> None:
    with scans() as found:
        alike = catalog.near_duplicates({1, 2, 3})
    assert found == []
    assert alike == {1: {3, 5}, 2: {4, 6}, 3: {1, 5}}


def test_every_call_of_the_catalog_is_tried_or_may_read_everything() -> None:
    public = {
        name
        for name, _ in inspect.getmembers(Catalog, inspect.isfunction)
        if not name.startswith("_")
    }
    assert public - {"close"} - CALLS.keys() == WHOLE.keys()


@pytest.mark.parametrize("name", CALLS)
def test_no_call_reads_a_large_table_whole(name: str, catalog: Catalog) -> None:
    if "text" in name:  # else there is nothing to look for
        write(catalog, {3: [("Open 24 hours", 0)]})
    for collection in ("kept", "gone"):
        catalog.create_collection(collection)
    with scans() as found:
        CALLS[name](catalog)
    assert found == []


def test_opening_reads_no_table_whole(catalog: Catalog) -> None:
    with scans() as found:
        Catalog(catalog.folder / "catalog.sqlite").close()
    assert found == []


def test_a_region_of_128_numbers_takes_a_kilobyte(large: Catalog) -> None:
    overhead = (large.folder / "catalog.sqlite").stat().st_size / 200_000 - 4 * DIMENSION
    assert overhead + 4 * 128 < 1_000


def test_ten_more_pictures_cost_a_large_library_what_they_cost_a_small_one(
    large: Catalog, catalog: Catalog
) -> None:
    assert work(large) < 1.5 * work(catalog)


def work(catalog: Catalog) -> int:
    """How many hundred steps of SQLite's machine it takes to store ten pictures, and to say what
    there is: everything that runs at each commit and each look at the status."""
    with machine_steps() as steps:
        for number in range(400, 410):
            store(catalog, number)
            assert catalog.counts()["segments"]
            assert catalog.statistics()["segments"]
            assert catalog.changes(1, catalog.newest_change() - 3)
    return steps[0]


def test_a_filter_that_few_pictures_pass_reads_nothing_of_the_others(large: Catalog) -> None:
    some = Filters(image_ids=(5, 6, 7), min_width=2)
    with machine_steps(1) as steps:
        assert large.select_segments(1, some).size == 150
    assert steps[0] < 20 * 150


def test_exports_hold_a_few_pictures_at_a_time(large: Catalog, tmp_path: Path) -> None:
    some = range(1, 4_001, 2)
    peaks = []
    for images in (some[:60], some[:240]):
        tracemalloc.start()
        assert write_coco(large.regions(image_ids=images), tmp_path / "coco") == 50 * len(images)
        assert write_json_lines(large.regions(image_ids=images), tmp_path / "lines")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.3 * peaks[0]


def test_regions_of_a_few_pictures_are_read_in_a_few_statements(large: Catalog) -> None:
    with statements() as sent:
        assert len(list(large.regions(image_ids=[5, 3_000, 9_999_999]))) == 100
    assert len(sent) < 10


def test_known_files_are_read_some_at_a_time(
    large: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "PAGE_PATHS", 150)
    known = large.known_files()
    with statements() as sent:
        first = dict(itertools.islice(known, 300))
    assert len([one for one in sent if one.startswith("SELECT")]) == 2
    every = {**first, **dict(known)}
    assert list(every) == sorted(every)
    many = {f"/many/{number}.jpg": FileStamp(1, 1) for number in range(1, 4_001)}
    assert every == {**many, **{path: every[path] for path in every.keys() - many.keys()}}


def test_a_pass_over_one_path_reads_no_other_stamps(large: Catalog) -> None:
    with statements() as sent:
        below = large.stamps_below(["/many/7.jpg", "/elsewhere"])
        at = large.stamps_at(["/many/8.jpg", "/none.jpg"])
    assert below == {"/many/7.jpg": FileStamp(1, 1)}
    assert at == {"/many/8.jpg": FileStamp(1, 1)}
    assert len([one for one in sent if one.startswith("SELECT")]) == 3


def test_a_switch_leaves_the_change_log_and_says_each_image_once(catalog: Catalog) -> None:
    other = catalog.register_recipe(OTHER)
    assert catalog.queue_all(other) == 6
    while claim := catalog.claim(other, "me", 60):
        assert catalog.commit(claim, describe(claim.image_id, 2))
    newest = catalog.newest_change()
    with statements() as sent:
        assert catalog.switch_recipe(other)
    assert catalog.newest_change() == newest
    assert catalog.segment_ids(1).size == 0
    assert catalog.segment_ids(other).size == 12
    assert len(sent) < 15
    assert list(catalog.problems((other, OTHER))) == []


def test_captions_are_carried_over_in_pages(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(captions, "CARRIED_AT_ONCE", 4)
    for segment_id in range(1, 19):
        assert catalog.add_caption(segment_id, f"Number {segment_id}.", ORIGIN)
    other = catalog.register_recipe(OTHER)
    catalog.queue_all(other)
    for number in range(6):
        claim = catalog.claim(other, "me", 60)
        assert claim is not None
        assert catalog.commit(claim, describe(number, 3))
    assert catalog.switch_recipe(other)
    ids = catalog.segment_ids(other).tolist()
    told = {caption.text for some in catalog.captions(ids).values() for caption in some}
    assert told == {f"Number {number}." for number in range(1, 19)}


def test_captions_that_pass_a_filter_are_found_and_no_others_held(catalog: Catalog) -> None:
    for segment_id in range(1, 19):
        text = "a red kite" if segment_id % 2 else "a red kite at sea"
        assert catalog.add_caption(segment_id, text, ORIGIN)
    scores, every = catalog.search_captions("red kite", 99)
    assert len(every) == 18
    allowed = np.array([2, 3, 5, 8, 13], np.int64)
    known = dict(zip(every, scores, strict=True))
    for k in (1, 3, 9):
        expected = [number for number in every if number in {2, 3, 5, 8, 13}][:k]
        found = catalog.search_captions("red kite", k, allowed=allowed)
        assert found == ([known[number] for number in expected], expected)
        without = catalog.search_captions("red kite", k, without="sea", allowed=allowed)
        assert without[1] == [number for number in every if number in {3, 5, 13}][:k]
    assert catalog.search_captions("red", 9, allowed=allowed[:0]) == ([], [])


def test_the_log_is_pruned_and_an_index_that_lies_behind_compares_ids(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = catalog.newest_change()
    monkeypatch.setattr(change_log, "KEPT_CHANGES", 20)
    for number in range(10, 30):
        store(catalog, number)
    catalog.remove_segments([1, 2])
    with closing(sqlite3.connect(catalog.folder / "catalog.sqlite")) as db:
        (kept,) = db.execute("SELECT count(*) FROM change_log").fetchone()
    assert 20 <= kept <= 25
    assert catalog.changes(1, start) is None
    newest = catalog.newest_change()
    assert catalog.changes(1, newest - 10) is not None
    changes = catalog.difference(1, np.arange(1, 19, dtype=np.int64))
    assert changes.seq == newest
    assert changes.removed.tolist() == [1, 2]
    assert changes.added.tolist() == list(range(19, 79))
    assert list(catalog.problems((1, RECIPE))) == []
