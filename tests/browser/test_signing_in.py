"""Sessions in a real browser: what its cookie opens, to whom, and what the browser keeps."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from segsearch.storage.api_keys import KeyRing, Scope
from tests.support.page_server import served
from tests.support.small_models import SmallModels

pytestmark = pytest.mark.browser

SIGN_IN = """(key) => fetch("v1/session", {
  method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify({key}),
}).then((answer) => answer.status)"""
STATUS = "([path, method]) => fetch(path, {method}).then((answer) => answer.status)"
SEARCH = """() => fetch("v1/search", {
  method: "POST", headers: {"Content-Type": "application/json"}, body: '{"text": "red"}',
}).then((answer) => answer.status)"""
# Bytes that a picture took over the network; headers count, so 0 is a copy used unasked.
SENT = """async (path) => {
  const image = new Image();
  image.src = path;
  await image.decode();
  const entries = performance.getEntriesByName(image.src);
  return entries.at(-1).transferSize;
}"""
EVENT = """() => new Promise((done) => {
  const events = new EventSource("v1/jobs/events");
  events.addEventListener("jobs", (event) => { events.close(); done(event.data); });
  events.onerror = () => done("refused");
})"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("session") / "library"


@pytest.fixture(scope="module")
def url(folder: Path, pictures: Path) -> Iterator[str]:
    yield from served(folder, pictures, SmallModels(), need_key=True)


@pytest.fixture
def ring(folder: Path) -> KeyRing:
    return KeyRing(folder)


@pytest.fixture
def key(ring: KeyRing) -> Iterator[str]:
    made, text = ring.create("laptop", Scope.WRITE)
    yield text
    ring.revoke(made.id)


class BarePages(BaseHTTPRequestHandler):
    """An empty page at every path."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>foreign</title><body>")

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def foreign() -> Iterator[str]:
    """A site at another port of the same host: to SameSite the same site."""
    with ThreadingHTTPServer(("127.0.0.1", 0), BarePages) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_key_opens_what_the_page_needs_until_one_signs_out(
    page: Page, url: str, key: str
) -> None:
    page.goto(f"{url}/docs")
    expect(page.locator("#message")).to_contain_text("An API key is needed")
    assert page.evaluate(STATUS, ["v1/images", "GET"]) == 401
    assert page.evaluate(EVENT) == "refused"
    assert page.evaluate(SIGN_IN, "segsearch_wrong") == 401
    assert page.evaluate(SIGN_IN, key) == 200
    assert page.evaluate("document.cookie") == ""
    page.reload()
    expect(page.locator("details").first).to_be_visible()
    assert page.evaluate(STATUS, ["v1/images", "GET"]) == 200
    assert page.evaluate(SEARCH) == 200
    assert page.evaluate(STATUS, ["v1/images/999", "DELETE"]) == 404
    assert json.loads(page.evaluate(EVENT))["jobs"] == []
    assert page.evaluate(SENT, "v1/images/1/thumbnail") > 0
    assert page.evaluate(STATUS, ["v1/session", "DELETE"]) == 204
    assert page.evaluate(STATUS, ["v1/images", "GET"]) == 401


def test_a_revoked_key_is_refused_to_the_page_that_shows_it(
    page: Page, url: str, ring: KeyRing
) -> None:
    made, text = ring.create("desk", Scope.READ)
    page.goto(f"{url}/docs")
    assert page.evaluate(SIGN_IN, text) == 200
    ring.revoke(made.id)
    assert page.evaluate(STATUS, ["v1/images", "GET"]) == 401


LINK = """(url) => { document.body.innerHTML = `<a href="${url}">go</a>`; }"""
FORM = """(url) => {
  document.body.innerHTML = `<form method="post" enctype="multipart/form-data" action="${url}">
    <input name="collection" value="x"><button>go</button></form>`;
}"""


@pytest.mark.parametrize(
    ("made", "code"), [(LINK, "key_missing_error"), (FORM, "origin_not_allowed")]
)
def test_a_page_at_another_port_gets_nothing_by_the_cookie(
    page: Page, url: str, key: str, foreign: str, made: str, code: str
) -> None:
    page.goto(f"{url}/docs")
    assert page.evaluate(SIGN_IN, key) == 200
    page.goto(f"{url}/v1/images")
    assert '"next_after"' in page.content()
    page.goto(foreign)
    sent = []
    page.on("request", lambda asked: sent.append(asked.all_headers()))
    page.evaluate(made, f"{url}/v1/images")
    page.get_by_text("go").click()
    page.wait_for_url(f"{url}/v1/images")
    assert code in page.content()
    assert "segsearch_" in sent[0]["cookie"], "it was sent, and did not count"


def test_a_picture_is_asked_for_once_by_who_is_signed_in(page: Page, url: str, key: str) -> None:
    page.goto(f"{url}/docs")
    assert page.evaluate(SIGN_IN, key) == 200
    mark = page.evaluate("fetch('v1/session').then((answer) => answer.json())")["library"]
    named, plain = f"v1/images/1/thumbnail?library={mark}", "v1/images/1/thumbnail"
    assert page.evaluate(SENT, named) > 0
    assert page.evaluate(SENT, plain) > 0
    page.goto(f"{url}/docs")
    assert page.evaluate(SENT, named) == 0
    assert page.evaluate(SENT, plain) > 0
    assert page.evaluate(STATUS, ["v1/session", "DELETE"]) == 204
    assert page.evaluate(STATUS, [named, "GET"]) == 401
