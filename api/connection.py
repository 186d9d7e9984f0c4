"""Reads HTTP/1.1 with h11, and ends connections over which a request does not come to its end.

h11 bounds the bytes of a header, uvicorn the pause between two requests; neither bounds how long
one request may take to arrive. h11 is named here because httptools, which uvicorn would take where
it is installed, bounds no header.
"""

from __future__ import annotations

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEADER_SECONDS = 20.0  # from the connection, or a request's first byte, to the end of its header
SILENCE_SECONDS = 60.0  # within a body, while we would read
TOO_LATE = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


class TimedProtocol(H11Protocol):
    """uvicorn's protocol with a time for each header, and for silence within a body."""

    _waiting: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)  # type: ignore[arg-type]  # uvicorn narrows it itself
        self._wait(HEADER_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:
        self._wait(None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        state: Any = self.conn.their_state
        if state is h11.SEND_BODY:
            self._wait(SILENCE_SECONDS)
        elif state is not h11.IDLE:
            self._wait(None)
        elif self._waiting is None:  # the first bytes of a further request
            self._wait(HEADER_SECONDS)

    def _wait(self, seconds: float | None) -> None:
        """End the connection in that many seconds, unless it is said otherwise before."""
        if self._waiting is not None:
            self._waiting.cancel()
        ended = self.transport is None or self.transport.is_closing()
        later = None if seconds is None or ended else self.loop.call_later(seconds, self._too_late)
        self._waiting = later

    def _too_late(self) -> None:
        self._waiting = None
        if self.conn.their_state is h11.SEND_BODY:
            if self.flow.read_paused:  # we do not read, so nothing can come
                self._wait(SILENCE_SECONDS)
                return
        elif not self.transport.is_closing():
            self.transport.write(TOO_LATE)
        self.transport.close()
