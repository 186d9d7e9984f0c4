"""The library without a query over HTTP: pages, facets, duplicates, many pictures, file names."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from fastapi.testclient import TestClient
from PIL import Image

from segsearch.core.downloads import disposition, file_name, plain_name, stem_of
from segsearch.library import SegSearch
from segsearch.storage.api_keys import KeyRing, Scope
from segsearch_api.app import create_app
from tests.conftest import BLUE, GREEN, RED
from tests.support.small_models import Shape, open_small_service, paint

DATES = ("2024:07:14 12:31:05", "2024:07:02 08:00:00", "2023:12:24 18:00:00")
NAMES = ("Beach day.jpg", "a.jpg", "größe ☂.jpg")


@pytest.fixture
def place(tmp_path: Path) -> Iterator[tuple[TestClient, SegSearch]]:
    """Three photographs of two albums: red and blue, green, red; the first tagged twice."""
    shapes = ([RED, BLUE], [GREEN], [Shape("red", (30, 10, 90, 60), "disc")])
    with open_small_service(tmp_path / "library") as service:
        for number, (name, date) in enumerate(zip(NAMES, DATES, strict=True)):
            exif = Image.Exif()
            exif.get_ifd(0x8769)[0x9003] = date
            album = "trip" if number < 2 else "home"
            service.index([paint(tmp_path / album / name, shapes[number], exif=exif, quality=95)])
        service.tag(image_ids=[1], add=["sea", "sun"])
        service.catalog.create_collection("holidays")
        service.catalog.add_to_collection("holidays", [1, 3])
        with TestClient(create_app(service), base_url="http://localhost") as client:
            yield client, service


def browse(client: TestClient, **query: Any) -> Any:
    answer = client.post("/v1/browse", json=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_pages_of_pictures_by_day(place: tuple[TestClient, SegSearch]) -> None:
    client, _ = place
    first = browse(client, limit=2)
    assert [row["image_id"] for row in first["images"]] == [1, 2]
    assert first["total"] == 3
    row = first["images"][0]
    assert (row["date"], row["date_from"]) == ("2024-07-14T12:31:05", "camera")
    assert (row["segments"], row["tags"]) == (2, ["sea", "sun"])
    assert {**client.get("/v1/images/1").json(), "date": 0, "date_from": 0, "segments": 0} == {
        **row, "date": 0, "date_from": 0, "segments": 0,
    }  # fmt: skip
    last = browse(client, limit=2, cursor=first["next_cursor"])
    assert [row["image_id"] for row in last["images"]] == [3]
    assert last["next_cursor"] is None
    names = browse(client, order="name", filters={"collections": ["holidays"]})
    assert [row["image_id"] for row in names["images"]] == [1, 3]
    assert browse(client, filters={"min_area": 0.3})["total"] == 1


def test_what_cannot_be_browsed_is_said(place: tuple[TestClient, SegSearch]) -> None:
    client, _ = place
    for body, status, code in [
        ({"order": "size"}, 422, "request_invalid"),
        ({"limit": 0}, 422, "request_invalid"),
        ({"limit": 1001}, 422, "request_invalid"),
        ({"cursor": "none"}, 422, "query_error"),
        ({"filters": {"min_area": 2}}, 422, "request_invalid"),
        ({"filters": {"places": ["nowhere"]}}, 422, "query_error"),
        ({"filters": {"collections": ["none"]}}, 404, "not_found_error"),
        ({"sort": "name"}, 422, "request_invalid"),
    ]:
        answer = client.post("/v1/browse", json=body)
        assert (answer.status_code, answer.json()["code"]) == (status, code), body


def test_facets_name_what_pictures_can_be_told_apart_by(
    place: tuple[TestClient, SegSearch],
) -> None:
    client, _ = place
    assert client.get("/v1/facets").json() == {
        "albums": [{"name": "trip", "images": 2}, {"name": "home", "images": 1}],
        "tags": [{"name": "sea", "images": 1}, {"name": "sun", "images": 1}],
        "cameras": [],
        "collections": [{"name": "holidays", "images": 2}],
        "formats": [{"name": "JPEG", "images": 3}],
        "months": [{"month": "2024-07", "images": 2}, {"month": "2023-12", "images": 1}],
        "with_text": 0,
    }


def test_many_are_tagged_in_one_step(place: tuple[TestClient, SegSearch]) -> None:
    client, service = place

    def change(**body: Any) -> Any:
        return client.post("/v1/images/tags", json=body)

    answer = change(image_ids=[1, 2, 3, 3, 99], add=[" sea "], remove=["sun"])
    assert answer.json() == {"changed": 3}  # the first has lost one, the others have won one
    assert [image.tags for image in service.catalog.images()] == [("sea",)] * 3
    assert change(image_ids=[1, 2], add=["sea"]).json() == {"changed": 0}
    assert change(image_ids=[99], add=["sea"]).json() == {"changed": 0}
    for body, code in (
        ({"image_ids": [1], "add": ["ok", " "]}, "query_error"),
        ({"image_ids": []}, "request_invalid"),
        ({"image_ids": [0]}, "request_invalid"),
        ({"image_ids": [1] * 5001}, "request_invalid"),
    ):
        refused = change(**body)
        assert (refused.status_code, refused.json()["code"]) == (422, code)
    assert service.catalog.image(1).tags == ("sea",)


def test_many_are_removed_with_the_files_of_uploads_alone(
    place: tuple[TestClient, SegSearch], tmp_path: Path
) -> None:
    client, service = place
    data = paint(tmp_path / "sent.png", [BLUE]).read_bytes()
    sent = client.post("/v1/images", files={"file": ("sent.png", data)}).json()
    image = sent["images"][0]["image"]
    (kept,) = image["paths"]
    assert Path(kept).is_file()
    answer = client.post("/v1/images/remove", json={"image_ids": [1, image["image_id"], 99]})
    assert answer.json() == {"removed": 2}
    assert not Path(kept).exists()
    assert (tmp_path / "trip" / NAMES[0]).is_file()
    assert [row["image_id"] for row in browse(client)["images"]] == [2, 3]
    assert client.post("/v1/images/remove", json={"image_ids": [1]}).json() == {"removed": 0}
    assert service.catalog.collection("holidays").images == 1


def test_looking_takes_the_scope_read_and_changing_write(
    place: tuple[TestClient, SegSearch],
) -> None:
    client, service = place
    _, text = KeyRing(service.settings.library).create("a", Scope.READ)
    key = {"Authorization": f"Bearer {text}"}
    assert client.post("/v1/browse", json={}, headers=key).status_code == 200
    assert client.get("/v1/facets", headers=key).status_code == 200
    assert client.get("/v1/duplicates", headers=key).status_code == 200
    for path in ("tags", "remove"):
        answer = client.post(f"/v1/images/{path}", json={"image_ids": [1]}, headers=key)
        assert (answer.status_code, answer.json()["code"]) == (403, "scope_error")


def test_duplicates_come_in_groups_the_largest_first(tmp_path: Path) -> None:
    # What is alike in its coarse shapes is alike: the same drawing at three sizes, and another.
    with open_small_service(tmp_path / "library") as service:
        for name, side in (("small", 1), ("large", 3), ("middle", 2)):
            shapes = [
                Shape("black", (10 * side, 10 * side, 70 * side, 40 * side)),
                Shape("red", (40 * side, 30 * side, 100 * side, 80 * side), "disc"),
            ]
            size = (120 * side, 90 * side)
            service.index([paint(tmp_path / f"{name}.png", shapes, size=size)])
        service.index([paint(tmp_path / "other.png", [Shape("blue", (5, 60, 50, 85))])])
        client = TestClient(create_app(service), base_url="http://localhost")
        answer = client.get("/v1/duplicates").json()
        assert answer["next_after"] is None
        (group,) = answer["groups"]
        assert [row["image_id"] for row in group["images"]] == [2, 3, 1]
        assert group["images"][0] == client.get("/v1/images/2").json()
        assert client.get("/v1/duplicates?after=1").json()["groups"] == []
        assert [one["total"] for one in answer["groups"]] == [
            len(one["images"]) for one in answer["groups"]
        ]
        near = client.get("/v1/images/1/near-duplicates").json()["images"]
        assert sorted(row["image_id"] for row in near) == [2, 3]
        assert client.get("/v1/images/4/near-duplicates").json() == {"images": []}
        assert client.get("/v1/images/99/near-duplicates").status_code == 404


def names_in(answer: Any) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(answer.content)) as pack:
        assert all(entry.compress_type == zipfile.ZIP_STORED for entry in pack.infolist())
        return {name: pack.read(name) for name in pack.namelist()}


def test_cutouts_are_called_after_their_pictures(
    place: tuple[TestClient, SegSearch], tmp_path: Path
) -> None:
    client, service = place
    first = [segment.id for segment in service.catalog.segments_of(1)]
    (other,) = [segment.id for segment in service.catalog.segments_of(3)]
    body = {"format": "cutouts", "image_ids": [1, 77], "segment_ids": [other, first[0], 777]}
    answer = client.post("/v1/export", json=body)
    assert answer.headers["content-type"] == "application/zip"
    expected = 'attachment; filename="selection-cutouts.zip"'
    assert answer.headers["content-disposition"] == expected
    held = names_in(answer)
    pictures = [f"Beach day-{first[0]}.png", f"Beach day-{first[1]}.png", f"größe ☂-{other}.png"]
    assert [*held] == [*pictures, "regions.jsonl", "skipped.txt"]
    rows = [json.loads(line) for line in held["regions.jsonl"].splitlines()]
    assert [row["file"] for row in rows] == pictures
    for row in rows:
        with Image.open(io.BytesIO(held[row["file"]])) as cutout:
            x0, y0, x1, y1 = row["box"]
            assert (cutout.mode, cutout.size) == ("RGBA", (x1 - x0, y1 - y0))
        assert (
            client.get(f"/v1/segments/{row['segment_id']}/cutout.png").content
            == (held[row["file"]])
        )
    assert held["skipped.txt"].decode().splitlines() == [
        "There is no image 77 in the library.",
        "There is no segment 777 in the library.",
    ]
    (tmp_path / "trip" / NAMES[0]).unlink()
    held = names_in(client.post("/v1/export", json=body))
    assert [*held] == [pictures[2], "regions.jsonl", "skipped.txt"]
    assert f"Segment {first[0]}: " in held["skipped.txt"].decode()
    gone = client.post("/v1/export", json={"format": "cutouts", "image_ids": [1]})
    assert (gone.status_code, gone.json()["code"]) == (404, "not_found_error")


def test_a_file_that_holds_too_few_says_so(
    place: tuple[TestClient, SegSearch], monkeypatch: pytest.MonkeyPatch
) -> None:
    client, _ = place
    monkeypatch.setattr("segsearch_api.routers.export.MAX_CUTOUTS", 3)
    held = names_in(client.post("/v1/export", json={"format": "cutouts"}))
    assert held["skipped.txt"].decode() == "Only the first 3 regions are here.\n"
    assert len(held) == 5
    refused = client.post("/v1/export", json={"format": "cutouts", "limit": 4})
    assert (refused.status_code, refused.json()["code"]) == (422, "query_error")


@pytest.mark.parametrize("kind", ["coco", "jsonl", "parquet", "caption-pack", "cutouts"])
def test_every_format_takes_every_choice(kind: str, place: tuple[TestClient, SegSearch]) -> None:
    client, _ = place
    if kind == "parquet":
        pytest.importorskip("pyarrow", reason="needs the extra data")
    ending = {
        "coco": "-coco.json", "jsonl": ".jsonl", "parquet": ".parquet",
        "caption-pack": "-captions.tar", "cutouts": "-cutouts.zip",
    }[kind]  # fmt: skip
    for choice, name in (
        ({"image_ids": [2]}, "selection"),
        ({"segment_ids": [3, 1]}, "selection"),
        ({"collection": "holidays"}, "holidays"),
        ({"query": {"text": 'red: "fast"', "per_image": 1, "min_relevance": 0}}, "red fast"),
        ({"text": "blue/größe", "min_relevance": 0}, "blue größe"),
        ({"segment_id": 2, "min_relevance": 0}, "selection"),
        ({}, "segsearch"),
    ):
        answer = client.post("/v1/export", json={"format": kind, **choice})
        assert answer.status_code == 200, answer.text
        assert saved_as(answer) == f"{name}{ending}"


def saved_as(answer: Any) -> str:
    """What a browser would call it."""
    header = answer.headers["content-disposition"]
    _, star, encoded = header.partition("filename*=UTF-8''")
    return unquote(encoded) if star else header.partition('filename="')[2].removesuffix('"')


def test_a_query_is_exported_as_it_is_searched(place: tuple[TestClient, SegSearch]) -> None:
    client, _ = place
    query = {
        "text": "red", "filters": {"albums": ["home"]}, "min_relevance": 0, "limit": 1,
        "by_picture": True,
    }  # fmt: skip
    found = client.post("/v1/search", json={**query, "limit": 9, "by_picture": False}).json()
    lines = client.post("/v1/export", json={"format": "jsonl", "query": query}).text.splitlines()
    assert [json.loads(line) for line in lines] == found["hits"]
    assert {json.loads(line)["image_id"] for line in lines} == {3}


def test_choices_that_contradict_each_other_are_refused(
    place: tuple[TestClient, SegSearch],
) -> None:
    client, _ = place
    for body in (
        {"image_ids": [1], "text": "red"},
        {"segment_ids": [1], "collection": "holidays"},
        {"query": {"text": "red"}, "segment_id": 1},
        {"query": {"text": "red"}, "limit": 1001},
        {"query": {"not_text": "red"}},
    ):
        answer = client.post("/v1/export", json=body)
        assert (answer.status_code, answer.json()["code"]) == (422, "query_error"), body
    for unreadable in ({"image_ids": [1] * 5001}, {"query": {"words": "red"}}):
        answer = client.post("/v1/export", json=unreadable)
        assert (answer.status_code, answer.json()["code"]) == (422, "request_invalid")


def test_a_collection_takes_many_ids(place: tuple[TestClient, SegSearch]) -> None:
    client, _ = place
    many = [1, 2, 3] * 1600
    for path, changed in (("images", 1), ("images/remove", 3)):
        answer = client.post(f"/v1/collections/holidays/{path}", json={"image_ids": many})
        assert answer.json() == {"changed": changed}


def test_what_is_downloaded_has_a_name_and_keeps_its_tag(
    place: tuple[TestClient, SegSearch],
) -> None:
    client, service = place
    (third,) = service.catalog.segments_of(3)
    for path, name in {
        "/v1/images/1/file": "Beach day.jpg",
        "/v1/images/3/file": "größe ☂.jpg",
        f"/v1/segments/{third.id}/cutout.png": f"größe ☂-{third.id}-cutout.png",
        f"/v1/segments/{third.id}/crop.png?margin=0.5": f"größe ☂-{third.id}-crop.png",
        f"/v1/segments/{third.id}/overlay.png": f"größe ☂-{third.id}-overlay.png",
        f"/v1/segments/{third.id}/mask.png": f"größe ☂-{third.id}-mask.png",
        f"/v1/segments/{third.id}/mask?format=svg": f"größe ☂-{third.id}-mask.svg",
        f"/v1/segments/{third.id}/mask?format=rle": f"größe ☂-{third.id}-mask.json",
        f"/v1/segments/{third.id}/mask?format=polygons": f"größe ☂-{third.id}-polygons.json",
        "/v1/segments/1/cutout.png": "Beach day-1-cutout.png",
    }.items():
        answer = client.get(path)
        assert answer.headers["content-disposition"].startswith("inline; filename="), path
        assert saved_as(answer) == name
        again = client.get(path, headers={"If-None-Match": answer.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    ("path", "name", "stem"),
    [
        ("/a/b c.jpg", "b c.jpg", "b c"),
        ("https://x.example/a/b%20c.png?size=2&d=/e", "b c.png", "b c"),
        ("/data/000.tar/17.jpg", "17.jpg", "17"),
        ('/a/x"\r\nSet-Cookie: y\\.jpg', "x Set-Cookie y .jpg", "x Set-Cookie y"),
        ("/a/.jpg", "jpg", "jpg"),
        ("/a/...", "picture", "picture"),
        (None, "picture", "picture"),
        ("/a/\u202egpj.exe", "gpj.exe", "gpj"),
    ],
)
def test_names_are_those_of_files_and_nothing_else(path: str | None, name: str, stem: str) -> None:
    assert (file_name(path), stem_of(path)) == (name, stem)


def test_a_header_holds_any_name() -> None:
    assert disposition("inline", "a b.png") == 'inline; filename="a b.png"'
    assert disposition("inline", "50%.png") == (
        "inline; filename=\"50_.png\"; filename*=UTF-8''50%25.png"
    )
    for text in ("größe ☂", 'a"b\\c\r\n;d', "é", "🐕"):
        disposition("attachment", text).encode("ascii")
    assert len(plain_name("x" * 500)) == 80
    assert file_name(f"/a/{240 * 'x'}.jpg").endswith("x.jpg")
