"""Jobs over HTTP: pages, one by id, and a stream of events that ends with the server."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from fastapi import Request
from fastapi.testclient import TestClient

from segsearch.core.errors import OverloadError
from segsearch.storage.api_keys import FILE, KeyRing, Scope
from segsearch_api.app import create_app
from segsearch_api.deps import Shared
from segsearch_api.middleware.auth import STILL_ALLOWED
from segsearch_api.routers.jobs import MAX_STREAMS, _running, stream_jobs
from tests.api.test_server import serving
from tests.support.ingest_processes import paint_many
from tests.support.small_models import open_small_service

pytestmark = pytest.mark.server


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    with open_small_service(tmp_path / "library") as service:
        for _ in range(3):
            service.index([paint_many(tmp_path / "pictures", 2)])
    return tmp_path / "library"


def test_jobs_come_newest_first_a_page_at_a_time(filled: Path) -> None:
    with (
        open_small_service(filled) as service,
        TestClient(create_app(service), base_url="http://localhost") as client,
    ):
        first = client.get("/v1/jobs", params={"limit": 2}).json()
        assert [job["id"] for job in first["jobs"]] == [3, 2]
        rest = client.get("/v1/jobs", params={"before": first["next_before"]}).json()
        assert [job["id"] for job in rest["jobs"]] == [1]
        one = client.get("/v1/jobs/1").json()
        assert (one["state"], one["done"], one["segments"]) == ("done", 2, 4)
        assert (filled / one["report"]).is_file()
        missing = client.get("/v1/jobs/9000")
        assert (missing.status_code, missing.json()["code"]) == (404, "not_found_error")


def test_a_folder_whose_name_is_no_text_is_told_all_the_same(tmp_path: Path) -> None:
    folder = paint_many(tmp_path / "pictures", 1).rename(tmp_path / "p\udcff")
    with (
        open_small_service(tmp_path / "library") as service,
        TestClient(create_app(service), base_url="http://localhost") as client,
    ):
        service.index([folder])
        (job,) = client.get("/v1/jobs").json()["jobs"]
        assert job["paths"] == [f"{tmp_path}/p\\udcff"]


def test_events_tell_the_running_jobs(filled: Path) -> None:
    with open_small_service(filled) as service:
        app = create_app(service)
        shared: Shared = app.state.shared
        shared.streams.is_ending = lambda: True
        with TestClient(app, base_url="http://localhost") as client:
            answer = client.get("/v1/jobs/events")
            assert answer.headers["content-type"].startswith("text/event-stream")
            assert shared.streams.open == 0


def test_an_event_tells_that_regions_came_or_went(filled: Path) -> None:
    with open_small_service(filled) as service:
        before = _running(service)
        assert _running(service) == before
        with TestClient(create_app(service), base_url="http://localhost") as client:
            image = client.get("/v1/images").json()["images"][0]["image_id"]
            client.post("/v1/images/remove", json={"image_ids": [image]})
        after = _running(service)
    assert before is not None
    assert after is not None
    was, now = json.loads(before), json.loads(after)
    assert was["jobs"] == now["jobs"] == []
    assert now["changes"] > was["changes"]


def test_a_burst_of_followers_is_bounded_and_leaves_no_place_taken(filled: Path) -> None:
    async def leaves() -> dict[str, str]:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        raise OSError(f"Nobody hears {message['type']}.")

    async def burst(shared: Shared) -> None:
        scope: dict[str, Any] = {"type": "http", STILL_ALLOWED: lambda: True}
        asked = Request(scope)
        answers = [await stream_jobs(asked, shared) for _ in range(MAX_STREAMS)]
        with pytest.raises(OverloadError, match="16 pages follow"):
            await stream_jobs(asked, shared)
        for answer in answers:
            with suppress(Exception):  # as ASGI servers have it, or a group of one
                await answer(scope, leaves, send)
        assert shared.streams.open == 0

    with open_small_service(filled) as service:
        anyio.run(burst, create_app(service).state.shared)


@pytest.mark.parametrize("way", ["revoked", "file gone"])
def test_an_open_stream_ends_with_its_key(filled: Path, way: str) -> None:
    ring = KeyRing(filled)
    ring.create("other", Scope.READ)
    key, text = ring.create("laptop", Scope.READ)
    bearer = {"Authorization": f"Bearer {text}"}
    options = ("--no-worker", "--host", "0.0.0.0")  # noqa: S104
    with (
        serving(filled, *options) as (_, url),
        httpx.stream("GET", f"{url}/v1/jobs/events", headers=bearer, timeout=60) as stream,
    ):
        lines = stream.iter_lines()
        assert next(lines) == "event: jobs"
        next(lines)
        if way == "revoked":
            ring.revoke(key.id)
        else:
            (filled / FILE).unlink()
        assert list(lines) == [""]  # ended, not cut off; without an end it would wait 60 seconds


def test_a_stream_without_a_key_goes_on_where_none_is_needed(filled: Path) -> None:
    KeyRing(filled).create("laptop", Scope.READ)
    with (
        serving(filled, "--no-worker") as (_, url),
        httpx.stream("GET", f"{url}/v1/jobs/events", timeout=3) as stream,
    ):
        lines = stream.iter_lines()
        next(lines), next(lines), next(lines)
        with pytest.raises(httpx.ReadTimeout):
            next(lines)


def test_an_open_stream_ends_with_the_server(filled: Path) -> None:
    with (
        serving(filled, "--no-worker") as (process, url),
        httpx.stream("GET", f"{url}/v1/jobs/events", timeout=60) as stream,
    ):
        lines = stream.iter_lines()
        assert next(lines) == "event: jobs"
        assert json.loads(next(lines).removeprefix("data: "))["jobs"] == []
        process.terminate()
        assert list(lines) == [""]  # it ends by itself: one that is cut off raises
        assert process.wait(timeout=60) == 0
