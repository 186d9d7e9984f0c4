"""Requests that never come to their end are cut off, and those of two lengths refused."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import uvicorn

from segsearch_api import connection
from segsearch_api.app import create_app
from segsearch_api.server import bind, make_server
from tests.support.small_models import open_small_service

pytestmark = pytest.mark.server

POST = b"POST /v1/search HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


@pytest.fixture
def port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The port of a server that waits half a second for headers and bodies."""
    monkeypatch.setattr(connection, "HEADER_SECONDS", 0.5)
    monkeypatch.setattr(connection, "SILENCE_SECONDS", 0.5)
    with open_small_service(tmp_path / "library") as service, bind("127.0.0.1", 0) as listening:
        server: uvicorn.Server = make_server(create_app(service))
        thread = threading.Thread(target=server.run, args=[[listening]])
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()


@contextmanager
def connected(port: int) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), timeout=30) as caller:
        yield caller


def drip(caller: socket.socket, data: bytes, seconds: float = 30) -> bytes:
    """What comes back while bytes are sent every 50 ms; fails when the server goes on listening."""
    until = time.monotonic() + seconds
    caller.settimeout(0.05)
    received = b""
    while time.monotonic() < until:
        try:
            caller.sendall(data)
            piece = caller.recv(65_536)
        except TimeoutError:
            continue
        except OSError:
            return received
        if not piece:
            return received
        received += piece
    raise AssertionError(f"the server still listens after {seconds} s")


@pytest.mark.parametrize(
    ("start", "dripped"),
    [
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n", b"X-A: b\r\n"),
        (b"GET / HT", b"T"),
    ],
    ids=["header", "line"],
)
def test_a_header_that_never_ends_is_cut_off(port: int, start: bytes, dripped: bytes) -> None:
    with connected(port) as caller:
        caller.sendall(start)
        assert b" 408 " in drip(caller, dripped)


def test_a_further_header_on_a_connection_has_no_more_time(port: int) -> None:
    with connected(port) as caller:
        caller.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        received = caller.recv(65_536)
        while b'{"status":"ok"}' not in received:
            received += caller.recv(65_536)
        assert b" 408 " in drip(caller, b"G")


def test_a_connection_over_which_nothing_comes_is_closed(port: int) -> None:
    with connected(port) as caller:
        assert b" 408 " in caller.recv(100)


def test_a_header_of_too_many_bytes_is_refused(port: int) -> None:
    with connected(port) as caller:
        assert drip(caller, b"GET / HTTP/1.1\r\nX: " + b"a" * 100_000).startswith(b"HTTP/1.1 400")


def test_a_body_that_stops_is_cut_off_and_one_that_goes_on_is_not(port: int) -> None:
    with connected(port) as caller:
        caller.sendall(POST + b"Content-Length: 30\r\n\r\n{")
        assert caller.recv(100) == b""
    with connected(port) as caller:
        caller.sendall(POST + b"Content-Length: 12\r\n\r\n")
        for byte in b'{"text": 10}':
            caller.sendall(bytes([byte]))
            time.sleep(0.1)
        assert caller.recv(100).startswith(b"HTTP/1.1 422")


@pytest.mark.parametrize("first", ["length", "chunked"])
def test_a_body_of_two_lengths_is_refused_and_the_connection_ends(port: int, first: str) -> None:
    lengths = [b"Content-Length: 4\r\n", b"Transfer-Encoding: chunked\r\n"]
    if first == "chunked":
        lengths.reverse()
    smuggled = b"0\r\n\r\nGET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with connected(port) as caller:
        caller.sendall(POST + b"".join(lengths) + b"\r\n" + smuggled)
        received = b""
        while piece := caller.recv(65_536):
            received += piece
    assert received.startswith(b"HTTP/1.1 400")
    assert received.count(b"HTTP/1.1") == 1
    assert b"Content-Length and Transfer-Encoding" in received
