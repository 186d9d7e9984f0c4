"""Binds the address, says where, and serves until a signal asks it to end."""

from __future__ import annotations

import errno
import logging
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI

from segsearch.core.errors import OpenAddressError, PortBusyError, ServerError
from segsearch.core.settings import Settings
from segsearch.library import SegSearch
from segsearch.storage.announcement import announced, make_announcement
from segsearch.storage.api_keys import ApiKeys
from segsearch_api.app import create_app
from segsearch_api.connection import TimedProtocol
from segsearch_api.deps import Shared
from segsearch_api.middleware.guards import hosts_for, is_loopback, names_of

LOG = logging.getLogger(__name__)
BACKLOG = 128
SHUTDOWN_SECONDS = 10  # what open requests get to finish in
WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  what to open in a browser instead


def serve(
    library: SegSearch,
    host: str,
    port: int,
    *,
    announce: Callable[[str], None],
    insecure: bool = False,
) -> None:
    """Serve API and page until SIGINT or SIGTERM; `announce` hears the URL once it is bound.

    Port 0 takes a free one. On an address that others reach every request needs an API key, unless
    it is `insecure`. Raises OpenAddressError when there is no key then, PortBusyError when the
    address is taken, ServerError when it is none of this machine's.
    """
    settings = library.settings
    need_key = settings.require_key or not (is_loopback(host) or insecure)
    if need_key:
        _check_keys(library.catalog.keys, settings, host)
    with bind(host, port) as listening:
        if not is_loopback(host) and not need_key:
            LOG.warning(
                "Anyone who reaches %s can search and change this library: it asks for no key.",
                host,
                extra={"action": "api.open"},
            )
        hosts = names_of(settings.host_names) or hosts_for(host)
        address, port = listening.getsockname()[:2]
        local = make_announcement(url_of(address, port), settings.mix)
        app = create_app(library, hosts=hosts, need_key=need_key, announcement=local)
        server = make_server(app)
        with _ending(server), announced(settings.library, local):
            announce(url_of(host, port))
            server.run(sockets=[listening])


def make_server(app: FastAPI) -> uvicorn.Server:
    """A server for the API that ends its streams when it is told to end."""
    config = uvicorn.Config(
        app,
        http=TimedProtocol,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )
    server = uvicorn.Server(config)
    # Streams would hold the server up until its patience ends.
    shared: Shared = app.state.shared
    shared.streams.is_ending = lambda: server.should_exit
    return server


def _check_keys(keys: ApiKeys, settings: Settings, host: str) -> None:
    """OpenAddressError when the library has no API key that opens anything."""
    known = keys.all()
    restored = sum(key.revoked_at is None and not key.trusted for key in known)
    if restored:
        LOG.warning(
            "API keys came back with a dump of the database, and open nothing (%d): `segsearch "
            "keys list` shows them, `segsearch keys trust ID` lets one open again.",
            restored,
            extra={"action": "api.keys"},
        )
    if any(key.opens for key in known):
        return
    hint = "make one with `segsearch keys create NAME`"
    if restored:
        hint += ", or say that one which came with a dump is good: `segsearch keys trust ID`"
    if settings.require_key:
        raise OpenAddressError(
            f"SEGSEARCH_REQUIRE_KEY asks for an API key, and the library has none: {hint}."
        )
    raise OpenAddressError(
        f"Others reach {host}, and the library has no API key: {hint}, or serve with "
        "--insecure to let everyone in."
    )


def bind(host: str, port: int) -> socket.socket:
    """A socket that listens on an address; PortBusyError or ServerError say why there is none."""
    try:
        kind = socket.SOCK_STREAM
        addresses = socket.getaddrinfo(host.strip("[]"), port, type=kind, flags=socket.AI_PASSIVE)
        family, _, _, _, address = addresses[0]
        listening = socket.create_server(address, family=family, backlog=BACKLOG)
        # Accepted connections inherit it. Without it a small answer over a kept connection waits
        # 40 ms for the peer; asyncio sets it only on sockets made with IPPROTO_TCP.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listening
    except OSError as problem:
        if problem.errno == errno.EADDRINUSE:
            raise PortBusyError(
                f"Port {port} on {host} is taken by another program: end that one, or choose "
                "another with --port (0 takes a free one)."
            ) from problem
        why = problem.strerror or problem
        raise ServerError(f"The address {host} port {port} cannot be served: {why}.") from problem


def url_of(host: str, port: int) -> str:
    """The URL a person opens on this machine."""
    name = WILDCARDS.get(host.strip("[]"), host.strip("[]"))
    return f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"


@contextmanager
def _ending(server: uvicorn.Server) -> Iterator[None]:
    """Signals end the server, and only that.

    uvicorn raises a signal again after it has shut down, for whoever had a handler before; without
    ours that would end the process with the signal's status instead of 0.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ask(_number: int, _frame: object) -> None:
        server.should_exit = True

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
