"""Pictures handed over become images once, wait for a worker, and go again without a trace."""

from __future__ import annotations

import hashlib
import io
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unicodedata import normalize

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from segsearch.ingest.uploads import MOST_NAMES, kept_name
from segsearch.library import SegSearch
from segsearch_api.app import create_app
from tests.support.small_models import COLOURS, Shape, open_small_service, paint


@pytest.fixture
def service(tmp_path: Path) -> Iterator[SegSearch]:
    with open_small_service(tmp_path / "library", max_bytes=200_000, max_pixels=90_000) as made:
        yield made


@pytest.fixture
def client(service: SegSearch) -> Iterator[TestClient]:
    with TestClient(create_app(service), base_url="http://localhost") as made:
        yield made


def painted(tmp_path: Path, name: str, *shapes: Shape, **options: Any) -> bytes:
    return paint(tmp_path / "made" / name, shapes, **options).read_bytes()


def upload(client: TestClient, *files: tuple[str, bytes], **fields: str) -> Any:
    parts = [("file", (name, data)) for name, data in files]
    return client.post("/v1/images", files=parts, data=fields)


def work(service: SegSearch) -> None:
    """What the worker beside a server does, here and now."""
    service.index(())


def test_an_upload_is_found_once_a_worker_came_to_it(
    client: TestClient, service: SegSearch, tmp_path: Path
) -> None:
    data = painted(tmp_path, "a.png", Shape("red", (10, 10, 50, 40)))
    answer = upload(client, ("my picture.PNG", data))
    assert answer.status_code == 202, answer.text
    (one,) = answer.json()["images"]
    image = one["image"]
    assert (one["filename"], one["created"], image["state"]) == ("my picture.PNG", True, "pending")
    digest = hashlib.sha256(data).hexdigest()
    kept = tmp_path / "library" / "uploads" / digest[:2] / digest / "my picture.PNG"
    assert image["paths"] == [str(kept)]
    assert image["albums"] == []
    assert kept.read_bytes() == data
    assert kept.stat().st_mode == (tmp_path / "made" / "a.png").stat().st_mode  # no secret
    work(service)
    assert client.get(f"/v1/images/{image['image_id']}").json()["state"] == "done"
    hit = client.post("/v1/search", json={"text": "red"}).json()["hits"][0]
    assert hit["box"] == [10, 10, 50, 40]
    assert Path(hit["path"]).name == "my picture.PNG"
    for albums in ([digest[:2]], [digest], ["uploads"]):
        among = {"text": "red", "filters": {"albums": albums}}
        assert client.post("/v1/search", json=among).json()["hits"] == []
    for name, count in (("My Picture.*", 1), ("picture.*", 0)):
        among = {"text": "red", "filters": {"paths": [name]}}
        assert len(client.post("/v1/search", json=among).json()["hits"]) == count


def test_the_same_bytes_again_are_the_same_image_under_one_more_name(
    client: TestClient, service: SegSearch, tmp_path: Path
) -> None:
    data = painted(tmp_path, "a.png", Shape("red", (10, 10, 50, 40)))
    first = upload(client, ("a.png", data)).json()["images"][0]
    work(service)
    again = upload(client, ("b.jpg", data), ("c.png", data)).json()["images"]
    assert [one["created"] for one in again] == [False, False]
    assert {one["image"]["image_id"] for one in again} == {first["image"]["image_id"]}
    assert [one["image"]["state"] for one in again] == ["done", "done"]
    names = [Path(path).name for path in again[1]["image"]["paths"]]
    assert names == ["a.png", "b.jpg", "c.png"]
    assert upload(client, ("b.jpg", data)).json()["images"][0]["image"] == again[1]["image"]
    files = [one for one in (tmp_path / "library" / "uploads").rglob("*") if one.is_file()]
    assert len(files) == 3
    assert len({one.stat().st_ino for one in files}) == 1  # the bytes are there once
    for number in range(30):
        upload(client, (f"{number}.png", data))
    assert len(list(files[0].parent.iterdir())) == MOST_NAMES
    assert service.maintenance.verify() == []


def test_a_file_that_a_person_keeps_gives_its_path_before_the_upload(
    client: TestClient, service: SegSearch, tmp_path: Path
) -> None:
    own = paint(tmp_path / "z" / "own.png", [Shape("red", (20, 20, 60, 60))])
    upload(client, ("a.png", own.read_bytes()))
    work(service)
    service.index([own])
    hit = client.post("/v1/search", json={"text": "red"}).json()["hits"][0]
    assert hit["path"] == str(own)


@pytest.mark.parametrize(
    "name",
    [
        'a"b.png',
        "50%.png",
        "a%20b.png",
        "ü €.png",
        "Zoe\u0308.png",
        "a;b=c.png",
        "back\\.png",
        "?#%25.png",
    ],
)
def test_a_name_comes_through_a_form_as_it_was(
    client: TestClient, tmp_path: Path, name: str
) -> None:
    data = painted(tmp_path, "a.png", Shape("red", (10, 10, 50, 40)))
    (one,) = upload(client, (name, data)).json()["images"]
    assert one["filename"] == name
    assert [Path(path).name for path in one["image"]["paths"]] == [normalize("NFC", name)]


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("C:\\pictures\\a.png", "a.png"),
        ("..", "picture.png"),
        (".png", "png.png"),
        ("../.hidden.png", "hidden.png"),
        ("a\nb\x07c.png", "a b c.png"),
        ("ü" * 300 + ".JPEG", "ü" * 98 + ".JPEG"),
        ("notes.txt", "notes.txt.png"),
        ("\udcff.png", "?.png"),
        ("", "picture.png"),
    ],
)
def test_what_would_be_no_files_name_is_kept_as_one(name: str, kept: str) -> None:
    assert kept_name(name, "PNG") == kept


def test_one_file_uploaded_by_many_at_once_is_one_image(client: TestClient, tmp_path: Path) -> None:
    data = painted(tmp_path, "a.png", Shape("red", (10, 10, 50, 40)))
    answers: list[Any] = []
    threads = [
        threading.Thread(target=lambda: answers.append(upload(client, ("a.png", data))))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [one.status_code for one in answers] == [202] * 8
    assert len({one.json()["images"][0]["image"]["image_id"] for one in answers}) == 1


def test_what_is_no_picture_is_listed_and_the_rest_is_taken(
    client: TestClient, tmp_path: Path
) -> None:
    good = painted(tmp_path, "a.png", Shape("red", (10, 10, 50, 40)))
    answer = upload(client, ("a.txt", b"no picture"), ("a.png", good), ("empty", b""))
    assert answer.status_code == 202
    body = answer.json()
    assert [one["filename"] for one in body["images"]] == ["a.png"]
    assert [(one["filename"], one["code"]) for one in body["refused"]] == [
        ("a.txt", "picture_error"),
        ("empty", "picture_error"),
    ]


def test_when_nothing_is_a_picture_the_problem_is_told(client: TestClient, tmp_path: Path) -> None:
    for data, status, code in [
        (b"no picture", 422, "picture_error"),
        (b"", 422, "picture_error"),
        (b"x" * 200_001, 413, "picture_too_large_error"),
        (b"x" * 2_000_000, 413, "picture_too_large_error"),
    ]:
        answer = upload(client, ("a.png", data))
        assert (answer.status_code, answer.json()["code"]) == (status, code), data[:20]
    assert client.get("/v1/images").json()["images"] == []
    files = (tmp_path / "library" / "uploads").rglob("*")
    assert not [path for path in files if path.is_file()]


def test_a_picture_with_too_many_pixels_is_refused_by_its_header(
    client: TestClient, tmp_path: Path
) -> None:
    data = painted(tmp_path, "big.png", size=(400, 300))
    answer = upload(client, ("big.png", data))
    assert (answer.status_code, answer.json()["code"]) == (413, "picture_too_large_error")


@pytest.mark.parametrize(
    "name", ["../../evil.png", "/etc/evil.png", "a\x00b.png", "x" * 300 + ".png", "no ending", ""]
)
def test_a_files_name_leads_nowhere(client: TestClient, tmp_path: Path, name: str) -> None:
    data = painted(tmp_path, "a.png", Shape("red", (10, 10, 50, 40)))
    answer = upload(client, (name, data))
    assert answer.status_code in {202, 400, 422}
    folder = tmp_path / "library" / "uploads"
    named = [one for one in tmp_path.rglob("*.png") if tmp_path / "made" not in one.parents]
    digest = hashlib.sha256(data).hexdigest()
    assert all(one.parent == folder / digest[:2] / digest for one in named)


def test_what_a_killed_server_left_of_an_upload_goes_with_the_next(
    client: TestClient, tmp_path: Path
) -> None:
    folder = tmp_path / "library" / "uploads"
    folder.mkdir()
    old, new = folder / "old.partial", folder / "new.partial"
    for one in (old, new):
        one.write_bytes(b"half")
    os.utime(old, (0, 0))
    data = painted(tmp_path, "a.png", Shape("red", (10, 10, 50, 40)))
    assert upload(client, ("a.png", data)).status_code == 202
    assert list(folder.glob("*.partial")) == [new], "another process may still be writing it"


def test_a_deleted_upload_leaves_no_file_and_no_hit(
    client: TestClient, service: SegSearch, tmp_path: Path
) -> None:
    own = paint(tmp_path / "own" / "own.png", [Shape("red", (20, 20, 60, 60))])
    service.index([own])
    data = painted(tmp_path, "a.png", Shape("red", (10, 10, 50, 40)))
    number = upload(client, ("a.png", data)).json()["images"][0]["image"]["image_id"]
    work(service)
    assert client.delete(f"/v1/images/{number}").status_code == 204
    assert client.get(f"/v1/images/{number}").status_code == 404
    assert client.delete(f"/v1/images/{number}").status_code == 404
    hits = client.post("/v1/search", json={"text": "red"}).json()["hits"]
    assert [hit["path"] for hit in hits] == [str(own)]
    assert not list((tmp_path / "library" / "uploads").glob("??/*"))
    assert client.delete(f"/v1/images/{hits[0]['image_id']}").status_code == 204
    assert own.exists()  # files that were not uploaded are never touched


def test_an_upload_that_the_command_line_removes_leaves_no_file(
    client: TestClient, service: SegSearch, tmp_path: Path
) -> None:
    own = paint(tmp_path / "own" / "own.png", [Shape("red", (20, 20, 60, 60))])
    service.index([own])
    number = upload(client, ("a.png", own.read_bytes())).json()["images"][0]["image"]["image_id"]
    assert len(client.get(f"/v1/images/{number}").json()["paths"]) == 2
    assert service.remove(paths=[own]) == 0  # the upload leads to it
    (kept,) = client.get(f"/v1/images/{number}").json()["paths"]
    assert Path(kept).exists()
    assert service.remove(image_ids=[number]) == 1
    assert own.exists()
    assert not [one for one in (tmp_path / "library" / "uploads").rglob("*") if one.is_file()]


def test_an_upload_whose_file_was_lost_is_tried_again_when_it_is_handed_over_again(
    client: TestClient, service: SegSearch, tmp_path: Path
) -> None:
    data = painted(tmp_path, "a.png", Shape("red", (10, 10, 50, 40)))
    (kept,) = upload(client, ("a.png", data)).json()["images"][0]["image"]["paths"]
    Path(kept).unlink()
    work(service)
    assert service.status().failed == 1
    (again,) = upload(client, ("a.png", data)).json()["images"]
    assert (again["created"], again["image"]["state"]) == (False, "pending")
    work(service)
    assert (service.status().failed, service.status().missing) == (0, 0)


def test_a_deleted_segment_is_found_no_more_and_the_library_is_sound(
    client: TestClient, service: SegSearch, tmp_path: Path
) -> None:
    shapes = [Shape("red", (10, 10, 50, 40)), Shape("blue", (60, 20, 100, 60))]
    service.index([paint(tmp_path / "a.png", shapes)])
    red = client.post("/v1/search", json={"text": "red"}).json()["hits"][0]["segment_id"]
    assert client.delete(f"/v1/segments/{red}").status_code == 204
    hits = client.post("/v1/search", json={"text": "red"}).json()["hits"]
    assert red not in [hit["segment_id"] for hit in hits]
    assert len(hits) == 1
    assert client.delete(f"/v1/segments/{hits[0]['segment_id']}").status_code == 204
    assert client.get("/v1/images/1/segments").json() == {"segments": []}
    assert client.delete(f"/v1/segments/{red}").json()["code"] == "not_found_error"
    assert service.maintenance.verify() == []


def test_images_are_listed_by_state_and_collection(
    client: TestClient, service: SegSearch, tmp_path: Path
) -> None:
    assert client.post("/v1/collections", json={"name": "hols"}).status_code == 201
    one = painted(tmp_path, "a.png", Shape("red", (10, 10, 50, 40)))
    two = painted(tmp_path, "b.png", Shape("blue", (10, 10, 50, 40)))
    first = upload(client, ("a.png", one), collection="hols").json()["images"][0]["image"]
    work(service)
    second = upload(client, ("b.png", two)).json()["images"][0]["image"]

    def ids(**params: str) -> list[int]:
        found = client.get("/v1/images", params=params)
        assert found.status_code == 200, found.text
        return [image["image_id"] for image in found.json()["images"]]

    assert ids(state="done") == [first["image_id"]]
    assert ids(state="pending") == [second["image_id"]]
    assert ids(collection="hols") == [first["image_id"]]
    assert ids(collection="hols", state="pending") == []
    assert client.get("/v1/images", params={"collection": "none"}).status_code == 404
    assert upload(client, ("b.png", two), collection="none").status_code == 404


def test_collections_are_made_renamed_filled_and_deleted(
    client: TestClient, service: SegSearch, tmp_path: Path
) -> None:
    service.index([paint(tmp_path / "a.png", [Shape("red", (10, 10, 50, 40))])])
    made = client.post("/v1/collections", json={"name": "a & b"})
    assert (made.status_code, made.json()["images"]) == (201, 0)
    assert client.post("/v1/collections", json={"name": "a & b"}).status_code == 409
    put = client.post("/v1/collections/a & b/images", json={"image_ids": [1]})
    assert put.json() == {"changed": 1}
    unknown = client.post("/v1/collections/a & b/images", json={"image_ids": [1, 9]})
    assert unknown.status_code == 404
    renamed = client.patch("/v1/collections/a & b", json={"name": "c"})
    assert (renamed.json()["name"], renamed.json()["images"]) == ("c", 1)
    assert client.get("/v1/collections").json()["collections"] == [renamed.json()]
    taken = client.post("/v1/collections/c/images/remove", json={"image_ids": [1, 9]})
    assert taken.json() == {"changed": 1}
    for path in ("/v1/collections/c/images", "/v1/collections/c/images/remove"):
        for beyond in (0, 2**63):
            refused = client.post(path, json={"image_ids": [beyond]})
            assert (refused.status_code, refused.json()["code"]) == (422, "request_invalid")
    assert client.delete("/v1/collections/c").status_code == 204
    assert client.get("/v1/collections/c").status_code == 404
    assert client.get("/v1/images/1").status_code == 200


def test_a_pictures_file_comes_back_byte_for_byte(client: TestClient) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (40, 30), COLOURS["red"]).save(buffer, "JPEG")
    answer = upload(client, ("a.jpg", buffer.getvalue()))
    number = answer.json()["images"][0]["image"]["image_id"]
    file = client.get(f"/v1/images/{number}/file")
    assert file.content == buffer.getvalue()
    again = client.get(f"/v1/images/{number}/file", headers={"If-None-Match": file.headers["etag"]})
    assert again.status_code == 304


def test_a_large_jpegs_thumbnail_is_that_of_its_pixels(tmp_path: Path, service: SegSearch) -> None:
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 255, (6, 8, 3), dtype=np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter clockwise
    path = tmp_path / "a.jpg"
    coarse.resize((320, 240), Image.Resampling.BICUBIC).save(path, exif=exif, quality=95)
    service.index([path])
    client = TestClient(create_app(service), base_url="http://localhost")
    thumbnail = Image.open(io.BytesIO(client.get("/v1/images/1/thumbnail?side=64").content))
    whole = Image.open(io.BytesIO(client.get("/v1/images/1/original").content))
    assert (whole.size, thumbnail.size) == ((240, 320), (48, 64))
    wanted = whole.resize((48, 64), Image.Resampling.LANCZOS)
    apart = np.abs(np.asarray(thumbnail, float) - np.asarray(wanted, float))
    assert apart.mean() < 6  # turned another way it would be over 60
    first = client.get("/v1/images/1/thumbnail?side=64").content
    path.unlink()  # it is kept, and not drawn again
    assert client.get("/v1/images/1/thumbnail?side=64").content == first
    assert client.get("/v1/images/1/thumbnail?side=65").status_code == 404


def test_a_library_that_was_moved_takes_its_uploads_along(tmp_path: Path) -> None:
    data = painted(tmp_path, "a.png", Shape("red", (10, 10, 50, 40)))
    with open_small_service(tmp_path / "before") as service:
        image_id = service.uploads.add(io.BytesIO(data), "a.png").image.id
    (tmp_path / "before").rename(tmp_path / "after")
    with open_small_service(tmp_path / "after") as service:
        work(service)
        assert service.status().failed == 0
        assert service.search_text("red", limit=1).hits[0].score > 0.7
        assert service.pictures.original(image_id) == data
        assert not service.uploads.add(io.BytesIO(data), "a.png").created
        assert len(list((tmp_path / "after" / "uploads").rglob("*.png"))) == 1
        service.uploads.remove_image(image_id)
        assert list((tmp_path / "after" / "uploads").rglob("*.png")) == []
