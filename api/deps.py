"""What all requests share: the service, the lanes that blocking work runs in, and readiness."""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, TypeVar, cast

from anyio import CapacityLimiter, to_thread
from fastapi import Depends, Request

from segsearch.core.errors import ModelError, OverloadError, SegSearchError
from segsearch.library import SegSearch
from segsearch.storage.api_keys import KeyRing

LOG = logging.getLogger(__name__)
SEARCHES_AT_ONCE = 1  # one thread owns the models: more of them only share the same cores
SEARCHES_WAITING = 32
DRAWINGS_AT_ONCE = 2  # each holds a decoded picture, up to 600 MB
DRAWINGS_WAITING = 256
PROMPTS_AT_ONCE = 1  # the segmenter takes all it is given, as a search does
PROMPTS_WAITING = 16
UPLOADS_AT_ONCE = 2  # each may hold a whole file
UPLOADS_WAITING = 64
EXPORTS_AT_ONCE = 1
EXPORTS_WAITING = 8
THUMBNAILS_BYTES = 64_000_000
RETRY_SECONDS = 10.0  # after which what could not be loaded is tried again, when somebody asks
T = TypeVar("T")


class Lane:
    """Runs blocking work in threads, `at_once` at a time; callers wait without holding a thread."""

    def __init__(self, what: str, at_once: int, waiting: int) -> None:
        self.what = what
        self._limiter = CapacityLimiter(at_once)
        self._room = at_once + waiting
        self.inside = 0  # counted here: the limiter learns of a caller a moment later

    async def run(self, work: Callable[[], T]) -> T:
        """What `work` returns; OverloadError when too many callers stand in line already."""
        if self.inside >= self._room:
            raise OverloadError(
                f"{self.inside} {self.what} are under way already: try again shortly."
            )
        self.inside += 1
        try:
            return await to_thread.run_sync(work, limiter=self._limiter)
        finally:
            self.inside -= 1


class Kept:
    """Drawings by their tag, the latest used, within so many bytes. For one event loop."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._drawings: OrderedDict[str, bytes] = OrderedDict()
        self.nbytes = 0

    def get(self, tag: str) -> bytes | None:
        if tag in self._drawings:
            self._drawings.move_to_end(tag)
        return self._drawings.get(tag)

    def put(self, tag: str, drawing: bytes) -> None:
        self.nbytes += len(drawing) - len(self._drawings.pop(tag, b""))
        self._drawings[tag] = drawing
        while self.nbytes > self._max_bytes:
            self.nbytes -= len(self._drawings.popitem(last=False)[1])


class Readiness:
    """Whether the index and models have been loaded; what failed is tried again now and then."""

    def __init__(self) -> None:
        self._done = threading.Event()
        self._error: SegSearchError | None = None
        self._loading = threading.Lock()
        self._tried = 0.0

    def load(self, service: SegSearch) -> None:
        """Load what a search needs; what goes wrong is kept for whoever asks."""
        with self._loading:
            self._load(service)
            self._tried = time.monotonic()

    def load_again(self, service: SegSearch) -> None:
        """What failed a while ago, unless somebody is at it: disks and memory come back."""
        waited = time.monotonic() - self._tried >= RETRY_SECONDS
        if self._error is not None and waited and self._loading.acquire(blocking=False):
            try:
                self._load(service)
                self._tried = time.monotonic()
            finally:
                self._loading.release()

    def _load(self, service: SegSearch) -> None:
        try:
            service.warm()
            self._error = None
        except SegSearchError as problem:
            LOG.warning("Searches will fail: %s", problem, extra={"action": "api.warm"})
            self._error = problem
        except Exception as problem:  # such as memory that runs out: nobody above would hear of it
            LOG.exception("Searches will fail", extra={"action": "api.warm"})
            why = f"{type(problem).__name__}: {problem}".rstrip(".")
            self._error = ModelError(f"The index or the models cannot be loaded: {why}.")
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
    keys: KeyRing
    readiness: Readiness = field(default_factory=Readiness)
    streams: Streams = field(default_factory=Streams)
    searches: Lane = field(
        default_factory=lambda: Lane("searches", SEARCHES_AT_ONCE, SEARCHES_WAITING)
    )
    drawings: Lane = field(
        default_factory=lambda: Lane("drawings", DRAWINGS_AT_ONCE, DRAWINGS_WAITING)
    )
    prompts: Lane = field(default_factory=lambda: Lane("prompts", PROMPTS_AT_ONCE, PROMPTS_WAITING))
    uploads: Lane = field(default_factory=lambda: Lane("uploads", UPLOADS_AT_ONCE, UPLOADS_WAITING))
    exports: Lane = field(default_factory=lambda: Lane("exports", EXPORTS_AT_ONCE, EXPORTS_WAITING))
    thumbnails: Kept = field(default_factory=lambda: Kept(THUMBNAILS_BYTES))

    @property
    def lanes(self) -> tuple[Lane, ...]:
        return (self.searches, self.drawings, self.prompts, self.uploads, self.exports)


async def shared(request: Request) -> Shared:
    """What `create_app` has put into the application."""
    return cast(Shared, request.app.state.shared)


Here = Annotated[Shared, Depends(shared)]
