"""The awaited client: the same calls, many at once, iterators that may be left, errors."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from segsearch.client.aio import AsyncClient, _stepped
from segsearch.client.sync import Client
from segsearch.core.errors import ApiError, UnreachableError
from tests.client.test_sync import Served

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    made = Served(tmp_path_factory.mktemp("served"))
    yield made
    made.close()


def public(kind: type) -> set[str]:
    return {name for name, _ in inspect.getmembers(kind, callable) if not name.startswith("_")}


def test_every_call_of_the_client_can_be_awaited() -> None:
    assert public(AsyncClient) == public(Client)


def test_calls_run_side_by_side_and_answer_like_the_client(served: Served, tmp_path: Path) -> None:
    async def ask() -> None:
        async with AsyncClient(served.url, key=served.key) as library:
            answers = await asyncio.gather(*(library.search("blue", limit=1) for _ in range(12)))
            with Client(served.url, key=served.key) as plain:
                expected = plain.search("blue", limit=1)["hits"]
            assert [answer["hits"] for answer in answers] == [expected] * 12
            number = expected[0]["segment_id"]
            assert (await library.cutout(number)).startswith(b"\x89PNG")
            slots = [{"name": "it", "terms": [{"text": "blue"}]}]
            assert "scenes" in await library.scene(slots=slots, min_relevance=0)
            file = await library.export(tmp_path / "blue.jsonl", format="jsonl", text="blue")
            assert file.read_text().count("\n") >= 1

    asyncio.run(ask())


def test_iterators_are_stepped_and_may_be_left(served: Served) -> None:
    async def ask() -> None:
        async with AsyncClient(served.url, key=served.key) as library:
            assert [image["image_id"] async for image in library.images(page=1)] == [1]
            async for jobs in library.job_events():
                assert isinstance(jobs, list)
                break

    asyncio.run(asyncio.wait_for(ask(), 60))


def test_a_step_can_be_cancelled(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(_client: Client) -> Iterator[int]:
        time.sleep(0.5)
        yield 1

    monkeypatch.setattr(AsyncClient, "images", _stepped(slow))

    async def ask() -> None:
        async with AsyncClient(served.url, key=served.key) as library:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(anext(aiter(library.images())), 0.1)

    asyncio.run(ask())


@pytest.mark.parametrize("how", ["cancelled", "left open"])
def test_a_silent_stream_keeps_nobody_from_leaving(served: Served, how: str) -> None:
    async def watch(library: AsyncClient, begun: asyncio.Event) -> None:
        async for _ in library.job_events():
            begun.set()

    async def ask() -> None:
        async with AsyncClient(served.url, key=served.key) as library:
            begun = asyncio.Event()
            watching = asyncio.create_task(watch(library, begun))
            await begun.wait()
            if how == "cancelled":
                watching.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await watching
        await asyncio.gather(watching, return_exceptions=True)

    asyncio.run(asyncio.wait_for(ask(), 10))  # the server says nothing for 15 seconds


def test_refusals_and_silence_are_raised(served: Served) -> None:
    async def ask() -> None:
        async with AsyncClient(served.url, key=served.key) as library:
            with pytest.raises(ApiError) as refused:
                await library.image(99)
            assert refused.value.code == "not_found_error"
        async with AsyncClient("http://127.0.0.1:9", retries=0) as nowhere:
            with pytest.raises(UnreachableError):
                await nowhere.status()
            assert not await nowhere.is_alive()

    asyncio.run(ask())
