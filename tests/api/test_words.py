"""Words for regions over HTTP: of stored ones, and of what is pointed at."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from segsearch.library import SegSearch
from segsearch_api.app import create_app
from tests.conftest import BLUE, RED
from tests.support.clicking_models import ClickModels
from tests.support.small_models import open_small_service, paint

WORDS = ("red", "blue", "green")


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SegSearch]:
    """Models that know colours only, and words that are colours."""
    monkeypatch.setattr("segsearch.search.naming.NAMES", WORDS)
    paint(tmp_path / "pictures" / "a.png", [RED, BLUE])
    with open_small_service(tmp_path / "library", models=ClickModels()) as made:
        made.index([tmp_path / "pictures"])
        yield made


@pytest.fixture
def client(library: SegSearch) -> TestClient:
    return TestClient(create_app(library), base_url="http://localhost")


def texts(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [word["text"] for word in answer.json()["words"]]


def test_a_stored_region_has_the_word_that_fits_it(client: TestClient, library: SegSearch) -> None:
    for segment in library.catalog.segments_of(1):
        colour = "red" if segment.mask.box.as_tuple() == RED.box else "blue"
        path = f"/v1/segments/{segment.id}/words"
        assert texts(client.get(path))[0] == colour
        assert len(texts(client.get(path, params={"limit": 2}))) == 2
        assert client.get(path).json()["words"][0]["relevance"] is None  # of two regions


def test_what_is_pointed_at_has_its_word_too(client: TestClient, library: SegSearch) -> None:
    region: dict[str, Any] = {"image_id": 1, "points": [[80, 40]]}
    assert texts(client.post("/v1/words", json={"region": region}))[0] == "blue"
    data = library.pictures.original(1)
    kept = client.post("/v1/pictures", files={"picture": data}).json()["picture_id"]
    region = {"picture_id": kept, "box": list(RED.box)}
    assert texts(client.post("/v1/words", json={"region": region, "limit": 1})) == ["red"]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"region": {"points": [[1, 1]]}}, 422, "request_invalid"),
        ({"region": {"image_id": 1}}, 422, "query_error"),
        ({"region": {"image_id": 9, "points": [[1, 1]]}}, 404, "not_found_error"),
        ({"region": {"picture_id": "0" * 64, "points": [[1, 1]]}}, 404, "not_found_error"),
        ({"region": {"image_id": 1, "points": [[1, 1]]}, "limit": 0}, 422, "request_invalid"),
        ({}, 422, "request_invalid"),
    ],
)
def test_what_points_at_nothing_is_refused(
    body: dict[str, Any], status: int, code: str, client: TestClient
) -> None:
    answer = client.post("/v1/words", json=body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_a_segment_that_is_not_there_is_not_found(client: TestClient) -> None:
    answer = client.get("/v1/segments/9000/words")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found_error")
    assert client.get("/v1/segments/1/words", params={"limit": 51}).status_code == 422
