"""A model hub on the loopback address: ranges, redirects, cut connections, wrong bytes."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import cast


@dataclass
class Hub:
    """What the server has, how it misbehaves, and what was asked of it.

    `cuts` are numbers of bytes after which the next answers break off; `failures` are statuses
    given before anything works; `announced` maps a path to a sha256 named in a redirect.
    """

    files: dict[str, bytes]
    cuts: list[int] = field(default_factory=list)
    failures: list[int] = field(default_factory=list)
    announced: dict[str, str] = field(default_factory=dict)
    claimed_length: int | None = None
    asked: list[tuple[str, str | None]] = field(default_factory=list)  # path, Range
    url: str = ""


class _HubHandler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        hub: Hub = cast(_HubServer, self.server).hub
        hub.asked.append((self.path, self.headers.get("Range")))
        if hub.failures:
            self.send_error(hub.failures.pop(0))
            return
        if self.path in hub.announced:
            self.send_response(302)
            self.send_header("X-Linked-Etag", f'"{hub.announced[self.path]}"')
            self.send_header("X-Repo-Commit", "c0ffee")
            self.send_header("Location", f"/cdn{self.path}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        data = hub.files.get(self.path.removeprefix("/cdn"))
        if data is None:
            self.send_error(404)
            return
        self._give(hub, data)

    def _give(self, hub: Hub, data: bytes) -> None:
        mark = f'"{hashlib.sha256(data).hexdigest()[:16]}"'
        requested, start = self.headers.get("Range"), 0
        if requested and self.headers.get("If-Range") == mark:
            start = int(requested.removeprefix("bytes=").rstrip("-"))
            if start >= len(data):
                self.send_error(416)
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        else:
            self.send_response(200)
        self.send_header("ETag", mark)
        self.send_header("Content-Length", str(hub.claimed_length or len(data) - start))
        self.end_headers()
        end = start + hub.cuts.pop(0) if hub.cuts else len(data)
        self.wfile.write(data[start:end])
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Silence."""


class _HubServer(ThreadingHTTPServer):
    hub: Hub


@contextmanager
def serving(files: dict[str, bytes]) -> Iterator[Hub]:
    """A hub that has `files` by path, at `hub.url`."""
    server = _HubServer(("127.0.0.1", 0), _HubHandler)
    server.hub = Hub(files, url=f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
