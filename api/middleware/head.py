"""Answers HEAD wherever GET is answered: monitors and `curl -I` ask so."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from segsearch_api.errors import ENDLESS
from segsearch_api.middleware.root_path import route_path


class HeadMiddleware:
    """ASGI middleware, the innermost: routes see GET, callers the headers alone."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD" or route_path(scope) == ENDLESS:
            await self._app(scope, receive, send)
            return

        async def send_no_body(message: Message) -> None:
            await send({**message, "body": b""} if "body" in message else message)

        as_get: Scope = {**scope, "method": "GET"}
        try:
            await self._app(as_get, receive, send_no_body)
        finally:
            scope.update(as_get, method="HEAD")  # the route, and a refusal's code, for the metrics
