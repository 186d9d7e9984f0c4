"""Masks in every format are one mask."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image
from pycocotools import mask as coco

from segsearch.core.types import Origin
from segsearch.library import SegSearch
from segsearch_api.app import create_app
from tests.conftest import BLUE
from tests.masks.test_polygons import filled


@pytest.fixture(scope="module")
def blue(client: TestClient) -> int:
    found: int = client.post("/v1/search", json={"text": "blue"}).json()["hits"][0]["segment_id"]
    return found


def mask_of(client: TestClient, number: int, format: str) -> Any:  # noqa: A002  the API's name
    answer = client.get(f"/v1/segments/{number}/mask", params={"format": format})
    assert answer.status_code == 200, answer.text
    return answer


def test_each_format_is_the_things_true_pixels(client: TestClient, blue: int) -> None:
    true = BLUE.mask(120, 90)
    drawn = Image.open(io.BytesIO(mask_of(client, blue, "png").content))
    assert np.array_equal(np.asarray(drawn) > 0, true)
    lengths = mask_of(client, blue, "rle").json()
    assert np.array_equal(coco.decode(lengths).astype(bool), true)
    outlines = mask_of(client, blue, "polygons").json()
    assert outlines["size"] == [90, 120]
    rings = [ring for polygon in outlines["polygons"] for ring in polygon]
    assert np.array_equal(filled(rings, 90, 120), true)
    svg = mask_of(client, blue, "svg")
    assert svg.headers["content-type"] == "image/svg+xml"
    assert svg.text.startswith('<svg xmlns="http://www.w3.org/2000/svg" width="120" height="90"')


ACCEPTED = {
    None: "application/json",
    "*/*": "application/json",
    "image/png": "image/png",
    "image/*": "image/png",
    "image/svg+xml,image/*;q=0.8": "image/svg+xml",
    "text/html, image/png;q=0.5, application/json;q=0.9": "application/json",
    "image/png;q=0, application/json": "application/json",
    "image/png;q=x, image/svg+xml;q=0.1": "image/svg+xml",
}


def test_accept_chooses_the_format(client: TestClient, blue: int) -> None:
    path = f"/v1/segments/{blue}/mask"
    for accept, kind in ACCEPTED.items():
        headers = {"Accept": accept} if accept else {}
        answer = client.get(path, headers=headers)
        assert answer.headers["content-type"] == kind, accept
        assert answer.headers["vary"] == "Accept"
        forced = client.get(f"{path}?format=svg", headers=headers)
        assert forced.headers["content-type"] == "image/svg+xml"
        again = client.get(path, headers={**headers, "If-None-Match": answer.headers["etag"]})
        assert again.status_code == 304
        assert forced.headers["etag"] != answer.headers["etag"] or kind == "image/svg+xml"


def test_a_format_nobody_can_give_is_406(client: TestClient, blue: int) -> None:
    answer = client.get(f"/v1/segments/{blue}/mask", headers={"Accept": "text/html"})
    assert (answer.status_code, answer.json()["code"]) == (406, "not_acceptable")


def test_a_small_cutout_is_the_cutout_shrunk(client: TestClient) -> None:
    # Which picture was indexed first is chance; the disc is blue.
    found = client.post("/v1/search", json={"text": "blue", "limit": 1}).json()["hits"][0]
    place = f"/v1/segments/{found['segment_id']}/cutout.png"
    whole = Image.open(io.BytesIO(client.get(place).content))
    small = Image.open(io.BytesIO(client.get(f"{place}?side=20").content))
    assert (small.mode, max(small.size)) == ("RGBA", 20)
    shape = whole.width / whole.height
    assert abs(small.width / small.height - shape) < 0.1 * shape
    opaque = np.asarray(small)[..., 3] > 127
    assert abs(opaque.mean() - (np.asarray(whole)[..., 3] > 0).mean()) < 0.05
    red = np.asarray(small)[opaque][:, :3].mean(axis=0)
    assert (
        np.abs(red - np.asarray(whole)[np.asarray(whole)[..., 3] > 0][:, :3].mean(axis=0)).max() < 8
    )
    same = client.get(f"{place}?side=2000").content
    assert Image.open(io.BytesIO(same)).size == whole.size
    assert client.get(f"{place}?side=4").status_code == 422


def test_what_was_said_of_a_region_comes_with_it(service: SegSearch) -> None:
    with TestClient(create_app(service), base_url="http://localhost") as client:
        (first, *others) = client.get("/v1/images/1/segments").json()["segments"]
        assert all(one["captions"] == [] for one in (first, *others))
        for prompt, text in (("ab", "A thing."), ("cd", "The same thing.")):
            origin = Origin("some-model", "localhost:8001", prompt * 32)
            assert service.catalog.add_caption(first["segment_id"], text, origin)
        (again, *rest) = client.get("/v1/images/1/segments").json()["segments"]
        assert [said["text"] for said in again["captions"]] == ["The same thing.", "A thing."]
        assert again["captions"][0]["model"] == "some-model"
        assert rest == others
        assert client.get(f"/v1/segments/{first['segment_id']}").json() == again
