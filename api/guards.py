"""Refuses requests before they reach a route: foreign Host names and bodies that are too large.

Also gives every answer the headers that keep other sites from reading or framing it.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Set

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .problems import refusal

LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "[::1]"})
MAX_JSON_BYTES = 65_536
MULTIPART_OVERHEAD_BYTES = 1_048_576  # boundaries, headers and the other fields of an upload
# Scripts, styles and pictures come from this server alone; the page draws previews on canvases, so
# not even blob: or data: are needed.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


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


class Guards:
    """ASGI middleware around the whole application."""

    def __init__(self, app: ASGIApp, *, hosts: Set[str] | None, max_picture_bytes: int) -> None:
        self._app = app
        self._hosts = hosts
        self._max_upload_bytes = max_picture_bytes + MULTIPART_OVERHEAD_BYTES

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if self._hosts is not None and _name(host) not in self._hosts:
            # DNS rebinding: a page of another site, whose name was pointed at this machine.
            detail = (
                f"This server answers to {', '.join(sorted(self._hosts))} only, not to {host!r}."
            )
            await refusal(421, detail)(scope, receive, send_with_headers)
            return
        limit = self._limit(headers)
        if _declared(headers) > limit:
            await refusal(413, _too_large(limit), {"Connection": "close"})(
                scope, receive, send_with_headers
            )
            return
        await self._app(scope, _counted(receive, limit), send_with_headers)

    def _limit(self, headers: Headers) -> int:
        upload = headers.get("content-type", "").lower().startswith("multipart/form-data")
        return self._max_upload_bytes if upload else MAX_JSON_BYTES


def _name(host: str) -> str:
    """The name in a Host header, without its port; an IPv6 address keeps its brackets."""
    if host.startswith("["):
        return host.partition("]")[0].lower() + "]"
    return host.partition(":")[0].lower()


def _declared(headers: Headers) -> int:
    length = headers.get("content-length", "0")
    return int(length) if length.isdecimal() else 0


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
