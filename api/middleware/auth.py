"""Who may do what: API keys with scopes, and how often one caller may ask.

A key comes as `Authorization: Bearer KEY`, or as the password of Basic, which a browser asks for.
"""

from __future__ import annotations

import base64
import binascii
import time
from functools import partial
from typing import Protocol

from cachetools import LRUCache
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from segsearch.core.errors import AccessError, KeyMissingError, LibraryError, RateError, ScopeError
from segsearch.storage.announcement import Announcement
from segsearch.storage.api_keys import Key
from segsearch.storage.api_keys import Scope as KeyScope
from segsearch_api.errors import ProblemResponse, problem_of
from segsearch_api.middleware.root_path import route_path

OPEN_PATHS = frozenset({"/healthz", "/readyz"})
# POST that changes nothing: the query does not fit into a URL.
QUERY_PATHS = ("/v1/search", "/v1/segment", "/v1/export", "/v1/regions")
PAGE_PATHS = frozenset({"/", "/docs", "/openapi.json"})
CALLERS_KEPT = 10_000
STILL_ALLOWED = "segsearch.still_allowed"  # where a request's scope keeps what endless answers ask
BURST_SECONDS = 10.0  # so much of a minute's requests may come at once


def scope_for(method: str, path: str) -> KeyScope | None:
    """What a request needs; None for what anyone may ask. Unknown routes count as changes."""
    if path in OPEN_PATHS:
        return None
    if path == "/v1/keys" or path.startswith("/v1/keys/"):
        return KeyScope.ADMIN
    is_query = any(path == query or path.startswith(f"{query}/") for query in QUERY_PATHS)
    if method in {"GET", "HEAD", "OPTIONS"} or (method == "POST" and is_query):
        return KeyScope.READ
    return KeyScope.WRITE


class RateLimiter:
    """A bucket of requests for each caller, filled `per_minute`; 0 is no limit."""

    def __init__(self, per_minute: int) -> None:
        self._per_second = per_minute / 60
        self._most = max(1.0, self._per_second * BURST_SECONDS)
        self._buckets: LRUCache[str, tuple[float, float]] = LRUCache(CALLERS_KEPT)

    def take(self, caller: str, now: float) -> None:
        """Note one request; RateError when the caller's bucket is empty."""
        if not self._per_second:
            return
        left, since = self._buckets.get(caller, (self._most, now))
        left = min(self._most, left + (now - since) * self._per_second)
        self._buckets[caller] = (max(0.0, left - 1) if left >= 1 else left, now)
        if left < 1:
            seconds = (1 - left) / self._per_second
            raise RateError(
                f"More than {self._per_second * 60:.0f} requests a minute, allowed by "
                f"SEGSEARCH_RATE_PER_MINUTE: the next one in {seconds:.1f} seconds.",
                seconds=seconds,
            )


class Keys(Protocol):
    """Knows the keys that callers show."""

    def check(self, text: str) -> Key:
        """The key behind a text; KeyMissingError when there is none that works."""


class LocalKeys:
    """The keys of a library, and the token by which commands of this machine may read."""

    def __init__(self, keys: Keys, announcement: Announcement) -> None:
        self._keys = keys
        self._announcement = announcement

    def check(self, text: str) -> Key:
        """The key behind a text; KeyMissingError when there is none that works."""
        if self._announcement.allows(text):
            return Key("local", "commands of this machine", KeyScope.READ, "", "")
        return self._keys.check(text)


class AuthMiddleware:
    """ASGI middleware; without `need_key` a caller who shows no key may do everything."""

    def __init__(self, app: ASGIApp, *, keys: Keys, need_key: bool, per_minute: int) -> None:
        self._app = app
        self._keys = keys
        self._need_key = need_key
        self._rates = RateLimiter(per_minute)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            refusal = self._refusal(scope)
            if refusal is not None:
                await refusal(scope, receive, send)
                return
            scope[STILL_ALLOWED] = partial(self._is_still_allowed, scope)
        await self._app(scope, receive, send)

    def _refusal(self, scope: Scope) -> ProblemResponse | None:
        path = route_path(scope)
        needed = scope_for(scope["method"], path)
        if needed is None:
            return None
        try:
            key = self._key(Headers(scope=scope))
            if key is not None:
                self._rates.take(key.id, time.monotonic())
                if not key.scope.allows(needed):
                    raise ScopeError(f"The key {key.name!r} may {key.scope}, this needs {needed}.")
            elif self._need_key:
                raise KeyMissingError(
                    "An API key is needed: send 'Authorization: Bearer KEY'; `segsearch keys "
                    "create NAME` makes one."
                )
        except (AccessError, RateError, LibraryError) as problem:
            on_page = path in PAGE_PATHS or path.startswith("/static/")
            lacks_key = isinstance(problem, KeyMissingError)
            # A browser that opens the page asks its user for a password, and sends it from then on.
            basic = {"WWW-Authenticate": 'Basic realm="segsearch", charset="UTF-8"'}
            return problem_of(problem, basic if on_page and lacks_key else None)
        return None

    def _is_still_allowed(self, scope: Scope) -> bool:
        """Whether a request that was let in would be let in again; it does not count as one."""
        needed = scope_for(scope["method"], route_path(scope))
        try:
            key = self._key(Headers(scope=scope))
        except (AccessError, LibraryError):
            return needed is None
        return key.scope.allows(needed) if key and needed else needed is None or not self._need_key

    def _key(self, headers: Headers) -> Key | None:
        kind, _, rest = headers.get("authorization", "").partition(" ")
        if not kind:
            return None
        text = rest.strip()
        if kind.lower() == "basic":
            text = _password(text)
        elif kind.lower() != "bearer":
            raise KeyMissingError(f"Expected 'Authorization: Bearer KEY', not {kind[:20]!r}.")
        return self._keys.check(text)


def _password(text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).decode("utf-8").partition(":")[2]
    except (binascii.Error, UnicodeDecodeError):
        return ""
