"""Masks in every format are one mask; clicks cut things out; exports hold what was asked for."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image
from pycocotools import mask as coco

from segsearch.core.settings import Settings
from segsearch.core.types import Mask
from segsearch.library import open_library
from segsearch.masks.rle import from_coco, iou
from segsearch_api.app import create_app
from segsearch_api.routers import export
from tests.conftest import BLUE, DEMO, RED, Truth
from tests.masks.test_polygons import filled
from tests.support.clicking_models import ClickModels
from tests.support.small_models import Shape, open_small_service, paint


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


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        (None, "application/json"),
        ("*/*", "application/json"),
        ("image/png", "image/png"),
        ("image/*", "image/png"),
        ("image/svg+xml,image/*;q=0.8", "image/svg+xml"),
        ("text/html, image/png;q=0.5, application/json;q=0.9", "application/json"),
        ("image/png;q=0, application/json", "application/json"),
        ("image/png;q=x, image/svg+xml;q=0.1", "image/svg+xml"),
    ],
)
def test_accept_chooses_the_format(
    client: TestClient, blue: int, accept: str | None, kind: str
) -> None:
    headers = {"Accept": accept} if accept else {}
    answer = client.get(f"/v1/segments/{blue}/mask", headers=headers)
    assert answer.headers["content-type"] == kind
    assert answer.headers["vary"] == "Accept"
    forced = client.get(f"/v1/segments/{blue}/mask?format=svg", headers=headers)
    assert forced.headers["content-type"] == "image/svg+xml"
    again = client.get(
        f"/v1/segments/{blue}/mask", headers={**headers, "If-None-Match": answer.headers["etag"]}
    )
    assert again.status_code == 304
    assert forced.headers["etag"] != answer.headers["etag"] or kind == "image/svg+xml"


def test_a_format_nobody_can_give_is_406(client: TestClient, blue: int) -> None:
    answer = client.get(f"/v1/segments/{blue}/mask", headers={"Accept": "text/html"})
    assert (answer.status_code, answer.json()["code"]) == (406, "not_acceptable")


# Clicks, with the embedded models


@pytest.fixture(scope="module")
def few(truth: Truth) -> list[tuple[str, Mask]]:
    """Three things in pictures of the demo."""
    return [things[0] for things in list(truth.things.values())[:3]]


@pytest.fixture(scope="module")
def demo(
    few: list[tuple[str, Mask]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TestClient]:
    """The API over their pictures, with the embedded models."""
    settings = Settings(library=tmp_path_factory.mktemp("clicks") / "library")
    with open_library(settings, create=True) as service:
        service.index(sorted({DEMO / "pictures" / name for name, _ in few}))
        yield TestClient(create_app(service), base_url="http://localhost")


def test_a_box_on_a_stored_or_uploaded_picture_cuts_the_thing_out(
    demo: TestClient, few: list[tuple[str, Mask]]
) -> None:
    listed = demo.get("/v1/images").json()["images"]
    images = {Path(one["paths"][0]).name: one for one in listed}
    overlaps = []
    for name, mask in few:
        prompt: dict[str, Any] = {"boxes": [list(mask.box.as_tuple())]}
        stored = demo.post("/v1/segment", json={"image_id": images[name]["image_id"], **prompt})
        assert stored.status_code == 200, stored.text
        (found,) = stored.json()["objects"]
        scores = [one["predicted_iou"] for one in found["masks"]]
        assert scores == sorted(scores, reverse=True)
        best = found["masks"][0]
        decoded = from_coco(best["mask"])
        assert (best["box"], best["area"]) == (list(decoded.box.as_tuple()), decoded.area)
        overlaps.append(max(iou(from_coco(one["mask"]), mask) for one in found["masks"]))
        with Path(images[name]["paths"][0]).open("rb") as file:
            uploaded = demo.post(
                "/v1/segment", files={"picture": file}, data={"prompt": json.dumps(prompt)}
            )
        assert uploaded.json()["objects"] == stored.json()["objects"]
        single = demo.post(
            "/v1/segment",
            json={"image_id": images[name]["image_id"], **prompt, "points": [], "multimask": False},
        )
        assert len(single.json()["objects"][0]["masks"]) == 1
    assert sorted(overlaps)[1] > 0.5


def test_points_and_labels_mean_one_object_and_boxes_one_each(demo: TestClient) -> None:
    both = demo.post(
        "/v1/segment",
        json={"image_id": 1, "points": [[50, 50], [5, 5]], "labels": [1, 0], "multimask": True},
    )
    assert len(both.json()["objects"]) == 1
    boxes = demo.post(
        "/v1/segment", json={"image_id": 1, "boxes": [[5, 5, 90, 90], [20, 20, 60, 60]]}
    )
    assert len(boxes.json()["objects"]) == 2


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"image_id": 1}, 400, "input_error"),
        ({"points": [[1, 1]]}, 400, "input_error"),
        ({"image_id": 1, "points": [[-1, 1]]}, 400, "input_error"),
        ({"image_id": 1, "points": [[1, 1]], "labels": [1, 0]}, 400, "input_error"),
        ({"image_id": 1, "boxes": [[9, 9, 9, 12]]}, 400, "input_error"),
        ({"image_id": 1, "points": [[1]]}, 422, "request_invalid"),
        ({"image_id": 1, "points": [[1, 1]], "labels": [2]}, 422, "request_invalid"),
        ({"image_id": 1, "points": [[1, 1]] * 65}, 422, "request_invalid"),
        ({"image_id": 1, "point": [[1, 1]]}, 422, "request_invalid"),
        ({"image_id": 99999, "points": [[1, 1]]}, 404, "not_found_error"),
    ],
)
def test_what_cannot_be_pointed_at_is_said(
    demo: TestClient, body: dict[str, Any], status: int, code: str
) -> None:
    answer = demo.post("/v1/segment", json=body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


PROMPT = {"prompt": '{"points": [[1, 1]]}'}


def test_a_segmenter_without_prompts_and_an_odd_body_are_said(client: TestClient) -> None:
    body = {"image_id": 1, "points": [[1, 1]]}
    refused = client.post("/v1/segment", json=body)
    assert (refused.status_code, refused.json()["code"]) == (503, "model_error")
    odd = client.post("/v1/segment", content=b"x", headers={"Content-Type": "text/plain"})
    assert (odd.status_code, odd.json()["code"]) == (415, "unsupported_media_type")
    for fields, files in [
        ({"prompt": "{}"}, ["other"]),
        ({**PROMPT, "multimask": "0"}, ["picture"]),
    ]:
        form = client.post("/v1/segment", data=fields, files=dict.fromkeys(files, b"x"))
        assert (form.status_code, form.json()["code"]) == (400, "input_error")


def test_a_click_takes_the_thing_under_it_and_no_what_is_not_of_it(tmp_path: Path) -> None:
    picture = paint(tmp_path / "a.png", [RED, BLUE])
    with open_small_service(tmp_path / "library", models=ClickModels()) as service:
        client = TestClient(create_app(service), base_url="http://localhost")
        # A library without any picture: an upload can be cut all the same.
        prompt = {"points": [[80, 40], [20, 20]], "labels": [1, 0], "multimask": False}
        answer = client.post(
            "/v1/segment",
            files={"picture": picture.read_bytes()},
            data={"prompt": json.dumps(prompt)},
        )
        assert answer.status_code == 200, answer.text
        (one,) = answer.json()["objects"][0]["masks"]
        assert np.array_equal(coco.decode(one["mask"]).astype(bool), BLUE.mask(120, 90))
        nothing = client.post(
            "/v1/segment",
            files={"picture": picture.read_bytes()},
            data={"prompt": json.dumps({"points": [[80, 40]], "labels": [0]})},
        )
        assert nothing.json()["objects"] == [{"masks": []}]


# Exports


def test_coco_and_lines_hold_every_region_or_those_of_a_query(client: TestClient) -> None:
    whole = client.post("/v1/export", json={"format": "coco"})
    assert whole.headers["content-disposition"] == 'attachment; filename="segsearch-coco.json"'
    assert len(whole.json()["annotations"]) == 4
    some = client.post("/v1/export", json={"format": "jsonl", "text": "blue", "limit": 1})
    (line,) = some.text.splitlines()
    assert json.loads(line)["box"] == list(BLUE.box)
    two = client.post("/v1/export", json={"format": "jsonl", "limit": 2})
    assert len(two.text.splitlines()) == 2
    like = client.post("/v1/export", json={"format": "jsonl", "segment_id": 1, "limit": 1})
    assert json.loads(like.text)["segment_id"] == 1


def test_parquet_holds_the_same_regions(client: TestClient) -> None:
    pytest.importorskip("pyarrow", reason="needs the extra data")
    from pyarrow import parquet

    answer = client.post("/v1/export", json={"format": "parquet", "text": "blue", "limit": 1})
    table = parquet.read_table(io.BytesIO(answer.content))
    assert table.num_rows == 1
    assert table["area"][0].as_py() == int(BLUE.mask(120, 90).sum())


def test_a_caption_pack_comes_as_a_tar(client: TestClient, tmp_path: Path) -> None:
    answer = client.post("/v1/export", json={"format": "caption-pack", "text": "blue", "limit": 1})
    with tarfile.open(fileobj=io.BytesIO(answer.content)) as tar:
        tar.extractall(tmp_path, filter="data")
    (file,) = tmp_path.rglob("regions.jsonl")
    folder = file.parent
    (line,) = file.read_text().splitlines()
    with Image.open(folder / json.loads(line)["cutout"]) as cutout:
        assert (cutout.mode, cutout.size) == ("RGBA", (40, 40))


def test_of_a_pack_it_is_said_what_is_missing(tmp_path: Path) -> None:
    with open_small_service(tmp_path / "library") as service:
        for name in ("a", "b"):
            shape = Shape("red" if name == "a" else "blue", (10, 10, 50, 40))
            service.index([paint(tmp_path / f"{name}.png", [shape])])
        client = TestClient(create_app(service), base_url="http://localhost")
        (tmp_path / "a.png").unlink()
        answer = client.post("/v1/export", json={"format": "caption-pack"})
        with tarfile.open(fileobj=io.BytesIO(answer.content)) as tar:
            skipped = tar.extractfile("skipped.json")
            assert skipped is not None
            assert list(json.load(skipped)) == ["1"]
        (tmp_path / "b.png").unlink()
        answer = client.post("/v1/export", json={"format": "caption-pack"})
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found_error")
        assert "is gone or was changed" in answer.json()["detail"]


def test_the_whole_library_is_exported_however_large(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "MAX_LIMIT", 2)
    for wanted, count in (({}, 4), ({"limit": 3}, 3), ({"segment_id": 1, "min_relevance": 0}, 2)):
        answer = client.post("/v1/export", json={"format": "jsonl", **wanted})
        assert len(answer.text.splitlines()) == count


def test_a_collections_regions_are_exported_alone(tmp_path: Path) -> None:
    with open_small_service(tmp_path / "library") as service:
        for name in ("a", "b"):
            shape = Shape("red" if name == "a" else "blue", (10, 10, 50, 40))
            service.index([paint(tmp_path / f"{name}.png", [shape])])
        service.catalog.create_collection("one")
        service.catalog.add_to_collection("one", [2])
        client = TestClient(create_app(service), base_url="http://localhost")
        answer = client.post("/v1/export", json={"format": "coco", "collection": "one"})
        assert [one["id"] for one in answer.json()["images"]] == [2]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"format": "csv"}, 422, "request_invalid"),
        ({"text": "a", "segment_id": 1}, 422, "query_error"),
        ({"text": "a", "collection": "b"}, 422, "query_error"),
        ({"text": "a", "limit": 2000}, 422, "query_error"),
        ({"format": "caption-pack", "limit": 2000}, 422, "query_error"),
        ({"text": " "}, 422, "query_error"),
        ({"collection": "none"}, 404, "not_found_error"),
        ({"segment_id": 999}, 404, "not_found_error"),
    ],
)
def test_what_cannot_be_exported_is_said(
    client: TestClient, body: dict[str, Any], status: int, code: str
) -> None:
    answer = client.post("/v1/export", json=body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_models_and_stats_say_what_there_is(client: TestClient) -> None:
    models = client.get("/v1/models").json()
    assert (models["preset"], models["segmenter"]) == ("small", "colour-segmenter@1")
    here = {one["name"]: one["here"] for one in models["presets"]}
    assert here["demo"] is True
    stats = client.get("/v1/stats").json()
    assert (stats["images"], stats["segments"]) == (3, 4)
    assert stats["formats"] == {"PNG": 3}
