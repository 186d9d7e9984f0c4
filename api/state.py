"""What all requests share: the service, the lanes that blocking work runs in, and readiness."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, TypeVar, cast

from anyio import CapacityLimiter, to_thread
from fastapi import Depends, Request

from segsearch.errors import OverloadError, SegSearchError
from segsearch.service import SegSearch

LOG = logging.getLogger(__name__)
SEARCHES_AT_ONCE = 1  # one thread owns the models: more of them only share the same cores
SEARCHES_WAITING = 32
DRAWINGS_AT_ONCE = 2  # each holds a decoded picture, up to 600 MB
DRAWINGS_WAITING = 256
T = TypeVar("T")


class Lane:
    """Runs blocking work in threads, `at_once` at a time; callers wait without holding a thread."""

    def __init__(self, what: str, at_once: int, waiting: int) -> None:
        self._what = what
        self._limiter = CapacityLimiter(at_once)
        self._room = at_once + waiting
        self._inside = 0  # counted here: the limiter learns of a caller a moment later

    async def run(self, work: Callable[[], T]) -> T:
        """What `work` returns; OverloadError when too many callers stand in line already."""
        if self._inside >= self._room:
            raise OverloadError(
                f"{self._inside} {self._what} are under way already: try again shortly."
            )
        self._inside += 1
        try:
            return await to_thread.run_sync(work, limiter=self._limiter)
        finally:
            self._inside -= 1


class Readiness:
    """Whether the index and models have been loaded; loading runs once, in its own thread."""

    def __init__(self) -> None:
        self._done = threading.Event()
        self._error: SegSearchError | None = None

    def load(self, service: SegSearch) -> None:
        """Load what a search needs; what goes wrong is kept for whoever asks."""
        try:
            service.warm()
        except SegSearchError as problem:
            LOG.warning("Searches will fail: %s", problem, extra={"action": "api.warm"})
            self._error = problem
        finally:
            self._done.set()

    @property
    def done(self) -> bool:
        return self._done.is_set()

    @property
    def error(self) -> SegSearchError | None:
        """Why loading failed; None while it runs or when it went well."""
        return self._error


@dataclass(slots=True)
class Streams:
    """Answers that go on until the caller leaves: how many there are, and whether to end them."""

    open: int = 0
    is_ending: Callable[[], bool] = lambda: False


@dataclass(frozen=True, slots=True)
class Shared:
    """One application's service and what bounds its use."""

    service: SegSearch
    readiness: Readiness = field(default_factory=Readiness)
    streams: Streams = field(default_factory=Streams)
    searches: Lane = field(
        default_factory=lambda: Lane("searches", SEARCHES_AT_ONCE, SEARCHES_WAITING)
    )
    drawings: Lane = field(
        default_factory=lambda: Lane("drawings", DRAWINGS_AT_ONCE, DRAWINGS_WAITING)
    )


async def shared(request: Request) -> Shared:
    """What `create_app` has put into the application."""
    return cast(Shared, request.app.state.shared)


Here = Annotated[Shared, Depends(shared)]
