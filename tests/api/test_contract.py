"""What holds for every route: OpenAPI says all of it, errors have one shape, guards stand."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from pydantic import BaseModel, TypeAdapter

from segsearch.core.errors import ModelError, kinds
from segsearch.models.protocols import Embedder
from segsearch.search import schema as requests
from segsearch_api import errors
from segsearch_api.app import create_app
from segsearch_api.deps import SEARCHES_AT_ONCE, SEARCHES_WAITING
from segsearch_api.schemas import browse, export, images, jobs, library, maps, queries, search
from segsearch_api.schemas import session as sessions
from tests.support.small_models import ColourEmbedder, SmallModels, open_small_service

OF_VIDEO = ("", "/segments", "/frame.jpg", "/clip.mp4", "/file")
VIDEO_ROUTES = ("", *(f"/{{video_id}}{rest}" for rest in OF_VIDEO))


@pytest.fixture(scope="module")
def described(client: TestClient) -> dict[str, Any]:
    found: dict[str, Any] = client.get("/openapi.json").json()
    return found


def operations(described: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            yield method, path, operation


def test_every_route_of_the_issue_is_there(described: dict[str, Any]) -> None:
    assert {f"{method} {path}" for method, path, _ in operations(described)} == {
        *("post /v1/search", "post /v1/search/picture", "post /v1/search/scene"),
        "post /v1/browse",
        "get /v1/facets",
        "get /v1/duplicates",
        "post /v1/images/tags",
        "post /v1/images/remove",
        "get /v1/images/{image_id}/near-duplicates",
        "get /v1/map",
        "post /v1/map",
        "get /v1/map/points",
        "post /v1/regions",
        "get /v1/images",
        "get /v1/images/{image_id}",
        "post /v1/images/{image_id}/tags",
        "get /v1/images/{image_id}/segments",
        "get /v1/images/{image_id}/text",
        "get /v1/images/{image_id}/thumbnail",
        "get /v1/images/{image_id}/original",
        "get /v1/images/{image_id}/file",
        "post /v1/images",
        "delete /v1/images/{image_id}",
        "delete /v1/segments/{segment_id}",
        "get /v1/segments/{segment_id}/mask",
        "post /v1/segment",
        "post /v1/segment/picture",
        "post /v1/export",
        "get /v1/collections",
        "post /v1/collections",
        "get /v1/collections/{name}",
        "patch /v1/collections/{name}",
        "delete /v1/collections/{name}",
        "post /v1/collections/{name}/images",
        "post /v1/collections/{name}/images/remove",
        "get /v1/segments/{segment_id}/words",
        "post /v1/words",
        "post /v1/segments/{segment_id}/ask",
        "post /v1/images/{image_id}/ask",
        "post /v1/search/rerank",
        "post /v1/pictures",
        "get /v1/pictures/{picture_id}/thumbnail",
        "get /v1/searches",
        "put /v1/searches/{name}",
        "delete /v1/searches/{name}",
        *("get /v1/models", "get /v1/stats"),
        "get /v1/keys",
        "post /v1/keys",
        "delete /v1/keys/{key_id}",
        "get /v1/session",
        "post /v1/session",
        "delete /v1/session",
        "get /metrics",
        *("get /v1/segments/{segment_id}", "get /v1/segments/{segment_id}/track"),
        *(f"get /v1/videos{rest}" for rest in VIDEO_ROUTES),
        "get /v1/segments/{segment_id}/mask.png",
        "get /v1/segments/{segment_id}/cutout.png",
        "get /v1/segments/{segment_id}/crop.png",
        "get /v1/segments/{segment_id}/overlay.png",
        *("get /v1/jobs", "get /v1/jobs/events"),
        "get /v1/jobs/{job_id}",
        "get /v1/jobs/{job_id}/skipped",
        "post /v1/jobs/{job_id}/cancel",
        "post /v1/jobs/resume",
        "post /v1/images/retry",
        "get /v1/status",
        *("get /healthz", "get /readyz"),
    }


def resolve(described: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    reference = schema.get("$ref")
    if reference is None:
        return schema
    found: dict[str, Any] = described["components"]["schemas"][reference.rpartition("/")[2]]
    return found


def test_openapi_has_an_example_for_every_body_and_every_problem(described: dict[str, Any]) -> None:
    assert described["openapi"].startswith("3.1")
    for method, path, operation in operations(described):
        where = f"{method} {path}"
        assert operation["description"], where
        for media in operation.get("requestBody", {}).get("content", {}).values():
            schema = resolve(described, media["schema"])
            assert media.get("examples") or schema.get("examples"), where
        for status, answer in operation["responses"].items():
            assert answer["description"], f"{where} {status}"
            for kind, media in answer.get("content", {}).items():
                if kind == "application/json":
                    assert resolve(described, media["schema"])["examples"], f"{where} {status}"
                elif kind == errors.MEDIA_TYPE:
                    assert media["examples"], f"{where} {status}"
                else:
                    format_ = {"text/event-stream": "event-stream", "text/plain": "prometheus"}.get(
                        kind, "binary"
                    )
                    assert media["schema"]["format"] == format_, f"{where} {status}"


def test_head_is_answered_as_get_without_the_body(
    client: TestClient, described: dict[str, Any]
) -> None:
    for method, path, _ in operations(described):
        if method == "get" and path != "/v1/jobs/events":
            path = re.sub(r"\{\w+\}", "1", path)
            head, answer = client.head(path), client.get(path)
            assert head.status_code == answer.status_code, path
            assert head.content == b"", path
            for name in ("Content-Type", "ETag"):
                assert head.headers.get(name) == answer.headers.get(name), path
    assert client.head("/").status_code == client.head("/docs").status_code == 200
    assert client.head("/v1/jobs/events").status_code == 405
    assert client.head("/v1/search").status_code == 405


def test_every_reference_in_openapi_leads_somewhere(described: dict[str, Any]) -> None:
    named = set(re.findall(r"#/components/schemas/(\w+)", str(described)))
    assert named <= set(described["components"]["schemas"])
    assert "HTTPValidationError" not in named


def test_examples_are_of_the_shape_they_stand_for() -> None:
    for model in (
        *vars(browse).values(),
        *vars(export).values(),
        *vars(images).values(),
        *vars(jobs).values(),
        *vars(library).values(),
        *vars(queries).values(),
        *vars(maps).values(),
        *vars(search).values(),
        *vars(sessions).values(),
        *vars(requests).values(),
    ):
        if not isinstance(model, type) or not hasattr(model, "__pydantic_validator__"):
            continue
        if model is not BaseModel:
            adapter: TypeAdapter[Any] = TypeAdapter(model)
            for example in adapter.json_schema().get("examples", []):
                adapter.validate_python(example)


def test_every_error_becomes_a_problem_of_its_status() -> None:
    for kind in kinds():
        answer = errors.problem_of(kind("Why it failed."))
        code = errors.code_of(kind)
        assert answer.status_code == code.status
        assert code in errors.CODES, kind
        if kind in errors.KINDS:
            assert code.status == kind.status
            assert code.name == re.sub(r"([A-Z])", r"_\1", kind.__name__).lower().lstrip("_")
        assert answer.media_type == "application/problem+json"
        assert b'"detail":"Why it failed."' in answer.body
        assert ("retry-after" in answer.headers) == (answer.status_code in {429, 503}), kind
        assert ("www-authenticate" in answer.headers) == (answer.status_code == 401), kind


def test_what_http_itself_refuses_is_a_problem_too(client: TestClient) -> None:
    for method, path, status, code in [
        ("GET", "/nowhere", 404, "not_found"),
        ("GET", "/static/nowhere.js", 404, "not_found"),
        ("GET", "/static/../app.py", 404, "not_found"),
        ("GET", "/static/%2e%2e/app.py", 404, "not_found"),
        ("GET", "/v1/search", 405, "method_not_allowed"),
        ("PUT", "/v1/images/1", 405, "method_not_allowed"),
    ]:
        answer = client.request(method, path)
        assert (answer.status_code, answer.json()["code"]) == (status, code), path
        assert answer.headers["content-type"] == "application/problem+json"


def test_only_names_of_this_machine_are_answered(client: TestClient) -> None:
    statuses = {
        "localhost": 200,
        "LOCALHOST:8000": 200,
        "127.0.0.1:81": 200,
        "[::1]:8000": 200,
        "elsewhere.example": 421,
        "localhost.elsewhere.example": 421,
        "127.0.0.1.elsewhere.example:8000": 421,
        "[::2]": 421,
        "": 421,
    }
    for host, status in statuses.items():
        assert client.get("/healthz", headers={"host": host}).status_code == status, host


def test_any_name_is_answered_when_told_so(tmp_path: Path) -> None:
    with open_small_service(tmp_path) as service:
        app = create_app(service, hosts=None)
        assert TestClient(app, base_url="http://elsewhere.example").get("/healthz").is_success


def test_every_answer_forbids_what_the_page_does_not_need(client: TestClient) -> None:
    for path in ("/", "/docs", "/v1/status", "/v1/images/1/thumbnail", "/nowhere"):
        headers = client.get(path).headers
        assert headers.get_list("content-security-policy") == [
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'"
            + (" blob: data:; media-src 'self'" if path == "/" else "")
            + "; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
        ], path
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert headers["referrer-policy"] == "same-origin"


class SlowModels(SmallModels):
    """Models that wait until they are let go."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self._counting = threading.Lock()
        self.running = 0
        self.most = 0

    def embedder(self) -> Embedder:
        with self._counting:
            self.running += 1
            self.most = max(self.most, self.running)
        assert self.go.wait(60)
        with self._counting:
            self.running -= 1
        return ColourEmbedder()


def test_searches_run_side_by_side_in_a_bounded_line_and_do_not_block_the_rest(
    pictures: Path,
) -> None:
    models = SlowModels()
    models.go.set()
    with open_small_service(pictures.parent / "slow", models=models) as service:
        service.index([pictures])
        models.go.clear()
        with TestClient(create_app(service), base_url="http://localhost") as client:
            assert client.get("/readyz").status_code == 503
            statuses: list[int] = []
            most = SEARCHES_AT_ONCE + SEARCHES_WAITING

            def ask() -> None:
                answer = client.post("/v1/search", json={"text": "red"})
                statuses.append(answer.status_code)
                if answer.status_code == 429:
                    assert answer.json()["code"] == "overload_error"
                    assert int(answer.headers["retry-after"]) >= 1

            threads = [threading.Thread(target=ask) for _ in range(most + 4)]
            for thread in threads:
                thread.start()
            deadline = time.monotonic() + 60
            while statuses.count(429) < 4 and time.monotonic() < deadline:
                time.sleep(0.01)
            assert client.get("/healthz").status_code == 200
            assert client.get("/v1/images/1/thumbnail").status_code == 200
            models.go.set()
            for thread in threads:
                thread.join()
            assert statuses.count(429) == 4
            assert statuses.count(200) == most
            assert models.most == SEARCHES_AT_ONCE + 1  # those whose turn it is, and the warming
            assert client.get("/readyz").status_code == 200


class MissingModels(SmallModels):
    def embedder(self) -> Embedder:
        raise ModelError("The weights are missing: install again.")


def test_models_that_cannot_be_loaded_are_said_and_the_rest_works(pictures: Path) -> None:
    folder = pictures.parent / "missing"
    with open_small_service(folder) as service:
        service.index([pictures])
    with (
        open_small_service(folder, models=MissingModels()) as service,
        TestClient(create_app(service), base_url="http://localhost") as client,
    ):
        while (ready := client.get("/readyz")).json()["code"] != "model_error":
            time.sleep(0.01)
        assert ready.status_code == 503
        answer = client.post("/v1/search", json={"text": "red"})
        assert (answer.status_code, answer.json()["code"]) == (503, "model_error")
        assert client.get("/v1/status").json()["images"] == 3


class ModelsWithoutRoom(SmallModels):
    def embedder(self) -> Embedder:
        raise RuntimeError("CUDA out of memory.")


def test_an_error_that_nobody_foresaw_leaves_a_server_unready(pictures: Path) -> None:
    folder = pictures.parent / "no room"
    with open_small_service(folder) as service:
        service.index([pictures])
    with (
        open_small_service(folder, models=ModelsWithoutRoom()) as service,
        TestClient(create_app(service), base_url="http://localhost") as client,
    ):
        deadline = time.monotonic() + 60
        while (ready := client.get("/readyz")).json().get("code") != "model_error":
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert ready.status_code == 503
        assert "RuntimeError: CUDA out of memory." in ready.json()["detail"]


class ModelsThatComeBack(SmallModels):
    away = True

    def embedder(self) -> Embedder:
        if self.away:
            raise RuntimeError("CUDA out of memory.")
        return super().embedder()


def test_a_server_whose_models_come_back_is_ready_again(
    pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = pictures.parent / "back"
    with open_small_service(folder) as service:
        service.index([pictures])
    models = ModelsThatComeBack()
    with (
        open_small_service(folder, models=models) as service,
        TestClient(create_app(service), base_url="http://localhost") as client,
    ):
        deadline = time.monotonic() + 60
        while client.get("/readyz").json().get("code") != "model_error":
            assert time.monotonic() < deadline
            time.sleep(0.01)
        models.away = False
        assert client.get("/readyz").status_code == 503, "not every look loads anew"
        monkeypatch.setattr("segsearch_api.deps.RETRY_SECONDS", 0.0)
        assert client.get("/readyz").status_code == 200
        assert client.post("/v1/search", json={"text": "red"}).json()["hits"]


def test_an_empty_library_is_served_and_says_so(tmp_path: Path) -> None:
    with (
        open_small_service(tmp_path) as service,
        TestClient(create_app(service), base_url="http://localhost") as client,
    ):
        answer = client.post("/v1/search", json={"text": "red"})
        assert (answer.status_code, answer.json()["code"]) == (503, "library_missing_error")
        assert client.get("/v1/images").json() == {"images": [], "next_after": None}
        assert client.get("/v1/status").json()["images"] == 0


def test_what_nobody_expected_is_a_problem_without_its_secrets(tmp_path: Path) -> None:
    with open_small_service(tmp_path) as service:
        app = create_app(service)

        def broken() -> None:
            raise RuntimeError("a secret")

        app.add_api_route("/broken", broken)
        client = TestClient(app, base_url="http://localhost", raise_server_exceptions=False)
        answer = client.get("/broken")
        assert (answer.status_code, answer.json()["code"]) == (500, "internal_server_error")
        assert "secret" not in answer.text
