"""The Python client against a real server: every route, files both ways, refusals as errors."""

from __future__ import annotations

import io
import json
import os
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import uvicorn
from PIL import Image

from segsearch.client.sync import Client
from segsearch.client.transport import forms, name_of
from segsearch.core.errors import ApiError, InputError, UnreachableError
from segsearch.masks.rle import from_coco
from segsearch.storage.api_keys import KeyRing, Scope
from segsearch_api.app import create_app
from segsearch_api.server import bind
from tests.conftest import BLUE, RED
from tests.support.small_models import open_small_service, paint

pytestmark = pytest.mark.server


class Served:
    """A library behind uvicorn on a free port, in a thread."""

    def __init__(self, folder: Path) -> None:
        paint(folder / "own" / "a.png", [RED, BLUE])
        self.service = open_small_service(folder / "library")
        self.service.index([folder / "own"])
        self.key = KeyRing(folder / "library").create("tests", Scope.ADMIN)[1]
        self.app = create_app(self.service, need_key=True)
        self._socket = bind("127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._server = uvicorn.Server(uvicorn.Config(self.app, log_config=None))
        self.app.state.shared.streams.is_ending = lambda: self._server.should_exit
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],))
        self._thread.start()

    def close(self) -> None:
        self._server.should_exit = True
        self._thread.join()
        self._socket.close()
        self.service.close()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    made = Served(tmp_path)
    yield made
    made.close()


@pytest.fixture
def library(served: Served) -> Iterator[Client]:
    with Client(served.url, key=served.key) as made:
        yield made


def png(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def test_regions_are_found_looked_at_and_deleted(library: Client) -> None:
    hit = library.search("blue", limit=1)["hits"][0]
    number = hit["segment_id"]
    assert library.search(segment_id=number, limit=1)["hits"][0]["segment_id"] == number
    assert library.segment_of(number)["box"] == hit["box"] == list(BLUE.box)
    ids = [segment["segment_id"] for segment in library.segments(hit["image_id"])]
    assert (len(ids), number in ids) == (2, True)
    assert from_coco(library.mask(number)).area == hit["area"]
    assert library.mask(number, "polygons")["size"] == [90, 120]
    for picture in (library.mask_picture(number), library.mask_png(number)):
        with png(picture) as mask:
            assert np.array_equal(np.asarray(mask) > 0, BLUE.mask(120, 90))
    assert library.mask_picture(number, "svg").startswith(b"<svg")
    with png(library.cutout(number)) as cutout, png(library.crop(number, 0.5)) as crop:
        assert (cutout.mode, cutout.size, crop.size) == ("RGBA", (40, 40), (80, 80))
    with png(library.overlay(number)) as overlay:
        assert overlay.size == (120, 90)
    library.delete_segment(number)
    with pytest.raises(ApiError) as refused:
        library.segment_of(number)
    assert (refused.value.status, refused.value.code) == (404, "not_found_error")
    assert refused.value.request_id


def test_what_is_none_is_not_asked_for_beside_a_picture_either(
    library: Client, served: Served
) -> None:
    picture = (served.service.settings.library.parent / "own" / "a.png").read_bytes()
    asked: dict[str, Any] = {"not_text": None, "cursor": None, "filters": None, "limit": 1}
    with_none = library.search(picture=picture, **asked)
    assert with_none["hits"] == library.search(picture=picture, limit=1)["hits"]
    assert library.search("red", **asked)["hits"] == library.search("red", limit=1)["hits"]


def test_pictures_go_there_and_back(library: Client, served: Served, tmp_path: Path) -> None:
    path = paint(tmp_path / "new.png", [BLUE])
    library.create_collection("new & odd")
    answer = library.upload(path, b"no picture", collection="new & odd")
    assert [upload["filename"] for upload in answer["images"]] == ["new.png"]
    assert [refusal["code"] for refusal in answer["refused"]] == ["picture_error"]
    number = answer["images"][0]["image"]["image_id"]
    with pytest.raises(TimeoutError):
        library.wait([number], seconds=0)
    served.service.index(())
    assert library.wait([number])[0]["state"] == "done"
    assert library.file(number) == path.read_bytes()
    with png(library.original(number)) as whole, png(library.thumbnail(number, 60)) as small:
        assert (whole.size, small.size) == ((120, 90), (60, 45))
    assert [image["image_id"] for image in library.images(page=1)] == [1, number]
    assert [image["image_id"] for image in library.images(collection="new & odd")] == [number]
    assert list(library.images(state="pending")) == []
    assert library.search(picture=path, limit=1)["hits"][0]["image_id"] in {1, number}
    assert library.search("blue", picture=path.read_bytes(), limit=2)["hits"]
    library.delete_image(number)
    with pytest.raises(ApiError):
        library.image(number)


def test_many_pictures_go_in_several_forms(tmp_path: Path) -> None:
    photographs = [tmp_path / f"{number}.jpg" for number in range(45)]
    for path in photographs:
        with path.open("wb") as file:
            file.truncate(5_000_000)
    assert [len(form) for form in forms(photographs)] == [10, 10, 10, 10, 5]
    assert [file for form in forms(photographs) for file in form] == photographs
    assert [len(form) for form in forms([b"x"] * 401)] == [200, 200, 1]
    large = b"x" * 50_000_001
    assert forms([b"a", large, b"b"]) == [[b"a"], [large], [b"b"]]
    assert forms([]) == [[]]


def test_a_form_of_which_nothing_is_taken_is_sent_in_parts(tmp_path: Path) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        body = request.read()
        if len(body) > 3_000:
            problem = {"code": "body_too_large", "detail": "The body is too large."}
            return httpx.Response(413, json=problem)
        names = re.findall(rb'filename="(.+?)"', body)
        return httpx.Response(
            202, json={"images": [name.decode() for name in names], "refused": []}
        )

    for name, size in (("a", 900), ("b", 4_000), ("c", 900), ("d", 900), ("e", 1_900)):
        (tmp_path / name).write_bytes(b"x" * size)
    with Client("http://x", transport=httpx.MockTransport(answer)) as library:
        result = library.upload(*(tmp_path / name for name in "abcde"))
        assert result["images"] == ["a", "c", "d", "e"]
        assert [(file["filename"], file["code"]) for file in result["refused"]] == [
            ("b", "body_too_large")
        ]
        with pytest.raises(ApiError, match="The body is too large"):
            library.upload(tmp_path / "b", tmp_path / "b")


def test_collections_are_arranged(library: Client) -> None:
    assert library.create_collection("a")["images"] == 0
    assert library.add_to_collection("a", [1]) == 1
    assert library.rename_collection("a", "b")["name"] == "b"
    assert library.collection("b")["images"] == 1
    assert library.take_from_collection("b", [1]) == 1
    assert [collection["name"] for collection in library.collections()] == ["b"]
    library.delete_collection("b")
    assert library.collections() == []


def test_exports_are_written_to_files(library: Client, tmp_path: Path) -> None:
    file = library.export(tmp_path / "coco.json", format="coco", text="blue", limit=1)
    assert len(json.loads(file.read_text())["annotations"]) == 1
    with pytest.raises(ApiError) as refused:
        library.export(tmp_path / "none.json", collection="none")
    assert refused.value.code == "not_found_error"


class _CutShort(httpx.SyncByteStream):
    def __iter__(self) -> Iterator[bytes]:
        yield b'{"annotations'
        raise httpx.ReadError("the server went away")


def test_an_export_that_is_cut_short_leaves_what_lay_there(tmp_path: Path) -> None:
    (tmp_path / "coco.json").write_text("before")
    transport = httpx.MockTransport(lambda _: httpx.Response(200, stream=_CutShort()))
    with Client("http://x", transport=transport) as there, pytest.raises(UnreachableError):
        there.export(tmp_path / "coco.json", format="coco")
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [
        ("coco.json", "before")
    ]


def test_the_library_and_its_server_are_described(library: Client) -> None:
    assert library.is_alive()
    assert library.status()["images"] == library.stats()["images"] == 1
    assert library.models()["preset"] == "small"
    job = library.jobs()[0]
    assert library.job(job["id"]) == job
    assert next(library.job_events()) == []
    with pytest.raises(ApiError) as late:
        library.cancel_job(job["id"])
    assert (late.value.status, late.value.code) == (409, "conflict_error")
    library.resume_jobs()
    assert list(library.skipped(job["id"])) == []
    assert library.retry() == library.retry([1]) == 0
    assert "segsearch_images" in library.metrics()
    with pytest.raises(ApiError) as refused:
        library.segment(1, points=[[5, 5]])
    assert refused.value.code == "model_error"
    with pytest.raises(ApiError):
        library.segment(b"no picture", boxes=[[1, 1, 9, 9]])


def test_keys_are_made_and_ended(library: Client, served: Served) -> None:
    made = library.create_key("reader")
    with Client(served.url, key=made["key"]) as reader:
        assert reader.status()["images"] == 1
        session = reader.session()
        assert (session["scope"], session["key"], session["needs_key"]) == ("read", "reader", True)
        with pytest.raises(ApiError) as refused:
            reader.delete_image(1)
        assert (refused.value.status, refused.value.code) == (403, "scope_error")
    assert library.revoke_key(made["id"])["revoked_at"]
    assert [key["name"] for key in library.api_keys()] == ["tests", "reader"]
    with Client(served.url) as nobody:
        assert nobody.session()["scope"] is None
        with pytest.raises(ApiError) as refused:
            nobody.status()
    assert refused.value.code == "key_missing_error"


@pytest.mark.parametrize("body", ["<html>Sign in</html>", "[]", ""])
def test_what_is_no_answer_of_segsearch_is_said(body: str) -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(200, text=body))
    with (
        Client("http://x", transport=transport) as library,
        pytest.raises(UnreachableError, match="x/v1/status does not answer as segsearch does"),
    ):
        library.status()


def test_a_page_of_something_else_is_not_taken_for_data(tmp_path: Path) -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(200, html="<html>Sign in</html>"))
    with Client("http://x", transport=transport) as library:
        for call in (lambda: library.cutout(1), lambda: library.export(tmp_path / "a.json")):
            with pytest.raises(UnreachableError, match="does not answer as segsearch does"):
                call()
    assert not list(tmp_path.iterdir())


def test_a_key_may_come_with_the_end_of_its_line() -> None:
    seen: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers["authorization"])
        return httpx.Response(200, json={})

    with Client(
        "http://x", key=" segsearch_x_y\n", transport=httpx.MockTransport(answer)
    ) as client:
        client.status()
    assert seen == ["Bearer segsearch_x_y"]
    for key in ("segsearch_\u00fc", "segsearch_x\ny"):
        with pytest.raises(InputError) as refused:
            Client("http://x", key=key)
        assert "segsearch_" not in str(refused.value)


def test_a_file_may_be_named_by_text(library: Client, tmp_path: Path) -> None:
    path = paint(tmp_path / "named.png", [BLUE])
    assert library.search(picture=str(path), limit=1)["hits"]
    with pytest.raises(FileNotFoundError):
        library.search(picture=str(tmp_path / "none.png"))
    with pytest.raises(InputError, match="empty"):
        library.collection("")


def test_a_busy_server_is_asked_again_and_files_are_sent_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("segsearch.client.transport.time.sleep", pauses.append)
    bodies: list[bytes] = []

    def answer(request: httpx.Request) -> httpx.Response:
        bodies.append(request.read())
        if len(bodies) < 3:
            return httpx.Response(429, headers={"Retry-After": "7"})
        return httpx.Response(202, json={"images": [], "refused": []})

    path = paint(tmp_path / "a.png", [RED])
    with Client("http://x", transport=httpx.MockTransport(answer)) as library:
        library.upload(path)
    assert pauses == [7.0, 7.0]
    assert all(path.read_bytes() in body for body in bodies)
    with (
        Client("http://x", retries=1, transport=httpx.MockTransport(_busy)) as library,
        pytest.raises(ApiError) as refused,
    ):
        library.status()
    assert (refused.value.status, refused.value.code) == (429, "unknown")


def _busy(_request: httpx.Request) -> httpx.Response:
    return httpx.Response(429, text="<html>a proxy's own page</html>")


def test_a_server_that_is_not_there_is_said() -> None:
    with bind("127.0.0.1", 0) as free:
        port = free.getsockname()[1]
    with Client(f"http://127.0.0.1:{port}") as nowhere:
        assert not nowhere.is_alive()
        assert not nowhere.is_ready()
        with pytest.raises(UnreachableError, match=f":{port}/v1/status cannot be reached"):
            nowhere.status()


def test_a_file_whose_name_no_form_can_hold_is_sent_under_one_like_it(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.png"))
    assert name_of(path) == "?.png"
