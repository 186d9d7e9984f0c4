"""The map over HTTP: made beside the server, given as typed arrays, asked by, refused in words."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from segsearch.core.map_points import MapPoints
from segsearch.library import SegSearch
from segsearch.storage.api_keys import KeyRing, Scope
from segsearch.storage.region_maps import MapFolder
from segsearch_api.app import create_app
from tests.support.mapped import FEW, colours_of, make, mapped_library
from tests.support.small_models import open_small_service

SECONDS = 120.0
REGIONS = 3 * FEW


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SegSearch]:
    """A library with a map, and a collection without one."""
    with mapped_library(tmp_path_factory.mktemp("maps"), FEW) as made:
        make(made)
        made.catalog.create_collection("Holidays")
        made.catalog.add_to_collection("Holidays", [1, 2, 3])
        yield made


@pytest.fixture(scope="module")
def client(service: SegSearch) -> Iterator[TestClient]:
    with TestClient(create_app(service), base_url="http://localhost") as made:
        yield made


def refusal(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


@pytest.mark.process
def test_a_map_is_made_beside_the_server(tmp_path: Path) -> None:
    with (
        mapped_library(tmp_path, FEW) as service,
        TestClient(create_app(service), base_url="http://localhost") as client,
    ):
        nothing = client.get("/v1/map").json()
        assert nothing == {
            "state": "none", "stale": False, "progress": None, "step": None, "message": None,
            "method": None, "regions": 0, "made_at": None, "clusters": [],
        }  # fmt: skip
        begun = client.post("/v1/map", json={"collection": None})
        assert (begun.status_code, begun.json()["state"]) == (202, "making")
        assert client.post("/v1/search", json={"text": "red"}).json()["hits"]  # meanwhile
        deadline = time.monotonic() + SECONDS
        while (state := client.get("/v1/map").json())["state"] == "making":
            assert 0 <= state["progress"] <= 1
            assert state["step"]
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert (state["state"], state["stale"], state["method"]) == ("ready", False, "pca")
        assert state["regions"] == sum(cluster["regions"] for cluster in state["clusters"])
        assert client.get("/v1/map?collection=none").status_code == 404


def test_points_are_blocks_of_numbers_with_an_etag(client: TestClient, service: SegSearch) -> None:
    answer = client.get("/v1/map/points")
    assert answer.headers["content-type"] == "application/octet-stream"
    header = np.frombuffer(answer.content, "<u4", 6)
    count, x, y, cluster, ids = header[1:].tolist()
    assert (answer.content[:4], count) == (b"SSM1", REGIONS)
    points = service.maps.newest().points
    for start, kind, values in (
        (x, "<f4", points.x), (y, "<f4", points.y), (cluster, "<u2", points.cluster),
        (ids, "<i8", points.ids),
    ):  # fmt: skip
        assert np.frombuffer(answer.content, kind, count, start).tolist() == values.tolist()
    again = client.get("/v1/map/points", headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    mark = client.get("/v1/session").json()["library"]
    for given in (None, answer.headers["etag"]):  # the next map comes under the same address
        headers = {} if given is None else {"If-None-Match": given}
        named = client.get(f"/v1/map/points?library={mark}", headers=headers)
        assert named.headers["cache-control"] == "private, no-cache"
    assert refusal(client.get("/v1/map/points?collection=Holidays")) == (404, "not_found_error")
    assert refusal(client.get("/v1/map/points?collection=none")) == (404, "not_found_error")


def test_regions_are_listed_by_what_lies_on_the_map(client: TestClient, service: SegSearch) -> None:
    document = client.get("/v1/map").json()
    points = MapPoints.from_bytes(client.get("/v1/map/points").content)
    for cluster in document["clusters"]:
        number = cluster["cluster"]
        seen, cursor = [], None
        while True:
            asked = {"filters": {"map_cluster": number}, "cursor": cursor, "limit": 4}
            page = client.post("/v1/regions", json=asked).json()
            assert page["total"] == cluster["regions"]
            seen += [region["segment_id"] for region in page["regions"]]
            cursor = page["next_cursor"]
            if cursor is None:
                break
        assert seen == points.ids[points.cluster == number].tolist()
        assert set(cluster["examples"]) <= set(seen)
    area = [[-2, -2], [0, -2], [0, 2], [-2, 2]]
    left = client.post("/v1/regions", json={"filters": {"map_area": area}, "limit": 1000}).json()
    expected = points.ids[points.x < 0].tolist()
    assert [region["segment_id"] for region in left["regions"]] == expected
    region, segment = left["regions"][0], service.catalog.segment(expected[0])
    image = service.catalog.image(segment.image_id)
    alone = client.get(f"/v1/segments/{segment.id}").json()
    assert alone.pop("captions") == []
    place = {"path": image.paths[0], "width": 130, "height": 100, "shot": None}
    assert region == {**alone, **place}
    every = client.post("/v1/regions", json={}).json()
    assert (every["total"], len(every["regions"])) == (REGIONS, REGIONS)
    hits = client.post(
        "/v1/search", json={"text": "red", "filters": {"map_area": area}, "min_relevance": 0}
    ).json()["hits"]
    assert {hit["segment_id"] for hit in hits} <= set(expected)


def test_what_cannot_be_is_refused_in_words(client: TestClient) -> None:
    for filters, code in [
        ({"map_cluster": 999}, "query_error"),
        ({"map_cluster": 0, "collections": ["Holidays"]}, "query_error"),
        ({"map_cluster": 0, "collections": ["nowhere"]}, "not_found_error"),
        ({"map_cluster": -1}, "request_invalid"),
        ({"map_area": [[0, 0], [1, 1]]}, "request_invalid"),
        ({"map_area": [[0, 0]] * 201}, "request_invalid"),
        ({"map_area": [[0, 0], [1, "x"], [1, 1]]}, "request_invalid"),
    ]:
        for path, body in (
            ("/v1/regions", {}),
            ("/v1/browse", {}),
            ("/v1/search", {"text": "red"}),
            ("/v1/search/scene", {"slots": [{"name": "red"}]}),
        ):
            answer = client.post(path, json={**body, "filters": filters})
            assert answer.json()["code"] == code, (path, filters)
    assert refusal(client.post("/v1/regions", json={"cursor": "x"})) == (422, "query_error")
    assert refusal(client.post("/v1/regions", json={"limit": 0})) == (422, "request_invalid")
    assert refusal(client.post("/v1/map", json={"collection": "no"})) == (404, "not_found_error")
    assert refusal(client.post("/v1/map", json={"colection": None})) == (422, "request_invalid")


def test_one_map_at_a_time(client: TestClient, service: SegSearch) -> None:
    with MapFolder(service.settings.library).making("library"):
        answer = client.post("/v1/map", json={"collection": "Holidays"})
        assert refusal(answer) == (429, "overload_error")
        assert int(answer.headers["retry-after"]) >= 1
        same = client.post("/v1/map", json={})
        assert (same.status_code, same.json()["state"]) == (202, "making")
        assert same.json()["regions"] == REGIONS  # the one before is still shown


def test_making_a_map_is_a_change_and_listing_regions_is_none(service: SegSearch) -> None:
    _, text = KeyRing(service.settings.library).create("reader", Scope.READ)
    app = create_app(service, need_key=True)
    client = TestClient(
        app, base_url="http://localhost", headers={"Authorization": f"Bearer {text}"}
    )
    assert client.post("/v1/regions", json={}).json()["total"] == len(colours_of(service))
    assert client.get("/v1/map").json()["state"] == "ready"
    assert refusal(client.post("/v1/map", json={})) == (403, "scope_error")


def test_an_empty_library_has_no_map(tmp_path: Path) -> None:
    with (
        open_small_service(tmp_path) as service,
        TestClient(create_app(service), base_url="http://localhost") as client,
    ):
        assert client.get("/v1/map").json()["state"] == "none"
        assert refusal(client.post("/v1/map", json={})) == (503, "library_missing_error")
        assert refusal(client.post("/v1/regions", json={})) == (503, "library_missing_error")
        assert refusal(client.get("/v1/map/points")) == (404, "not_found_error")
