"""Every code of the table is reached by a request that deserves it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fastapi.testclient import TestClient
from fsspec.spec import AbstractFileSystem
from sqlalchemy import event

from segsearch.core.errors import ModelMissingError
from segsearch.core.types import Recipe
from segsearch.library import SegSearch
from segsearch.models.protocols import Embedder
from segsearch.storage.api_keys import KeyRing, Scope
from segsearch.storage.upload_files import UploadStore
from segsearch_api.app import create_app
from segsearch_api.deps import Lane
from segsearch_api.errors import CODES, Code
from tests.api.test_contract import SlowModels
from tests.support.small_models import Shape, SmallModels, open_small_service, paint
from tests.support.vision import vision_endpoint
from tools.postgres_server import PostgresServer

Answer = Any  # of whichever httpx the test client stands on
LIMITS: dict[str, Any] = {"max_bytes": 100_000, "max_pixels": 50_000}


@dataclass
class ServedLibrary:
    """A server over a library of one picture, which a case may spoil."""

    client: TestClient
    service: SegSearch
    library: Path


Case = Callable[[ServedLibrary], Answer]


class RenamedModels(SmallModels):
    """Of the same preset's name, but another embedder."""

    @property
    def recipe(self) -> Recipe:
        here = super().recipe
        return Recipe(**{**here.document, "embedder": "another@1"})


class AbsentModels(SmallModels):
    def embedder(self) -> Embedder:
        raise ModelMissingError("The model clip is not here: run `segsearch models pull clip`.")


@contextmanager
def served(
    folder: Path, models: SmallModels | None = None, **settings: Any
) -> Iterator[ServedLibrary]:
    library = folder / "library"
    picture = paint(folder / "a.png", [Shape("red", (10, 10, 50, 40))])
    if not library.exists():
        with open_small_service(library) as service:
            service.index([picture])
    with open_small_service(library, models=models, **LIMITS, **settings) as service:
        app = create_app(service)
        yield ServedLibrary(TestClient(app, base_url="http://localhost"), service, library)


def search(place: ServedLibrary, **body: Any) -> Answer:
    return place.client.post("/v1/search", json=body or {"text": "red"})


def upload(place: ServedLibrary, data: bytes) -> Answer:
    return place.client.post("/v1/images", files={"file": ("a.png", data)})


def picture(place: ServedLibrary, **options: Any) -> bytes:
    return paint(
        place.library.parent / "b.png", [Shape("blue", (1, 1, 30, 30))], **options
    ).read_bytes()


def taken_name(place: ServedLibrary) -> Answer:
    place.client.post("/v1/collections", json={"name": "a"})
    return place.client.post("/v1/collections", json={"name": "a"})


def small_scope(place: ServedLibrary) -> Answer:
    _, text = KeyRing(place.library).create("a", Scope.READ)
    return place.client.delete("/v1/images/1", headers={"Authorization": f"Bearer {text}"})


def too_often(place: ServedLibrary) -> Answer:
    _, text = KeyRing(place.library).create("a", Scope.READ)
    header = {"Authorization": f"Bearer {text}"}
    for _ in range(30):
        answer = place.client.get("/healthz2", headers=header)
    return answer


def file_where_a_folder_belongs(place: ServedLibrary) -> Answer:
    (place.library / "uploads").write_text("in the way")
    return upload(place, picture(place))


def spoilt_catalog(place: ServedLibrary) -> Answer:
    for file in place.library.glob("catalog.sqlite*"):
        file.write_bytes(b"no database" * 100)
    return place.client.get("/v1/images")


def at_each_checkout(place: ServedLibrary, pragma: str) -> None:
    """Let every connection of the catalog start with a pragma."""
    engine = place.service.catalog._engine
    event.listen(engine, "checkout", lambda connection, *_: connection.execute(pragma))


def full_disk(place: ServedLibrary) -> Answer:
    """SQLite may take no page more: to it a full disk is the same."""
    at_each_checkout(place, "PRAGMA max_page_count = 1")
    for number in range(500):  # until the pages it has are full
        name = f"{number:04}" + "x" * 90
        answer = place.client.post("/v1/collections", json={"name": name})
        if not answer.is_success:
            break
    return answer


class AwayFiles(AbstractFileSystem):  # type: ignore[misc]  # fsspec has no types
    """A store that never answers."""

    protocol = "away"

    def find(self, *_: Any, **__: Any) -> Any:
        raise TimeoutError("nobody answers")


def store_away(place: ServedLibrary) -> Answer:
    fsspec.register_implementation("away", AwayFiles, clobber=True)
    place.service.uploads._files = UploadStore("away://box", place.library / "uploads", 1)
    return upload(place, picture(place))


def server_away(place: ServedLibrary) -> Answer:
    with PostgresServer() as server:
        address = server.create_database("photos")
        with open_small_service(place.library.parent / "node", address=address) as service:
            client = TestClient(create_app(service), base_url="http://localhost")
            assert client.get("/v1/collections").status_code == 200
            server.stop(at_once=True)
            return client.get("/v1/collections")


def locked_catalog(place: ServedLibrary) -> Answer:
    """Another process writes, and ours has the patience of a millisecond."""
    at_each_checkout(place, "PRAGMA busy_timeout = 1")
    holder = sqlite3.connect(place.library / "catalog.sqlite", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    try:
        return place.client.post("/v1/collections", json={"name": "a"})
    finally:
        holder.close()


def read_only(place: ServedLibrary) -> Answer:
    """Permissions do not bind root, so the catalog is told what it would have found."""
    place.service.catalog.read_only = True
    return place.client.post("/v1/collections", json={"name": "a"})


def empty_library(place: ServedLibrary) -> Answer:
    with open_small_service(place.library.parent / "new") as service:
        client = TestClient(create_app(service), base_url="http://localhost")
        return client.post("/v1/search", json={"text": "red"})


def with_models(models: SmallModels) -> Case:
    def ask(place: ServedLibrary) -> Answer:
        with served(place.library.parent, models) as other:
            return search(other)

    return ask


def full_line(place: ServedLibrary) -> Answer:
    app: Any = place.client.app
    lane: Lane = app.state.shared.searches
    lane.inside = 1_000
    return search(place)


def not_ready(place: ServedLibrary) -> Answer:
    models = SlowModels()
    with served(place.library.parent, models) as other, other.client as client:
        answer = client.get("/readyz")
        models.go.set()
    return answer


def broken_route(place: ServedLibrary) -> Answer:
    app: Any = place.client.app
    app.add_api_route("/broken", lambda: 1 / 0)
    return place.client.get("/broken")


def asked_of(behaviour: Any) -> Case:
    """A question to an endpoint that answers so."""

    def ask(place: ServedLibrary) -> Answer:
        with vision_endpoint([behaviour]) as end:
            settings: dict[str, Any] = {"caption_url": end.url, "caption_model": end.model}
            with served(place.library.parent, **settings) as other:
                return other.client.post("/v1/images/1/ask", json={})

    return ask


CASES: dict[str, Case] = {
    "bad_request": lambda at: at.client.post(
        "/v1/images", content=b"x", headers={"Content-Type": "multipart/form-data"}
    ),
    "input_error": lambda at: at.client.post("/v1/segment", json={}),
    "key_missing_error": lambda at: at.client.get(
        "/v1/images", headers={"Authorization": "Bearer x"}
    ),
    "origin_not_allowed": lambda at: at.client.post(
        "/v1/search", json={"text": "red"}, headers={"Origin": "https://elsewhere.example"}
    ),
    "scope_error": small_scope,
    "not_found": lambda at: at.client.get("/nowhere"),
    "not_found_error": lambda at: at.client.get("/v1/images/99"),
    "method_not_allowed": lambda at: at.client.get("/v1/search"),
    "not_acceptable": lambda at: at.client.get(
        "/v1/segments/1/mask", headers={"Accept": "text/html"}
    ),
    "conflict_error": taken_name,
    "endpoint_missing_error": lambda at: at.client.post("/v1/images/1/ask", json={}),
    "endpoint_error": asked_of((401, {})),
    "answer_error": asked_of((400, {})),
    "body_too_large": lambda at: search(at, text="x" * 100_000),
    "picture_too_large_error": lambda at: upload(at, picture(at, size=(400, 300))),
    "unsupported_media_type": lambda at: at.client.post("/v1/search", content=b"x"),
    "host_not_allowed": lambda at: at.client.get("/healthz", headers={"Host": "a.example"}),
    "picture_error": lambda at: upload(at, b"no picture"),
    "query_error": lambda at: search(at, limit=3),
    "request_invalid": lambda at: search(at, limit=0),
    "overload_error": full_line,
    "rate_error": too_often,
    "damage_error": spoilt_catalog,
    "internal_server_error": broken_route,
    "library_error": file_where_a_folder_belongs,
    "busy_error": locked_catalog,
    "library_missing_error": empty_library,
    "model_error": lambda at: at.client.post(
        "/v1/segment", json={"image_id": 1, "points": [[1, 1]]}
    ),
    "model_missing_error": with_models(AbsentModels()),
    "read_only_error": read_only,
    "recipe_error": with_models(RenamedModels()),
    "service_unavailable": not_ready,
    "disk_full_error": full_disk,
    "engine_error": server_away,
    "store_error": store_away,
}


def test_every_code_has_a_case() -> None:
    assert sorted(CASES) == sorted(code.name for code in CODES)


@pytest.mark.parametrize("code", CODES, ids=lambda code: code.name)
def test_every_code_is_reached(code: Code, tmp_path: Path) -> None:
    with served(tmp_path, rate_per_minute=60) as place:
        answer = CASES[code.name](place)
    assert (answer.status_code, answer.json()["code"]) == (code.status, code.name), answer.text
    assert answer.json()["title"] == code.title
    assert answer.json()["type"] == f"urn:segsearch:problem:{code.name}"
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-request-id"]
