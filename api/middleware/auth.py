"""Who may do what: API keys with scopes, and how often one caller may ask.

A key comes as `Authorization: Bearer KEY`, as the password of Basic, or in the cookie of this
server's own page.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
import time
from contextlib import suppress
from functools import partial
from typing import Protocol

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from segsearch.core.errors import AccessError, KeyMissingError, LibraryError, RateError, ScopeError
from segsearch.storage.announcement import Announcement
from segsearch.storage.api_keys import Key
from segsearch.storage.api_keys import Scope as KeyScope
from segsearch_api.errors import ProblemResponse, problem_of
from segsearch_api.middleware.cookie import key_in_cookie
from segsearch_api.middleware.guards import SAFE_METHODS
from segsearch_api.middleware.rates import RateLimiter
from segsearch_api.middleware.root_path import route_path

OPEN_PATHS = frozenset({"/healthz", "/readyz", "/v1/session"})
# The page's own files hold nothing of the library: it asks for a key itself.
PAGE_PATHS = frozenset({"/", "/docs", "/docs/", "/static"})
# Drawn for the page, dozens at a time, in a bounded lane of their own.
DRAWN = re.compile(
    r"/v1/(?:(?:images|pictures)/[^/]+/thumbnail|(?:images|videos)/[^/]+/file"
    r"|videos/[^/]+/frame\.jpg"
    r"|segments/[^/]+/(?:mask|(?:mask|cutout|crop|overlay)\.png))"
)
# POST that changes no library: the query does not fit into a URL.
QUERY_PATHS = (
    "/v1/search", "/v1/browse", "/v1/segment", "/v1/words", "/v1/export", "/v1/pictures",
    "/v1/regions",
)  # fmt: skip
BILLED_PATHS = frozenset({"/v1/search/rerank"})  # a query, but one that may cost money
STILL_ALLOWED = "segsearch.still_allowed"  # where a request's scope keeps what endless answers ask


def scope_for(method: str, path: str) -> KeyScope | None:
    """What a request needs; None for what anyone may ask. Unknown routes count as changes."""
    is_page = path in PAGE_PATHS or path.startswith("/static/")
    if path in OPEN_PATHS or (is_page and method in SAFE_METHODS):
        return None
    if path == "/v1/keys" or path.startswith("/v1/keys/"):
        return KeyScope.ADMIN
    is_query = path not in BILLED_PATHS and any(
        path == query or path.startswith(f"{query}/") for query in QUERY_PATHS
    )
    if method in {"GET", "HEAD", "OPTIONS"} or (method == "POST" and is_query):
        return KeyScope.READ
    return KeyScope.WRITE


def is_drawn(method: str, path: str) -> bool:
    """Whether a request is for a picture that does not count among those a minute."""
    return method in SAFE_METHODS and DRAWN.fullmatch(path) is not None


class Keys(Protocol):
    """Knows the keys that callers show."""

    def check(self, text: str) -> Key:
        """The key behind a text; KeyMissingError when there is none that works."""

    def is_at_hand(self, text: str) -> bool:
        """Whether `check` answers without waiting for another machine."""

    def look_up(self, text: str) -> None:
        """Wait for what `check` needs."""


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

    def is_at_hand(self, text: str) -> bool:
        """As `Keys.is_at_hand`."""
        return self._announcement.allows(text) or self._keys.is_at_hand(text)

    def look_up(self, text: str) -> None:
        """As `Keys.look_up`."""
        self._keys.look_up(text)


class Access:
    """What callers may do; without `need_key` one who shows no key may do everything.

    For the event loop alone: its buckets have no lock.
    """

    def __init__(self, keys: Keys, *, need_key: bool, per_minute: int) -> None:
        self.need_key = need_key
        self.rates = RateLimiter(per_minute)
        self._keys = keys
        self.tries = RateLimiter(per_minute, "wrong keys from one address")

    def key_of(self, scope: Scope) -> Key | None:
        """The key that a request shows, None when it shows none; KeyMissingError for a wrong one.

        A browser sends its cookie unasked: where no key is needed, a wrong one there is as none.
        """
        text, is_cookie = _shown(scope)
        if text is None:
            return None
        try:
            return self._keys.check(text)
        except KeyMissingError:
            if self.need_key or not is_cookie:
                raise
            return None

    async def look_up(self, text: str | None) -> None:
        """Wait, beside the event loop, for what another machine knows of a key."""
        if text is not None and not self._keys.is_at_hand(text):
            await run_in_threadpool(self._keys.look_up, text)

    def try_key(self, text: str, scope: Scope) -> Key:
        """The key behind a text that somebody at the request's address typed.

        KeyMissingError for a wrong one, RateError after too many of those. A right one is never
        refused: behind a proxy all callers have one address, and any of them could lock out the
        others.
        """
        try:
            return self._keys.check(text.strip())
        except KeyMissingError:
            self.tries.take(_network(scope), time.monotonic())
            raise


class AuthMiddleware:
    """ASGI middleware: lets through what the caller may do."""

    def __init__(self, app: ASGIApp, *, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            with suppress(KeyMissingError):  # said below, where one is needed
                await self._access.look_up(_shown(scope)[0])
            refusal = self._refusal(scope)
            if refusal is not None:
                await refusal(scope, receive, send)
                return
            scope[STILL_ALLOWED] = partial(self._is_still_allowed, scope)
        await self._app(scope, receive, send)

    def _refusal(self, scope: Scope) -> ProblemResponse | None:
        method, path = scope["method"], route_path(scope)
        needed = scope_for(method, path)
        if needed is None:
            return None
        try:
            key = self._access.key_of(scope)
            if key is not None:
                if not is_drawn(method, path):
                    self._access.rates.take(key.id, time.monotonic())
                if not key.scope.allows(needed):
                    raise ScopeError(f"The key {key.name!r} may {key.scope}, this needs {needed}.")
            elif self._access.need_key:
                raise KeyMissingError(
                    "An API key is needed: send 'Authorization: Bearer KEY'; `segsearch keys "
                    "create NAME` makes one."
                )
        except (AccessError, RateError, LibraryError) as problem:
            return problem_of(problem)
        return None

    def _is_still_allowed(self, scope: Scope) -> bool:
        """Whether a request that was let in would be let in again; it does not count as one."""
        needed = scope_for(scope["method"], route_path(scope))
        try:
            key = self._access.key_of(scope)
        except (AccessError, LibraryError):
            return needed is None
        if key and needed:
            return key.scope.allows(needed)
        return needed is None or not self._access.need_key


def _shown(scope: Scope) -> tuple[str | None, bool]:
    """The text of a key that a request shows, and whether a browser's cookie has it;
    KeyMissingError for a header that is of another kind."""
    kind, _, rest = Headers(scope=scope).get("authorization", "").partition(" ")
    if not kind:
        return key_in_cookie(scope), True
    text = rest.strip()
    if kind.lower() == "basic":
        return _password(text), False
    if kind.lower() != "bearer":
        raise KeyMissingError(f"Expected 'Authorization: Bearer KEY', not {kind[:20]!r}.")
    return text, False


def _network(scope: Scope) -> str:
    """The address a request comes from; of IPv6 the network, since its owner has all addresses."""
    host = (scope.get("client") or ("",))[0]
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return str(host)
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((int(address), 64), strict=False))


def _password(text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).decode("utf-8").partition(":")[2]
    except (binascii.Error, UnicodeDecodeError):
        return ""
