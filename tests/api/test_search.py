"""POST /v1/search: words, pictures and segments find the right regions; bad input is told."""

from __future__ import annotations

import io
import json
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image
from pycocotools import mask as coco

from segsearch.library import SegSearch
from segsearch.masks.rle import to_coco
from segsearch_api.app import create_app
from tests.conftest import BLUE, FAR_RED, GREEN, RED
from tests.support.small_models import COLOURS, Shape

FIELDS = [
    "rank", "score", "relevance", "segment_id", "image_id", "path", "width", "height", "shot",
    "box", "area", "mask", "predicted_iou", "stability", "kind", "reading_order", "life",
    "captions", "folded", "lines",
]  # fmt: skip

# A cursor's document, packed, in which a number is Infinity
INFINITE = "eJyLNtRRqlDSMdAz1PHMS8vMyyyp1ImOjQUASaEG5w=="


def hits_of(client: TestClient, **body: Any) -> list[dict[str, Any]]:
    answer = client.post("/v1/search", json=body)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["hits"]
    return found


def png(colour: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (30, 20), COLOURS[colour]).save(buffer, "PNG")
    return buffer.getvalue()


def test_hits_have_the_fields_of_the_command_lines_json(client: TestClient) -> None:
    hits = hits_of(client, text="red")
    assert [list(hit) for hit in hits] == [FIELDS] * len(hits)
    assert [hit["rank"] for hit in hits] == list(range(1, len(hits) + 1))
    assert [hit["score"] for hit in hits] == sorted((hit["score"] for hit in hits), reverse=True)


@pytest.mark.parametrize(
    ("text", "shape"), [("blue", BLUE), ("a green thing", GREEN)], ids=["blue", "green"]
)
def test_words_find_the_region_with_its_true_mask(
    client: TestClient, text: str, shape: Shape
) -> None:
    best = hits_of(client, text=text, limit=1)[0]
    assert best["box"] == list(shape.box)
    assert np.array_equal(coco.decode(best["mask"]).astype(bool), shape.mask(120, 90))


def test_a_picture_finds_regions_like_it(client: TestClient) -> None:
    answer = client.post(
        "/v1/search", files={"picture": ("q.png", png("blue"))}, data={"limit": "1", "text": ""}
    )
    assert answer.status_code == 200, answer.text
    assert [hit["box"] for hit in answer.json()["hits"]] == [list(BLUE.box)]


def test_a_file_where_a_form_expects_text_is_refused(client: TestClient) -> None:
    for field in ("filters", "terms", "region", "like", "unlike", "text"):
        answer = client.post("/v1/search", files={field: ("f.json", b"[1]")})
        problem = answer.json()
        assert (answer.status_code, problem["code"]) == (422, "query_error")
        assert f"{field!r} is a file, expected text" in problem["detail"]


def test_a_form_without_a_picture_is_answered_too(client: TestClient) -> None:
    form = {"text": (None, "green"), "limit": (None, "1")}
    answer = client.post("/v1/search", files=form)
    assert [hit["box"] for hit in answer.json()["hits"]] == [list(GREEN.box)]


def test_a_segment_finds_itself_and_its_like_elsewhere(client: TestClient) -> None:
    red = next(hit for hit in hits_of(client, text="red") if hit["box"] == list(RED.box))
    found = hits_of(client, segment_id=red["segment_id"], limit=2)
    assert {tuple(hit["box"]) for hit in found} == {RED.box, FAR_RED.box}


def test_terms_add_up_and_can_be_taken_away(client: TestClient) -> None:
    both = {tuple(hit["box"]) for hit in hits_of(client, text="blue green", limit=2)}
    assert both == {BLUE.box, GREEN.box}
    less = hits_of(client, text="blue green", not_text="green", limit=1)
    assert less[0]["box"] == list(BLUE.box)


def test_limits_hold(client: TestClient) -> None:
    assert len(hits_of(client, text="red", limit=2)) == 2
    images = [hit["image_id"] for hit in hits_of(client, text="red", per_image=1)]
    assert len(images) == len(set(images)) == 3


WRONG_QUERIES: list[tuple[Any, str]] = [
    ({}, "query_error"),
    ({"text": ""}, "query_error"),
    ({"text": " \t "}, "query_error"),
    ({"not_text": "red"}, "query_error"),
    ({"text": "x" * 1500}, "query_error"),
    ({"text": "red", "limit": 0}, "request_invalid"),
    ({"text": "red", "limit": 1001}, "request_invalid"),
    ({"text": "red", "per_image": 0}, "request_invalid"),
    ({"text": "red", "limit": "many"}, "request_invalid"),
    ({"text": 5}, "request_invalid"),
    ({"texts": "red"}, "request_invalid"),
    ({"segment_id": 2**63}, "request_invalid"),
    ({"text": "red", "like": [2**63]}, "request_invalid"),
    ({"text": "red", "cursor": INFINITE}, "query_error"),
    ([], "request_invalid"),
]


def test_a_wrong_query_is_refused_with_a_sentence(client: TestClient) -> None:
    for body, code in WRONG_QUERIES:
        answer = client.post("/v1/search", json=body)
        assert answer.status_code == 422, body
        assert answer.headers["content-type"] == "application/problem+json"
        problem = answer.json()
        assert (problem["code"], problem["status"]) == (code, 422), body
        assert problem["detail"].endswith(".")


def test_an_unknown_segment_is_not_found(client: TestClient) -> None:
    answer = client.post("/v1/search", json={"segment_id": 999})
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found_error")


def huge_header() -> bytes:
    """A PNG that claims 50,000 x 50,000 pixels."""
    size = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
    chunks = [b"\x89PNG\r\n\x1a\n"]
    for kind, data in ((b"IHDR", size), (b"IDAT", zlib.compress(b""))):
        chunks += [struct.pack(">I", len(data)), kind, data]
        chunks.append(struct.pack(">I", zlib.crc32(kind + data)))
    return b"".join(chunks)


def test_a_query_picture_that_cannot_be_used_is_refused(client: TestClient) -> None:
    for name, data, status, code in [
        ("empty", b"", 422, "picture_error"),
        ("no picture", b"nothing of the kind", 422, "picture_error"),
        ("truncated", png("red")[:60], 422, "picture_error"),
        ("huge header", huge_header(), 413, "picture_too_large_error"),
        ("large file", b"x" * 2_000_001, 413, "picture_too_large_error"),
        ("large body", b"x" * 3_500_000, 413, "body_too_large"),
    ]:
        answer = client.post("/v1/search", files={"picture": ("q.png", data)})
        assert (answer.status_code, answer.json()["code"]) == (status, code), name


def test_a_body_that_cannot_be_read_is_refused(client: TestClient) -> None:
    for content, kind, status, code in [
        (b"{", "application/json", 422, "request_invalid"),
        (b"\xff", "application/json", 422, "request_invalid"),
        (b'{"text": "\\ud800"}', "application/json", 422, "request_invalid"),
        (b" " * 70_000, "application/json", 413, "body_too_large"),
        (b"text=red", "application/x-www-form-urlencoded", 415, "unsupported_media_type"),
        (b"red", "", 415, "unsupported_media_type"),
        (b"x", "multipart/form-data", 400, "bad_request"),
    ]:
        answer = client.post("/v1/search", content=content, headers={"content-type": kind})
        assert (answer.status_code, answer.json()["code"]) == (status, code), (content[:20], kind)


def test_a_body_of_undeclared_length_is_counted(client: TestClient) -> None:
    pieces = iter([b" " * 10_000] * 8)
    answer = client.post("/v1/search", content=pieces, headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


def test_file_names_come_back_as_they_are(client: TestClient, pictures: Path) -> None:
    hits = hits_of(client, text="red")
    name = next(path for path in pictures.iterdir() if path.name.startswith("c "))
    assert str(name) in {hit["path"] for hit in hits}
    assert json.dumps(str(name)) in client.post("/v1/search", json={"text": "red"}).text


@pytest.mark.parametrize("words", ["a cat", "a cup of coffee", "a bicycle"])
def test_the_embedded_models_answer_over_http_as_they_do_inside(
    demo_library: SegSearch, words: str
) -> None:
    inside = demo_library.search_text(words, limit=5).hits
    with TestClient(create_app(demo_library), base_url="http://localhost") as client:
        over_http = hits_of(client, text=words, limit=5)
        assert [hit["segment_id"] for hit in over_http] == [hit.segment.id for hit in inside]
        assert [hit["mask"] for hit in over_http] == [to_coco(hit.segment.mask) for hit in inside]
        cutout = client.get(f"/v1/segments/{over_http[0]['segment_id']}/cutout.png")
        assert Image.open(io.BytesIO(cutout.content)).mode == "RGBA"
