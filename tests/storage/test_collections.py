"""Collections and removals in the catalog: sets of images, and a log that tells every change."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from segsearch.core.errors import ConflictError, InputError, NotFoundError
from segsearch.core.filters import Filters
from segsearch.storage.catalog.backend import Place
from segsearch.storage.catalog.sql_catalog import Catalog
from tests.storage.test_catalog import store
from tests.support.described import RECIPE


@pytest.fixture
def catalog(place: Place) -> Iterator[Catalog]:
    made = Catalog(place)
    yield made
    made.close()


def test_a_collection_is_a_set_of_images(catalog: Catalog) -> None:
    first, second, third = (store(catalog, f"/{n}", n) for n in range(3))
    made = catalog.create_collection("holidays")
    assert (made.name, made.images) == ("holidays", 0)
    assert catalog.add_to_collection("holidays", [second, first, second]) == 2
    assert catalog.add_to_collection("holidays", [second, third]) == 1
    assert catalog.image_ids_of("holidays") == [first, second, third]
    assert [image.id for image in catalog.images(collection="holidays", after=first)] == [
        second,
        third,
    ]
    assert catalog.take_from_collection("holidays", [first, 999]) == 1
    assert catalog.collection("holidays").images == 2


def test_what_goes_from_the_library_goes_from_its_collections(catalog: Catalog) -> None:
    first, second = store(catalog, "/1", 1), store(catalog, "/2", 2)
    catalog.create_collection("a")
    catalog.add_to_collection("a", [first, second])
    catalog.remove_images([first])
    assert catalog.image_ids_of("a") == [second]
    catalog.delete_collection("a")
    assert [image.id for image in catalog.images()] == [second]
    assert catalog.collections() == []


def test_an_edited_file_stays_in_its_collections(catalog: Catalog) -> None:
    first, second = store(catalog, "/1", 1), store(catalog, "/2", 2)
    for name in ("a", "b", "other"):
        catalog.create_collection(name)
    catalog.add_to_collection("a", [first, second])
    catalog.add_to_collection("b", [first])
    edited = store(catalog, "/1", 3)
    assert catalog.image_ids_of("a") == [second, edited]
    assert catalog.image_ids_of("b") == [edited]
    catalog.record_file("/1", dict(catalog.known_files())["/1"], "sha-2", 1)  # now a copy of /2
    assert catalog.image_ids_of("a") == catalog.image_ids_of("b") == [second]
    assert catalog.image_ids_of("other") == []


def test_names_are_unique_and_checked(catalog: Catalog) -> None:
    catalog.create_collection("b")
    catalog.create_collection("a")
    with pytest.raises(ConflictError):
        catalog.create_collection("a")
    with pytest.raises(ConflictError):
        catalog.rename_collection("a", "b")
    assert catalog.rename_collection("a", "a").name == "a"
    assert catalog.rename_collection("a", "ä c").name == "ä c"
    assert [collection.name for collection in catalog.collections()] == ["b", "ä c"]
    for good in ("हिन्दी", "Fêtes", "ไทยที่", "می\u200cخواهم"):
        assert catalog.create_collection(good).name == good
    for bad in ("", "a/b", "..", "x" * 101, "a\n", "\u0302", "a\u202eb"):
        if bad.strip() != "a":
            with pytest.raises(InputError):
                catalog.create_collection(bad)


def test_unknown_names_and_images_are_said_and_change_nothing(catalog: Catalog) -> None:
    image = store(catalog, "/1", 1)
    catalog.create_collection("a")
    with pytest.raises(NotFoundError, match="no image 77"):
        catalog.add_to_collection("a", [image, 77])
    assert catalog.image_ids_of("a") == []
    for call in (catalog.collection, catalog.delete_collection, catalog.image_ids_of):
        with pytest.raises(NotFoundError, match="no collection 'z'"):
            call("z")


def test_removed_segments_are_logged_and_are_no_damage(catalog: Catalog) -> None:
    store(catalog, "/1", 1, segments=2)
    ids = [segment.id for segment in catalog.segments()]
    before = catalog.changes(1, 0)
    assert before is not None
    assert catalog.remove_segments([ids[0], 999]) == 1
    changes = catalog.changes(1, before.seq)
    assert changes is not None
    assert changes.removed.tolist() == [ids[0]]
    assert catalog.remove_segments(ids) == 1
    assert catalog.segments() == []
    assert list(catalog.problems((1, RECIPE))) == []


def test_statistics_count_what_is_there(catalog: Catalog) -> None:
    store(catalog, "/1", 1, segments=2)
    catalog.record_file("/2", dict(catalog.known_files())["/1"], "sha-2", 1)
    found = catalog.statistics()
    assert (found["images"], found["segments"]) == (2, 2)
    assert found["states"] == {"done": 1, "pending": 1}
    assert sum(found["area_shares"]) == 2
    frame = 30 * 20
    tenths = [min(9, segment.mask.area * 10 // frame) for segment in catalog.segments()]
    assert found["area_shares"] == [tenths.count(number) for number in range(10)]


def test_a_collection_that_does_not_exist_is_said_when_searched_in(catalog: Catalog) -> None:
    catalog.create_collection("holidays")
    with pytest.raises(NotFoundError, match="no collection 'holidys'"):
        catalog.select_segments(1, Filters(collections=("holidays", "holidys")))
