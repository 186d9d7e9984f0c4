"""Who may do what: keys, scopes, rates, origins; and what every answer carries."""

from __future__ import annotations

import base64
import gzip
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from segsearch.core.errors import OverloadError, RateError
from segsearch.storage.api_keys import FILE, KeyRing, Scope
from segsearch_api.app import create_app
from segsearch_api.errors import problem_of, refusal
from segsearch_api.middleware.auth import scope_for
from segsearch_api.middleware.rates import RateLimiter
from tests.support.small_models import Shape, open_small_service, paint

Make = Callable[..., TestClient]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Makes a client of a server with one picture, with the settings given."""
    picture = paint(tmp_path / "a.png", [Shape("red", (10, 10, 50, 40))])
    opened = []

    def made(*, need_key: bool = True, **settings: Any) -> TestClient:
        service = open_small_service(tmp_path / "library", **settings)
        opened.append(service)
        service.index([picture])
        app = create_app(service, need_key=need_key)
        return TestClient(app, base_url="http://localhost")

    yield made
    for service in opened:
        service.close()


@pytest.fixture
def keys(tmp_path: Path) -> dict[Scope, dict[str, str]]:
    """A key of each scope, as the header that shows it."""
    ring = KeyRing(tmp_path / "library")
    made = {scope: ring.create(scope, scope)[1] for scope in Scope}
    return {scope: {"Authorization": f"Bearer {text}"} for scope, text in made.items()}


NEEDS: list[tuple[str, str, Scope | None]] = [
    ("GET", "/healthz", None),
    ("GET", "/readyz", None),
    ("GET", "/", None),
    ("HEAD", "/docs", None),
    ("GET", "/static/page.js", None),
    ("GET", "/static/%2e%2e/v1/images", None),  # to routes it is a file, too
    ("POST", "/", Scope.WRITE),
    ("POST", "/static/page.js", Scope.WRITE),
    ("GET", "/v1/session", None),
    ("POST", "/v1/session", None),
    ("DELETE", "/v1/session", None),
    ("GET", "/v1/sessions", Scope.READ),
    ("GET", "/openapi.json", Scope.READ),
    ("GET", "/metrics", Scope.READ),
    ("GET", "/v1/images", Scope.READ),
    ("HEAD", "/v1/images/1/thumbnail", Scope.READ),
    ("POST", "/v1/search", Scope.READ),
    ("POST", "/v1/search/scene", Scope.READ),
    ("POST", "/v1/search/rerank", Scope.WRITE),  # it may cost money, and so may these two
    ("POST", "/v1/segments/1/ask", Scope.WRITE),
    ("POST", "/v1/images/1/ask", Scope.WRITE),
    ("POST", "/v1/searching", Scope.WRITE),
    ("POST", "/v1/segment", Scope.READ),
    ("POST", "/v1/export", Scope.READ),
    ("POST", "/v1/images", Scope.WRITE),
    ("DELETE", "/v1/images/1", Scope.WRITE),
    ("DELETE", "/v1/segments/1", Scope.WRITE),
    ("POST", "/v1/collections", Scope.WRITE),
    ("PUT", "/v1/whatever/comes", Scope.WRITE),
    ("GET", "/v1/keys", Scope.ADMIN),
    ("POST", "/v1/keys", Scope.ADMIN),
    ("DELETE", "/v1/keys/00000000", Scope.ADMIN),
]


def test_each_request_needs_a_scope() -> None:
    assert [(method, path, scope_for(method, path)) for method, path, _ in NEEDS] == NEEDS


def test_a_key_of_less_scope_is_refused_and_none_gets_nothing(
    make: Make, keys: dict[Scope, dict[str, str]]
) -> None:
    client = make()
    for method, path, scope in NEEDS:
        without = client.request(method, path)
        if scope is None:
            assert without.status_code in {200, 204, 404, 422, 503}, path
            continue
        assert without.status_code == 401, path
        assert "www-authenticate" in without.headers
        for has, header in keys.items():
            answer = client.request(method, path, headers=header)
            assert (answer.status_code == 403) == (not has.allows(scope)), (method, path, has)
            if answer.status_code == 403:
                assert answer.json()["code"] == "scope_error"
            assert answer.status_code != 401


WRONG_KEYS = [
    "Bearer", "Bearer x", "Bearer segsearch_00000000_" + "A" * 43, "Digest a=b", "Basic !!",
    "Basic " + base64.b64encode(b"me:wrong").decode(), "Bearer \xff",
]  # fmt: skip


@pytest.mark.parametrize("need_key", [True, False])
def test_a_wrong_key_is_refused_even_where_none_is_needed(make: Make, need_key: bool) -> None:
    client = make(need_key=need_key)
    for header in WRONG_KEYS:
        answer = client.get("/v1/images", headers=[(b"Authorization", header.encode("latin-1"))])
        assert (answer.status_code, answer.json()["code"]) == (401, "key_missing_error"), header
    assert client.get("/v1/images").status_code == (401 if need_key else 200)


def test_no_browser_asks_for_a_password_though_the_key_may_come_as_one(
    make: Make, keys: dict[Scope, dict[str, str]]
) -> None:
    client = make()
    for path in ("/openapi.json", "/v1/images"):
        assert client.get(path).headers["www-authenticate"].startswith("Bearer "), path
    assert client.get("/").status_code == client.get("/docs").status_code == 200
    text = keys[Scope.READ]["Authorization"].removeprefix("Bearer ")
    assert client.get("/openapi.json", auth=("anybody", text)).status_code == 200
    assert client.get("/v1/images", auth=("", text)).status_code == 200


def test_damaged_keys_let_nobody_in(
    make: Make, keys: dict[Scope, dict[str, str]], tmp_path: Path
) -> None:
    client = make()
    (tmp_path / "library" / FILE).write_text("{}")
    answer = client.get("/v1/images", headers=keys[Scope.ADMIN])
    assert (answer.status_code, answer.json()["code"]) == (500, "damage_error")


def test_keys_are_made_and_revoked_over_http(make: Make, keys: dict[Scope, dict[str, str]]) -> None:
    client = make()
    admin = keys[Scope.ADMIN]
    made = client.post("/v1/keys", json={"name": "new", "scope": "write"}, headers=admin)
    assert made.status_code == 201
    header = {"Authorization": f"Bearer {made.json()['key']}"}
    assert client.delete("/v1/images/1", headers=header).status_code == 204
    listed = client.get("/v1/keys", headers=admin).json()["keys"]
    assert [key["name"] for key in listed] == ["read", "write", "admin", "new"]
    assert not any("key" in key or "hash" in key for key in listed)
    key_id = made.json()["id"]
    again = client.post("/v1/keys", json={"name": "new"}, headers=admin)
    assert again.json()["code"] == "conflict_error"
    assert client.delete(f"/v1/keys/{key_id}", headers=admin).json()["revoked_at"]
    assert client.get("/v1/images", headers=header).status_code == 401
    assert client.delete(f"/v1/keys/{key_id}", headers=admin).status_code == 404


def test_one_key_may_ask_so_often_and_others_go_on(
    make: Make, keys: dict[Scope, dict[str, str]]
) -> None:
    client = make(rate_per_minute=30)  # five at once
    statuses = [
        client.get("/v1/collections", headers=keys[Scope.READ]).status_code for _ in range(7)
    ]
    assert statuses[:5] == [200] * 5
    assert statuses[-1] == 429
    refused = client.get("/v1/collections", headers=keys[Scope.READ])
    assert refused.json()["code"] == "rate_error"
    assert 1 <= int(refused.headers["retry-after"]) <= 3
    assert client.get("/v1/collections", headers=keys[Scope.WRITE]).status_code == 200


def test_a_bucket_fills_again_with_time() -> None:
    rates = RateLimiter(60)
    for _ in range(10):
        rates.take("me", 100.0)
    with pytest.raises(RateError) as refused:
        rates.take("me", 100.5)
    assert refused.value.seconds == pytest.approx(0.5)
    rates.take("me", 101.0)
    rates.take("other", 101.0)
    RateLimiter(0).take("me", 0.0)


def test_every_429_says_in_seconds_when_to_come_again() -> None:
    answers = {
        problem_of(RateError("Too often.", seconds=seconds)): expected
        for seconds, expected in ((0.0, "1"), (0.01, "1"), (1.0, "1"), (3.2, "4"), (60.0, "60"))
    }
    answers[problem_of(OverloadError("Too many."))] = "2"
    answers[refusal(429, "Too many.")] = "2"
    for answer, expected in answers.items():
        assert (answer.status_code, answer.headers["retry-after"]) == (429, expected)


ORIGINS = [
    (None, 201), ("http://localhost", 201), ("https://app.example", 201),
    ("https://elsewhere.example", 403), ("null", 403), ("http://localhost.evil.example", 403),
]  # fmt: skip


def test_pages_of_other_origins_change_nothing(make: Make) -> None:
    client = make(need_key=False, cors_origins="https://app.example")
    for number, (origin, status) in enumerate(ORIGINS):
        headers = {"Origin": origin} if origin else {}
        body = {"name": f"collection-{number}"}
        answer = client.post("/v1/collections", json=body, headers=headers)
        assert answer.status_code == status, origin
        if status == 403:
            assert answer.json()["code"] == "origin_not_allowed"
        allowed = answer.headers.get("access-control-allow-origin")
        assert allowed == (origin if origin == "https://app.example" else None)


def test_cors_is_off_unless_it_is_set(make: Make) -> None:
    asked = {"Origin": "https://app.example", "Access-Control-Request-Method": "POST"}
    off = make(need_key=False)
    assert off.options("/v1/search", headers=asked).status_code == 405
    plain = off.get("/v1/images", headers={"Origin": "https://app.example"})
    assert "access-control-allow-origin" not in plain.headers
    # A browser asks first, without the key.
    on = make(cors_origins="https://app.example, https://b.example")
    preflight = on.options("/v1/search", headers=asked)
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == "https://app.example"


def test_every_answer_has_a_request_id(make: Make) -> None:
    client = make(need_key=False)
    own = {"abc-1.2:3": True, "": False, "a b": False, "x" * 200: False, "a\tb": False}
    for path in ("/healthz", "/v1/images/99", "/nowhere"):
        for given, is_kept in own.items():
            answer = client.get(path, headers={"X-Request-Id": given})
            assert (answer.headers["x-request-id"] == given) == is_kept, (path, given)
            assert len(answer.headers["x-request-id"]) >= 9


def test_an_unexpected_failure_is_logged_under_its_request_id(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    client = make(need_key=False)
    client.app.add_api_route("/broken", lambda: 1 / 0)  # type: ignore[attr-defined]  # FastAPI's
    with caplog.at_level(logging.ERROR):
        answer = client.get("/broken", headers={"X-Request-Id": "find-me"})
    assert (answer.status_code, answer.headers["x-request-id"]) == (500, "find-me")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert any("find-me" in record.getMessage() for record in caplog.records)


def test_documents_are_compressed_and_pictures_are_not(make: Make) -> None:
    client = make(need_key=False)
    answer = client.get("/openapi.json", headers={"Accept-Encoding": "gzip"})
    assert answer.headers["content-encoding"] == "gzip"
    with client.stream("GET", "/openapi.json", headers={"Accept-Encoding": "gzip"}) as raw:
        packed = b"".join(raw.iter_raw())
    assert gzip.decompress(packed) == answer.content
    picture = client.get("/v1/images/1/original", headers={"Accept-Encoding": "gzip"})
    assert "content-encoding" not in picture.headers


def metric(text: str, name: str) -> float:
    return float(next(line for line in text.splitlines() if line.startswith(name)).split()[-1])


def test_metrics_count_what_happened(make: Make, tmp_path: Path) -> None:
    client = make(need_key=False)
    client.get("/v1/images/1")
    client.get("/v1/images/2")
    client.get("/v1/images/99")
    client.post("/v1/search", json={"text": ""})
    paint(tmp_path / "b.png", [Shape("blue", (1, 1, 30, 30))])
    with (tmp_path / "b.png").open("rb") as file:
        client.post("/v1/images", files={"file": file})
    answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    labels = 'method="GET",route="/v1/images/{image_id}"'
    name = "segsearch_request_seconds_count"
    assert metric(answer.text, f'{name}{{{labels},status="200"}}') == 1
    assert metric(answer.text, f'{name}{{{labels},status="404"}}') == 2
    assert metric(answer.text, 'segsearch_problems_total{code="not_found_error"}') == 2
    assert metric(answer.text, 'segsearch_problems_total{code="query_error"}') == 1
    assert metric(answer.text, 'segsearch_images{state="done"}') == 1
    assert metric(answer.text, 'segsearch_images{state="pending"}') == 1
    assert metric(answer.text, 'segsearch_callers{lane="searches"}') == 0
    assert metric(answer.text, "process_resident_memory_bytes") > 1e6


def test_metrics_of_a_broken_library_say_so(make: Make, tmp_path: Path) -> None:
    client = make(need_key=False)
    for file in (tmp_path / "library").glob("catalog.sqlite*"):
        file.write_bytes(b"no database" * 100)
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert metric(answer.text, "segsearch_catalog_up") == 0
