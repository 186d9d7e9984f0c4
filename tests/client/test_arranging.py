"""The client looks through a library and arranges many pictures, plain and awaited."""

from __future__ import annotations

import asyncio
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from segsearch.client.aio import AsyncClient
from segsearch.client.sync import Client
from segsearch.core.errors import ApiError
from tests.client.test_sync import Served
from tests.conftest import BLUE, GREEN
from tests.support.small_models import Shape, paint

pytestmark = pytest.mark.server


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """Four pictures: one, its like, and two others."""
    made = Served(tmp_path)
    large = [Shape("red", (20, 20, 100, 80)), Shape("blue", (120, 40, 200, 120), "disc")]
    for number, (shapes, size) in enumerate(
        ((large, (240, 180)), ([GREEN], (120, 90)), ([BLUE], (120, 90)))
    ):
        made.service.index([paint(tmp_path / "own" / f"{number}.png", shapes, size=size)])
    yield made
    made.close()


def test_pages_follow_each_other(served: Served) -> None:
    with Client(served.url, key=served.key) as library:
        assert [one["image_id"] for one in library.browse(order="added", page=3)] == [4, 3, 2, 1]
        assert [one["image_id"] for one in library.browse(page=1, image_ids=[2, 4])] == [4, 2]
        assert library.facets()["albums"] == [{"name": "own", "images": 4}]
        assert library.tag_images([1, 3, 99], add=["a"]) == 2
        assert [one["image_id"] for one in library.browse(tags=["A"], order="name")] == [3, 1]
        with pytest.raises(ApiError) as refused:
            next(library.browse(collections=["none"]))
        assert refused.value.code == "not_found_error"


def test_duplicates_are_found_and_removed(served: Served) -> None:
    with Client(served.url, key=served.key) as library:
        groups = [[one["image_id"] for one in group] for group in library.duplicates(page=1)]
        assert groups == [[2, 1]]
        assert [one["image_id"] for one in library.near_duplicates(2)] == [1]
        assert library.remove_images([number for group in groups for number in group[1:]]) == 1
        assert list(library.duplicates()) == []
        assert [one["image_id"] for one in library.browse(order="added")] == [4, 3, 2]


def test_the_same_is_awaited(served: Served) -> None:
    async def ask() -> None:
        async with AsyncClient(served.url, key=served.key) as library:
            assert [one["image_id"] async for one in library.browse(order="added", page=1)] == [
                4, 3, 2, 1,
            ]  # fmt: skip
            assert [len(group) async for group in library.duplicates()] == [2]
            assert await library.tag_images([1], add=["b"]) == 1
            assert (await library.facets())["tags"] == [{"name": "b", "images": 1}]

    asyncio.run(ask())


def test_cutouts_are_written_to_a_file(served: Served, tmp_path: Path) -> None:
    with Client(served.url, key=served.key) as library:
        file = library.export(tmp_path / "cut.zip", format="cutouts", image_ids=[1, 3])
        assert file.read_bytes().startswith(b"PK")


def test_a_library_of_pictures_has_no_clips_to_export(served: Served, tmp_path: Path) -> None:
    with Client(served.url, key=served.key) as library:
        file = library.export(tmp_path / "instances.json", format="ytvis")
        assert json.loads(file.read_text())["videos"] == []
        packed = library.export(tmp_path / "clips.zip", format="ytvis", frames=True)
        with zipfile.ZipFile(packed) as pack:
            assert pack.namelist() == ["instances.json"]
