"""A proxy before an S3 server that counts requests and answers some of them wrongly."""

from __future__ import annotations

import http.client
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

Fault = Literal["slow", "trickle", "503", "no bucket", "reset", "half", "short"]
NO_BUCKET = b"<Error><Code>NoSuchBucket</Code><Message>none</Message></Error>"
PASSED_ON = ("content-length", "transfer-encoding", "connection", "date", "server")


class FaultyStore:
    """`requests` lists method and path of what came. `fail(fault, times)` spoils the next answers
    to GET, HEAD or PUT of paths with a text in them: `slow` gives no answer, `trickle` a byte a
    second, `half` ends in the middle of a body, `short` is half of one that says it is whole."""

    def __init__(self, port: int) -> None:
        self.requests: list[tuple[str, str]] = []
        self._faults: list[tuple[Fault, str, str]] = []
        self._upstream = port
        self._lock = threading.Lock()
        self.ended = threading.Event()
        store = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one_request(self) -> None:
                try:
                    super().handle_one_request()
                except (OSError, ValueError):  # whoever asked is gone
                    self.close_connection = True

            def log_message(self, *_: object) -> None:
                pass

            def _pass_on(self) -> None:
                store.answer(self)

        for method in ("GET", "HEAD", "PUT", "POST", "DELETE"):
            setattr(Handler, f"do_{method}", Handler._pass_on)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def fail(self, fault: Fault, times: int, *, method: str = "GET", path: str = "") -> None:
        """Spoil the next answers to requests of a method, whose path holds a text."""
        with self._lock:
            self._faults += [(fault, method, path)] * times

    def mend(self) -> None:
        """Spoil nothing from here on, and forget what was asked."""
        with self._lock:
            self._faults.clear()
            self.requests.clear()

    def count(self, *methods: str) -> int:
        """How many requests of these methods came; of any without them."""
        with self._lock:
            return sum(not methods or method in methods for method, _ in self.requests)

    def answer(self, asked: Any) -> None:
        """Answer one request, in the handler's thread."""
        length = int(asked.headers.get("content-length") or 0)
        body = asked.rfile.read(length) if length else None
        fault = self._fault_of(asked.command, asked.path)
        if fault == "slow":
            self.ended.wait(60)
            asked.close_connection = True
            return
        if fault == "reset":
            linger = struct.pack("ii", 1, 0)
            asked.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            asked.connection.close()
            asked.close_connection = True
            return
        if fault == "503":
            asked.send_response(503)
            asked.send_header("Content-Length", "0")
            asked.end_headers()
            return
        if fault == "no bucket":
            asked.send_response(404)
            asked.send_header("Content-Length", str(len(NO_BUCKET)))
            asked.end_headers()
            asked.wfile.write(NO_BUCKET)
            return
        upstream = http.client.HTTPConnection("127.0.0.1", self._upstream, timeout=30)
        upstream.putrequest(asked.command, asked.path, skip_host=True, skip_accept_encoding=True)
        for name, value in asked.headers.items():
            upstream.putheader(name, value)
        upstream.endheaders(body)
        came = upstream.getresponse()
        data = came.read()
        upstream.close()
        if fault == "short":
            data = data[: len(data) // 2]
        size = came.headers["content-length"] if asked.command == "HEAD" else len(data)
        asked.send_response(came.status)
        for name, value in came.getheaders():
            if name.lower() not in PASSED_ON:
                asked.send_header(name, value)
        asked.send_header("Content-Length", str(size or 0))
        asked.end_headers()
        if asked.command != "HEAD":
            self._send(asked, data, fault)

    def _fault_of(self, method: str, path: str) -> Fault | None:
        with self._lock:
            self.requests.append((method, path))
            for number, (fault, of_method, of_path) in enumerate(self._faults):
                if method == of_method and of_path in path:
                    del self._faults[number]
                    return fault
        return None

    def _send(self, asked: Any, data: bytes, fault: Fault | None) -> None:
        if fault == "half":
            asked.wfile.write(data[: len(data) // 2])
            asked.close_connection = True
        elif fault == "trickle":
            for number in range(len(data)):
                asked.wfile.write(data[number : number + 1])
                asked.wfile.flush()
                if self.ended.wait(1):
                    break
            asked.close_connection = True
        else:
            asked.wfile.write(data)

    def close(self) -> None:
        """End it."""
        self.ended.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextmanager
def faulty_store(port: int) -> Iterator[FaultyStore]:
    """A proxy before the server on a port of loopback."""
    store = FaultyStore(port)
    try:
        yield store
    finally:
        store.close()
