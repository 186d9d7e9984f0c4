"""Videos over HTTP: what they are, their frames, what is seen at a moment, and their files."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from segsearch.core.errors import QueryError
from segsearch.core.lives import Shot
from segsearch.core.video import Video, check_clip
from segsearch_api.app import create_app
from tests.support.clips import Take, write
from tests.support.small_models import Shape, open_small_service, paint

YELLOW = (230, 220, 40)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("films")
    paint(folder / "still.png", [Shape("purple", (10, 10, 50, 40))])
    return write(folder / "clip.mp4")


@pytest.fixture(scope="module")
def films(clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with open_small_service(tmp_path_factory.mktemp("library")) as service:
        service.index([clip.parent])
        with TestClient(create_app(service), base_url="http://127.0.0.1") as client:
            yield client


@pytest.fixture(scope="module")
def video(films: TestClient) -> dict[str, Any]:
    (found,) = films.get("/v1/videos").json()["videos"]
    return dict(found)


def pixels(data: bytes) -> Any:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)


def test_a_video_says_what_it_is(films: TestClient, video: dict[str, Any], clip: Path) -> None:
    assert video["paths"] == [str(clip)]
    assert (video["width"], video["height"], video["seconds"]) == (160, 96, 4.0)
    assert [(shot["t_start"], shot["t_end"]) for shot in video["shots"]] == [
        (0.0, 1.6),
        (1.6, 2.8),
        (2.8, 4.0),
    ]
    assert films.get(f"/v1/videos/{video['video_id']}").json() == video
    assert films.get("/v1/videos/999").status_code == 404
    page = films.get("/v1/videos", params={"after": video["video_id"]}).json()
    assert page == {"videos": [], "next_after": None}


def test_hits_in_videos_say_when(films: TestClient, video: dict[str, Any]) -> None:
    answer = films.post("/v1/search", json={"text": "yellow", "per_image": 1}).json()
    assert answer["hits"]
    for hit in answer["hits"]:
        if hit["shot"] is None:
            assert hit["life"] is None
            continue
        assert hit["shot"]["video_id"] == video["video_id"]
        life = hit["life"]
        assert hit["shot"]["t_start"] <= life["t_start"] < life["t_end"] <= hit["shot"]["t_end"]
    moment = answer["moments"][0]
    assert moment["video_id"] == video["video_id"]
    assert moment["t_start"] <= moment["best_seconds"] <= moment["t_end"]


def test_a_frame_is_that_of_the_moment(films: TestClient, video: dict[str, Any]) -> None:
    grounds = {0.5: (200, 40, 40), 2.0: (40, 60, 200), 3.5: (40, 180, 60)}
    for seconds, ground in grounds.items():
        answer = films.get(f"/v1/videos/{video['video_id']}/frame.jpg", params={"t": seconds})
        assert answer.headers["content-type"] == "image/jpeg"
        shown = pixels(answer.content)
        assert shown.shape == (96, 160, 3)
        assert np.abs(shown[80:, 60:] - ground).mean() < 20
    small = films.get(f"/v1/videos/{video['video_id']}/frame.jpg", params={"t": 1, "side": 64})
    assert pixels(small.content).shape == (38, 64, 3)
    again = films.get(
        f"/v1/videos/{video['video_id']}/frame.jpg",
        params={"t": 1, "side": 64},
        headers={"If-None-Match": small.headers["etag"]},
    )
    assert again.status_code == 304
    late = films.get(f"/v1/videos/{video['video_id']}/frame.jpg", params={"t": 60})
    assert (late.status_code, late.json()["code"]) == (422, "query_error")
    assert films.get(f"/v1/videos/{video['video_id']}/frame.jpg?t=nan").status_code == 422


def test_a_clip_is_the_part_that_was_asked_for(films: TestClient, video: dict[str, Any]) -> None:
    path = f"/v1/videos/{video['video_id']}/clip.mp4"
    answer = films.get(path, params={"from": 1.0, "to": 3.0, "side": 64})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "video/mp4")
    assert answer.headers["accept-ranges"] == "bytes"
    assert "filename*=utf-8''clip%201-3s.mp4" in answer.headers["content-disposition"]
    with av.open(io.BytesIO(answer.content), "r") as clip:
        frames = [frame.to_ndarray(format="rgb24") for frame in clip.decode(video=0)]
    assert (len(frames), frames[0].shape) == (50, (38, 64, 3))
    for number, ground in ((0, (200, 40, 40)), (30, (40, 60, 200)), (49, (40, 180, 60))):
        assert np.abs(frames[number][-3, -3].astype(int) - ground).mean() < 20
    again = films.get(path, params={"from": 1, "to": 3, "side": 64})
    assert (again.headers["etag"], again.content) == (answer.headers["etag"], answer.content)
    other = films.get(path, params={"from": 1, "to": 3, "side": 66})
    assert other.headers["etag"] != answer.headers["etag"]
    held = {"If-None-Match": answer.headers["etag"]}
    kept = films.get(path, params={"from": 1, "to": 3, "side": 64}, headers=held)
    assert (kept.status_code, kept.content) == (304, b"")


@pytest.mark.parametrize(
    ("asked", "status", "part"),
    [
        ("bytes=0-1", 206, slice(0, 2)),
        ("bytes=100-", 206, slice(100, None)),
        ("bytes=-20", 206, slice(-20, None)),
        ("bytes=0-1,5-6", 200, slice(None)),
    ],
    ids=["first", "rest", "last", "two"],
)
def test_players_read_clips_in_parts(
    films: TestClient, video: dict[str, Any], asked: str, status: int, part: slice
) -> None:
    path = f"/v1/videos/{video['video_id']}/clip.mp4?from=0.5&to=1&side=64"
    all_of_it = films.get(path)
    answer = films.get(path, headers={"Range": asked})
    assert (answer.status_code, answer.content) == (status, all_of_it.content[part])
    current = {"Range": asked, "If-Range": all_of_it.headers["etag"]}
    assert films.get(path, headers=current).content == all_of_it.content[part]
    stale = films.get(path, headers={"Range": asked, "If-Range": '"of another"'})
    assert (stale.status_code, stale.content) == (200, all_of_it.content)
    behind = films.get(path, headers={"Range": "bytes=99999999-"})
    assert behind.status_code == 416
    assert behind.headers["content-range"] == f"bytes */{len(all_of_it.content)}"


@pytest.mark.parametrize(
    ("times", "says"),
    [
        ({"from": 2, "to": 2}, "has no length"),
        ({"from": 3, "to": 2}, "has no length"),
        ({"from": 1, "to": 4.5}, "there is no second 4.50"),
        ({"from": 5, "to": 6}, "there is no second 5.00"),
        ({"from": -1, "to": 2}, None),
        ({"from": 1, "to": "nan"}, None),
        ({"from": 1, "to": 2, "side": 63}, None),
        ({"from": 1, "to": 2, "side": 1921}, None),
        ({"from": 1}, None),
    ],
    ids=["empty", "back", "past", "behind", "minus", "nan", "small", "large", "half"],
)
def test_a_part_that_is_none_is_refused_with_a_sentence(
    films: TestClient, video: dict[str, Any], times: dict[str, Any], says: str | None
) -> None:
    answer = films.get(f"/v1/videos/{video['video_id']}/clip.mp4", params=times)
    assert answer.status_code == 422
    document = answer.json()
    if says is not None:
        assert document["code"] == "query_error"
        assert says in document["detail"]


def test_a_clip_lasts_a_minute_at_most() -> None:
    shot = Shot(4, 0.0, 90.0, 45.0)
    long = Video(4, "a" * 64, 160, 96, 90.0, 25.0, "h264", "mp4", ("/a.mp4",), ((7, shot),))
    assert check_clip(long, 10.001, 70.001) == 7
    with pytest.raises(QueryError, match=r"60 seconds at most, not 60\.1"):
        check_clip(long, 10, 70.1)


def test_a_clip_of_a_file_that_is_gone_is_not_found(tmp_path: Path) -> None:
    (tmp_path / "films").mkdir()
    film = write(tmp_path / "films" / "a.mp4", [Take("red", 30)])
    with open_small_service(tmp_path / "library") as service:
        service.index([film.parent])
        film.unlink()
        with TestClient(create_app(service), base_url="http://127.0.0.1") as client:
            refused = client.get("/v1/videos/1/clip.mp4?from=0&to=1")
    assert (refused.status_code, refused.json()["code"]) == (404, "not_found_error")


def test_what_is_seen_at_a_moment_has_its_mask_of_then(
    films: TestClient, video: dict[str, Any]
) -> None:
    path = f"/v1/videos/{video['video_id']}/segments"
    for seconds in (0.1, 1.5):
        seen = films.get(path, params={"t": seconds}).json()["segments"]
        assert seen
        for one in seen:
            life = one["segment"]["life"]
            assert life["t_start"] <= seconds <= life["t_end"]
            track = films.get(f"/v1/segments/{one['segment']['segment_id']}/track").json()
            nearest = min(track["masks"], key=lambda key: abs(key["seconds"] - seconds))
            assert one["at"] == nearest
    assert films.get(path, params={"t": 99}).status_code == 422


def test_drawings_of_a_region_show_the_frame_of_its_mask(
    films: TestClient, video: dict[str, Any]
) -> None:
    for shot in video["shots"]:
        asked = {"text": "yellow", "filters": {"image_ids": [shot["image_id"]]}, "limit": 1}
        (hit,) = films.post("/v1/search", json=asked).json()["hits"]
        cutout = films.get(f"/v1/segments/{hit['segment_id']}/cutout.png").content
        drawn = np.asarray(Image.open(io.BytesIO(cutout)).convert("RGBA")).astype(int)
        inside = drawn[drawn[..., 3] == 255][:, :3]
        assert np.abs(np.median(inside, axis=0) - YELLOW).max() < 15
        overlay = films.get(f"/v1/segments/{hit['segment_id']}/overlay.png")
        assert pixels(overlay.content).shape == (96, 160, 3)


def test_a_region_of_a_picture_has_no_track(films: TestClient) -> None:
    answer = films.post(
        "/v1/search", json={"text": "purple", "filters": {"is_video": False}}
    ).json()
    assert answer["moments"] == []
    refused = films.get(f"/v1/segments/{answer['hits'][0]['segment_id']}/track")
    assert (refused.status_code, refused.json()["code"]) == (404, "not_found_error")


def test_an_export_holds_the_frames_that_masks_lie_over(
    films: TestClient, video: dict[str, Any]
) -> None:
    asked: dict[str, Any] = {"format": "ytvis"}
    alone = films.post("/v1/export", json=asked)
    assert alone.headers["content-disposition"] == 'attachment; filename="segsearch-ytvis.json"'
    shots = [shot["image_id"] for shot in video["shots"]]
    assert [clip["id"] for clip in alone.json()["videos"]] == shots
    packed = films.post("/v1/export", json={**asked, "frames": True, "image_ids": shots[1:]})
    assert packed.headers["content-disposition"] == 'attachment; filename="selection-ytvis.zip"'
    with zipfile.ZipFile(io.BytesIO(packed.content)) as pack:
        document = json.loads(pack.read("instances.json"))
        assert [clip["id"] for clip in document["videos"]] == shots[1:]
        for clip in document["videos"]:
            for name in clip["file_names"]:
                assert pixels(pack.read(f"JPEGImages/{name}")).shape == (96, 160, 3)
    coco = films.post("/v1/export", json={"format": "coco"}).json()
    assert [one["id"] for one in coco["videos"]] == [video["video_id"]]
    refused = films.post("/v1/export", json={"format": "coco", "frames": True})
    assert (refused.status_code, refused.json()["code"]) == (422, "query_error")


RANGES = {
    "bytes=0-9": (206, slice(0, 10)),
    "bytes=100-": (206, slice(100, None)),
    "bytes=-20": (206, slice(-20, None)),
    "bytes=5-2": (200, slice(None)),
    "bytes=x": (200, slice(None)),
    "lines=1-2": (200, slice(None)),
    "bytes=0-1,5-6": (200, slice(None)),
}


@pytest.mark.parametrize("asked", RANGES)
def test_a_part_of_the_file_is_the_part_that_was_asked_for(
    films: TestClient, video: dict[str, Any], clip: Path, asked: str
) -> None:
    status, part = RANGES[asked]
    answer = films.get(f"/v1/videos/{video['video_id']}/file", headers={"Range": asked})
    assert (answer.status_code, answer.content) == (status, clip.read_bytes()[part])


def test_the_file_of_a_shot_is_its_video(
    films: TestClient, video: dict[str, Any], clip: Path
) -> None:
    image_id = video["shots"][1]["image_id"]
    assert films.get(f"/v1/images/{image_id}/file").content == clip.read_bytes()
    at = films.get(f"/v1/images/{image_id}/thumbnail", params={"t": 2.0, "side": 160}).content
    assert np.abs(pixels(at)[80:, 60:] - (40, 60, 200)).mean() < 20


def test_the_whole_file_is_sent_under_its_name(
    films: TestClient, video: dict[str, Any], clip: Path
) -> None:
    answer = films.get(f"/v1/videos/{video['video_id']}/file")
    assert answer.content == clip.read_bytes()
    assert answer.headers["content-type"] == "video/mp4"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert 'inline; filename="clip.mp4"' in answer.headers["content-disposition"]


def test_a_part_of_a_file_that_has_changed_is_all_of_it(
    films: TestClient, video: dict[str, Any], clip: Path
) -> None:
    path, data = f"/v1/videos/{video['video_id']}/file", clip.read_bytes()
    tag = f'"{hashlib.sha256(data).hexdigest()}"'
    assert films.get(path).headers["etag"] == tag
    for if_range, status, part in (
        (tag, 206, slice(0, 10)),
        ('"of another"', 200, slice(None)),
        (f"W/{tag}", 200, slice(None)),
    ):
        asked = {"Range": "bytes=0-9", "If-Range": if_range}
        answer = films.get(path, headers=asked)
        assert (answer.status_code, answer.content) == (status, data[part])
    assert films.get(path, headers={"If-None-Match": tag}).status_code == 304


@pytest.mark.parametrize("asked", ["bytes=999999999-", "bytes=-0"])
def test_a_part_behind_the_end_is_refused(
    films: TestClient, video: dict[str, Any], clip: Path, asked: str
) -> None:
    answer = films.get(f"/v1/videos/{video['video_id']}/file", headers={"Range": asked})
    assert answer.status_code == 416
    assert answer.headers["content-range"] == f"bytes */{clip.stat().st_size}"
    assert answer.headers["content-type"] == "application/problem+json"
