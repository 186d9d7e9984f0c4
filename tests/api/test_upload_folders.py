"""The folder that an upload comes from becomes its album, and leads nowhere."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from segsearch.ingest.uploads import kept_folder
from segsearch.library import SegSearch
from segsearch_api.app import create_app
from tests.support.small_models import Shape, paint


@pytest.fixture
def client(service: SegSearch) -> Iterator[TestClient]:
    with TestClient(create_app(service), base_url="http://localhost") as made:
        yield made


def upload(client: TestClient, *files: tuple[str, bytes], **fields: str) -> Any:
    parts = [("file", (name, data)) for name, data in files]
    return client.post("/v1/images", files=parts, data=fields)


def test_an_uploads_folder_is_its_album_as_an_indexed_one_is(
    client: TestClient, service: SegSearch, tmp_path: Path
) -> None:
    own = paint(tmp_path / "Zoë" / "own.png", [Shape("red", (20, 20, 60, 60))])
    data = paint(tmp_path / "made" / "a.png", [Shape("green", (10, 10, 51, 41))]).read_bytes()
    (one,) = upload(client, ("a.png", data), folder="2024/Zoe\u0308").json()["images"]
    (kept,) = one["image"]["paths"]
    place = tmp_path / "library" / "uploads" / one["image"]["sha256"][:2] / one["image"]["sha256"]
    assert kept == str(place / "Zoë" / "a.png")
    assert one["image"]["albums"] == ["Zoë"]
    service.index([own])
    among = {"filters": {"albums": ["ZOË"]}, "order": "added"}
    found = client.post("/v1/browse", json=among).json()
    assert [image["albums"] for image in found["images"]] == [["Zoë"], ["Zoë"]]
    assert {"name": "Zoë", "images": 2} in client.get("/v1/facets").json()["albums"]
    # The same bytes lie in another folder, too, and in none.
    upload(client, ("a.png", data), folder="beach/")
    again = upload(client, ("a.png", data)).json()["images"][0]
    assert not again["created"]
    assert again["image"]["albums"] == ["Zoë", "beach"]
    assert len({one.stat().st_ino for one in place.rglob("*.png")}) == 1
    assert service.maintenance.verify() == []
    assert client.delete(f"/v1/images/{one['image']['image_id']}").status_code == 204
    assert not place.exists()


@pytest.mark.parametrize(
    ("folder", "kept"),
    [
        ("/etc/", "etc"),
        ("C:\\pictures\\beach", "beach"),
        ("a/..", ""),
        ("../../.ssh", "ssh"),
        ("a\x00b\n", "a b"),
        ("ü" * 300, "ü" * 100),
        ("\udcff", "?"),
        ("a.png", ""),  # as a file beside it is called
        ("a" * 196 + ".png and more", ""),
        ("b.img/", ""),
        ("v1.5", "v1.5"),
    ],
)
def test_a_folder_leads_nowhere(client: TestClient, tmp_path: Path, folder: str, kept: str) -> None:
    assert kept_folder(folder) == kept
    data = paint(tmp_path / "made" / "a.png", [Shape("green", (10, 10, 51, 41))]).read_bytes()
    upload(client, ("a.png", data))
    if folder.isprintable():
        assert upload(client, ("a.png", data), folder=folder).status_code == 202
    place = tmp_path / "library" / "uploads" / hashlib.sha256(data).hexdigest()[:2]
    named = (tmp_path / "library").rglob("*.png")
    assert all(one.is_relative_to(place) and one.is_file() for one in named)
