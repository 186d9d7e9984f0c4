"""Pages without a query: what they hold, and what they cost a large library."""

from __future__ import annotations

import base64
import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from segsearch.core.browsing import BrowseOrder, BrowsePage, BrowseQuery, Facets
from segsearch.core.errors import NotFoundError, QueryError
from segsearch.core.filters import Filters
from segsearch.core.types import JobState
from segsearch.search.browse import Browser
from segsearch.storage.catalog import near_duplicates, recent
from segsearch.storage.catalog.recent import Recent
from segsearch.storage.catalog.sql_catalog import Catalog
from tests.storage.test_listing import UPLOAD, store
from tests.support.described import RECIPE
from tests.support.large_catalog import fill
from tests.support.query_plans import machine_steps, statements


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalog]:
    """200,000 segments of 4,000 pictures."""
    made = fill(tmp_path_factory.mktemp("large") / "catalog.sqlite", 4_000, 50)
    yield made
    made.close()


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    """Seven pictures with three regions each: four months, two of one day."""
    made = Catalog(tmp_path / "catalog.sqlite")
    made.register_recipe(RECIPE)
    days = (3, 1, 2, 1, 4, 5, 5)
    for number, day in enumerate(days, 1):
        path = f"/trip/{'beach' if number < 5 else 'hills'}/{9 - number}.jpg"
        store(made, path, number, taken_at=datetime(2024, day, 1, 12))
    made.create_collection("kept")
    made.add_to_collection("kept", [2, 4, 6])
    made.tag_images([1, 2, 3], add=["sea"])
    yield made
    made.close()


def pages(browser: Browser, query: BrowseQuery) -> list[BrowsePage]:
    found = [browser.page(query)]
    while found[-1].next_cursor is not None:
        found.append(browser.page(replace(query, cursor=found[-1].next_cursor)))
    return found


def ids(found: list[BrowsePage]) -> list[int]:
    return [picture.image.id for page in found for picture in page.pictures]


ORDERS = {
    BrowseOrder.NEWEST: [7, 6, 5, 1, 3, 4, 2],
    BrowseOrder.OLDEST: [2, 4, 3, 1, 5, 6, 7],
    BrowseOrder.ADDED: [7, 6, 5, 4, 3, 2, 1],
    BrowseOrder.NAME: [7, 6, 5, 4, 3, 2, 1],
}


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 8])
@pytest.mark.parametrize("order", BrowseOrder)
def test_pages_hold_each_picture_once_and_in_order(
    order: BrowseOrder, limit: int, catalog: Catalog
) -> None:
    browser = Browser(catalog)
    found = pages(browser, BrowseQuery(order=order, limit=limit))
    assert ids(found) == ORDERS[order]
    assert {page.total for page in found} == {7}
    assert len(found) == -(-7 // limit)
    assert {picture.segments for page in found for picture in page.pictures} == {3}
    some = BrowseQuery(order=order, limit=limit, filters=Filters(collections=("Kept",)))
    found = pages(browser, some)
    assert ids(found) == [number for number in ORDERS[order] if number in {2, 4, 6}]
    assert {page.total for page in found} == {3}


@pytest.mark.parametrize("order", BrowseOrder)
def test_an_offset_passes_over_pictures_from_the_cursor_on(
    order: BrowseOrder, catalog: Catalog
) -> None:
    browser = Browser(catalog)
    for filters, chosen in ((Filters(), {*range(1, 8)}), (Filters(tags=("sea",)), {1, 2, 3})):
        expected = [number for number in ORDERS[order] if number in chosen]
        whole = BrowseQuery(order=order, limit=1, filters=filters)
        for offset in range(len(expected)):
            assert ids(pages(browser, replace(whole, limit=9, offset=offset))) == expected[offset:]
        first = browser.page(whole)
        later = browser.page(replace(whole, cursor=first.next_cursor, offset=1))
        assert ids([later]) == expected[2:3]
        assert later.total == len(expected)
        past = browser.page(replace(whole, offset=99))
        assert (past.pictures, past.total, past.next_cursor) == ((), len(expected), None)


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (Filters(tags=("SEA",), albums=("beach",)), [1, 2, 3]),
        (Filters(no_tags=("sea",)), [4, 5, 6, 7]),
        (Filters(taken_after=datetime(2024, 4, 1)), [5, 6, 7]),
        (Filters(segment_ids=(4, 8, 9)), [2, 3]),
        (Filters(min_area=0.9), []),
        (Filters(places=("top left",), image_ids=(3, 5)), [3, 5]),
        (Filters(min_predicted_iou=0.9), [1, 2, 3, 4, 5, 6, 7]),
    ],
)
def test_what_is_said_of_regions_one_of_them_has_to_fulfil(
    filters: Filters, expected: list[int], catalog: Catalog
) -> None:
    page = Browser(catalog).page(BrowseQuery(filters=filters))
    assert sorted(ids([page])) == expected
    assert page.total == len(expected)


def test_a_page_goes_on_though_its_last_picture_is_gone(catalog: Catalog) -> None:
    browser = Browser(catalog)
    for filters in (Filters(), Filters(no_tags=("sea",), collections=("kept",))):
        query = BrowseQuery(filters=filters, limit=1)
        first = browser.page(query)
        expected = ids(pages(browser, replace(query, limit=9)))
        catalog.remove_images(ids([first]))
        second = replace(query, cursor=first.next_cursor)
        assert ids(pages(browser, second)) == expected[1:]
        assert browser.page(second).total == len(expected) - 1


def test_new_pictures_do_not_disturb_what_follows(catalog: Catalog) -> None:
    browser = Browser(catalog)
    query = BrowseQuery(limit=3)
    first = browser.page(query)
    store(catalog, "/trip/new.jpg", 8, taken_at=datetime(2024, 12, 1))
    later = ids(pages(browser, replace(query, cursor=first.next_cursor)))
    assert ids([first]) + later == ORDERS[BrowseOrder.NEWEST]
    assert ids([browser.page(query)])[0] == 8


@pytest.mark.parametrize(
    "cursor", ["", "none", "bm9uZQ==", "W10=", "WyJhIiwgMSwgLTFd", "\u00e9", "WzEsMiwzXQ=="]
)
def test_what_is_no_cursor_is_refused(cursor: str, catalog: Catalog) -> None:
    with pytest.raises(QueryError, match="cursor"):
        Browser(catalog).page(BrowseQuery(cursor=cursor))


@pytest.mark.parametrize("number", ["1e400", "Infinity", "NaN", "true", "1.5", '"7"', "-1", "null"])
def test_a_cursor_whose_id_is_none_is_refused(number: str, catalog: Catalog) -> None:
    browser = Browser(catalog)
    cursor = browser.page(BrowseQuery(limit=1)).next_cursor
    assert cursor is not None
    text = base64.urlsafe_b64decode(cursor).decode()
    assert text.endswith(",7]")
    wrong = base64.urlsafe_b64encode(text.replace(",7]", f",{number}]").encode()).decode()
    with pytest.raises(QueryError, match="cursor is none"):
        browser.page(BrowseQuery(cursor=wrong))


@pytest.mark.parametrize("letter", ["a", "\u2602", "\U0001f3d6"])
def test_names_of_any_length_are_paged_through(letter: str, tmp_path: Path) -> None:
    made = Catalog(tmp_path / "catalog.sqlite")
    made.register_recipe(RECIPE)
    lengths = (299, 300, 301, 302, 3000, 3000, 3001)
    for number, length in enumerate(reversed(lengths), 1):
        store(made, f"s3://bucket/{number}/{letter * length}", number)
    browser = Browser(made)
    query = BrowseQuery(order=BrowseOrder.NAME, limit=1)
    found = pages(browser, query)
    assert ids(found) == [7, 6, 5, 4, 2, 3, 1]
    assert max(len(page.next_cursor or "") for page in found) <= 5_000
    made.remove_images([4])  # what comes after it is there still
    rest = pages(browser, replace(query, cursor=found[3].next_cursor))
    assert {2, 3, 1} <= {*ids(rest)}
    made.close()


def test_a_cursor_belongs_to_its_query(catalog: Catalog) -> None:
    browser = Browser(catalog)
    cursor = browser.page(BrowseQuery(limit=1)).next_cursor
    for other in (
        BrowseQuery(cursor=cursor, order=BrowseOrder.NAME),
        BrowseQuery(cursor=cursor, filters=Filters(tags=("sea",))),
    ):
        with pytest.raises(QueryError, match="another query"):
            browser.page(other)
    assert browser.page(BrowseQuery(cursor=cursor, limit=5)).pictures
    with pytest.raises(NotFoundError):
        browser.page(BrowseQuery(filters=Filters(collections=("none",))))


def test_facets_count_pictures(catalog: Catalog, tmp_path: Path) -> None:
    store(catalog, UPLOAD, 9, taken_at=datetime(2024, 5, 9))
    catalog.record_file("/trip/hills/copy.jpg", dict(catalog.known_files())[UPLOAD], f"{7:064x}", 1)
    catalog.record_file("/waits/1.jpg", dict(catalog.known_files())[UPLOAD], "f" * 64, 1)
    browser = Browser(catalog)
    months = (("2024-05", 3), ("2024-04", 1), ("2024-03", 1), ("2024-02", 1), ("2024-01", 2))
    expected = Facets(
        albums=(("beach", 4), ("hills", 3)),
        tags=(("sea", 3),),
        collections=(("kept", 3),),
        formats=(("PNG", 8),),
        months=months,
    )
    assert browser.facets() == expected
    with statements() as sent:
        assert browser.facets() == expected
    assert sent == []
    job_id = catalog.begin_job("index", "me", None, [])
    with statements() as sent:
        for done in range(5):  # as a run does, once a second
            catalog.update_job(job_id, done=done)
            assert browser.facets() == expected
    assert not [text for text in sent if "listing" in text]
    catalog.tag_images([7], add=["a"])
    assert browser.facets().tags == (("sea", 3), ("a", 1))
    empty = Browser(Catalog(tmp_path / "empty.sqlite"))
    assert empty.facets() == Facets()
    assert empty.page(BrowseQuery()) == BrowsePage((), 0, None)


@pytest.mark.parametrize("order", BrowseOrder)
def test_a_page_of_a_large_library_takes_what_one_of_a_small_one_takes(
    order: BrowseOrder, large: Catalog, tmp_path: Path
) -> None:
    steps = []
    small = fill(tmp_path / "catalog.sqlite", 10, 50)
    for each in (small, large):
        browser = Browser(each)
        first = browser.page(BrowseQuery(order=order, limit=3))
        with machine_steps(1) as taken:
            page = browser.page(BrowseQuery(order=order, limit=3, cursor=first.next_cursor))
        assert len(page.pictures) == 3
        assert page.total == each.counts()["images"]
        steps.append(taken[0])
    small.close()
    assert steps[1] < 1.5 * steps[0]


def test_a_filter_is_looked_up_once_for_all_its_pages(large: Catalog) -> None:
    browser = Browser(large)
    query = BrowseQuery(filters=Filters(paths=("/many/?.jpg",), min_area=0.001), limit=4)
    first = browser.page(query)
    assert (len(first.pictures), first.total) == (4, 9)
    with machine_steps(1) as steps:
        second = browser.page(replace(query, cursor=first.next_cursor))
    assert steps[0] < 20_000  # of 4,000 pictures with 50 regions each
    assert len({one.image.id for one in (*first.pictures, *second.pictures)}) == 8


def test_a_run_that_goes_on_makes_no_page_find_all_again(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = Browser(catalog)
    query = BrowseQuery(filters=Filters(albums=("beach", "hills")), limit=2)

    def found_again(page: BrowseQuery) -> tuple[BrowsePage, bool]:
        catalog.update_job(job_id, done=1)
        with statements() as sent:
            answer = browser.page(page)
        return answer, any("GLOB" in text for text in sent)

    job_id = catalog.begin_job("index", "me", None, [])
    first, was_found = found_again(query)
    assert was_found
    second, was_found = found_again(replace(query, cursor=first.next_cursor))
    assert (ids([second]), was_found) == ([5, 1], False)
    with monkeypatch.context() as patch:
        patch.setattr(recent, "HELD_SECONDS", 0)
        assert found_again(query)[1]
    catalog.finish_job(job_id, JobState.DONE)
    assert found_again(query)[1]  # what it has brought is to be seen
    catalog.remove_images([6])
    assert found_again(query) == (browser.page(query), True)


@pytest.mark.parametrize("order", BrowseOrder)
def test_pages_go_on_past_what_another_process_removes(order: BrowseOrder, large: Catalog) -> None:
    browser, query = (
        Browser(large),
        BrowseQuery(order=order, limit=7, filters=Filters(image_ids=tuple(range(1, 401)))),
    )
    every = ids(pages(browser, replace(query, limit=1000)))
    assert len(every) == 400
    last = browser.page(replace(query, limit=100)).pictures[-1].image.id
    gone = {*every[50:99], *every[101:350]}
    with closing(sqlite3.connect(large.folder / "catalog.sqlite")) as db:
        kept = db.execute("SELECT * FROM listing").fetchall()
        with db:
            db.executemany("DELETE FROM listing WHERE image_id = ?", [(n,) for n in gone])
        try:
            first = browser.page(replace(query, limit=51))
            assert ids([first]) == [*every[:50], every[99]]
            assert last == every[99]
            rest = pages(browser, replace(query, cursor=first.next_cursor))
            assert ids(rest) == [every[100], *every[350:]]
        finally:
            with db:
                db.execute("DELETE FROM listing")
                db.executemany("INSERT INTO listing VALUES (?, ?, ?, ?, ?)", kept)


def test_those_who_ask_at_once_have_it_counted_once(catalog: Catalog) -> None:
    counts, together = [0], threading.Barrier(4)
    kept: Recent[int] = Recent(catalog.mark)

    def read() -> int:
        counts[0] += 1
        catalog.update_job(job_id, done=counts[0])  # meanwhile a run goes on
        return counts[0]

    def ask() -> int:
        together.wait()
        return kept.value("all", read)

    job_id = catalog.begin_job("index", "me", None, [])
    with ThreadPoolExecutor(4) as pool:
        assert [one.result() for one in [pool.submit(ask) for _ in range(4)]] == [1] * 4


def test_a_group_of_more_than_a_thousand_is_whole(tmp_path: Path) -> None:
    made = fill(tmp_path / "catalog.sqlite", 1_600, 1)
    chain = [(one, one + 1, 0) for one in range(1, 100)]
    star = [(100, other, 0) for other in range(101, 1_501)]
    with closing(sqlite3.connect(made.folder / "catalog.sqlite")) as db, db:
        for one, other, bits in (*chain, *star):
            rows = [(one, other, bits), (other, one, bits)]
            db.executemany("INSERT INTO near_duplicate VALUES (?, ?, ?)", rows)
    groups, after = made.alike(0, 10)
    assert groups == [list(range(1, 1_501))]
    assert after is not None
    made.close()


def test_one_page_of_groups_goes_past_a_bounded_number_of_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = fill(tmp_path / "catalog.sqlite", 600, 1)
    star = [(1, other, 0) for other in range(2, 501)]  # all look like the first
    pair = [(550, 551, 0), (551, 552, 3)]
    with closing(sqlite3.connect(made.folder / "catalog.sqlite")) as db, db:
        rows = [
            row
            for one, other, bits in (*star, *pair)
            for row in ((one, other, bits), (other, one, bits))
        ]
        db.executemany("INSERT INTO near_duplicate VALUES (?, ?, ?)", rows)
    monkeypatch.setattr(near_duplicates, "LOOKED_AT", 100)
    after: int | None = 0
    groups, most = [], 0
    while after is not None:
        with machine_steps(1) as steps:
            found, after = made.alike(after, 10)
        groups += found
        most = max(most, steps[0])
    assert groups == [list(range(1, 501)), [550, 551, 552]]
    assert most < 40_000
    made.close()
