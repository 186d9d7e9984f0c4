"""Sessions of browsers: the cookie, who it counts for, wrong keys, and pictures without a rate."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from http.cookies import Morsel, SimpleCookie
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from segsearch.storage.api_keys import KeyRing, Scope
from segsearch_api.app import create_app
from segsearch_api.middleware.auth import is_drawn
from tests.support.small_models import Shape, open_small_service, paint

Make = Callable[..., TestClient]
OWN, FOREIGN, ALLOWED = "http://localhost", "https://elsewhere.example", "https://app.example"
WRONG = "segsearch_00000000_" + "A" * 43


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Makes a browser of a server with one picture, with the settings given."""
    picture = paint(tmp_path / "a.png", [Shape("red", (10, 10, 50, 40))])
    opened = []

    def made(
        *, need_key: bool = True, base_url: str = OWN, address: str = "192.0.2.1", **settings: Any
    ) -> TestClient:
        service = open_small_service(tmp_path / "library", **settings)
        opened.append(service)
        service.index([picture])
        app = create_app(service, need_key=need_key)
        return TestClient(app, base_url=base_url, client=(address, 50000))

    yield made
    for service in opened:
        service.close()


@pytest.fixture
def ring(tmp_path: Path) -> KeyRing:
    return KeyRing(tmp_path / "library")


def sign_in(client: TestClient, text: str, **headers: str) -> Any:
    return client.post("/v1/session", json={"key": text}, headers={"Origin": OWN, **headers})


def cookie_in(answer: Any) -> Morsel[str]:
    (morsel,) = SimpleCookie(answer.headers["set-cookie"]).values()
    return morsel


def may(client: TestClient, **headers: str) -> tuple[Any, Any, Any]:
    answer = client.get("/v1/session", headers=headers)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    document = answer.json()
    assert (document["library"] is None) == (document["scope"] is None)
    return document["needs_key"], document["scope"], document["key"]


def test_a_session_says_what_the_caller_may_do(make: Make, ring: KeyRing) -> None:
    _, text = ring.create("laptop", Scope.WRITE)
    bearer = f"Bearer {text}"
    everyone = make(need_key=False)
    assert may(everyone) == (False, "admin", None)
    assert may(everyone, Authorization=bearer) == (False, "write", "laptop")
    client = make()
    assert may(client) == (True, None, None)
    assert may(client, Authorization=bearer) == (True, "write", "laptop")
    wrong = client.get("/v1/session", headers={"Authorization": f"Bearer {WRONG}"})
    assert (wrong.status_code, wrong.json()["code"]) == (401, "key_missing_error")


def test_who_signs_in_may_what_the_key_may_until_they_sign_out(make: Make, ring: KeyRing) -> None:
    _, text = ring.create("laptop", Scope.READ)
    client = make()
    assert client.get("/v1/images").status_code == 401
    answer = sign_in(client, f" {text}\n")  # as it is pasted
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json() == client.get("/v1/session").json()
    assert may(client) == (True, "read", "laptop")
    assert text not in answer.text
    assert client.get("/v1/images").status_code == 200
    assert client.get("/v1/images/1/thumbnail").status_code == 200
    search = client.post("/v1/search", json={"text": "red"}, headers={"Origin": OWN})
    assert search.status_code == 200
    delete = client.delete("/v1/images/1", headers={"Origin": OWN})
    assert (delete.status_code, delete.json()["code"]) == (403, "scope_error")
    out = client.delete("/v1/session", headers={"Origin": OWN})
    assert (out.status_code, out.content) == (204, b"")
    assert not client.cookies
    assert client.get("/v1/images").status_code == 401
    assert ring.check(text)  # the key itself goes on


@pytest.mark.parametrize(
    ("base_url", "origin", "name", "is_secure"),
    [
        (OWN, OWN, "segsearch", False),
        ("http://localhost:8000", "http://localhost:8000", "segsearch_8000", False),
        ("http://[::1]:81", "http://[::1]:81", "segsearch_81", False),
        ("https://localhost", "https://localhost", "segsearch", True),
        (OWN, "https://localhost", "segsearch", True),  # a proxy ends TLS
        (OWN, None, "segsearch", False),
    ],
)
@pytest.mark.parametrize("prefix", [None, "/pictures"])
def test_a_cookie_is_of_the_page_alone(
    make: Make,
    ring: KeyRing,
    base_url: str,
    origin: str | None,
    name: str,
    is_secure: bool,
    prefix: str | None,
) -> None:
    _, text = ring.create("laptop", Scope.READ)
    client = make(base_url=base_url, root_path=prefix)
    headers = {"Origin": origin} if origin else {}
    made = client.post(f"{prefix or ''}/v1/session", json={"key": text}, headers=headers)
    gone = client.delete(f"{prefix or ''}/v1/session", headers=headers)
    kept, dropped = cookie_in(made), cookie_in(gone)
    assert (kept.key, kept.value, kept["max-age"], kept["expires"]) == (name, text, "", "")
    assert (dropped.key, dropped.value, dropped["max-age"]) == (name, "", "0")
    for morsel in (kept, dropped):
        assert morsel["path"] == (prefix or "/")
        assert morsel["httponly"] is True
        assert morsel["samesite"].lower() == "strict"
        assert morsel["domain"] == ""
        assert bool(morsel["secure"]) == is_secure


def test_a_revoked_keys_cookie_is_refused_at_once(make: Make, ring: KeyRing) -> None:
    key, text = ring.create("laptop", Scope.READ)
    client = make()
    sign_in(client, text)
    assert client.get("/v1/images").status_code == 200
    ring.revoke(key.id)
    for path in ("/v1/images", "/v1/images/1/thumbnail", "/openapi.json", "/v1/jobs/events"):
        answer = client.get(path)
        assert (answer.status_code, answer.json()["code"]) == (401, "key_missing_error"), path
    assert client.get("/").status_code == 200  # where another key is entered
    assert may(client) == (True, None, None)
    assert not client.cookies


def test_a_stale_cookie_shuts_nobody_out_where_no_key_is_needed(make: Make, ring: KeyRing) -> None:
    key, text = ring.create("laptop", Scope.READ)
    client = make(need_key=False)
    assert sign_in(client, text).json()["scope"] == "read"
    assert client.delete("/v1/images/9", headers={"Origin": OWN}).status_code == 403
    ring.revoke(key.id)
    assert client.delete("/v1/images/9", headers={"Origin": OWN}).status_code == 404
    assert may(client) == (False, "admin", None)
    assert not client.cookies


# Headers of a request that carries the cookie, and whether it is let in to read and to change. The
# methods are GET, which no browser marks by Origin on its own origin, and DELETE.
CARRIED: list[tuple[dict[str, str], int, int]] = [
    ({}, 200, 401),  # nothing says who changes; browsers do
    ({"Origin": OWN}, 200, 404),
    ({"Origin": OWN, "Sec-Fetch-Site": "same-origin"}, 200, 404),
    ({"Sec-Fetch-Site": "same-origin"}, 200, 404),
    ({"Sec-Fetch-Site": "none"}, 200, 401),
    ({"Origin": FOREIGN}, 401, 403),
    ({"Origin": "null"}, 401, 403),
    ({"Origin": "http://localhost:3000"}, 401, 403),  # another port, to SameSite the same site
    ({"Origin": "http://localhost.elsewhere.example"}, 401, 403),
    ({"Origin": ALLOWED}, 401, 401),  # CORS lets it in with a key of its own only
    ({"Origin": ALLOWED, "Sec-Fetch-Site": "cross-site"}, 401, 401),
    ({"Sec-Fetch-Site": "cross-site"}, 401, 401),
    ({"Sec-Fetch-Site": "same-site"}, 401, 401),
    ({"Origin": OWN, "Sec-Fetch-Site": "cross-site"}, 401, 401),
]


def test_a_cookie_alone_is_of_no_use_to_pages_of_others(make: Make, ring: KeyRing) -> None:
    _, text = ring.create("laptop", Scope.WRITE)
    client = make(cors_origins=ALLOWED)
    sign_in(client, text)
    for headers, read, changed in CARRIED:
        assert client.get("/v1/images", headers=headers).status_code == read, headers
        assert client.delete("/v1/images/9", headers=headers).status_code == changed, headers
        form = client.post(  # needs no preflight: a form sends it
            "/v1/images", files={"file": ("a.png", b"x")}, headers=headers
        )
        assert form.status_code == {404: 422}.get(changed, changed), headers
        shown = client.delete(
            "/v1/images/9", headers={**headers, "Authorization": f"Bearer {text}"}
        )
        assert shown.status_code == (403 if changed == 403 else 404), headers
    assert client.get("/v1/images/1").status_code == 200


@pytest.mark.parametrize("origin", [FOREIGN, ALLOWED, "null"])
def test_pages_of_others_sign_nobody_in_or_out(make: Make, ring: KeyRing, origin: str) -> None:
    _, text = ring.create("laptop", Scope.READ)
    client = make(cors_origins=ALLOWED)
    refused = sign_in(client, text, Origin=origin)
    assert (refused.status_code, refused.json()["code"]) == (403, "origin_not_allowed")
    assert not client.cookies
    cross = sign_in(client, text, **{"Sec-Fetch-Site": "cross-site"})
    assert (cross.status_code, len(client.cookies)) == (403, 0)
    assert sign_in(client, text).status_code == 200
    assert client.delete("/v1/session", headers={"Origin": origin}).status_code == 403
    assert may(client) == (True, "read", "laptop")
    stranger = client.get("/v1/session", headers={"Origin": ALLOWED})
    assert stranger.json()["scope"] is None
    assert "set-cookie" not in stranger.headers


def test_a_header_counts_more_than_the_cookie(make: Make, ring: KeyRing) -> None:
    _, reader = ring.create("reader", Scope.READ)
    _, writer = ring.create("writer", Scope.WRITE)
    client = make()
    sign_in(client, reader)
    assert may(client, Authorization=f"Bearer {writer}") == (True, "write", "writer")
    wrong = {"Authorization": f"Bearer {WRONG}"}
    assert client.get("/v1/images", headers=wrong).status_code == 401


def test_a_cookie_of_another_port_or_of_a_path_above_is_another(make: Make, ring: KeyRing) -> None:
    _, text = ring.create("laptop", Scope.READ)
    client = make()
    for cookies, status in (
        (f"segsearch={text}", 200),
        (f"other=1; segsearch={text}; b=2", 200),
        (f"segsearch={text}; segsearch={WRONG}", 200),  # browsers send the longest path first
        (f"segsearch={WRONG}; segsearch={text}", 401),
        (f"segsearch_8000={text}", 401),
        (f"xsegsearch={text}", 401),
        ("segsearch", 401),
        ("segsearch=", 401),
        ("segsearch=\xff", 401),
    ):
        header = [(b"Cookie", cookies.encode("latin-1"))]
        assert client.get("/v1/images", headers=header).status_code == status, cookies


@pytest.mark.parametrize("text", ["", "x", WRONG, "segsearch_\xff", "a\nb", "x" * 1000])
def test_a_wrong_key_signs_nobody_in(make: Make, ring: KeyRing, text: str) -> None:
    ring.create("laptop", Scope.READ)
    client = make()
    answer = sign_in(client, text)
    assert (answer.status_code, answer.json()["code"]) == (401, "key_missing_error")
    assert "set-cookie" not in answer.headers
    assert sign_in(client, "x" * 1001).status_code == 422
    assert client.post("/v1/session", json={}, headers={"Origin": OWN}).status_code == 422


def test_wrong_keys_are_bounded_by_address_and_nothing_else_is(make: Make, ring: KeyRing) -> None:
    _, text = ring.create("laptop", Scope.READ)
    client = make(rate_per_minute=30)  # five at once
    for _ in range(10):
        assert sign_in(client, text).status_code == 200, "right keys do not count"
    statuses = [sign_in(client, WRONG).status_code for _ in range(7)]
    assert statuses[:5] == [401] * 5
    assert statuses[-1] == 429
    refused = sign_in(client, WRONG)
    assert (refused.status_code, refused.json()["code"]) == (429, "rate_error")
    assert 1 <= int(refused.headers["retry-after"]) <= 3
    assert sign_in(client, text).status_code == 200, "nobody is locked out by another's wrong keys"
    assert client.get("/v1/images").status_code == 200
    other = TestClient(client.app, base_url=OWN, client=("192.0.2.2", 50000))
    assert sign_in(other, WRONG).status_code == 401


@pytest.mark.parametrize(
    ("first", "second", "are_one"),
    [
        ("2001:db8::1", "2001:db8::ffff:2", True),  # one owner has the whole network
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
    ],
)
def test_an_address_is_a_network_of_ipv6(
    make: Make, first: str, second: str, are_one: bool
) -> None:
    client = make(rate_per_minute=6, address=first)  # one at once
    assert sign_in(client, WRONG).status_code == 401
    other = TestClient(client.app, base_url=OWN, client=(second, 50000))
    assert sign_in(other, WRONG).status_code == (429 if are_one else 401)


DRAWN = [
    "/v1/images/1/thumbnail", "/v1/images/1/file", "/v1/segments/1/cutout.png",
    "/v1/segments/1/crop.png", "/v1/segments/1/overlay.png", "/v1/segments/1/mask",
    "/v1/segments/1/mask.png",
]  # fmt: skip
SHOWN_OF_OTHERS = (
    "/v1/pictures/8f3a/thumbnail", "/v1/videos/1/file", "/v1/videos/1/frame.jpg",
)  # fmt: skip
COUNTED = [
    "/v1/videos/1", "/v1/videos/1/segments",
    "/v1/images", "/v1/images/1", "/v1/images/1/original", "/v1/images/1/segments",
    "/v1/segments/1",
    "/v1/images/1/thumbnail/x", "/v1/images//thumbnail", "/v2/v1/images/1/file", "/openapi.json",
]  # fmt: skip


def test_pictures_for_the_page_are_told_from_the_rest() -> None:
    for path in (*DRAWN, *SHOWN_OF_OTHERS):
        assert is_drawn("GET", path), path
        assert is_drawn("HEAD", path), path
        assert not is_drawn("POST", path), path
    for path in COUNTED:
        assert not is_drawn("GET", path), path


@pytest.mark.parametrize("by_cookie", [False, True])
def test_pictures_for_the_page_leave_the_rate_alone(
    make: Make, ring: KeyRing, by_cookie: bool
) -> None:
    key, text = ring.create("laptop", Scope.READ)
    client = make(rate_per_minute=18)  # three at once
    headers = {} if by_cookie else {"Authorization": f"Bearer {text}"}
    if by_cookie:
        sign_in(client, text)
    for _ in range(3):
        for path in DRAWN:
            assert client.get(path, headers=headers).status_code == 200, path
            assert client.head(path, headers=headers).status_code == 200, path
    statuses = [client.get("/v1/images/1", headers=headers).status_code for _ in range(4)]
    assert statuses == [200, 200, 200, 429]
    for path in DRAWN:
        assert client.get(path, headers=headers).status_code == 200, path
    ring.revoke(key.id)
    for path in DRAWN:
        assert client.get(path, headers=headers).status_code == 401, path


def test_a_picture_is_kept_where_its_address_names_the_library(make: Make, tmp_path: Path) -> None:
    client = make(need_key=False)
    mark = client.get("/v1/session").json()["library"]
    assert mark == client.get("/v1/session").json()["library"]
    for path in (*DRAWN, "/v1/images/1/original"):
        named = client.get(path, params={"library": mark})
        assert named.headers["cache-control"] == "private, max-age=31536000, immutable", path
        again = client.get(
            path, params={"library": mark}, headers={"If-None-Match": named.headers["etag"]}
        )
        assert (again.status_code, again.headers["cache-control"]) == (
            304, named.headers["cache-control"],
        )  # fmt: skip
        for other in (None, "", "0" * 16):
            answer = client.get(path, params={} if other is None else {"library": other})
            assert answer.headers["cache-control"] == "private, no-cache", (path, other)
            assert answer.content == named.content
        missing = client.get(path.replace("/1/", "/99/"), params={"library": mark})
        assert (missing.status_code, "cache-control" in missing.headers) == (404, False), path
    with open_small_service(tmp_path / "other") as service:
        elsewhere = TestClient(create_app(service), base_url=OWN)
        assert elsewhere.get("/v1/session").json()["library"] not in {mark, None}


def test_a_restored_library_is_another(make: Make, tmp_path: Path) -> None:
    client = make(need_key=False)
    app: Any = client.app
    library = app.state.shared.library
    before = client.get("/v1/session").json()["library"]
    library.maintenance.backup(tmp_path / "backup.sqlite")
    assert client.get("/v1/session").json()["library"] == before
    library.maintenance.restore(tmp_path / "backup.sqlite")
    assert client.get("/v1/session").json()["library"] != before


def test_copies_of_a_signed_in_browser_are_not_for_who_comes_after(
    make: Make, ring: KeyRing
) -> None:
    _, text = ring.create("laptop", Scope.READ)
    client = make()
    mark = sign_in(client, text).json()["library"]
    for path in DRAWN:
        answer = client.get(path, params={"library": mark})
        vary = {name.strip() for name in answer.headers["vary"].split(",")}
        assert vary >= {"Cookie", "Authorization"}, path
        assert ("Accept" in vary) == path.endswith("/mask"), path
        assert answer.headers["cache-control"].startswith("private, max-age=")
    everyone = make(need_key=False)
    assert "cookie" not in everyone.get(DRAWN[0]).headers.get("vary", "").lower()
