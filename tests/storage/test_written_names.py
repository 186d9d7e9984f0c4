"""A name is one name, however its accents are written; filters take upper and lower case alike."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from unicodedata import normalize

import pytest
from alembic import command

from segsearch.core.errors import ConflictError, NotFoundError
from segsearch.core.filters import Filters
from segsearch.core.names import folded
from segsearch.core.types import FileStamp
from segsearch.library import SegSearch
from segsearch.storage.catalog.backend import Place
from segsearch.storage.catalog.engine import create_engine, migrations_config
from segsearch.storage.catalog.sql_catalog import Catalog
from tests.support.described import RECIPE, describe
from tests.support.small_models import Shape, open_small_service, paint

PARTED, JOINED = (normalize(form, "Zoë Übersee") for form in ("NFD", "NFC"))
FORMS = pytest.mark.parametrize("name", [PARTED, JOINED], ids=["parted", "joined"])


@pytest.fixture
def catalog(place: Place) -> Iterator[Catalog]:
    """One picture of three segments in a folder whose name a Mac wrote, one in another."""
    made = Catalog(place)
    recipe = made.register_recipe(RECIPE)
    for number, path in enumerate((f"/p/{PARTED}/Café.JPG", "/p/b/other.jpg")):
        made.record_file(path, FileStamp(1, 1), f"{number}" * 64, recipe)
        claim = made.claim(recipe, "me", 60)
        assert claim is not None
        assert made.commit(claim, describe(number))
    yield made
    made.close()


@FORMS
def test_filters_find_a_picture_by_its_name_in_every_form_and_case(
    name: str, catalog: Catalog
) -> None:
    catalog.tag_images([1], add=[name])
    catalog.create_collection(name)
    catalog.add_to_collection(name, [1])
    for written in (name, name.upper(), name.lower(), PARTED.title(), JOINED.title()):
        for filters in (
            Filters(paths=(f"{written}/*",)),
            Filters(paths=(f"/p/{written}/caf?.jpg",)),
            Filters(paths=(f"/P/[{written[0]}]*",)),
            Filters(albums=(written,)),
            Filters(tags=(written,)),
            Filters(all_tags=(written,)),
            Filters(collections=(written,)),
        ):
            assert catalog.select_segments(1, filters).tolist() == [1, 2, 3], filters
        assert catalog.select_segments(1, Filters(no_tags=(written,))).tolist() == [4, 5, 6]


@FORMS
def test_places_are_found_in_every_form_but_not_in_another_case(
    name: str, catalog: Catalog
) -> None:
    assert catalog.find_images([f"/p/{name}"]) == [1]
    assert catalog.find_images([f"/p/{name}/Café.JPG"]) == [1]
    assert catalog.find_images([f"/p/{name.upper()}", f"/p/{name}/caf", "/p/B"]) == []
    assert catalog.find_images(["/", "/p/"]) == [1, 2]


def test_two_folders_that_differ_in_form_alone_are_told_apart_where_both_are_there(
    catalog: Catalog,
) -> None:
    catalog.record_file(f"/p/{JOINED}/a.jpg", FileStamp(1, 1), "3" * 64, 1)
    assert catalog.find_images([f"/p/{PARTED}"]) == [1]
    assert catalog.find_images([f"/p/{JOINED}"]) == [3]


def test_tags_and_collections_are_stored_once(catalog: Catalog) -> None:
    for name in (PARTED, JOINED):
        catalog.tag_images([1], add=[name])
    assert catalog.image(1).tags == (JOINED,)
    catalog.tag_images([1], remove=[PARTED])
    assert catalog.image(1).tags == ()
    assert catalog.create_collection(PARTED).name == JOINED
    with pytest.raises(ConflictError):
        catalog.create_collection(JOINED)
    assert catalog.collection(PARTED).name == JOINED
    assert catalog.images(collection=PARTED) == []
    with pytest.raises(NotFoundError):
        catalog.collection(JOINED.upper())


@FORMS
def test_a_folder_is_indexed_tagged_and_removed_in_every_form(name: str, tmp_path: Path) -> None:
    picture = paint(tmp_path / PARTED / "in" / "a.png", [Shape("red", (9, 9, 50, 40))])
    paint(tmp_path / PARTED / "b.png", [Shape("blue", (9, 9, 50, 40))])
    with open_small_service(tmp_path / "library") as service:
        assert service.index([tmp_path / name / "in"]).indexed == 1
        assert service.catalog.image(1).paths == (str(picture),)
        assert service.tag(paths=[tmp_path / name / "in"], add=["x"]) == [1]
        picture.unlink()
        service.index([tmp_path / name])
        assert service.status().missing == 1
        assert service.remove(paths=[tmp_path / name / "in" / "a.png"]) == 1


def test_a_library_of_the_schema_before_is_brought_to_one_form(
    tmp_path: Path, service: SegSearch
) -> None:
    service.catalog.tag_images([1, 2], add=[JOINED])
    for name in (JOINED, "other"):
        service.catalog.create_collection(name)
    service.catalog.add_to_collection(JOINED, [1])
    file = tmp_path / "library" / "catalog.sqlite"
    service.close()
    engine = create_engine(file)
    config = migrations_config()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0007")
    engine.dispose()
    with closing(sqlite3.connect(file)) as db, db:
        db.execute("INSERT INTO image_tag VALUES (1, ?)", (PARTED,))
        db.execute("UPDATE image_tag SET tag = ? WHERE image_id = 2", (PARTED,))
        other = "UPDATE collection SET name = ? WHERE name = 'other' RETURNING id"
        (number,) = db.execute(other, (PARTED,)).fetchone()
        db.execute("INSERT INTO collection_image VALUES (?, 1), (?, 2)", (number, number))
    with open_small_service(tmp_path / "library") as opened:
        assert [image.tags for image in opened.catalog.images(ids=[1, 2])] == [(JOINED,)] * 2
        assert [(one.name, one.images) for one in opened.catalog.collections()] == [(JOINED, 2)]
        path = opened.catalog.image(1).paths[0]
        glob = Filters(paths=(path.upper(),))
        assert opened.catalog.select_segments(1, glob).size
        assert opened.maintenance.verify() == []


def test_a_final_sigma_is_a_sigma_in_globs() -> None:
    capitals, small = "\u039f\u0394\u039f\u03a3", "\u03bf\u03b4\u03bf\u03c3"
    assert folded(capitals) == folded(small) == folded(f"{capitals}\u0391.jpg")[:4]
