"""Images and segments over HTTP: documents page by page, and PNGs that show the true pixels."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from segsearch_api.app import create_app
from tests.conftest import BLUE
from tests.support.small_models import Shape, open_small_service, paint

DRAWINGS = [
    "/v1/images/1/thumbnail",
    "/v1/images/1/original",
    "/v1/segments/1/mask.png",
    "/v1/segments/1/cutout.png",
    "/v1/segments/1/crop.png",
    "/v1/segments/1/overlay.png",
]


def picture(client: TestClient, path: str) -> Image.Image:
    answer = client.get(path)
    assert answer.status_code == 200, answer.text
    return Image.open(io.BytesIO(answer.content))


@pytest.fixture(scope="module")
def blue(client: TestClient) -> dict[str, Any]:
    found: dict[str, Any] = client.post("/v1/search", json={"text": "blue"}).json()["hits"][0]
    return found


def test_images_come_page_by_page(client: TestClient) -> None:
    seen: list[int] = []
    after: int | None = 0
    while after is not None:
        page = client.get("/v1/images", params={"after": after, "limit": 2}).json()
        seen += [image["image_id"] for image in page["images"]]
        after = page["next_after"]
    assert seen == [1, 2, 3]


def test_an_image_knows_its_size_and_paths(client: TestClient, pictures: Path) -> None:
    image = client.get("/v1/images/1").json()
    assert (image["width"], image["height"], image["format"]) == (120, 90, "PNG")
    assert image["paths"] == [str(pictures / "a.png")]
    assert image["state"] == "done"


def test_an_images_segments_are_those_of_the_search(
    client: TestClient, blue: dict[str, Any]
) -> None:
    segments = client.get(f"/v1/images/{blue['image_id']}/segments").json()["segments"]
    assert len(segments) == 2
    same = next(one for one in segments if one["segment_id"] == blue["segment_id"])
    assert list(same) == [
        "segment_id", "image_id", "box", "area", "mask", "predicted_iou", "stability",
        "kind", "reading_order", "life", "captions",
    ]  # fmt: skip
    assert all(same[name] == blue[name] for name in same)
    assert client.get(f"/v1/segments/{blue['segment_id']}").json() == same


def test_the_mask_is_the_things_true_pixels(client: TestClient, blue: dict[str, Any]) -> None:
    mask = picture(client, f"/v1/segments/{blue['segment_id']}/mask.png")
    assert mask.mode == "L"
    assert np.array_equal(np.asarray(mask), BLUE.mask(120, 90) * np.uint8(255))


def test_the_cutout_is_the_thing_alone(client: TestClient, blue: dict[str, Any]) -> None:
    cutout = picture(client, f"/v1/segments/{blue['segment_id']}/cutout.png")
    x0, y0, x1, y1 = BLUE.box
    assert (cutout.mode, cutout.size) == ("RGBA", (x1 - x0, y1 - y0))
    alpha = np.asarray(cutout)[..., 3] == 255
    assert np.array_equal(alpha, BLUE.mask(120, 90)[y0:y1, x0:x1])


def test_a_crop_grows_with_its_margin(client: TestClient, blue: dict[str, Any]) -> None:
    path = f"/v1/segments/{blue['segment_id']}/crop.png"
    assert picture(client, f"{path}?margin=0").size == (40, 40)
    assert picture(client, f"{path}?margin=0.5").size == (80, 80)


def test_an_overlay_is_as_large_as_it_is_shown(client: TestClient, blue: dict[str, Any]) -> None:
    small = np.asarray(picture(client, f"/v1/segments/{blue['segment_id']}/overlay.png?side=60"))
    assert small.shape == (45, 60, 3)
    assert small[43, 58].max() < 128  # the white ground
    assert small[20, 40, 2] > 150  # the middle of the disc


def test_an_overlay_is_dark_outside_the_region(client: TestClient, blue: dict[str, Any]) -> None:
    overlay = np.asarray(picture(client, f"/v1/segments/{blue['segment_id']}/overlay.png"))
    assert overlay.shape == (90, 120, 3)
    assert overlay[85, 115].max() < 128  # the white ground
    assert overlay[40, 80, 2] > 150  # the middle of the disc


def test_the_original_is_exact_and_a_thumbnail_small(client: TestClient, pictures: Path) -> None:
    original = picture(client, "/v1/images/1/original")
    assert np.array_equal(np.asarray(original), np.asarray(Image.open(pictures / "a.png")))
    small = picture(client, "/v1/images/1/thumbnail?side=60")
    assert (small.format, small.size) == ("JPEG", (60, 45))


def test_a_copy_that_is_still_right_is_not_sent_again(client: TestClient) -> None:
    for path in DRAWINGS:
        first = client.get(path)
        assert first.headers["cache-control"] == "private, no-cache", path
        again = client.get(path, headers={"If-None-Match": first.headers["etag"]})
        assert (again.status_code, again.content) == (304, b""), path
        assert again.headers["etag"] == first.headers["etag"]
        assert client.get(path, headers={"If-None-Match": '"other"'}).status_code == 200


def test_different_drawings_have_different_tags(client: TestClient) -> None:
    paths = [*DRAWINGS, "/v1/images/1/thumbnail?side=50", "/v1/segments/1/crop.png?margin=1"]
    tags = {client.get(path).headers["etag"] for path in paths}
    assert len(tags) == len(paths)


REFUSED = {
    **{path.replace("/1/", "/999/"): 404 for path in DRAWINGS},
    **{path.replace("/1/", "/0/"): 422 for path in DRAWINGS},
    "/v1/images/999": 404,
    "/v1/images/999/segments": 404,
    "/v1/segments/999": 404,
    "/v1/images/one": 422,
    f"/v1/segments/{2**63}": 422,
    "/v1/images?limit=0": 422,
    "/v1/images?limit=1001": 422,
    "/v1/images?after=-1": 422,
    "/v1/images/1/thumbnail?side=15": 422,
    "/v1/images/1/thumbnail?side=100000": 422,
    "/v1/segments/1/crop.png?margin=-1": 422,
    "/v1/segments/1/crop.png?margin=nan": 422,
    "/v1/segments/1/crop.png?margin=1e9": 422,
}


def test_what_is_not_there_or_out_of_range_is_refused(client: TestClient) -> None:
    for path, status in REFUSED.items():
        answer = client.get(path)
        assert (answer.status_code, answer.json()["status"]) == (status, status), path
        assert answer.headers["content-type"] == "application/problem+json"


def test_a_file_that_went_away_is_said_and_its_mask_stays(tmp_path: Path) -> None:
    path = paint(tmp_path / "pictures" / "a.png", [Shape("red", (1, 1, 20, 20))])
    with open_small_service(tmp_path / "library") as service:
        service.index([path])
        path.unlink()
        client = TestClient(create_app(service), base_url="http://localhost")
        gone = client.get("/v1/segments/1/cutout.png")
        assert (gone.status_code, gone.json()["code"]) == (404, "not_found_error")
        assert client.get("/v1/segments/1/mask.png").status_code == 200


def test_a_turned_picture_is_shown_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter clockwise
    path = paint(tmp_path / "turned.png", [Shape("red", (10, 10, 50, 40))], exif=exif)
    with open_small_service(tmp_path / "library") as service:
        service.index([path])
        client = TestClient(create_app(service), base_url="http://localhost")
        assert picture(client, "/v1/images/1/original").size == (90, 120)
        assert client.get("/v1/segments/1").json()["box"] == [50, 10, 80, 50]
