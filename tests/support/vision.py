"""A vision endpoint on the loopback address that speaks the chat-completions protocol.

It really looks at what it is sent. Of a crop it says its middle's colour, and, asked how surely it
shows some words, whether that colour is among them; of a whole picture it says its colours. It
misbehaves on demand.
"""

from __future__ import annotations

import base64
import io
import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

import numpy as np
from PIL import Image

from segsearch.export.vision_chat import Endpoint
from tests.support.small_models import BACKGROUND, NAMES, nearest_colours

Script = list[Any]


@dataclass(frozen=True)
class Body:
    """A body with status 200; `pause` seconds before each byte where it drips."""

    data: bytes
    media_type: str = "application/json"
    pause: float = 0.0


CUT, DROPPED, HANGING, HELD = "cut", "dropped", "hanging", "held"
HELD_SECONDS = 60  # at most


@dataclass
class ScriptedEndpoint:
    """What was asked, and how the next requests are answered.

    Each entry of `script` takes one request: a status with headers, a Body, bytes as one, or
    CUT (half an answer), DROPPED (none), HANGING (none until the client leaves), HELD (as ever,
    once all are `released`). After it, and where it says None, regions are described, `seconds`
    each.
    """

    script: Script = field(default_factory=list)
    says: Callable[[dict[str, Any]], str] = lambda body: seen(body)
    seconds: float = 0.0
    model: str = "eye-1"
    key: str | None = None
    asked: list[dict[str, Any]] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    answered: int = 0
    busiest: int = 0
    url: str = ""
    busy: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)
    released: threading.Event = field(default_factory=threading.Event)


class _VisionHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        server = cast(_VisionServer, self.server)
        end = server.endpoint
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with end.lock:
            end.asked.append(body)
            end.times.append(time.monotonic())
            end.busy += 1
            end.busiest = max(end.busiest, end.busy)
            behaviour = end.script.pop(0) if end.script else None
        self.busy = True
        try:
            self._answer(end, body, behaviour)
        finally:
            self._leave()

    def _leave(self) -> None:
        """Count this request no longer: before the last of its answer is sent, since the next may
        come as soon as that is read."""
        end = cast(_VisionServer, self.server).endpoint
        with end.lock:
            end.busy -= self.busy
            self.busy = False

    def _answer(self, end: ScriptedEndpoint, body: dict[str, Any], behaviour: Any) -> None:
        if behaviour == HANGING:
            self.connection.settimeout(20)
            self.rfile.read(1)
            self.close_connection = True
        elif behaviour == DROPPED:
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
        elif isinstance(behaviour, tuple):
            self._give(behaviour[0], b'{"error": {"message": "on demand"}}', behaviour[1])
        elif isinstance(behaviour, Body):
            self._give_body(behaviour)
        elif isinstance(behaviour, bytes):
            self._give(200, behaviour)
        elif end.key and self.headers.get("Authorization") != f"Bearer {end.key}":
            self._give(401, b'{"error": {"message": "wrong key"}}')
        elif body["model"] != end.model or self.path != "/v1/chat/completions":
            self._give(404, b'{"error": {"message": "no such model"}}')
        else:
            if behaviour == HELD:
                end.released.wait(HELD_SECONDS)
            time.sleep(end.seconds)
            self._give(200, completion(end.says(body)), cut=behaviour == CUT)
            with end.lock:
                end.answered += 1

    def _give_body(self, body: Body) -> None:
        self._leave()
        self.send_response(200)
        self.send_header("Content-Type", body.media_type)
        self.send_header("Content-Length", str(len(body.data)))
        self.end_headers()
        if not body.pause:
            self.wfile.write(body.data)
            return
        for byte in body.data:
            self.wfile.write(bytes([byte]))
            self.wfile.flush()
            time.sleep(body.pause)

    def _give(
        self, status: int, data: bytes, headers: dict[str, str] | None = None, cut: bool = False
    ) -> None:
        self._leave()
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data[: len(data) // 2] if cut else data)
        self.close_connection = cut

    def log_message(self, *_: object) -> None:
        """Silence."""


class _VisionServer(ThreadingHTTPServer):
    daemon_threads = True
    endpoint: ScriptedEndpoint

    def handle_error(self, *_: object) -> None:
        """Clients leave when they like."""


def completion(text: object, reason: str | None = None, **message: object) -> bytes:
    """An answer as the protocol has it."""
    said = {"role": "assistant", "content": text, **message}
    choice = {"index": 0, "message": said, "finish_reason": reason}
    return json.dumps({"object": "chat.completion", "choices": [choice]}).encode()


def streamed(*texts: str, reason: str | None = "stop", done: bool = True) -> Body:
    """The same as a stream of events."""
    pieces: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    pieces += [{"content": text} for text in texts]
    choices: list[dict[str, Any]] = [
        {"index": 0, "delta": piece, "finish_reason": None} for piece in pieces
    ]
    choices.append({"index": 0, "delta": {}, "finish_reason": reason})
    documents: list[dict[str, Any]] = [{"choices": [choice]} for choice in choices]
    documents.append({"choices": [], "usage": {"total_tokens": 7}})
    lines = [f"data: {json.dumps(document)}\n\n" for document in documents]
    end = "data: [DONE]\n\n" if done else ""
    return Body(f": hello\n\n{''.join(lines)}{end}".encode(), "text/event-stream; charset=utf-8")


def told(body: dict[str, Any]) -> str:
    """The words of a request."""
    return str(body["messages"][0]["content"][0]["text"])


def seen(body: dict[str, Any]) -> str:
    """What is said of the pictures of a request."""
    if len(body["messages"][0]["content"]) == 2:
        return f"A picture of {', '.join(shown_colours(body))}"
    asked = re.search(r"show this: (.*)\? Answer with JSON", told(body))
    if asked:
        return json.dumps({"score": 0.9 if shown_colour(body) in asked[1] else 0.1})
    return f"A {shown_colour(body)} thing on a white ground"


def shown_colours(body: dict[str, Any]) -> list[str]:
    """The colours of the only picture that cover a twentieth of it; outlines do not."""
    with Image.open(io.BytesIO(_data(body["messages"][0]["content"][1]))) as picture:
        assert picture.format == "JPEG"
        pixels = np.asarray(picture.convert("RGB"))
    counts = np.bincount(nearest_colours(pixels).ravel(), minlength=len(NAMES))
    return [
        name
        for name, count in zip(NAMES, counts, strict=True)
        if name != BACKGROUND and count * 20 >= counts.sum()
    ]


def shown_colour(body: dict[str, Any]) -> str:
    """The colour in the middle of the first picture; the second must be a picture too."""
    _, crop, whole = body["messages"][0]["content"]
    with Image.open(io.BytesIO(_data(whole))) as picture:
        assert picture.format == "JPEG"
    with Image.open(io.BytesIO(_data(crop))) as picture:
        pixels = np.asarray(picture.convert("RGB"))
    height, width = pixels.shape[:2]
    middle = pixels[height // 2 : height // 2 + 1, width // 2 : width // 2 + 1]
    return NAMES[int(nearest_colours(middle)[0, 0])]


def _data(part: dict[str, Any]) -> bytes:
    return base64.b64decode(part["image_url"]["url"].partition(",")[2], validate=True)


@contextmanager
def vision_endpoint(script: Script | None = None, **options: Any) -> Iterator[ScriptedEndpoint]:
    """An endpoint at `.url` that follows a script."""
    server = _VisionServer(("127.0.0.1", 0), _VisionHandler)
    url = f"http://127.0.0.1:{server.server_port}/v1"
    server.endpoint = ScriptedEndpoint(script or [], url=url, **options)
    thread = threading.Thread(target=server.serve_forever, args=[0.05], daemon=True)
    thread.start()
    try:
        yield server.endpoint
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def endpoint(server: ScriptedEndpoint, **options: Any) -> Endpoint:
    """Such an endpoint as the code under test is told of it, asked again soon."""
    return Endpoint(
        **{"base_url": server.url, "model": server.model, "pause_seconds": 0.01, **options}
    )


@contextmanager
def dripping_server(start: bytes, dripped: bytes) -> Iterator[tuple[str, list[float]]]:
    """An endpoint that begins an answer and never ends it, a byte each 20 ms; its URL, and when
    each connection was made."""
    accepted: list[float] = []
    ended = threading.Event()

    def drip(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.sendall(start)
            while not ended.wait(0.02):
                for byte in dripped:
                    connection.sendall(bytes([byte]))
                    ended.wait(0.02)

    def accept(listening: socket.socket) -> None:
        with suppress(OSError):
            while True:
                connection, _ = listening.accept()
                accepted.append(time.monotonic())
                threading.Thread(target=drip, args=[connection], daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=accept, args=[listening], daemon=True).start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/v1", accepted
        finally:
            ended.set()
            listening.shutdown(socket.SHUT_RDWR)
