"""Serves everything below a path prefix, as a proxy offers it, and keeps redirects on it.

Redirects name no scheme and no host: whoever stands before the server knows those, and a header
that says them could come from anyone.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send


def route_path(scope: Scope) -> str:
    """A request's path as routes know it, without the prefix."""
    path: str = scope["path"]
    prefix: str = scope.get("root_path", "")
    return path.removeprefix(prefix) if path.startswith(f"{prefix}/") else path


class RootPathMiddleware:
    """ASGI middleware; `prefix` is empty or begins with a slash and ends without one.

    The proxy may hand on paths with the prefix or without it; inside, as ASGI has it, all have it.
    """

    def __init__(self, app: ASGIApp, *, prefix: str) -> None:
        self._app = app
        self._prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if self._prefix:
            path, raw_path = scope["path"], scope.get("raw_path") or b""
            if path == self._prefix:
                await RedirectResponse(f"{self._prefix}/", 308)(scope, receive, send)
                return
            if not path.startswith(f"{self._prefix}/"):
                scope["path"] = self._prefix + path
                scope["raw_path"] = self._prefix.encode() + raw_path
            scope["root_path"] = self._prefix

        async def send_on_this_host(message: Message) -> None:
            if message["type"] == "http.response.start" and 300 <= message["status"] < 400:
                headers = MutableHeaders(scope=message)
                if "location" in headers:
                    headers["location"] = _path_of(headers["location"])
            await send(message)

        await self._app(scope, receive, send_on_this_host)


def _path_of(location: str) -> str:
    """A redirect's target without scheme and host; it leads nowhere else from here."""
    parts = urlsplit(location)
    return parts._replace(scheme="", netloc="", path=f"/{parts.path.lstrip('/')}").geturl()
