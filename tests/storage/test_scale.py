"""What grows with the library is found by an index: no statement reads a large table whole."""

from __future__ import annotations

import inspect
import itertools
import sqlite3
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segsearch.core.browsing import BrowseOrder
from segsearch.core.filters import Filters
from segsearch.core.text_query import TextQuery
from segsearch.core.types import FileStamp, JobState, Origin, Recipe
from segsearch.export.coco import write_coco
from segsearch.export.documents import write_json_lines
from segsearch.storage.catalog import captions, change_log, files
from segsearch.storage.catalog.files import SeenFile
from segsearch.storage.catalog.sql_catalog import Catalog
from tests.support.described import DIMENSION, RECIPE, describe, read_lines
from tests.support.large_catalog import fill
from tests.support.query_plans import machine_steps, scans, statements
from tests.support.written import write

ORIGIN = Origin("model", "host", "0" * 64)
OTHER = Recipe("other", "s@2", "e@1", DIMENSION, {}, {}, {})


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


def store(catalog: Catalog, number: int, segments: int = 3, lines: Sequence[str] = ()) -> int:
    catalog.record_file(f"/pictures/{number}.jpg", FileStamp(1, 1), f"sha-{number}", 1)
    claim = catalog.claim(1, "me", 60)
    assert claim is not None
    made = describe(number, segments)
    info = replace(made.info, perceptual_hash="0f"[number % 2] * 32)
    text = read_lines(lines, segments) if lines else None
    assert catalog.commit(claim, replace(made, info=info, text=text))
    return claim.image_id


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


# What each public call of the catalog is tried with; every one is here, or the test fails.
CALLS: dict[str, Callable[[Catalog], object]] = {
    "active_recipe": lambda c: c.active_recipe(),
    "register_recipe": lambda c: c.register_recipe(OTHER),
    "generation_under_way": lambda c: c.generation_under_way(),
    "known_files": lambda c: [*c.known_files()],
    "stamps_at": lambda c: c.stamps_at(["/pictures/1.jpg"]),
    "stamps_below": lambda c: c.stamps_below(["/pictures", "/pictures/1.jpg"]),
    "forget_paths": lambda c: c.forget_paths(["/pictures/1.jpg", "/pictures/2.jpg"]),
    "queue_all": lambda c: c.queue_all(1, retry_failed=True),
    "record_file": lambda c: c.record_file("/new.jpg", FileStamp(1, 1), "sha-new", 1),
    "record_files": lambda c: c.record_files([SeenFile("/other.jpg", FileStamp(1, 1), "sha-o")], 1),
    "find_images": lambda c: c.find_images(["/pictures"]),
    "check_path": lambda c: c.check_path("/many/1.jpg"),
    "find_paths": lambda c: c.find_paths(["/pictures", "/Bilder/é"]),
    "states_at": lambda c: c.states_at(["/pictures/1.jpg"], 1),
    "fold_file": lambda c: c.fold_file("/pictures/1.jpg", "/pictures/2.jpg"),
    "missing_paths": lambda c: c.missing_paths(),
    "mark_missing": lambda c: c.mark_missing(["/pictures/3.jpg"]),
    "mark_found": lambda c: c.mark_found(["/pictures/3.jpg"]),
    "excluded_paths": lambda c: c.excluded_paths(),
    "mark_excluded": lambda c: c.mark_excluded(["/pictures/3.jpg"]),
    "waiting": lambda c: c.waiting(1),
    "retry_seconds": lambda c: c.retry_seconds(1),
    "claim": lambda c: c.claim(1, "me", 60),
    "release": lambda c: c.release(1, lambda _: True),
    "commit": lambda c: [store(c, 300), store(c, 301, lines=["Open", "24 hours"])],
    "images": lambda c: [c.images(), c.images(ids=[1, 2]), c.images(after=2, limit=1)],
    "image": lambda c: c.image(3),
    "image_with": lambda c: c.image_with("sha-3"),
    "images_with": lambda c: c.images_with(["sha-3", "sha-4"]),
    "page_paths": lambda c: c.page_paths([3, 4]),
    "digests": lambda c: c.digests([1, 2]),
    "remove_images": lambda c: c.remove_images([2]),
    "counts": lambda c: c.counts(),
    "statistics": lambda c: c.statistics(),
    "segment": lambda c: c.segment(7),
    "segments_of": lambda c: c.segments_of(3),
    "segments_by_image": lambda c: c.segments_by_image([3, 4]),
    "segments": lambda c: c.segments([7, 8]),
    "segment_ids": lambda c: c.segment_ids(1),
    "segment_ids_after": lambda c: c.segment_ids_after(1, 3, 10),
    "segment_tally": lambda c: [c.segment_tally(1), c.segment_tally(1, 1)],
    "newest_segment": lambda c: c.newest_segment(),
    "version": lambda c: c.version(),
    "mark": lambda c: c.mark(),
    "remove_segments": lambda c: c.remove_segments([9]),
    "vectors": lambda c: [*c.vectors(1), *c.vectors(1, np.array([7, 8], np.int64))],
    "picture_vector": lambda c: c.picture_vector(1, 3),
    "select_segments": lambda c: c.select_segments(1, Filters(image_ids=(3, 4))),
    "collections": lambda c: c.collections(),
    "create_collection": lambda c: c.create_collection("new"),
    "collection": lambda c: c.collection("kept"),
    "rename_collection": lambda c: c.rename_collection("kept", "kept"),
    "delete_collection": lambda c: c.delete_collection("gone"),
    "add_to_collection": lambda c: c.add_to_collection("kept", [3]),
    "take_from_collection": lambda c: c.take_from_collection("kept", [3]),
    "image_ids_of": lambda c: c.image_ids_of("kept"),
    "saved_searches": lambda c: c.saved_searches(),
    "save_search": lambda c: c.save_search("kept", "?q=kept"),
    "delete_saved_search": lambda c: c.delete_saved_search(c.save_search("gone", "?").name),
    "tag_images": lambda c: c.tag_images([3], add=["a"], remove=["b"]),
    "add_caption": lambda c: c.add_caption(10, "A red umbrella.", ORIGIN),
    "captions": lambda c: c.captions([10]),
    "captioned": lambda c: c.captioned([10], ORIGIN),
    "search_captions": lambda c: c.search_captions("umbrella", 3),
    "search_text": lambda c: [
        c.search_text(TextQuery(("hours 24", '"hours"'), ("no",), whole), 3, allowed=allowed)
        for whole in (False, True)
        for allowed in (None, np.array([7, 8], np.int64))
    ],
    "segments_with_text": lambda c: c.segments_with_text(["hours"]),
    "reader_of": lambda c: c.reader_of(3),
    "text_of": lambda c: c.text_of(3),
    "begin_job": lambda c: c.begin_job("index", "me", None, []),
    "update_job": lambda c: c.update_job(1, done=1),
    "is_to_stop": lambda c: c.is_to_stop(1),
    "cancel_job": lambda c: c.cancel_job(1),
    "is_paused": lambda c: c.is_paused(),
    "resume": lambda c: c.resume(),
    "retry": lambda c: [c.retry(1), c.retry(1, [1, 2])],
    "holders": lambda c: c.holders(),
    "image_ids_at": lambda c: c.image_ids_at(["/pictures/1.jpg"]),
    "finish_job": lambda c: c.finish_job(1, JobState.DONE),
    "close_lost_jobs": lambda c: c.close_lost_jobs(lambda _: True),
    "jobs": lambda c: c.jobs(),
    "changes": lambda c: c.changes(1, 3),
    "newest_change": lambda c: c.newest_change(),
    "difference": lambda c: c.difference(1, np.array([1], np.int64)),
    "images_near": lambda c: c.images_near("0f" * 16),
    "near_duplicates": lambda c: c.near_duplicates({1, 2}),
    "alike": lambda c: c.alike(0, 10),
    "listed": lambda c: [c.listed(1, order, None, 2) for order in BrowseOrder],
    "listed_among": lambda c: c.listed_among(1, [2, 3]),
    "listed_ids": lambda c: c.listed_ids(1, BrowseOrder.NAME, Filters(image_ids=(3, 4))),
    "done_count": lambda c: c.done_count(1),
    "segment_counts": lambda c: c.segment_counts(1, [2, 3]),
    "images_of": lambda c: c.images_of([7, 8]),
    "change_tags": lambda c: c.change_tags([3], add=["a"], remove=["b"]),
    "begin_generation": lambda c: c.begin_generation(1, keep_old=False),
    "schema": lambda c: c.schema(),
    "identity": lambda c: c.identity(),
    "regions": lambda c: [*c.regions(), *c.regions(["/pictures"]), *c.regions(image_ids=[3])],
    "extend": lambda c: c.extend([held(c, "e")], 60),
    "put_back": lambda c: c.put_back(held(c, "p"), "It fell.", pause_seconds=9, counts="crashes"),
    "quarantine": lambda c: c.quarantine(held(c, "q"), "It fell."),
    "forgive_crash": lambda c: c.forgive_crash(1, [1, 2]),
    "fail": lambda c: c.fail(held(c, "f"), "It is none.", gone=True),
    "queue_reading": lambda c: c.queue_reading(1, "other@1"),
    "commit_text": lambda c: c.commit_text(held_to_read(c), read_lines(["Open 24 hours"], 3)),
    "has_waiting": lambda c: c.has_waiting(1),
    "lines_of": lambda c: c.lines_of(3),
    "pictures_read": lambda c: c.pictures_read(),
    "lines_by_image": lambda c: c.lines_by_image([3, 4]),
    "lines_by_segment": lambda c: c.lines_by_segment([7, 8]),
    "settle_requests": lambda c: c.settle_requests({"key a": 1}, per_second=1.0, most=5.0),
}
# Those that may read everything, and why.
WHOLE = {
    "switch_recipe": "every segment of the recipe before goes",
    "facets": "every picture counts; kept until something is written",
    "problems": "verify",
    "repair": "repair",
    "backup": "all is copied",
    "restore": "all is checked and copied",
    "copy_from": "all is copied and compared",
}


def held(catalog: Catalog, name: str) -> Any:
    catalog.record_file(f"/{name}.jpg", FileStamp(1, 1), f"sha-{name}", 1)
    claim = catalog.claim(1, "me", 60)
    assert claim is not None
    return claim


def held_to_read(catalog: Catalog) -> Any:
    catalog.queue_reading(1, "another@1")
    claim = catalog.claim(1, "me", 60, "read")
    assert claim is not None
    return claim


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
