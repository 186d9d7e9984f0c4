"""Pictures are listed by the day and the name that they have now, whatever happened to them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from segsearch.core.browsing import BrowseOrder, Listed
from segsearch.core.types import FileStamp, Recipe
from segsearch.storage.catalog.backend import Place
from segsearch.storage.catalog.files import SeenFile
from segsearch.storage.catalog.listing import place_of
from segsearch.storage.catalog.sql_catalog import Catalog
from tests.support.described import DIMENSION, RECIPE, describe
from tests.support.query_plans import machine_steps

SUMMER = datetime(2024, 7, 14, 12, 31, 5)
FILE = datetime(2023, 3, 1, 10, tzinfo=UTC)
UPLOAD = f"/library/uploads/ab/{'ab' * 32}/Kite.jpg"
OTHER = Recipe("other", "s@2", "e@1", DIMENSION, {}, {}, {})


# These look into the file, or take statements that SQLite alone has.
IN_A_FILE = pytest.mark.parametrize("place", ["sqlite"], indirect=True)


@pytest.fixture
def catalog(place: Place) -> Iterator[Catalog]:
    made = Catalog(place)
    made.register_recipe(RECIPE)
    yield made
    assert list(made.problems((1, RECIPE))) == []
    made.close()


def stamp(moment: datetime | None = FILE) -> FileStamp:
    return FileStamp(1, -1 if moment is None else int(moment.timestamp() * 1e9) + 999_999_999)


def store(
    catalog: Catalog,
    path: str,
    number: int,
    *,
    taken_at: datetime | None = None,
    mtime: datetime | None = FILE,
    recipe_id: int = 1,
) -> int:
    catalog.record_file(path, stamp(mtime), f"{number:064x}", recipe_id)
    claim = catalog.claim(recipe_id, "me", 60)
    assert claim is not None
    made = describe(number)
    assert catalog.commit(claim, replace(made, info=replace(made.info, taken_at=taken_at)))
    return claim.image_id


def listed(catalog: Catalog, order: BrowseOrder = BrowseOrder.ADDED) -> list[Listed]:
    return catalog.listed(1, order, None, 100)


def the_one(catalog: Catalog) -> Listed:
    (found,) = listed(catalog)
    return found


def test_the_day_is_the_cameras_else_the_files_else_that_of_coming(catalog: Catalog) -> None:
    before = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S")
    store(catalog, "/a/camera.jpg", 1, taken_at=SUMMER)
    store(catalog, "/a/file.jpg", 2)
    store(catalog, "s3://b/web.jpg", 3, mtime=None)
    store(catalog, UPLOAD, 4)
    upload, web, file, camera = listed(catalog)
    assert (camera.date, camera.date_from) == ("2024-07-14T12:31:05", "camera")
    assert (file.date, file.date_from) == ("2023-03-01T10:00:00", "file")
    for one in (web, upload):
        assert one.date_from == "added"
        assert before <= one.date <= datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S")
    assert [one.name for one in (camera, file, web, upload)] == [
        "camera.jpg", "file.jpg", "web.jpg", "kite.jpg",
    ]  # fmt: skip
    newest = [one.image_id for one in listed(catalog, BrowseOrder.NEWEST)]
    assert newest == [upload.image_id, web.image_id, camera.image_id, file.image_id]
    assert [one.image_id for one in listed(catalog, BrowseOrder.OLDEST)] == newest[::-1]
    names = [one.name for one in listed(catalog, BrowseOrder.NAME)]
    assert names == sorted(names)


def test_copies_count_by_the_oldest_and_are_called_by_the_first(catalog: Catalog) -> None:
    store(catalog, UPLOAD, 1)
    assert the_one(catalog).name == "kite.jpg"
    catalog.record_file("/b/Zoo.jpg", stamp(), f"{1:064x}", 1)
    earlier = datetime(2020, 1, 2, tzinfo=UTC)
    catalog.record_file("/b/zzz.jpg", stamp(earlier), f"{1:064x}", 1)
    one = the_one(catalog)
    assert (one.name, one.date, one.date_from) == ("zoo.jpg", "2020-01-02T00:00:00", "file")
    catalog.record_file("/b/zzz.jpg", stamp(FILE), f"{1:064x}", 1)  # touched
    assert the_one(catalog).date == "2023-03-01T10:00:00"
    catalog.forget_paths(["/b/Zoo.jpg"])
    assert the_one(catalog).name == "zzz.jpg"
    catalog.forget_paths(["/b/zzz.jpg"])
    assert (the_one(catalog).name, the_one(catalog).date_from) == ("kite.jpg", "added")


def test_only_what_is_done_is_listed(catalog: Catalog) -> None:
    catalog.record_file("/waits.jpg", stamp(), "f" * 64, 1)
    assert listed(catalog) == []
    claim = catalog.claim(1, "me", 60)
    assert claim is not None
    assert catalog.fail(claim, "It is none.")
    assert listed(catalog) == []
    kept, gone = store(catalog, "/a.jpg", 1), store(catalog, "/b.jpg", 2)
    assert [one.image_id for one in listed(catalog)] == [gone, kept]
    catalog.remove_images([gone])
    assert [one.image_id for one in listed(catalog)] == [kept]
    catalog.record_file("/a.jpg", stamp(), f"{3:064x}", 1)  # changed: another picture, not done
    assert listed(catalog) == []


def test_a_recipe_that_takes_over_brings_its_own_list(catalog: Catalog) -> None:
    first = store(catalog, "/a.jpg", 1, taken_at=SUMMER)
    other = catalog.register_recipe(OTHER)
    catalog.begin_generation(other, keep_old=False)
    catalog.queue_all(other)
    assert catalog.listed(other, BrowseOrder.NEWEST, None, 9) == []
    claim = catalog.claim(other, "me", 60)
    assert claim is not None
    assert catalog.commit(claim, describe(1))
    assert catalog.switch_recipe(other)
    assert listed(catalog) == []
    assert [one.image_id for one in catalog.listed(other, BrowseOrder.NAME, None, 9)] == [first]


@IN_A_FILE
def test_what_is_listed_wrongly_is_found_and_put_right(catalog: Catalog) -> None:
    first, second = store(catalog, "/a.jpg", 1), store(catalog, "/b.jpg", 2)
    right = listed(catalog)
    with closing(sqlite3.connect(catalog.folder / "catalog.sqlite")) as db, db:
        db.execute("UPDATE listing SET date = '1999-01-01 00:00:00' WHERE image_id = ?", (first,))
        db.execute("DELETE FROM listing WHERE image_id = ?", (second,))
    assert list(catalog.problems((1, RECIPE))) == [
        f"Image {number} is not listed as it should be." for number in (first, second)
    ]
    assert catalog.repair((1, RECIPE)) == ["The pictures were listed again."]
    assert listed(catalog) == right


def test_pages_of_a_pdf_are_in_the_order_of_their_numbers(catalog: Catalog) -> None:
    for number, name in enumerate(
        ["a.PDF#page=10", "a.PDF#page=2", "a.PDF#page=1", "a.pdf.jpg", "b.pdf#page=3", "10.jpg",
         "a.pdf#page=11.jpg", "a.pdf#page=9999999", "2.jpg"], 1,
    ):  # fmt: skip
        store(catalog, f"/papers/{name}", number)
    by_name = [
        "10.jpg", "2.jpg", "a.pdf#page=0000001", "a.pdf#page=0000002", "a.pdf#page=0000010",
        "a.pdf#page=11.jpg", "a.pdf#page=9999999", "a.pdf.jpg", "b.pdf#page=0000003",
    ]  # fmt: skip
    assert [one.name for one in listed(catalog, BrowseOrder.NAME)] == by_name
    in_pages, after = [], None
    while page := catalog.listed(1, BrowseOrder.NAME, after, 2):
        in_pages += [one.name for one in page]
        after = place_of(page[-1], BrowseOrder.NAME)
    assert in_pages == by_name
    # However a page comes by its name, and found out from the other tables.
    catalog.record_files([SeenFile("/c/z.pdf#page=4", stamp(), f"{1:064x}")], 1)
    catalog.forget_paths(["/papers/a.PDF#page=10"])
    assert listed(catalog, BrowseOrder.NAME)[-1].name == "z.pdf#page=0000004"
    assert list(catalog.problems((1, RECIPE))) == []


@IN_A_FILE
def test_a_page_by_name_reads_no_more_of_a_long_pdf_than_of_a_short_one(catalog: Catalog) -> None:
    def steps_of(pages: int) -> int:
        with closing(sqlite3.connect(catalog.folder / "catalog.sqlite")) as db, db:
            db.executemany(
                "INSERT OR IGNORE INTO listing VALUES (1, ?, '2024-01-01 00:00:00', 'file', ?)",
                ((1_000_000 + n, f"a.pdf#page={n}") for n in range(1, pages + 1)),
            )
        for place in (None, ("a.pdf#page=0000100", 1_000_100)):
            catalog.listed(1, BrowseOrder.NAME, place, 50)  # statements are made once
            with machine_steps() as steps:
                found = catalog.listed(1, BrowseOrder.NAME, place, 50)
            assert len(found) == 50
            first = 100 if place else 0
            assert [one.image_id - 1_000_000 for one in found] == [*range(first + 1, first + 51)]
        return steps[0]

    few = steps_of(200)
    assert steps_of(8_000) < 1.1 * few
    catalog.repair((1, RECIPE))


@IN_A_FILE
def test_a_further_copy_costs_the_same_however_many_there_are(catalog: Catalog) -> None:
    store(catalog, "/first.jpg", 1)

    def copies(folder: str, count: int) -> list[str]:
        # From the last name and the newest file on: each is listed by anew.
        files = [
            SeenFile(f"/{folder}/{count - n:05}.jpg", FileStamp(1, 10**18 - n), f"{1:064x}")
            for n in range(count)
        ]
        catalog.record_files(files, 1)
        return [file.path for file in files]

    def steps_of_some(folder: str) -> list[int]:
        costs = []
        with machine_steps() as steps:
            some = copies(folder, 100)
            costs.append(steps[0])
            catalog.record_files(
                [SeenFile(path, FileStamp(1, 10**17 + n), f"{1:064x}")
                 for n, path in enumerate(some)], 1,
            )  # fmt: skip
            costs.append(steps[0] - sum(costs))
            catalog.forget_paths(some)
            costs.append(steps[0] - sum(costs))
        return costs

    few = steps_of_some("e")
    copies("d", 4_000)
    assert (the_one(catalog).name, the_one(catalog).date) == (
        "00001.jpg", "2001-09-09T01:46:39",
    )  # fmt: skip
    many = steps_of_some("c")
    assert all(cost > 0 for cost in few)
    for before, after in zip(few, many, strict=True):
        assert after < 2 * before, (few, many)
