"""The cookie by which this server's own page shows an API key: when it counts, and how it is set.

A browser sends a cookie whoever asked it to, so this one counts for requests of pages of this very
origin alone. That is more than SameSite, for which every port of a host is one site.
"""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from segsearch_api.middleware.guards import SAFE_METHODS, is_own

NAME = "segsearch"
OWN_SITES = frozenset({"same-origin", "none"})  # of Sec-Fetch-Site; none: a person typed it


def key_in_cookie(scope: Scope) -> str | None:
    """The text of the key that a request's cookie holds; None without one that counts.

    What changes something has to say by Origin or Sec-Fetch-Site that it comes from here, as every
    browser of today does.
    """
    headers = Headers(scope=scope)
    if is_foreign(headers):
        return None
    if scope["method"] not in SAFE_METHODS and not (
        "origin" in headers or headers.get("sec-fetch-site") == "same-origin"
    ):
        return None
    name = _name(headers)
    # The first of a name is that of the longest path: of this server, not of one above its prefix.
    for pair in ";".join(headers.getlist("cookie")).split(";"):
        found, _, value = pair.strip().partition("=")
        if found == name:
            return value
    return None


def is_foreign(headers: Headers) -> bool:
    """Whether a browser says that a page of another origin asks, even one that CORS allows."""
    origin = headers.get("origin")
    if origin is not None and not is_own(origin, headers.get("host", "")):
        return True
    return headers.get("sec-fetch-site", "none") not in OWN_SITES


def keep_key(request: Request, response: Response, text: str) -> None:
    """Have the browser send a key until it is closed.

    Secure where the page came by https: behind a proxy, which speaks http with this server, the
    Origin says so.
    """
    response.set_cookie(
        _name(request.headers), text, path=_path(request), secure=_is_secure(request),
        httponly=True, samesite="strict",
    )  # fmt: skip


def forget_key(request: Request, response: Response) -> None:
    """Have the browser drop the key."""
    response.delete_cookie(
        _name(request.headers), path=_path(request), secure=_is_secure(request),
        httponly=True, samesite="strict",
    )  # fmt: skip


def _name(headers: Headers) -> str:
    """With the port, which cookies do not tell apart: one machine may serve several libraries."""
    port = headers.get("host", "").rpartition("]")[2].partition(":")[2]
    return f"{NAME}_{port}" if port.isdecimal() else NAME


def _path(request: Request) -> str:
    return request.scope.get("root_path") or "/"


def _is_secure(request: Request) -> bool:
    return request.url.scheme == "https" or request.headers.get("origin", "").startswith("https://")
