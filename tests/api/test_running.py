"""Runs over HTTP: cancelled, resumed, what they passed over; pictures tried again; the status."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from segsearch.core.types import JobState
from segsearch.library import SegSearch
from segsearch.storage.api_keys import KeyRing, Scope
from segsearch.storage.owners import owner_of_this_process
from segsearch_api.app import create_app
from tests.support.ingest_processes import paint_many
from tests.support.small_models import open_small_service


@pytest.fixture
def service(tmp_path: Path) -> Iterator[SegSearch]:
    """A library of two pictures and a file that is none, and a second job that runs."""
    folder = paint_many(tmp_path / "pictures", 2)
    (folder / "bad.png").write_text("no picture")
    with open_small_service(tmp_path / "library") as made:
        made.index([folder])
        made.catalog.begin_job("index", owner_of_this_process(), "small", ["/more"])
        yield made


@pytest.fixture
def client(service: SegSearch) -> Iterator[TestClient]:
    with TestClient(create_app(service), base_url="http://localhost") as made:
        yield made


def test_a_running_job_says_its_stage_and_is_cancelled(
    client: TestClient, service: SegSearch
) -> None:
    running, ended = client.get("/v1/jobs").json()["jobs"]
    assert (running["stage"], running["stopping"]) == ("scanning", False)
    assert (ended["stage"], ended["device"]) == (None, "cpu")
    for _ in range(2):
        answer = client.post("/v1/jobs/2/cancel")
        assert answer.status_code == 202
        assert (answer.json()["state"], answer.json()["stopping"]) == ("running", True)
    assert client.get("/v1/status").json()["paused"]
    assert client.get("/v1/status").json()["jobs"][0]["stopping"]
    service.catalog.finish_job(2, JobState.STOPPED)
    late, nowhere = (409, "conflict_error"), (404, "not_found_error")
    for number, told in ((1, late), (2, late), (3, nowhere), (0, (422, "request_invalid"))):
        refused = client.post(f"/v1/jobs/{number}/cancel")
        assert (refused.status_code, refused.json()["code"]) == told
    for _ in range(2):
        answer = client.post("/v1/jobs/resume")
        assert (answer.status_code, answer.json()) == (202, {"resumed": True})
        assert not client.get("/v1/status").json()["paused"]


def test_a_lost_job_cannot_be_cancelled(client: TestClient, service: SegSearch) -> None:
    service.catalog.begin_job("index", f"{owner_of_this_process()}1", None, [])
    lost = client.get("/v1/jobs/3").json()
    assert (lost["state"], lost["stage"]) == ("lost", None)
    assert client.post("/v1/jobs/3/cancel").status_code == 409
    assert not client.get("/v1/status").json()["paused"]


def test_an_upload_lets_workers_go_on(client: TestClient, tmp_path: Path) -> None:
    client.post("/v1/jobs/2/cancel")
    assert client.get("/v1/status").json()["paused"]
    (picture,) = paint_many(tmp_path / "one", 1).glob("*")
    sent = client.post("/v1/images", files={"file": ("Ä holiday.png", picture.read_bytes())})
    assert sent.json()["images"][0]["filename"] == "Ä holiday.png"
    assert not client.get("/v1/status").json()["paused"]


def test_what_was_skipped_is_told_and_tried_again(client: TestClient) -> None:
    answer = client.get("/v1/jobs/1/skipped", params={"limit": 1}).json()
    (row,) = answer["skipped"]
    assert (row["name"], answer["next_after"], answer["report"]) == ("bad.png", None, "whole")
    (failed,) = client.get("/v1/images", params={"state": "failed"}).json()["images"]
    assert (row["image_id"], row["path"]) == (failed["image_id"], failed["paths"][0])
    assert row["reason"] == failed["reason"]
    assert client.get("/v1/jobs/2/skipped").json()["report"] == "gone"  # nobody wrote any
    assert client.get("/v1/jobs/9/skipped").status_code == 404
    assert client.get("/v1/jobs/1/skipped", params={"after": -1}).status_code == 422
    client.post("/v1/jobs/2/cancel")
    for body, changed in (({"image_ids": [1, 9000]}, 0), ({"image_ids": None}, 1), ({}, 0)):
        answer = client.post("/v1/images/retry", json=body)
        assert (answer.status_code, answer.json()) == (200, {"changed": changed})
    status = client.get("/v1/status").json()
    assert (status["failed"], status["pending"], status["paused"]) == (0, 1, False)
    bodies: list[object] = [{"image_ids": []}, {"image_ids": [0]}, {"ids": [1]}, [1]]
    for wrong in bodies:
        assert client.post("/v1/images/retry", json=wrong).status_code == 422


def test_the_status_is_the_command_s(client: TestClient, service: SegSearch) -> None:
    status = client.get("/v1/status").json()
    assert "pictures_failed" in [problem["code"] for problem in status["problems"]]
    assert status["disk"]["total_bytes"] >= status["disk"]["free_bytes"] > 0
    assert status["index"] == {
        "regions": 4,
        "generation": service.catalog.newest_change(),
        "behind": 0,
        "layout": "flat",
        "engine": "faiss",
        "loaded": True,
    }
    assert status["workers"] == []
    assert json.loads(json.dumps(status)).keys() == {
        *("images", "segments", "pending", "failed", "quarantined", "near_duplicates", "missing"),
        "videos",
        *(
            "read",
            "to_read",
            "unreadable",
            "lines",
            "excluded",
            "preset",
            "bytes",
            "library",
            "recipe",
            "schema",
            "jobs",
            "disk",
            "workers",
        ),
        *("index", "paused", "read_only", "problems"),
    }


def test_who_may_only_read_ends_nothing(service: SegSearch) -> None:
    _, text = KeyRing(service.settings.library).create("reader", Scope.READ)
    bearer = {"Authorization": f"Bearer {text}"}
    with TestClient(create_app(service), base_url="http://localhost", headers=bearer) as client:
        for path in ("/v1/jobs/2/cancel", "/v1/jobs/resume", "/v1/images/retry"):
            refused = client.post(path, json={})
            assert (refused.status_code, refused.json()["code"]) == (403, "scope_error")
        assert client.get("/v1/jobs/1/skipped").status_code == 200
    assert not service.status().paused
    service.catalog.read_only = True
    with TestClient(create_app(service), base_url="http://localhost") as client:
        for path in ("/v1/jobs/2/cancel", "/v1/images/retry"):
            refused = client.post(path, json={})
            assert (refused.status_code, refused.json()["code"]) == (503, "read_only_error")
