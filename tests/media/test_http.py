"""Web addresses: off by default, public ones only, redirects checked, bytes and time bounded."""

from __future__ import annotations

import http.server
import threading
import time
from collections.abc import Iterator

import pytest

from segsearch.core.errors import PathError, PictureError, PictureTooLargeError
from segsearch.core.settings import Settings
from segsearch.media.sources.http import WebRules, fetch
from segsearch.media.sources.public import is_public
from segsearch.media.sources.reader import Sources

pytestmark = pytest.mark.server

LOCAL = WebRules(allowed=True, private=True, seconds=10, max_bytes=1000)


class Pages(http.server.BaseHTTPRequestHandler):
    """`/ok` gives bytes; `/to/N` leads on N times; others misbehave."""

    def do_GET(self) -> None:
        kind, _, rest = self.path.strip("/").partition("/")
        if kind == "to":
            onward = f"/to/{int(rest) - 1}" if int(rest) > 1 else "/ok"
            self._answer(302, {"Location": onward})
        elif kind == "away":
            self._answer(302, {"Location": rest})
        elif kind == "large":
            self._answer(200, {}, b"x" * 5000)
        elif kind == "endless":
            self._answer(
                200, {"Transfer-Encoding": "chunked"}, b"3e8\r\n" + b"x" * 1000 + b"\r\n", 200
            )
        elif kind == "short":
            self._answer(200, {"Content-Length": "900"}, b"x" * 10)
        elif kind == "slow":
            self._answer(200, {"Content-Length": "900"}, b"x", 100, pause=0.1)
        elif kind == "gzip":
            self._answer(200, {"Content-Encoding": "gzip"}, b"x")
        elif kind == "ok":
            self._answer(200, {"Content-Length": "4"}, b"data")
        else:
            self._answer(404, {})

    def _answer(
        self,
        status: int,
        headers: dict[str, str],
        body: bytes = b"",
        times: int = 1,
        pause: float = 0,
    ) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        for _ in range(times):
            try:
                self.wfile.write(body)
                self.wfile.flush()
            except OSError:
                return
            time.sleep(pause)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_the_addresses_of_a_name_share_the_time_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    now, waited = 0.0, list[float]()

    def silent(_address: object, timeout: float) -> None:
        nonlocal now
        waited.append(timeout)
        now += timeout
        raise TimeoutError("timed out")

    web = "segsearch.media.sources.http"
    monkeypatch.setattr(f"{web}.monotonic", lambda: now)
    monkeypatch.setattr(f"{web}.socket.create_connection", silent)
    addresses = ["192.0.2.1", "192.0.2.2", "192.0.2.3"]  # reserved for documents
    monkeypatch.setattr(f"{web}.checked_addresses", lambda *_, **__: addresses)
    with pytest.raises(PictureError, match="timed out"):
        fetch("http://pictures.example/a.png", LOCAL)
    assert len(waited) == 3
    assert sum(waited) == pytest.approx(LOCAL.seconds, abs=0.1)


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pages) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_picture_is_fetched_where_settings_allow_it(site: str) -> None:
    sources = Sources(Settings(allow_urls=True, allow_private_urls=True))
    found = sources.find([f"{site}/ok"])
    assert list(found.files) == [f"{site}/ok"]
    assert not found.files[f"{site}/ok"].is_known
    assert sources.read(f"{site}/ok") == b"data"
    assert sources.digest(f"{site}/ok")[1] == 4


def test_nothing_is_fetched_unless_allowed(site: str) -> None:
    with pytest.raises(PathError, match="SEGSEARCH_ALLOW_URLS"):
        Sources(Settings()).find([f"{site}/ok"])
    with pytest.raises(PictureError, match="SEGSEARCH_ALLOW_URLS"):
        Sources(Settings()).read(f"{site}/ok")
    with pytest.raises(PictureError, match="SEGSEARCH_ALLOW_PRIVATE_URLS"):
        Sources(Settings(allow_urls=True)).read(f"{site}/ok")


def test_redirects_are_followed_a_few_times(site: str) -> None:
    assert fetch(f"{site}/to/5", LOCAL) == b"data"
    with pytest.raises(PictureError, match="leads on"):
        fetch(f"{site}/to/6", LOCAL)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("away/ftp://localhost/x", "no http"),
        ("away/file:///etc/passwd", "no http"),
        ("away/http://user:word@localhost/", "password"),
        ("gone", "404"),
        ("short", "early|IncompleteRead"),
        ("gzip", "encoding"),
    ],
)
def test_odd_answers_are_refused(site: str, path: str, words: str) -> None:
    with pytest.raises(PictureError, match=words):
        fetch(f"{site}/{path}", LOCAL)


@pytest.mark.parametrize("path", ["large", "endless"])
def test_bytes_are_bounded(site: str, path: str) -> None:
    with pytest.raises(PictureTooLargeError, match="SEGSEARCH_MAX_BYTES"):
        fetch(f"{site}/{path}", LOCAL)


def test_time_is_bounded_however_slowly_bytes_trickle(site: str) -> None:
    with pytest.raises(PictureError, match="SEGSEARCH_URL_SECONDS"):
        fetch(f"{site}/slow", WebRules(allowed=True, private=True, seconds=0.5))


def test_a_redirect_into_a_private_network_is_refused(
    site: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "segsearch.media.sources.http.is_public", lambda address: address == "127.0.0.1"
    )
    rules = WebRules(allowed=True, seconds=10)
    assert fetch(f"{site}/ok", rules) == b"data"
    with pytest.raises(PictureError, match=r"127\.0\.0\.2, which is not public"):
        fetch(f"{site}/away/http://127.0.0.2:1/", rules)


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True),
        ("2606:4700::1111", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),  # noqa: S104  nothing is bound to it
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::1", False),
        ("::", False),
        ("fe80::1%eth0", False),
        ("fc00::1", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:8.8.8.8", True),
        ("64:ff9b::7f00:1", False),
        ("64:ff9b::808:808", True),
        ("2002:7f00:1::", False),
        ("2002:808:808::", False),
        ("2001:0:808:808::1", False),
        ("192.0.0.1", False),
        ("192.0.0.9", False),
        ("192.0.0.255", False),
        ("192.0.1.0", True),
        ("192.0.2.1", False),
        ("192.31.196.1", False),
        ("192.52.193.1", False),
        ("192.88.99.1", False),
        ("192.175.48.1", False),
        ("198.18.0.1", False),
        ("198.19.255.255", False),
        ("198.20.0.1", True),
        ("198.51.100.1", False),
        ("203.0.113.1", False),
        ("240.0.0.1", False),
        ("fec0::1", False),
        ("feff::1", False),
        ("::ffff:192.0.0.1", False),
        ("64:ff9b::c000:1", False),
        ("::7f00:1", False),
        ("64:ff9b:1::808:808", False),
        ("100::1", False),
        ("100:0:0:1::1", False),
        ("2001:2::1", False),
        ("2001:20::1", False),
        ("2001:30::1", False),
        ("2001:1::1", False),
        ("2001:200::1", True),
        ("2001:db8::1", False),
        ("2620:4f:8000::1", False),
        ("3fff::1", False),
        ("3fff:1000::1", True),
        ("5f00::1", False),
        ("4000::1", False),
        ("ff02::1", False),
    ],
)
def test_public_means_reachable_by_anyone(address: str, public: bool) -> None:
    assert is_public(address) is public


@pytest.mark.parametrize(
    "address", ["http://", "http:///x", "http://a:99999/", "http://[::1", "http://u:p@example.org/"]
)
def test_addresses_that_are_none_are_refused(address: str) -> None:
    with pytest.raises(PathError):
        Sources(Settings(allow_urls=True)).find([address])
