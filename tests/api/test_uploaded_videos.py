"""Videos that are uploaded: an image a shot, one file, which goes with the last of them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from segsearch.ingest import uploads
from segsearch.ingest.uploads import kept_folder, kept_name
from segsearch.library import SegSearch
from segsearch.media.ffmpeg import NO_VIDEO
from segsearch.media.sources import object_store
from segsearch_api.app import create_app
from tests.api.test_uploads import upload, work
from tests.support.clips import DEFAULT, Coding, Take, animation, sound_only, write
from tests.support.small_models import Shape, open_small_service, paint

SHOTS = ["#t=0,1.6", "#t=1.6,2.8", "#t=2.8,4"]


@pytest.fixture
def service(tmp_path: Path) -> Iterator[SegSearch]:
    with open_small_service(tmp_path / "library") as made:
        yield made


@pytest.fixture
def client(service: SegSearch) -> Iterator[TestClient]:
    with TestClient(create_app(service), base_url="http://localhost") as made:
        yield made


def clip(tmp_path: Path, name: str = "made.mp4", coding: Coding = DEFAULT) -> bytes:
    return write(tmp_path / name, coding=coding).read_bytes()


def test_of_a_video_each_shot_is_an_image(
    client: TestClient, service: SegSearch, tmp_path: Path
) -> None:
    data = clip(tmp_path)
    answer = upload(client, ("My clip.MP4", data)).json()
    assert answer["refused"] == []
    names = [f"My clip.MP4{part}" for part in SHOTS]
    assert [one["filename"] for one in answer["images"]] == names
    assert [one["created"] for one in answer["images"]] == [True] * 3
    paths = [Path(one["image"]["paths"][0]) for one in answer["images"]]
    assert [path.name for path in paths] == names
    again = upload(client, ("My clip.MP4", data)).json()["images"]
    assert [one["created"] for one in again] == [False] * 3
    (kept,) = paths[0].parent.iterdir()
    assert kept.read_bytes() == data
    work(service)
    assert service.status().images == 3
    hit = client.post("/v1/search", json={"text": "blue"}).json()["hits"][0]
    assert hit["shot"]["video_id"] == 1
    part = client.get("/v1/videos/1/file", headers={"range": "bytes=0-9"})
    assert (part.status_code, part.content) == (206, data[:10])
    assert service.maintenance.verify() == []

    ids = [one["image"]["image_id"] for one in answer["images"]]
    for left in (2, 1, 0):
        assert client.delete(f"/v1/images/{ids[left]}").status_code in {200, 204}
        assert kept.exists() == (left > 0), "the file goes with its last shot"
    assert not paths[0].parent.exists()


def test_a_library_that_was_moved_shows_its_uploaded_videos(tmp_path: Path) -> None:
    with open_small_service(tmp_path / "before") as service:
        client = TestClient(create_app(service), base_url="http://localhost")
        upload(client, ("a.mp4", clip(tmp_path)))
    shutil.move(tmp_path / "before", tmp_path / "after")
    with open_small_service(tmp_path / "after") as service:
        assert service.index(()).indexed == 3
        assert service.pictures.pixels(1).shape == (96, 160, 3)


@pytest.mark.parametrize(
    ("name", "kind", "kept"),
    [
        ("a.mp4", "mp4", "a.mp4"),
        ("A.MKV", "mp4", "A.MKV"),
        ("film", "matroska", "film.mkv"),
        ("film.dat", "mpegts", "film.dat.ts"),
        ("a.gif", "gif", "a.gif"),
        ("a.gif", "mp4", "a.gif.mp4"),
        ("", "webm", "picture.webm"),
        ("a.mp4", "JPEG", "a.mp4.jpg"),
    ],
    ids=["own", "upper", "none", "other", "animation", "wrong", "empty", "picture"],
)
def test_a_video_keeps_its_name_with_an_ending_of_videos(name: str, kind: str, kept: str) -> None:
    assert kept_name(name, kind) == kept


def test_a_folder_called_as_a_video_is_no_album() -> None:
    assert (kept_folder("holiday"), kept_folder("films/a.mp4")) == ("holiday", "")


def test_an_animation_is_a_picture_unless_pictures_that_move_are_videos(
    client: TestClient, tmp_path: Path
) -> None:
    moving = animation(tmp_path / "a.gif").read_bytes()
    assert [one["filename"] for one in upload(client, ("a.gif", moving)).json()["images"]] == [
        "a.gif"
    ]
    still = paint(tmp_path / "b.gif", [Shape("red", (10, 10, 50, 40))]).read_bytes()
    with open_small_service(tmp_path / "moving", animated=True) as service:
        other = TestClient(create_app(service), base_url="http://localhost")
        answer = upload(other, ("a.gif", moving), ("b.gif", still)).json()
    assert [one["filename"] for one in answer["images"]] == [
        *(f"a.gif{part}" for part in SHOTS),
        "b.gif",
    ]


def test_what_holds_no_moving_pictures_is_refused_with_the_reason(
    client: TestClient, service: SegSearch, tmp_path: Path
) -> None:
    data = clip(tmp_path)
    files = [
        ("sound.mp4", sound_only(tmp_path / "sound.mp4").read_bytes()),
        ("broken.mkv", b"\x1aE\xdf\xa3 nothing of the kind"),
        ("ok.mp4", data),
    ]
    answer = upload(client, *files).json()
    assert [one["filename"] for one in answer["images"]] == [f"ok.mp4{part}" for part in SHOTS]
    assert [one["filename"] for one in answer["refused"]] == ["sound.mp4", "broken.mkv"]
    assert "only sound" in answer["refused"][0]["detail"]
    searched = client.post("/v1/search", files={"picture": ("a.mp4", data)})
    assert searched.status_code == 422
    assert not list(service.settings.library.rglob("*.partial"))


def test_videos_have_a_limit_of_their_own_and_pictures_keep_theirs(tmp_path: Path) -> None:
    data = clip(tmp_path)
    few: dict[str, Any] = {"max_bytes": 1000, "max_video_bytes": len(data)}
    with open_small_service(tmp_path / "library", **few) as service:
        client = TestClient(create_app(service), base_url="http://localhost")
        assert upload(client, ("a.mp4", data)).status_code == 202
        padded = upload(client, ("b.mp4", data + b"0"))
        assert padded.status_code == 413
        assert "SEGSEARCH_MAX_VIDEO_BYTES" in padded.json()["detail"]
        picture = upload(client, ("a.png", b"\x89PNG\r\n\x1a\n" + bytes(2000)))
        assert "SEGSEARCH_MAX_BYTES" in picture.json()["detail"]


def test_only_what_is_kept_may_be_as_large_as_a_video(tmp_path: Path) -> None:
    few: dict[str, Any] = {"max_bytes": 1000, "max_video_bytes": 4_000_000}
    with open_small_service(tmp_path / "library", **few) as service:
        client = TestClient(create_app(service), base_url="http://localhost")
        body = bytes(2_000_000)
        searched = client.post("/v1/search", files={"picture": ("a.png", body)})
        assert (searched.status_code, "1,049,576 bytes" in searched.json()["detail"]) == (413, True)
        kept = upload(client, ("a.png", body))
        assert "SEGSEARCH_MAX_BYTES" in kept.json()["detail"]


def test_without_their_packages_videos_are_refused_and_pictures_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = clip(tmp_path)
    picture = paint(tmp_path / "a.png", [Shape("red", (10, 10, 50, 40))]).read_bytes()
    monkeypatch.setattr(
        "segsearch.media.ffmpeg.find_spec", lambda name: None if name == "av" else find_spec(name)
    )
    with open_small_service(tmp_path / "library") as service:
        client = TestClient(create_app(service), base_url="http://localhost")
        answer = upload(client, ("a.mp4", data), ("a.png", picture)).json()
    assert [one["detail"] for one in answer["refused"]] == [NO_VIDEO]
    assert [one["filename"] for one in answer["images"]] == ["a.png"]


def test_a_look_that_takes_too_long_says_how_to_index_the_video(
    client: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "LOOK_SECONDS", -1.0)
    data = write(tmp_path / "long.mp4", [Take("red", 400)]).read_bytes()
    answer = upload(client, ("long.mp4", data))
    assert answer.status_code == 422
    assert "folder of the server" in answer.json()["detail"]


def test_a_large_file_goes_into_a_store_without_being_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(object_store, "MOST_AT_ONCE_BYTES", 1000)
    monkeypatch.setattr(Path, "read_bytes", lambda _: pytest.fail("it is read as a whole"))
    write(tmp_path / "made.mp4")
    place = f"memory://{tmp_path.name}"
    with open_small_service(tmp_path / "library", uploads=place) as service:
        with (tmp_path / "made.mp4").open("rb") as file:
            stored = service.uploads.add_all(file, "a.mp4")
        assert len(stored) == 3
        assert stored[0].image.paths[0].startswith(place)
        assert service.index(()).indexed == 3
