"""Refuses requests before they reach a route: foreign names and pages, too large bodies."""

from __future__ import annotations

import ipaddress
from collections.abc import Set

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from segsearch_api.errors import ProblemResponse, refusal
from segsearch_api.middleware.root_path import route_path

LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "[::1]"})
MAX_JSON_BYTES = 65_536
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
PASSED_BYTES = 16_777_216  # of a refused body, before it is refused
UPLOADS = "/v1/images"
MULTIPART_OVERHEAD_BYTES = 1_048_576  # boundaries, headers and the other fields of an upload


def is_loopback(host: str) -> bool:
    """Whether an address to listen on is reached from this machine only."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def hosts_for(address: str) -> frozenset[str] | None:
    """Host names to answer to when listening on an address; None for any."""
    if not is_loopback(address):
        return None
    own = f"[{address.strip('[]')}]" if ":" in address else address.lower()
    return LOOPBACK_HOSTS | {own}


def names_of(text: str | None) -> frozenset[str]:
    """Names or origins separated by commas."""
    return frozenset(name.strip().lower() for name in (text or "").split(",") if name.strip())


def is_own(origin: str, host: str) -> bool:
    """Whether a page's origin is the server that a Host header names; either scheme."""
    return bool(host) and origin.partition("://")[2].lower() == host.lower()


class GuardMiddleware:
    """ASGI middleware around the whole application."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        hosts: Set[str] | None,
        origins: Set[str],
        max_picture_bytes: int,
        max_video_bytes: int = 0,
    ) -> None:
        self._app = app
        self._hosts = hosts
        self._origins = origins
        self._max_form_bytes = max_picture_bytes + MULTIPART_OVERHEAD_BYTES
        largest = max(max_picture_bytes, max_video_bytes)
        self._max_upload_bytes = largest + MULTIPART_OVERHEAD_BYTES

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        limit = self._limit(headers, route_path(scope))
        refused = self._refusal(scope["method"], headers, limit)
        if refused is not None:
            if refused.status_code == 413 and "expect" not in headers:
                await _let_pass(receive)
            await refused(scope, receive, send)
        else:
            await self._app(scope, _counted(receive, limit), send)

    def _refusal(self, method: str, headers: Headers, limit: int) -> ProblemResponse | None:
        host, origin = headers.get("host", ""), headers.get("origin")
        if self._hosts is not None and _name(host) not in self._hosts:
            # DNS rebinding: a page of another site, whose name was pointed at this machine.
            names = ", ".join(sorted(self._hosts))
            return refusal(421, f"This server answers to {names} only, not to {host!r}.")
        if origin is not None and method not in SAFE_METHODS and not self._is_own(origin, host):
            # A form on a page of another site, sent by a browser that reaches this server.
            hint = "see SEGSEARCH_CORS_ORIGINS"
            return refusal(403, f"Pages of {origin[:120]!r} may change nothing here: {hint}.")
        if "transfer-encoding" in headers and "content-length" in headers:
            # Two lengths for one body: who stands before us may go by the other one, and take a
            # part of it for a request of its own (RFC 9112, 6.1 and 11.2).
            sentence = "Content-Length and Transfer-Encoding say two lengths of one body."
            return refusal(400, sentence, {"Connection": "close"})
        if _declared(headers) > limit:
            return refusal(413, _too_large(limit))
        return None

    def _is_own(self, origin: str, host: str) -> bool:
        """Whether a page's origin is this server, or one that was allowed."""
        return origin in self._origins or is_own(origin, host)

    def _limit(self, headers: Headers, path: str) -> int:
        """How many bytes a body may have: only what is kept may be a video."""
        if not headers.get("content-type", "").lower().startswith("multipart/form-data"):
            return MAX_JSON_BYTES
        return self._max_upload_bytes if path == UPLOADS else self._max_form_bytes


def _name(host: str) -> str:
    """The name in a Host header, without its port; an IPv6 address keeps its brackets."""
    if host.startswith("["):
        return host.partition("]")[0].lower() + "]"
    return host.partition(":")[0].lower()


def _declared(headers: Headers) -> int:
    length = headers.get("content-length", "0")
    return int(length) if length.isdecimal() else 0


async def _let_pass(receive: Receive) -> None:
    """Drop what comes of a body that is refused, up to a bound.

    A connection that is closed over unread bytes breaks under its sender, who may not have read
    the answer: nginx, which asks for each connection to be closed, then answers 502 by itself.
    """
    passed = 0
    while passed < PASSED_BYTES:
        message = await receive()
        if message["type"] != "http.request" or not message.get("more_body"):
            return
        passed += len(message.get("body", b""))


def _counted(receive: Receive, limit: int) -> Receive:
    """`receive` that ends with 413 once a body without a declared length passes the limit."""
    total = 0

    async def receive_counted() -> Message:
        nonlocal total
        message = await receive()
        total += len(message.get("body", b""))
        if total > limit:
            raise HTTPException(413, _too_large(limit))
        return message

    return receive_counted


def _too_large(limit: int) -> str:
    return f"The body is larger than the {limit:,} bytes allowed here."
