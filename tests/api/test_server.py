"""`segsearch serve` as a process: it says where, answers before models are there, ends cleanly."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

import httpx
import pytest

from segsearch.core.errors import OpenAddressError, PortBusyError, ServerError
from segsearch.core.settings import Settings
from segsearch.library import open_library
from segsearch.storage.api_keys import KeyRing, Scope
from segsearch_api.server import bind, serve, url_of

pytestmark = pytest.mark.server


@contextmanager
def serving(library: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server on a free port, and its URL."""
    command = [sys.executable, "-m", "segsearch", "--library", str(library), "serve", "--json"]
    with subprocess.Popen(
        [*command, "--port", "0", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line, process.stderr and process.stderr.read()
            yield process, json.loads(line)["url"]
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_server_with_exit_code_0(tmp_path: Path, number: signal.Signals) -> None:
    with serving(tmp_path / "library") as (process, url):
        assert httpx.get(f"{url}/healthz", timeout=60).json() == {"status": "ok"}
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
        assert (process.returncode, errors) == (0, "")


def test_the_url_is_answered_as_soon_as_it_is_said(tmp_path: Path) -> None:
    with serving(tmp_path / "library") as (_, url):
        page = httpx.get(url, timeout=60)
        assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
        foreign = httpx.get(url, headers={"Host": "elsewhere.example"}, timeout=60)
        assert foreign.status_code == 421


ANYWHERE = "0.0.0.0"  # noqa: S104


def test_listening_on_all_addresses_without_keys_is_warned_about(tmp_path: Path) -> None:
    with serving(tmp_path / "library", "--host", ANYWHERE, "--insecure") as (process, url):
        assert url.startswith("http://127.0.0.1:")
        named = httpx.get(f"{url}/v1/status", headers={"Host": "pictures.example"}, timeout=60)
        assert named.status_code == 200
        process.terminate()
        _, errors = process.communicate(timeout=60)
        assert "it asks for no key" in " ".join(errors.split())


def test_a_key_that_a_setting_asks_for_must_be_there(tmp_path: Path) -> None:
    settings = Settings(library=tmp_path, require_key=True)
    with open_library(settings, create=True) as service:
        for insecure in (False, True):
            with pytest.raises(OpenAddressError, match="SEGSEARCH_REQUIRE_KEY asks for"):
                serve(service, "127.0.0.1", 0, announce=print, insecure=insecure)


def test_an_address_that_others_reach_is_refused_without_a_key(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "segsearch", "--library", str(tmp_path), "serve", "--host"]
    done = subprocess.run([*command, ANYWHERE], capture_output=True, text=True, timeout=120)
    assert done.returncode == OpenAddressError.exit_code
    assert "segsearch keys create NAME" in done.stderr


def test_a_server_that_others_reach_asks_for_a_key_and_hears_of_a_revoked_one(
    tmp_path: Path,
) -> None:
    ring = KeyRing(tmp_path)
    key, text = ring.create("laptop", Scope.READ)
    with (
        serving(tmp_path, "--host", ANYWHERE) as (_, url),
        httpx.Client(base_url=url, timeout=60) as client,
    ):
        assert client.get("/healthz").status_code == 200
        assert client.get("/v1/images").status_code == 401
        bearer = {"Authorization": f"Bearer {text}"}
        assert client.get("/v1/images", headers=bearer).status_code == 200
        assert client.delete("/v1/images/1", headers=bearer).status_code == 403
        ring.revoke(key.id)
        assert client.get("/v1/images", headers=bearer).status_code == 401


def test_who_sends_far_too_much_reads_why_it_was_refused(tmp_path: Path) -> None:
    with serving(tmp_path / "library") as (_, url):
        # It sends all before it reads: where the server closes early, it hears of a broken pipe.
        connection = HTTPConnection(url.removeprefix("http://"), timeout=60)
        connection.request("POST", "/v1/search", body=b" " * 30_000_000)
        answer = connection.getresponse()
        assert (answer.status, json.load(answer)["code"]) == (413, "body_too_large")
        connection.close()


def test_a_taken_port_is_said_in_one_sentence() -> None:
    with bind("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with pytest.raises(PortBusyError, match=rf"^Port {port} on 127\.0\.0\.1 is taken"):
            bind("127.0.0.1", port)


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(ServerError, match=r"^The address 192\.0\.2\.1 port 0 cannot be served: "):
        bind("192.0.2.1", 0)  # one of those reserved for documents


def test_the_url_is_one_that_can_be_opened() -> None:
    urls = {
        "127.0.0.1": "http://127.0.0.1:81",
        "localhost": "http://localhost:81",
        "0.0.0.0": "http://127.0.0.1:81",  # noqa: S104
        "::": "http://[::1]:81",
        "[::1]": "http://[::1]:81",
    }
    assert {host: url_of(host, 81) for host in urls} == urls


@pytest.mark.skipif(not socket.has_ipv6, reason="this machine has no IPv6")
def test_ipv6_addresses_are_served() -> None:
    try:
        listening = bind("::1", 0)
    except ServerError as problem:
        pytest.skip(f"no IPv6 loopback here: {problem}")
    with listening:
        assert listening.family == socket.AF_INET6


def test_small_answers_do_not_wait_for_the_peer() -> None:
    with bind("127.0.0.1", 0) as listening:
        with socket.create_connection(listening.getsockname()):
            accepted, _ = listening.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
