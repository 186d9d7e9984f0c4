"""What the catalog keeps of an image: metadata, tags, near-duplicates, files that vanish."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa
from alembic import command

from segsearch.core.arrays import DescribedPicture
from segsearch.core.types import FileStamp, Image, PictureInfo, State
from segsearch.media.phash import distance
from segsearch.storage.catalog import near_duplicates
from segsearch.storage.catalog.backend import Place
from segsearch.storage.catalog.engine import create_engine, migrations_config
from segsearch.storage.catalog.sql_catalog import Catalog
from tests.support.described import RECIPE, describe

STAMP = FileStamp(10, 20)


@pytest.fixture
def catalog(place: Place) -> Iterator[Catalog]:
    made = Catalog(place)
    yield made
    made.close()


def store(catalog: Catalog, path: str, seed: int, value: str | None = None, **info: object) -> int:
    """Store a described picture with a perceptual hash; its id."""
    recipe_id = catalog.register_recipe(RECIPE)
    catalog.record_file(path, STAMP, f"sha-{seed}", recipe_id)
    claim = catalog.claim(recipe_id, "me", 60)
    assert claim is not None
    made = describe(seed)
    kept = replace(made.info, perceptual_hash=value, **info)  # type: ignore[arg-type]  # any field
    assert catalog.commit(claim, DescribedPicture(kept, made.vector, made.segments))
    return claim.image_id


def image(catalog: Catalog, image_id: int) -> Image:
    (found,) = catalog.images(ids=[image_id])
    return found


def test_all_that_decoding_learns_is_kept(catalog: Catalog) -> None:
    info = PictureInfo(
        *(30, 20, "PNG", datetime(2024, 1, 2, 3, 4, 5), "Acme", "28mm"),
        *(-1.5, 2.25, 6, "P3", 77, "0" * 32),
    )
    recipe_id = catalog.register_recipe(RECIPE)
    catalog.record_file("/a", STAMP, "sha", recipe_id)
    assert image(catalog, 1).info is None
    claim = catalog.claim(recipe_id, "me", 60)
    assert claim is not None
    catalog.commit(claim, replace(describe(1), info=info))
    assert image(catalog, 1).info == info


def flipped(value: str, bits: int, rng: np.random.Generator) -> str:
    number = int(value, 16)
    for bit in rng.choice(128, bits, replace=False):
        number ^= 1 << int(bit)
    return f"{number:032x}"


def test_near_duplicates_are_exactly_those_a_comparison_of_all_pairs_finds(
    catalog: Catalog,
) -> None:
    rng = np.random.default_rng(0)
    base = rng.bytes(16).hex()
    hashes = [base, rng.bytes(16).hex()]
    hashes += [flipped(base, bits, rng) for bits in (0, 1, 3, 5, 7, 7, 8, 9, 12)]
    ids = [store(catalog, f"/{n}", n, value) for n, value in enumerate(hashes)]
    for image_id, value in zip(ids, hashes, strict=True):
        near = {
            other
            for other, second in zip(ids, hashes, strict=True)
            if other != image_id and distance(value, second) <= 7
        }
        assert set(image(catalog, image_id).near_duplicates) == near
    nearest = image(catalog, ids[0]).near_duplicates
    apart = [distance(base, hashes[ids.index(other)]) for other in nearest]
    assert apart == sorted(apart)
    assert catalog.counts()["near_duplicates"] >= 7
    catalog.remove_images([ids[0]])
    assert all(ids[0] not in kept.near_duplicates for kept in catalog.images())
    assert list(catalog.problems((1, RECIPE))) == []


def test_a_band_that_many_pictures_share_hides_no_near_duplicate(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(near_duplicates, "CANDIDATES", 3)
    rng = np.random.default_rng(1)
    under_flat_sky = ["0000" + rng.bytes(14).hex() for _ in range(6)]
    for number, value in enumerate(under_flat_sky):
        last = store(catalog, f"/{number}", number, value)
    again = store(catalog, "/again", 6, under_flat_sky[-1])
    assert image(catalog, again).near_duplicates == (last,)


def test_plain_pictures_are_nobodys_near_duplicates(catalog: Catalog) -> None:
    for number in range(2):
        store(catalog, f"/{number}", number, None)
    assert catalog.counts()["near_duplicates"] == 0


def test_tags_are_added_taken_away_and_outlive_an_edit(catalog: Catalog) -> None:
    first = store(catalog, "/a", 1)
    assert catalog.tag_images([first, 999], add=["b", "a"]) == [first]
    assert catalog.tag_images([first], add=["a", "c"], remove=["b"]) == [first]
    assert image(catalog, first).tags == ("a", "c")
    catalog.record_file("/a", STAMP, "sha-edited", 1)
    (edited,) = catalog.images()
    assert edited.id != first
    assert edited.tags == ("a", "c")


def test_vanished_files_are_marked_and_unmarked(catalog: Catalog) -> None:
    for number, path in enumerate(("/p/a", "/p/b", "/q/a")):
        store(catalog, path, number)
    catalog.mark_missing(["/p/b", "/nowhere"])
    assert catalog.missing_paths() == ["/p/b"]
    catalog.mark_missing(["/p/b"])
    assert catalog.counts()["missing"] == 1
    catalog.mark_found(["/p/a", "/p/b"])
    assert catalog.missing_paths() == []
    catalog.mark_missing(["/q/a"])
    catalog.record_file("/q/a", STAMP, "sha-2", 1)
    assert catalog.missing_paths() == []
    assert catalog.forget_paths(["/p/b", "/nowhere"]) == 1
    assert [kept.paths for kept in catalog.images()] == [("/p/a",), ("/q/a",)]


def test_a_failed_image_waits_again_only_when_its_file_was_away(catalog: Catalog) -> None:
    recipe_id = catalog.register_recipe(RECIPE)
    for path in ("/damaged", "/gone"):
        catalog.record_file(path, STAMP, f"sha-{path}", recipe_id)
        claim = catalog.claim(recipe_id, "me", 60)
        assert claim is not None
        assert catalog.fail(claim, "Whatever.", gone=path == "/gone")
    touched = FileStamp(10, 30)
    catalog.record_file("/damaged", touched, "sha-/damaged", recipe_id)
    catalog.record_file("/copy of damaged", STAMP, "sha-/damaged", recipe_id)
    assert catalog.waiting(recipe_id) == 0
    catalog.record_file("/gone", touched, "sha-/gone", recipe_id)
    (waiting,) = catalog.images(state=State.PENDING)
    assert (waiting.paths, waiting.reason) == (("/gone",), None)
    catalog.mark_missing(["/damaged"])
    catalog.record_file("/copy of damaged", touched, "sha-/damaged", recipe_id)
    assert catalog.waiting(recipe_id) == 1  # that path has been there all the time


def test_a_library_of_the_first_schema_is_brought_up_and_loses_nothing(tmp_path: Path) -> None:
    file = tmp_path / "old.sqlite"
    engine = create_engine(file)
    config = migrations_config()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        for statement in (
            "INSERT INTO recipe VALUES (1, 'f', '{}', 1)",
            "INSERT INTO image (id, sha256, width, height, format, camera) "
            "VALUES (5, 'sha', 30, 20, 'PNG', 'Acme')",
            "INSERT INTO source VALUES ('/a', 5, 123, 456)",
            "INSERT INTO ingest (image_id, recipe_id, state) VALUES (5, 1, 'done')",
            "INSERT INTO segment VALUES (9, 5, 1, 0, 0, 1, 1, 1, x'00', 0.9, 0.8, x'00', x'00')",
        ):
            connection.execute(sa.text(statement))
    engine.dispose()
    catalog = Catalog(file)
    found = image(catalog, 5)
    assert found.info == PictureInfo(30, 20, "PNG", camera="Acme", size_bytes=123)
    assert (found.paths, found.tags, found.near_duplicates) == (("/a",), (), ())
    assert catalog.counts()["segments"] == 1
    assert dict(catalog.known_files()) == {"/a": FileStamp(123, 456)}
    catalog.close()
