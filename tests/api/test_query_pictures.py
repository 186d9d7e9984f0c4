"""Pictures that queries name over HTTP: kept, shown, searched by, pointed at, and gone."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from PIL import Image

from segsearch.core.arrays import Pixels, Vectors
from segsearch.library import SegSearch
from segsearch.models.pipeline import Pipeline
from segsearch.models.protocols import Embedder
from segsearch.storage.kept_pictures import FOLDER
from segsearch_api.app import create_app
from tests.conftest import BLUE, FAR_RED, RED
from tests.support.clicking_models import ClickModels
from tests.support.small_models import ColourEmbedder, open_small_service, paint

UNKNOWN = "0" * 64


class CountedEmbedder(ColourEmbedder):
    """Counts the pictures that it embeds."""

    pictures = 0

    def embed_pictures(self, pictures: Sequence[Pixels]) -> Vectors:
        self.pictures += len(pictures)
        return super().embed_pictures(pictures)


class CountedModels(ClickModels):
    def __init__(self) -> None:
        super().__init__()
        self.counted = CountedEmbedder()

    def embedder(self) -> Embedder:
        return self.counted

    def pipeline(self) -> Pipeline:
        return Pipeline(super().pipeline().segmenter, self.counted, self.crop)


@pytest.fixture
def models() -> CountedModels:
    return CountedModels()


@pytest.fixture
def library(tmp_path: Path, models: CountedModels) -> Iterator[SegSearch]:
    paint(tmp_path / "pictures" / "a.png", [RED, BLUE])
    paint(tmp_path / "pictures" / "b.png", [FAR_RED])
    with open_small_service(tmp_path / "library", models=models) as made:
        made.index([tmp_path / "pictures"])
        yield made


@pytest.fixture
def client(library: SegSearch) -> TestClient:
    return TestClient(create_app(library), base_url="http://localhost")


def png(colour: str = "blue", size: tuple[int, int] = (60, 40)) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, colour).save(file, "PNG")
    return file.getvalue()


def keep(client: TestClient, data: bytes) -> dict[str, Any]:
    answer = client.post("/v1/pictures", files={"picture": data})
    assert answer.status_code == 201, answer.text
    document: dict[str, Any] = answer.json()
    return document


def test_a_picture_that_is_kept_finds_what_it_finds_when_it_is_sent(client: TestClient) -> None:
    kept = keep(client, png())
    assert (kept["width"], kept["height"], kept["image_id"], kept["near"]) == (60, 40, None, [])
    sent = client.post("/v1/search/picture", files={"picture": png()}).json()
    for query in (
        {"picture_id": kept["picture_id"]},
        {"terms": [{"picture_id": kept["picture_id"], "weight": 2}]},
    ):
        named = client.post("/v1/search", json=query).json()
        assert named["hits"] == sent["hits"]
        assert named["hits"][0]["box"] == list(BLUE.box)


def test_a_picture_is_embedded_once_for_all_pages(
    client: TestClient, models: CountedModels
) -> None:
    query = {"terms": [{"picture_id": keep(client, png("red"))["picture_id"]}], "limit": 1}
    before = models.counted.pictures
    first = client.post("/v1/search", json=query).json()
    second = client.post("/v1/search", json={**query, "cursor": first["next_cursor"]}).json()
    assert first["hits"][0]["segment_id"] != second["hits"][0]["segment_id"]
    assert models.counted.pictures == before + 1


def test_a_thing_in_a_kept_picture_is_pointed_at_and_embedded_once(
    client: TestClient, library: SegSearch, models: CountedModels
) -> None:
    stored = library.pictures.original(1)
    kept = keep(client, stored)
    assert kept["image_id"] == 1
    by_id = {"points": [[80, 40]], "multimask": False}
    masks = client.post("/v1/segment", json={"picture_id": kept["picture_id"], **by_id}).json()
    assert (
        masks["objects"]
        == (client.post("/v1/segment", json={"image_id": 1, **by_id}).json()["objects"])
    )
    region = {"picture_id": kept["picture_id"], "points": [[80, 40]]}
    first = client.post("/v1/search", json={"region": region}).json()
    assert first["hits"][0]["box"] == list(BLUE.box)
    embedded = models.counted.pictures
    again = client.post("/v1/search", json={"terms": [{"region": region}]}).json()
    assert (again["hits"], again["pointed"]) == (first["hits"], first["pointed"])
    assert models.counted.pictures == embedded


def test_one_that_is_gone_is_said_wherever_it_is_named(
    client: TestClient, library: SegSearch
) -> None:
    kept = keep(client, png())["picture_id"]
    client.post("/v1/search", json={"picture_id": kept})  # its vector is remembered
    (library.settings.library / FOLDER / kept).unlink()
    region = {"picture_id": kept, "points": [[8, 8]]}
    slots = [{"name": "it", "terms": [{"picture_id": kept}]}]
    for path, body in (
        ("/v1/search", {"picture_id": kept}),
        ("/v1/search", {"terms": [{"picture_id": kept}]}),
        ("/v1/search", {"region": region}),
        ("/v1/search/scene", {"slots": slots}),
        ("/v1/segment", region),
    ):
        answer = client.post(path, json=body)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found_error"), path
        assert "choose it again" in answer.json()["detail"]
    answer = client.get(f"/v1/pictures/{kept}/thumbnail")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found_error")


def test_a_thumbnail_is_upright_and_not_drawn_twice(client: TestClient) -> None:
    turned = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6  # stored on its side
    Image.new("RGB", (80, 40), "red").save(turned, "JPEG", exif=exif)
    kept = keep(client, turned.getvalue())
    assert (kept["width"], kept["height"]) == (40, 80)
    path = f"/v1/pictures/{kept['picture_id']}/thumbnail"
    answer = client.get(path, params={"side": 20})
    assert Image.open(io.BytesIO(answer.content)).size == (10, 20)
    again = client.get(path, params={"side": 20}, headers={"If-None-Match": answer.headers["etag"]})
    assert again.status_code == 304


def test_what_is_no_picture_or_too_large_is_not_kept(client: TestClient, tmp_path: Path) -> None:
    for data, code in ((b"no picture", "picture_error"), (b"", "picture_error")):
        answer = client.post("/v1/pictures", files={"picture": data})
        assert answer.json()["code"] == code, data
    cut = png()[:-30]
    assert client.post("/v1/pictures", files={"picture": cut}).json()["code"] == "picture_error"
    assert not [*tmp_path.glob(f"library/{FOLDER}/*")]
    with open_small_service(tmp_path / "small", max_query_pixels=100) as made:
        small = TestClient(create_app(made), base_url="http://localhost")
        answer = small.post("/v1/pictures", files={"picture": png()})
    assert (answer.status_code, answer.json()["code"]) == (413, "picture_too_large_error")
    assert client.post("/v1/pictures", json={}).status_code == 422


@pytest.mark.parametrize(
    "body",
    [
        {"picture_id": "../catalog.sqlite"},
        {"picture_id": UNKNOWN[:-1]},
        {"terms": [{"picture_id": UNKNOWN, "image_id": 1}]},
        {"terms": [{"region": {"points": [[1, 1]]}}]},
        {"region": {"picture_id": UNKNOWN, "image_id": 1, "points": [[1, 1]]}},
    ],
)
def test_what_names_no_picture_or_two_is_refused(body: dict[str, Any], client: TestClient) -> None:
    answer = client.post("/v1/search", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "request_invalid")


def test_pointing_takes_one_picture(client: TestClient) -> None:
    for ids in ({}, {"image_id": 1, "picture_id": UNKNOWN}):
        answer = client.post("/v1/segment", json={**ids, "points": [[1, 1]]})
        assert (answer.status_code, answer.json()["code"]) == (400, "input_error")
