"""Ends one HTTP request at its time, however slowly bytes trickle in: httpx bounds each read."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Any

NEW_STREAM = frozenset({"connection.connect_tcp.complete", "connection.start_tls.complete"})


class Deadline:
    """The time for one request. Use as a context manager around it, and give `hold` to httpx as
    its `trace` extension; the request must have a connection of its own.

    At the deadline the connection is shut: whatever waits for it fails, and `is_over` says why.
    """

    def __init__(self, seconds: float) -> None:
        self.is_over = False
        self._lock = threading.Lock()
        self._connections: list[socket.socket] = []
        self._clock = threading.Timer(seconds, self._end)
        self._clock.daemon = True

    def __enter__(self) -> Deadline:
        self._clock.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._clock.cancel()

    def hold(self, event: str, info: dict[str, Any]) -> None:
        """Take note of the connection that a request is sent over."""
        if event not in NEW_STREAM:
            return
        connection = info["return_value"].get_extra_info("socket")
        if isinstance(connection, socket.socket):
            with self._lock:
                self._connections.append(connection)
                if self.is_over:
                    self._shut()

    def _end(self) -> None:
        with self._lock:
            self.is_over = True
            self._shut()

    def _shut(self) -> None:
        for connection in self._connections:
            with suppress(OSError, ValueError):  # closed meanwhile
                socket.socket.shutdown(connection, socket.SHUT_RDWR)
