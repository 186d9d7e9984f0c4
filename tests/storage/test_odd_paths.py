"""A library may lie anywhere: no sign in its path means more than itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from segsearch.core.errors import PathError
from segsearch.core.settings import Settings
from segsearch.library import open_library
from segsearch.media.sources.paths import normal
from segsearch.storage.catalog.engine import create_engine, schema_revision
from tests.support.small_models import Shape, open_small_service, paint

SIGNS = ["?", "#", "%", "%20", "%3F", " ", "'", '"', "\n", "[a]", "*", "{b}", ";", "&", "=", "\\"]


@pytest.mark.parametrize("sign", SIGNS)
def test_two_libraries_never_share_a_catalog(sign: str, tmp_path: Path) -> None:
    folders = [tmp_path / f"lib{sign}{end}" for end in ("one", "two")]
    for folder in folders:
        with open_small_service(folder) as service:
            service.catalog.create_collection(folder.name[-3:])
    assert {path for path in tmp_path.iterdir() if path.is_dir()} == set(folders)
    for folder in folders:
        assert (folder / "catalog.sqlite").is_file()
        with open_library(Settings(library=folder)) as service:
            assert [one.name for one in service.catalog.collections()] == [folder.name[-3:]]


def test_a_library_of_any_name_is_indexed_verified_copied_and_read(tmp_path: Path) -> None:
    sign = "".join(SIGNS)
    place = tmp_path / f"a{sign}b"
    picture = paint(place / f"pictures{sign}" / f"red{sign}.png", [Shape("red", (9, 9, 50, 40))])
    with open_small_service(place / f"library{sign}") as service:
        service.index([picture.parent])
        assert service.search_text("red").hits[0].image.paths == (str(picture),)
        assert service.maintenance.verify() == []
        backup = place / f"backup{sign}"
        service.maintenance.backup(backup)
        service.remove(paths=[picture])
        service.maintenance.restore(backup)
        assert service.status().images == 1
    folder = place / f"library{sign}"
    engine = create_engine(folder / "catalog.sqlite", read_only=True)
    assert schema_revision(engine) is not None
    engine.dispose()


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("file:///p/a%3Fb%23c%25.jpg", "/p/a?b#c%.jpg"),
        ("file://localhost/p/a%20b.jpg", "/p/a b.jpg"),
    ],
)
def test_a_file_url_is_its_path(url: str, path: str) -> None:
    assert normal(url) == path


@pytest.mark.parametrize(
    "url", ["file:///p/a?b.jpg", "file:///p/a#b/c.jpg", "file://server/p/a.jpg"]
)
def test_a_file_url_that_would_lose_a_part_is_refused(url: str) -> None:
    with pytest.raises(PathError, match="file"):
        normal(url)
