"""What routes depend on: the library, the lanes that blocking work runs in, bodies, readiness."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Annotated, Any, TypeVar, cast

from anyio import CapacityLimiter, to_thread
from cachetools import LRUCache
from fastapi import Depends, Request
from fastapi.exceptions import RequestValidationError
from pydantic import TypeAdapter, ValidationError
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException

from segsearch.core.errors import ModelError, OverloadError, SegSearchError
from segsearch.library import SegSearch
from segsearch.search.schema import SceneRequest, SearchRequest
from segsearch.storage.announcement import Announcement
from segsearch.storage.api_keys import ApiKeys
from segsearch_api.kept_clips import KeptClips

LOG = logging.getLogger(__name__)
SEARCHES_AT_ONCE = max(2, min(8, os.cpu_count() or 1))  # one waits for a disk, another computes
SEARCHES_WAITING = 64
PICTURES_AT_ONCE = 1  # a picture is decoded and goes through the embedder, one core each
PICTURES_WAITING = 16
DRAWINGS_AT_ONCE = 2  # each holds a decoded picture, up to 600 MB
DRAWINGS_WAITING = 256
CLIPS_AT_ONCE = 1  # each takes a core or two for seconds, in a process that may take gigabytes
CLIPS_WAITING = 16
PROMPTS_AT_ONCE = 1  # the segmenter takes all it is given, as a search does
PROMPTS_WAITING = 16
UPLOADS_AT_ONCE = 2  # each may hold a whole file
UPLOADS_WAITING = 64
EXPORTS_AT_ONCE = 1
EXPORTS_WAITING = 8
QUESTIONS_AT_ONCE = 4  # each waits for an endpoint elsewhere
QUESTIONS_WAITING = 16
COUNTS_AT_ONCE = 1  # each reads all pictures, and the next one takes what it has found
COUNTS_WAITING = 64
THUMBNAILS_BYTES = 64_000_000
RETRY_SECONDS = 10.0  # after which what could not be loaded is tried again, when somebody asks
JSON = "application/json"
UPLOAD = "multipart/form-data"
MAX_PART_BYTES = 65_536  # of a form's text field
T = TypeVar("T")
Body = TypeVar("Body")


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


class Readiness:
    """Whether the index and models have been loaded; what failed is tried again now and then.

    `error` says why loading failed; it is None while it runs or when it went well.
    """

    def __init__(self) -> None:
        self.error: SegSearchError | None = None
        self._done = threading.Event()
        self._loading = threading.Lock()
        self._tried = 0.0

    @property
    def done(self) -> bool:
        return self._done.is_set()

    def load(self, library: SegSearch) -> None:
        """Load what a search needs; what goes wrong is kept for whoever asks."""
        with self._loading:
            self._load(library)

    def wait(self) -> bool:
        """Wait until loading has ended; whether it went well."""
        self._done.wait()
        return self.error is None

    def load_again(self, library: SegSearch) -> None:
        """Load what failed a while ago, unless a caller is doing so: disks and memory come back."""
        is_due = time.monotonic() - self._tried >= RETRY_SECONDS
        if self.error is not None and is_due and self._loading.acquire(blocking=False):
            try:
                self._load(library)
            finally:
                self._loading.release()

    def catch_up(self, library: SegSearch) -> None:
        """Bring the index up to date beside the requests, unless that is under way."""
        if not self._loading.acquire(blocking=False):
            return

        def work() -> None:
            try:
                self._load(library)
            finally:
                self._loading.release()

        threading.Thread(target=work, name="catch-up", daemon=True).start()

    def _load(self, library: SegSearch) -> None:
        try:
            library.warm()
            self.error = None
        except SegSearchError as problem:
            LOG.warning("Searches will fail: %s", problem, extra={"action": "api.warm"})
            self.error = problem
        except Exception as problem:  # such as memory that runs out: nobody above would hear of it
            LOG.exception("Searches will fail", extra={"action": "api.warm"})
            why = f"{type(problem).__name__}: {problem}".rstrip(".")
            self.error = ModelError(f"The index or the models cannot be loaded: {why}.")
        finally:
            self._done.set()
            self._tried = time.monotonic()


@dataclass(slots=True)
class Streams:
    """Answers that go on until the caller leaves: how many there are, and whether to end them."""

    open: int = 0
    is_ending: Callable[[], bool] = lambda: False


@dataclass(frozen=True, slots=True)
class Shared:
    """What all requests of one application share: its library, and what bounds its use."""

    library: SegSearch
    keys: ApiKeys
    announcement: Announcement | None = None  # how commands of this machine know this server
    readiness: Readiness = field(default_factory=Readiness)
    streams: Streams = field(default_factory=Streams)
    searches: Lane = field(
        default_factory=lambda: Lane("searches", SEARCHES_AT_ONCE, SEARCHES_WAITING)
    )
    pictures: Lane = field(
        default_factory=lambda: Lane("searches by picture", PICTURES_AT_ONCE, PICTURES_WAITING)
    )
    drawings: Lane = field(
        default_factory=lambda: Lane("drawings", DRAWINGS_AT_ONCE, DRAWINGS_WAITING)
    )
    clips: Lane = field(default_factory=lambda: Lane("clips", CLIPS_AT_ONCE, CLIPS_WAITING))
    prompts: Lane = field(default_factory=lambda: Lane("prompts", PROMPTS_AT_ONCE, PROMPTS_WAITING))
    uploads: Lane = field(default_factory=lambda: Lane("uploads", UPLOADS_AT_ONCE, UPLOADS_WAITING))
    exports: Lane = field(default_factory=lambda: Lane("exports", EXPORTS_AT_ONCE, EXPORTS_WAITING))
    counts: Lane = field(default_factory=lambda: Lane("counts", COUNTS_AT_ONCE, COUNTS_WAITING))
    questions: Lane = field(
        default_factory=lambda: Lane("questions", QUESTIONS_AT_ONCE, QUESTIONS_WAITING)
    )
    # JPEGs by their ETag; only the event loop touches them.
    thumbnails: LRUCache[str, bytes] = field(
        default_factory=lambda: LRUCache(THUMBNAILS_BYTES, len)
    )

    kept_clips: KeptClips = field(default_factory=KeptClips)

    @property
    def lanes(self) -> tuple[Lane, ...]:
        return (
            self.searches, self.pictures, self.drawings, self.clips, self.prompts, self.uploads,
            self.exports, self.counts, self.questions,
        )  # fmt: skip

    def lane_for(self, request: SearchRequest | SceneRequest, *, has_picture: bool) -> Lane:
        """Where a query is answered: what looks at pixels, for seconds, stays out of the way of
        words and of what is stored."""
        if request.is_pointing:
            return self.prompts
        return self.pictures if has_picture or request.names_picture else self.searches


async def get_shared(request: Request) -> Shared:
    """What `create_app` has put into the application."""
    return cast(Shared, request.app.state.shared)


async def get_library(request: Request) -> SegSearch:
    """The application's library."""
    return (await get_shared(request)).library


SharedDep = Annotated[Shared, Depends(get_shared)]
LibraryDep = Annotated[SegSearch, Depends(get_library)]


@asynccontextmanager
async def read_body(
    request: Request, *, max_fields: int, kinds: Collection[str] = (JSON, UPLOAD)
) -> AsyncIterator[bytes | FormData]:
    """A body of JSON as its bytes, an upload as its form, whose files are open within the `with`.

    For routes that take either: FastAPI ties a path to one kind. HTTPException for kinds that are
    none of `kinds`.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in kinds:
        raise HTTPException(415, f"Expected {' or '.join(kinds)}, not {kind!r}.")
    if kind == JSON:
        yield await request.body()
        return
    options = {"max_files": 1, "max_fields": max_fields, "max_part_size": MAX_PART_BYTES}
    async with request.form(**options) as form:
        yield form


@cache
def _reader(model: Any) -> TypeAdapter[Any]:
    return TypeAdapter(model)


def parsed(model: type[Body], body: bytes | dict[str, object]) -> Body:
    """A body of JSON, or a form's fields, as its model; RequestValidationError if it is wrong."""
    try:
        reader: TypeAdapter[Body] = _reader(model)  # type: ignore[arg-type]  # a class, by mypy not Hashable
        return (
            reader.validate_json(body) if isinstance(body, bytes) else reader.validate_python(body)
        )
    except ValidationError as problem:
        errors = problem.errors(include_url=False, include_context=False, include_input=False)
        located = [{**details, "loc": ("body", *details["loc"])} for details in errors]
        raise RequestValidationError(located) from problem
