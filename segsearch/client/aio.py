"""`AsyncClient`: the calls of `Client`, awaited, for programs on asyncio.

    async with AsyncClient("http://127.0.0.1:8000") as library:
        dogs, cats = await asyncio.gather(library.search("a dog"), library.search("a cat"))

Each call runs the one of `Client` in a thread, so nothing is written twice and both do the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial, wraps
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, TypeVar

from segsearch.client.sync import Client
from segsearch.client.transport import Events

P = ParamSpec("P")
R = TypeVar("R")
CALLS_AT_ONCE = 32  # more wait until one of these ends


class _End:
    """What follows the last item: a future cannot hold a StopIteration."""


def _awaited(
    method: Callable[Concatenate[Client, P], R],
) -> Callable[Concatenate[AsyncClient, P], Awaitable[R]]:
    """A method of `Client` as one to await."""

    @wraps(method)
    async def call(self: AsyncClient, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return await self._run(partial(method, self._client, *args, **kwargs))

    return call


def _stepped(
    method: Callable[Concatenate[Client, P], Iterator[R]],
) -> Callable[Concatenate[AsyncClient, P], AsyncIterator[R]]:
    """A method of `Client` that iterates, for `async for`; leaving the loop early closes it."""

    @wraps(method)
    async def steps(self: AsyncClient, /, *args: P.args, **kwargs: P.kwargs) -> AsyncIterator[R]:
        source = method(self._client, *args, **kwargs)
        if isinstance(source, Events):
            self._events.add(source)
        try:
            while True:
                item = await self._run(lambda: next(source, _End))
                if item is _End:
                    return
                yield item  # type: ignore[misc]  # not the end, so an item
        finally:
            self._events.discard(source)
            if isinstance(source, Events):
                source.close()
            elif close := getattr(source, "close", None):
                with suppress(ValueError):  # a step was cancelled, and still runs in its thread
                    await self._run(close)

    return steps


class AsyncClient:
    """The library of one server; arguments and errors are those of `Client`.

    Use as an asynchronous context manager, or await `close`. A call that is cancelled ends for its
    caller at once; its request ends with its answer, or with the timeout. A stream of events ends
    with the loop over it, or when the client is closed.
    """

    def __init__(self, url: str = "http://127.0.0.1:8000", **options: Any) -> None:
        self._client = Client(url, **options)
        self._threads = ThreadPoolExecutor(CALLS_AT_ONCE, thread_name_prefix="segsearch-client")
        self._events: set[Events[Any]] = set()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _problem: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Cut off the streams, wait for the calls under way, close the connections."""
        for stream in tuple(self._events):
            stream.close()
        await asyncio.to_thread(self._threads.shutdown)
        self._client.close()

    async def _run(self, call: Callable[[], R]) -> R:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)

    search = _awaited(Client.search)
    scene = _awaited(Client.scene)
    segment = _awaited(Client.segment)
    export = _awaited(Client.export)
    videos = _stepped(Client.videos)
    video = _awaited(Client.video)
    video_segments = _awaited(Client.video_segments)
    frame = _awaited(Client.frame)
    clip = _awaited(Client.clip)
    video_file = _awaited(Client.video_file)
    track = _awaited(Client.track)
    keep_picture = _awaited(Client.keep_picture)
    picture_thumbnail = _awaited(Client.picture_thumbnail)
    words_of = _awaited(Client.words_of)
    words_at = _awaited(Client.words_at)
    ask = _awaited(Client.ask)
    ask_picture = _awaited(Client.ask_picture)
    rerank = _awaited(Client.rerank)
    searches = _awaited(Client.searches)
    save_search = _awaited(Client.save_search)
    delete_search = _awaited(Client.delete_search)

    regions = _stepped(Client.regions)
    map = _awaited(Client.map)
    make_map = _awaited(Client.make_map)
    map_points = _awaited(Client.map_points)

    upload = _awaited(Client.upload)
    wait = _awaited(Client.wait)
    images = _stepped(Client.images)
    image = _awaited(Client.image)
    tag = _awaited(Client.tag)
    retry = _awaited(Client.retry)
    delete_image = _awaited(Client.delete_image)
    browse = _stepped(Client.browse)
    facets = _awaited(Client.facets)
    tag_images = _awaited(Client.tag_images)
    remove_images = _awaited(Client.remove_images)
    near_duplicates = _awaited(Client.near_duplicates)
    duplicates = _stepped(Client.duplicates)
    segments = _awaited(Client.segments)
    text_of = _awaited(Client.text_of)
    thumbnail = _awaited(Client.thumbnail)
    original = _awaited(Client.original)
    file = _awaited(Client.file)

    segment_of = _awaited(Client.segment_of)
    delete_segment = _awaited(Client.delete_segment)
    mask = _awaited(Client.mask)
    mask_picture = _awaited(Client.mask_picture)
    mask_png = _awaited(Client.mask_png)
    cutout = _awaited(Client.cutout)
    crop = _awaited(Client.crop)
    overlay = _awaited(Client.overlay)

    collections = _awaited(Client.collections)
    collection = _awaited(Client.collection)
    create_collection = _awaited(Client.create_collection)
    rename_collection = _awaited(Client.rename_collection)
    delete_collection = _awaited(Client.delete_collection)
    add_to_collection = _awaited(Client.add_to_collection)
    take_from_collection = _awaited(Client.take_from_collection)

    jobs = _awaited(Client.jobs)
    job = _awaited(Client.job)
    cancel_job = _awaited(Client.cancel_job)
    resume_jobs = _awaited(Client.resume_jobs)
    skipped = _stepped(Client.skipped)
    job_events = _stepped(Client.job_events)
    status = _awaited(Client.status)
    stats = _awaited(Client.stats)
    models = _awaited(Client.models)
    session = _awaited(Client.session)
    api_keys = _awaited(Client.api_keys)
    create_key = _awaited(Client.create_key)
    revoke_key = _awaited(Client.revoke_key)
    metrics = _awaited(Client.metrics)
    is_alive = _awaited(Client.is_alive)
    is_ready = _awaited(Client.is_ready)
