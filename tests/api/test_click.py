"""Clicks cut things out, and mean the same for the page, over HTTP and for an assistant."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from numpy.typing import NDArray
from pycocotools import mask as coco

from segsearch.core.arrays import BoolArray
from segsearch.core.settings import Settings
from segsearch.core.types import Mask
from segsearch.library import SegSearch, open_library
from segsearch.masks.rle import from_coco, iou, to_coco
from segsearch.models.pipeline import Pipeline
from segsearch.models.segment.prompts import Prompts
from segsearch.search.click import stored_region_at
from segsearch_api.app import create_app
from tests.api.test_mcp import call, documents
from tests.conftest import BLUE, DEMO, FAR_RED, RED, Truth
from tests.support.clicking_models import ClickModels, ClickSegmenter, ColourPatches
from tests.support.small_models import ColourEmbedder, open_small_service, paint

POINT = (20, 20)  # in the red rectangle of the first picture


class NarrowSegmenter(ClickSegmenter):
    """Leaves out the last five columns of what is pointed at: no fresh mask is a stored one."""

    def _thing(
        self, picture: ColourPatches, prompts: Prompts, box: NDArray[np.float64] | None
    ) -> BoolArray:
        mask = super()._thing(picture, prompts, box)
        mask[:, np.flatnonzero(mask.any(axis=0))[-5:]] = False
        return mask


class NarrowModels(ClickModels):
    def pipeline(self) -> Pipeline:
        return Pipeline(NarrowSegmenter(), ColourEmbedder(), self.crop)


@pytest.fixture
def library(tmp_path: Path) -> Iterator[SegSearch]:
    paint(tmp_path / "pictures" / "a.png", [RED, BLUE])
    paint(tmp_path / "pictures" / "b.png", [FAR_RED])
    with open_small_service(tmp_path / "library", models=NarrowModels()) as library:
        library.index([tmp_path / "pictures"])
        yield library


def search(library: SegSearch, **query: Any) -> dict[str, Any]:
    client = TestClient(create_app(library), base_url="http://localhost")
    answer = client.post("/v1/search", json={**query, "limit": 3, "per_image": 1})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def search_at_point(library: SegSearch, **region: Any) -> dict[str, Any]:
    """What the page asks when somebody clicks, with `region` added."""
    return search(library, region={"image_id": 1, "points": [POINT], **region})


def tool_at_point(library: SegSearch, tool: str, **options: Any) -> Any:
    return call(library, tool, image_id=1, x=POINT[0], y=POINT[1], **options)


def scores(hits: list[dict[str, Any]]) -> dict[int, float]:
    return {hit["segment_id"]: hit["score"] for hit in hits}


def test_one_point_has_the_same_first_mask_for_page_http_and_assistant(library: SegSearch) -> None:
    on_page = search_at_point(library)
    (pointed,) = on_page["pointed"]
    first = pointed["candidates"][pointed["chosen"]]
    assert first["box"] == [10, 10, 45, 40]
    client = TestClient(create_app(library), base_url="http://localhost")
    cut = client.post("/v1/segment", json={"image_id": 1, "points": [POINT]}).json()
    assert cut["objects"][0]["masks"] == pointed["candidates"]
    told = json.loads(tool_at_point(library, "segment_at").content[0].text)[0]
    assert {name: told[name] for name in ("box", "area", "predicted_iou")} == {
        name: first[name] for name in ("box", "area", "predicted_iou")
    }
    hits = documents(tool_at_point(library, "click_search", limit=3))
    assert scores(hits) == scores(on_page["hits"])


def test_stored_asks_for_the_stored_region_at_a_point(library: SegSearch) -> None:
    stored = stored_region_at(library.catalog, library.point, 1, POINT)
    assert stored.mask.box.as_tuple() == RED.box
    answer = search_at_point(library, stored=True)
    (pointed,) = answer["pointed"]
    assert [mask["mask"] for mask in pointed["candidates"]] == [to_coco(stored.mask)]
    assert scores(answer["hits"]) == scores(search(library, segment_id=stored.id)["hits"])
    assert scores(answer["hits"]) != scores(search_at_point(library)["hits"])
    hits = documents(tool_at_point(library, "click_search", stored=True, limit=3))
    assert scores(hits) == scores(answer["hits"])


def test_a_stored_region_is_asked_for_by_one_point_alone(library: SegSearch) -> None:
    client = TestClient(create_app(library), base_url="http://localhost")
    prompts: list[dict[str, Any]] = [
        {"points": []},
        {"points": [[20, 20], [25, 25]]},
        {"points": [[20, 20]], "box": [10, 10, 50, 40]},
    ]
    for prompt in prompts:
        region = {"image_id": 1, "stored": True, **prompt}
        answer = client.post("/v1/search", json={"region": region})
        assert (answer.status_code, answer.json()["code"]) == (422, "query_error"), region


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


def test_what_cannot_be_pointed_at_is_said(demo: TestClient) -> None:
    for body, status, code in [
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
    ]:
        answer = demo.post("/v1/segment", json=body)
        assert (answer.status_code, answer.json()["code"]) == (status, code), body


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
