"""Videos are copied, backed up, checked and mended with their library, and come to an older one."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command

from segsearch.core.browsing import BrowseOrder
from segsearch.core.errors import DamageError
from segsearch.core.filters import Filters
from segsearch.core.types import State
from segsearch.storage.catalog.backend import Place, Server
from segsearch.storage.catalog.engine import SCHEMA, create_engine, migrations_config
from segsearch.storage.catalog.sql_catalog import Catalog
from tests.support.described import RECIPE
from tests.support.filmed import FILE, enter, picture
from tests.support.older_server import make_older

OF_VIDEOS = ("video", "shot", "track", "track_mask")


@pytest.fixture
def catalog(place: Place) -> Iterator[Catalog]:
    made = Catalog(place)
    made.register_recipe(RECIPE)
    yield made
    made.close()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The catalog of a video and a picture, closed."""
    made = Catalog(tmp_path / "catalog.sqlite")
    made.register_recipe(RECIPE)
    enter(made)
    picture(made)
    made.close()
    return tmp_path / "catalog.sqlite"


def assert_same(one: Catalog, other: Catalog) -> None:
    assert other.videos() == one.videos()
    assert other.images() == one.images()
    segments = one.segments()
    assert other.segments() == segments
    ids = [segment.id for segment in segments]
    assert other.key_masks(ids) == one.key_masks(ids)
    assert len(one.key_masks(ids)) == 9
    order = BrowseOrder.NAME
    assert other.listed(1, order, None, 99) == one.listed(1, order, None, 99)
    assert other.counts() == one.counts()


def test_a_library_that_moves_takes_its_videos_along(catalog: Catalog, tmp_path: Path) -> None:
    enter(catalog)
    picture(catalog)
    other = Catalog(tmp_path / "other.sqlite")
    copied = {table.name: table.rows for table in other.copy_from(catalog)}
    assert [copied[name] for name in OF_VIDEOS] == [1, 3, 9, 27]
    assert_same(catalog, other)
    assert list(other.problems((1, RECIPE))) == []
    other.close()


def test_and_to_a_server(file: Path, server: Server) -> None:
    one, other = Catalog(file), Catalog(server)
    other.copy_from(one)
    assert_same(one, other)
    assert list(other.problems((1, RECIPE))) == []
    for catalog in (one, other):
        catalog.close()


def test_a_backup_brings_videos_back(file: Path, tmp_path: Path) -> None:
    catalog = Catalog(file)
    catalog.backup(tmp_path / "backup")
    before = (catalog.videos(), catalog.key_masks([1, 2, 3]))
    catalog.forget_paths(catalog.find_paths([FILE]))
    assert catalog.videos() == []
    catalog.restore(tmp_path / "backup")
    assert (catalog.videos(), catalog.key_masks([1, 2, 3])) == before
    catalog.close()


WRONG = {
    "video time": "UPDATE video SET seconds = 'long'",
    "video infinite": "UPDATE video SET seconds = 9e999",
    "video size": "UPDATE video SET width = -4",
    "video made": "UPDATE video SET made_at = 'yesterday'",
    "shot infinite": "UPDATE shot SET t_end = 9e999",
    "track no number": "UPDATE track SET best_seconds = 'best'",
    "mask no blob": "UPDATE track_mask SET counts = 'text'",
}


@pytest.mark.parametrize("statement", WRONG.values(), ids=WRONG)
def test_a_backup_with_made_up_videos_is_refused(
    statement: str, file: Path, tmp_path: Path
) -> None:
    catalog = Catalog(file)
    catalog.backup(tmp_path / "backup")
    change(tmp_path / "backup", statement)
    with pytest.raises(DamageError):
        catalog.restore(tmp_path / "backup")
    assert len(catalog.videos()) == 1
    catalog.close()


def change(file: Path, statement: str) -> None:
    with closing(sqlite3.connect(file)) as db, db:
        db.execute(statement)


DAMAGE = {
    "no track": ("DELETE FROM track WHERE segment_id = 4", "lives at no time"),
    "no mask": ("DELETE FROM track_mask WHERE segment_id = 4", "no mask at any moment"),
    "best outside": ("UPDATE track SET best_seconds = 13 WHERE segment_id = 4", "seen best at 13"),
    "mask outside": ("UPDATE track SET t_start = 7 WHERE segment_id = 4", "has a mask at 6.125 s"),
    "shot outside": ("UPDATE track SET t_end = 99 WHERE segment_id = 4", "its shot from 4 to 12.5"),
    "box": ("UPDATE track_mask SET x1 = 31 WHERE segment_id = 4", "outside the 30 x 20"),
    "counts": ("UPDATE track_mask SET counts = x'00' WHERE segment_id = 4", "run lengths"),
    "area": ("UPDATE track_mask SET area = 1 WHERE segment_id = 4", "covers 6 pixels"),
}


@pytest.mark.parametrize(("statement", "words"), DAMAGE.values(), ids=DAMAGE)
def test_a_shot_whose_things_do_not_live_as_they_should_is_described_again(
    statement: str, words: str, file: Path
) -> None:
    change(file, statement)
    catalog = Catalog(file)
    problems = list(catalog.problems((1, RECIPE)))
    assert len(problems) == 1
    assert problems[0].startswith("Segment 4: ")
    assert words in problems[0]
    assert catalog.repair((1, RECIPE)) == ["1 damaged pictures wait to be indexed again."]
    assert catalog.image(2).state == State.PENDING
    assert catalog.image(1).state == State.DONE
    assert list(catalog.problems((1, RECIPE))) == []
    catalog.close()


def test_shots_of_which_nothing_is_known_are_forgotten(file: Path) -> None:
    change(file, "DELETE FROM shot WHERE image_id = 2")
    catalog = Catalog(file)
    assert "Image 2 is of a video, but no shot of one." in list(catalog.problems((1, RECIPE)))
    catalog.repair((1, RECIPE))
    assert list(catalog.problems((1, RECIPE))) == []
    assert [image.id for image in catalog.images()] == [1, 3, 4]
    catalog.close()


def test_a_video_without_a_shot_is_forgotten(file: Path) -> None:
    change(
        file,
        "INSERT INTO video (sha256, width, height, seconds, frame_rate, codec, container, added_at)"
        " VALUES ('other', 1, 1, 1, 1, 'h264', 'mp4', 0)",
    )
    catalog = Catalog(file)
    assert list(catalog.problems((1, RECIPE))) == ["Video 2 has no shot."]
    catalog.repair((1, RECIPE))
    assert list(catalog.problems((1, RECIPE))) == []
    catalog.close()


def test_a_library_of_pictures_of_the_version_before_is_the_same_and_takes_videos(
    tmp_path: Path,
) -> None:
    file = tmp_path / "catalog.sqlite"
    catalog = Catalog(file)
    catalog.register_recipe(RECIPE)
    for number in range(3):
        picture(catalog, f"/{number}.jpg")
    before = (catalog.images(), catalog.segments(), catalog.counts())
    catalog.close()
    engine, config = create_engine(file), migrations_config()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0018")
        assert not {*OF_VIDEOS} & {*sa.inspect(connection).get_table_names()}
    engine.dispose()
    catalog = Catalog(file)
    assert catalog.schema() == SCHEMA
    assert (catalog.images(), catalog.segments(), catalog.counts()) == before
    assert takes_videos(catalog)
    catalog.close()


def test_and_one_on_a_server(server: Server) -> None:
    make_older(server.address)
    catalog = Catalog(server)
    catalog.register_recipe(RECIPE)
    assert takes_videos(catalog)
    catalog.close()


def takes_videos(catalog: Catalog) -> bool:
    ids = enter(catalog)
    names = [one.name for one in catalog.listed(1, BrowseOrder.NAME, None, 99)]
    assert "clip.mp4#t=000004.000,12.5" in names
    passing = catalog.select_segments(1, Filters(is_video=True)).tolist()
    assert catalog.images_of(passing) == ids
    assert list(catalog.problems((1, RECIPE))) == []
    catalog.remove_images(ids)
    return catalog.counts()["videos"] == 0
