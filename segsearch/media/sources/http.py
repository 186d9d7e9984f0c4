"""Pictures at http and https addresses: off by default, public addresses only, bounded.

The name is resolved once and every address it has is checked; the connection goes to a checked
address, so a name that answers differently a moment later changes nothing. Each redirect is
checked the same way. Proxies from the environment are not used.
"""

from __future__ import annotations

import http.client
import io
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from time import monotonic
from typing import BinaryIO
from urllib.parse import SplitResult, quote, urljoin, urlsplit

from segsearch.core.errors import PathError, PictureError, PictureTooLargeError
from segsearch.core.types import UNKNOWN_MTIME_NS, FileStamp
from segsearch.core.version import __version__
from segsearch.media.sources.base import SourceEntry
from segsearch.media.sources.paths import WEB
from segsearch.media.sources.public import is_public

MAX_REDIRECTS = 5
REDIRECTS = frozenset({301, 302, 303, 307, 308})
PIECE_BYTES = 1 << 16
LEAST_SECONDS = 0.001  # a timeout of 0 would mean not to wait at all


@dataclass(frozen=True, slots=True)
class WebRules:
    """What may be fetched. `seconds` counts from name resolution to the last byte, redirects
    included; `private` lets addresses through that only this network can reach."""

    allowed: bool = False
    private: bool = False
    seconds: float = 30.0
    max_bytes: int = 200_000_000


class Web:
    """Pictures by their web addresses, fetched each time they are needed."""

    def __init__(self, rules: WebRules) -> None:
        self._rules = rules

    def entries(self, name: str) -> Iterator[SourceEntry]:
        """The address itself, to be fetched again by every run: there is no time to trust.

        PathError where addresses are not allowed.
        """
        if not self._rules.allowed:
            raise PathError(
                f"{name!r} is a web address: SEGSEARCH_ALLOW_URLS=true lets segsearch fetch it."
            )
        try:
            _parsed(name)
        except PictureError as problem:
            raise PathError(str(problem)) from problem
        yield SourceEntry(name, "", FileStamp(0, UNKNOWN_MTIME_NS))

    @contextmanager
    def open(self, name: str) -> Iterator[BinaryIO]:
        """What the address answers, whole; PictureError when it may not or cannot be fetched."""
        if not self._rules.allowed:
            raise PictureError("Fetching web addresses is off: see SEGSEARCH_ALLOW_URLS.")
        yield io.BytesIO(fetch(name, self._rules))


def fetch(address: str, rules: WebRules) -> bytes:
    """The body behind an http(s) address, at most `rules.max_bytes` of it.

    Raises PictureTooLargeError past that, PictureError for everything else that goes wrong.
    """
    running = _Running(rules.seconds)
    clock = threading.Timer(rules.seconds, running.end)
    clock.daemon = True
    clock.start()
    try:
        return _follow(address, rules, running)
    except (OSError, http.client.HTTPException, ValueError, PictureError) as problem:
        if running.ended:  # whatever a socket shut in the middle looks like from above
            raise PictureError(
                f"The address did not answer within the {rules.seconds:g} seconds allowed by "
                "SEGSEARCH_URL_SECONDS."
            ) from problem
        if isinstance(problem, PictureError):
            raise
        raise PictureError(f"The address cannot be fetched: {problem}.") from problem
    finally:
        clock.cancel()
        running.end()


def _follow(address: str, rules: WebRules, running: _Running) -> bytes:
    for _ in range(MAX_REDIRECTS + 1):
        answer = _ask(_parsed(address), rules, running)
        if isinstance(answer, bytes):
            return answer
        onward = urljoin(address, answer)
        if urlsplit(address).scheme == "https" and urlsplit(onward).scheme != "https":
            raise PictureError("The address leads from https to http.")
        address = onward
    raise PictureError(f"The address leads on more than {MAX_REDIRECTS} times.")


class _Running:
    """The sockets of one fetch; `end` shuts them from another thread, whatever they wait for."""

    def __init__(self, seconds: float) -> None:
        self.ended = False
        self._until = monotonic() + seconds
        self._sockets: list[socket.socket] = []
        self._lock = threading.Lock()

    def left(self) -> float:
        """Seconds that are left for everything still to come."""
        return max(LEAST_SECONDS, self._until - monotonic())

    def hold(self, connection: socket.socket) -> None:
        with self._lock:
            self._sockets.append(connection)
            if self.ended:
                raise TimeoutError("out of time")

    def end(self) -> None:
        with self._lock:
            self.ended = True
            for connection in self._sockets:
                with suppress(OSError):  # not connected yet, or not any more
                    connection.shutdown(socket.SHUT_RDWR)
                connection.close()


def _parsed(address: str) -> SplitResult:
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError as problem:
        raise PictureError(f"{address!r} is no web address: {problem}.") from problem
    if parts.scheme not in WEB or not parts.hostname or port == 0:
        raise PictureError(f"{address!r} is no http or https address.")
    if parts.username or parts.password:
        raise PictureError("The address carries a password, which would end up in the catalog.")
    return parts


def _ask(parts: SplitResult, rules: WebRules, running: _Running) -> bytes | str:
    """The body, or where a redirect leads."""
    connection = _connection(parts, rules, running)
    try:
        path = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~-._")
        query = quote(parts.query, safe="/%:@!$&'()*+,;=~-._?")
        headers = {
            "User-Agent": f"segsearch/{__version__}",
            "Accept": "image/*",
            "Accept-Encoding": "identity",
            "Connection": "close",
        }
        connection.request("GET", f"{path}?{query}" if query else path, headers=headers)
        answer = connection.getresponse()
        if answer.status in REDIRECTS:
            return answer.headers.get("Location") or ""
        if answer.status != http.client.OK:
            raise PictureError(f"The address answers {answer.status} {answer.reason}.")
        if answer.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise PictureError("The address answers with an encoding that was not asked for.")
        return _body(answer, rules.max_bytes)
    finally:
        connection.close()


def _body(answer: http.client.HTTPResponse, max_bytes: int) -> bytes:
    said = answer.length or 0
    pieces: list[bytes] = []
    size = 0
    while size <= max_bytes and said <= max_bytes:
        piece = answer.read(PIECE_BYTES)
        if not piece:
            if answer.length:
                raise PictureError(f"The answer ended {answer.length} bytes early.")
            return b"".join(pieces)
        pieces.append(piece)
        size += len(piece)
    raise PictureTooLargeError(
        f"The answer has more than the {max_bytes:,} bytes allowed by SEGSEARCH_MAX_BYTES."
    )


def _connection(
    parts: SplitResult, rules: WebRules, running: _Running
) -> http.client.HTTPConnection:
    """A connection to a checked address of the host; TLS proves the host's name all the same."""
    host = (parts.hostname or "").encode("idna").decode() if parts.hostname else ""
    secure = parts.scheme == "https"
    port = parts.port or (443 if secure else 80)
    problem: OSError | None = None
    for address in checked_addresses(host, port, private=rules.private):
        try:
            plain = socket.create_connection((address, port), timeout=running.left())
        except OSError as reason:
            problem = reason
            continue
        running.hold(plain)
        connection = http.client.HTTPConnection(parts.netloc or host)
        if secure:
            wrapped = ssl.create_default_context().wrap_socket(
                plain, server_hostname=host, do_handshake_on_connect=False
            )
            running.hold(wrapped)
            wrapped.do_handshake()
            connection.sock = wrapped
        else:
            connection.sock = plain
        return connection
    raise problem or OSError(f"{host} has no address")


def checked_addresses(host: str, port: int, *, private: bool) -> list[str]:
    """Every address of a host; PictureError when any of them is not public, unless `private`.

    One private address among public ones is enough to refuse: which of them answers would be the
    name server's choice.
    """
    rows = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = list(dict.fromkeys(str(row[4][0]) for row in rows))
    for address in addresses:
        if not private and not is_public(address):
            raise PictureError(
                f"{host!r} has the address {address}, which is not public: "
                "SEGSEARCH_ALLOW_PRIVATE_URLS=true lets segsearch fetch from there."
            )
    return addresses
