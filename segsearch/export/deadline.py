"""Ends HTTP requests at their time, however slowly bytes trickle in, and all of them at once where
nobody waits for them any more: httpx bounds each read."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
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
        self._clock = threading.Timer(seconds, self.end)
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

    def end(self) -> None:
        """Shut its connection now, and any that it makes later."""
        with self._lock:
            self.is_over = True
            self._shut()

    def _shut(self) -> None:
        for connection in self._connections:
            with suppress(OSError, ValueError):  # closed meanwhile
                socket.socket.shutdown(connection, socket.SHUT_RDWR)


class Cutoff:
    """Ends requests under way, and any that begin later, when it is cut."""

    def __init__(self) -> None:
        self.is_cut = False
        self._lock = threading.Lock()
        self._held: set[Callable[[], None]] = set()

    @contextmanager
    def holding(self, end: Callable[[], None]) -> Iterator[None]:
        """Within it `end` is called when it is cut, or at once where it has been."""
        with self._lock:
            self._held.add(end)
            is_late = self.is_cut
        if is_late:
            end()
        try:
            yield
        finally:
            with self._lock:
                self._held.discard(end)

    def cut(self) -> None:
        """End them."""
        with self._lock:
            self.is_cut = True
            held = [*self._held]
        for end in held:
            end()
