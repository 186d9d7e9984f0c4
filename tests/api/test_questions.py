"""Questions over HTTP and to an assistant: only the settings' endpoint is asked, never for long,
and nobody else waits for it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient
from mcp import Client

from segsearch.core.query import Query, TextTerm
from segsearch.library import SegSearch
from segsearch.storage.api_keys import KeyRing, Scope
from segsearch_api.app import create_app
from segsearch_api.deps import QUESTIONS_AT_ONCE, Lane
from segsearch_api.mcp import create_server
from segsearch_api.server import bind, make_server, url_of
from tests.conftest import BLUE, RED
from tests.support.captioned import texts
from tests.support.small_models import open_small_service, paint
from tests.support.vision import (
    DROPPED,
    HANGING,
    HELD,
    ScriptedEndpoint,
    completion,
    dripping_server,
    told,
    vision_endpoint,
)

pytestmark = pytest.mark.server


@contextmanager
def library_at(
    folder: Path, server: ScriptedEndpoint | None, **settings: Any
) -> Iterator[SegSearch]:
    """Two pictures with a red and a blue thing each, and settings that name the endpoint."""
    for name in ("a", "b"):
        paint(folder / "pictures" / f"{name}.png", [RED, BLUE] if name == "a" else [BLUE])
    if server:
        settings = {"caption_url": server.url, "caption_model": server.model, **settings}
    with open_small_service(folder / "library", **settings) as made:
        made.index([folder / "pictures"])
        yield made


def client_of(library: SegSearch, **options: Any) -> TestClient:
    return TestClient(create_app(library, **options), base_url="http://localhost")


def red_of(library: SegSearch) -> int:
    return library.search(Query((TextTerm("red"),), limit=1, min_relevance=0)).hits[0].segment.id


def test_a_region_and_a_picture_can_be_asked_about(tmp_path: Path) -> None:
    with vision_endpoint() as server, library_at(tmp_path, server) as library:
        client, red = client_of(library), red_of(library)
        asked = client.post(f"/v1/segments/{red}/ask", json={"question": "What is this?"})
        assert asked.status_code == 200, asked.text
        document = asked.json()
        assert document["answer"] == "A red thing on a white ground"
        assert (document["model"], document["kept_for"]) == (server.model, None)
        assert texts(library) == {}
        kept = client.post(f"/v1/segments/{red}/ask", json={"question": "What?", "keep": True})
        assert kept.json()["kept_for"] == red
        assert texts(library) == {red: ["A red thing on a white ground"]}
        whole = client.post("/v1/images/1/ask", json={})
        assert whole.json()["answer"] in {"A picture of red, blue", "A picture of blue"}
        assert "how the things in this picture lie" in told(server.asked[-1])
        refused = client.post("/v1/images/1/ask", json={"keep": True})
        assert (refused.status_code, refused.json()["code"]) == (422, "query_error")
        assert len(server.asked) == 3


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/segments/1/ask", {"question": "What?"}),
        ("/v1/images/1/ask", {}),
        ("/v1/search/rerank", {"query": {"text": "red"}}),
    ],
)
def test_without_an_endpoint_in_the_settings_there_is_a_code(
    tmp_path: Path, path: str, body: dict[str, Any]
) -> None:
    with library_at(tmp_path, None) as library:
        answer = client_of(library).post(path, json=body)
    assert (answer.status_code, answer.json()["code"]) == (409, "endpoint_missing_error")
    assert "SEGSEARCH_CAPTION_URL" in answer.json()["detail"]


def test_no_request_says_where_a_picture_is_sent(tmp_path: Path) -> None:
    with (
        vision_endpoint() as elsewhere,
        vision_endpoint([(302, {"Location": f"{elsewhere.url}/chat/completions"})]) as server,
        library_at(tmp_path, server) as library,
    ):
        client, red = client_of(library), red_of(library)
        path = f"/v1/segments/{red}/ask"
        for name in ("base_url", "url", "endpoint", "model", "host"):
            body = {"question": "What?", name: elsewhere.url}
            assert client.post(path, json=body).status_code == 422
        assert server.asked == []
        redirected = client.post(path, json={"question": "What?"})
        assert (redirected.status_code, redirected.json()["code"]) == (502, "endpoint_error")
        assert elsewhere.asked == []


@pytest.mark.parametrize(
    ("behaviour", "code"),
    [
        ((401, {}), "endpoint_error"),
        (DROPPED, "answer_error"),
        (HANGING, "answer_error"),
        (completion("x" * 20_000), "answer_error"),
    ],
    ids=range(4),
)
def test_where_the_endpoint_fails_the_caller_is_told_so(
    tmp_path: Path, behaviour: Any, code: str
) -> None:
    seconds = 1.0 if behaviour == HANGING else 30.0
    with (
        vision_endpoint([behaviour], key="s3cret") as server,
        library_at(tmp_path, server, caption_key="s3cret", caption_seconds=seconds) as library,
    ):
        answer = client_of(library).post("/v1/segments/1/ask", json={"question": "What?"})
    assert (answer.status_code, answer.json()["code"]) == (502, code)
    assert "s3cret" not in answer.text


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/v1/segments/1/ask", {}, 422),
        ("/v1/segments/1/ask", {"question": ""}, 422),
        ("/v1/segments/1/ask", {"question": "  "}, 422),
        ("/v1/segments/1/ask", {"question": "x" * 2_001}, 422),
        ("/v1/segments/9000/ask", {"question": "What?"}, 404),
        ("/v1/images/9000/ask", {}, 404),
        ("/v1/search/rerank", {"query": {"segment_id": 1}}, 422),
        ("/v1/search/rerank", {"query": {"text": " "}}, 422),
        ("/v1/search/rerank", {"query": {"text": "red"}, "first": 101}, 422),
        ("/v1/search/rerank", {"query": {"text": "red"}, "first": 0}, 422),
        ("/v1/search/rerank", {"query": {"text": "red"}, "seconds": 601}, 422),
    ],
)
def test_what_cannot_be_asked_is_sent_nowhere(
    tmp_path: Path, path: str, body: dict[str, Any], status: int
) -> None:
    with vision_endpoint() as server, library_at(tmp_path, server) as library:
        assert client_of(library).post(path, json=body).status_code == status
    assert server.asked == []


def test_a_picture_that_is_gone_is_told_of(tmp_path: Path) -> None:
    with vision_endpoint() as server, library_at(tmp_path, server) as library:
        for path in (tmp_path / "pictures").iterdir():
            path.unlink()
        for path_, body in (
            ("/v1/segments/1/ask", {"question": "What?"}),
            ("/v1/images/1/ask", {}),
        ):
            answer = client_of(library).post(path_, json=body)
            assert answer.status_code in {404, 422}
            assert answer.json()["code"] in {"not_found_error", "picture_error"}
    assert server.asked == []


def test_a_key_that_reads_may_not_spend_money(tmp_path: Path) -> None:
    with vision_endpoint() as server, library_at(tmp_path, server) as library:
        client = client_of(library, need_key=True)
        ring = KeyRing(tmp_path / "library")
        _, reads = ring.create("reader", Scope.READ)
        _, writes = ring.create("writer", Scope.WRITE)
        calls: list[tuple[str, dict[str, Any]]] = [
            ("/v1/segments/1/ask", {"question": "What?"}),
            ("/v1/images/1/ask", {}),
            ("/v1/search/rerank", {"query": {"text": "blue", "min_relevance": 0}}),
        ]
        for path, body in calls:
            header = {"Authorization": f"Bearer {reads}"}
            refused = client.post(path, json=body, headers=header)
            assert (refused.status_code, refused.json()["code"]) == (403, "scope_error")
            assert client.post(path, json=body).status_code == 401
        assert server.asked == []
        for path, body in calls:
            header = {"Authorization": f"Bearer {writes}"}
            assert client.post(path, json=body, headers=header).status_code == 200


def test_nobody_else_waits_for_a_question_and_no_more_than_so_many_are_asked_at_once(
    tmp_path: Path,
) -> None:
    asked = QUESTIONS_AT_ONCE + 2
    with (
        vision_endpoint([HELD] * asked) as server,
        library_at(tmp_path, server, caption_seconds=60.0) as library,
    ):
        app = create_app(library)
        shared = app.state.shared
        few = Lane("questions", QUESTIONS_AT_ONCE, 1)
        app.state.shared = replace(shared, questions=few)
        with TestClient(app, base_url="http://localhost") as client:
            codes: list[int] = []

            def ask() -> None:
                answer = client.post("/v1/segments/1/ask", json={"question": "What?"})
                codes.append(answer.status_code)

            threads = [threading.Thread(target=ask) for _ in range(asked)]
            for thread in threads:
                thread.start()
            deadline = time.monotonic() + 60
            while len(server.asked) < QUESTIONS_AT_ONCE or not codes:
                assert time.monotonic() < deadline
                time.sleep(0.01)
            assert client.get("/healthz").status_code == 200
            found = client.post("/v1/search", json={"text": "red", "min_relevance": 0})
            assert found.status_code == 200
            assert server.busiest == QUESTIONS_AT_ONCE
            server.released.set()
            for thread in threads:
                thread.join()
    assert server.busiest == QUESTIONS_AT_ONCE
    assert codes == [429, *[200] * (asked - 1)]


def test_a_search_is_reranked_by_what_the_model_sees(tmp_path: Path) -> None:
    with vision_endpoint() as server, library_at(tmp_path, server) as library:
        client, red = client_of(library), red_of(library)
        blue = next(hit.segment.id for hit in library.select() if hit.segment.id != red)
        query = {  # says red, and looks for blue
            "segment_id": blue, "terms": [{"text": "red", "weight": 0.01}], "min_relevance": 0,
        }  # fmt: skip
        before = client.post("/v1/search", json=query).json()["hits"]
        assert [hit["rank"] for hit in before] == [1, 2, 3]
        assert before[-1]["segment_id"] == red
        answer = client.post("/v1/search/rerank", json={"query": query}).json()
        assert answer["hits"][0] == {**before[-1], "rank": 1}
        assert answer["hits"][1:] == [
            {**hit, "rank": rank} for rank, hit in enumerate(before[:-1], 2)
        ]
        assert answer["reranked"] == {
            "regions": 3, "scored": 3, "requests": 3, "changed": True, "message": None,
        }  # fmt: skip
        server.script[:] = [(401, {})] * 3
        refused = client.post("/v1/search/rerank", json={"query": query}).json()
    assert refused["hits"] == before
    assert refused["reranked"]["changed"] is False
    assert "status 401" in refused["reranked"]["message"]


def tools_of(library: SegSearch, tool: str = "", **arguments: Any) -> tuple[dict[str, Any], Any]:
    async def ask() -> Any:
        async with Client(create_server(library)) as client:
            offered = {one.name: one for one in (await client.list_tools()).tools}
            return offered, await client.call_tool(tool, arguments) if tool else None

    result: tuple[dict[str, Any], Any] = asyncio.run(ask())
    return result


def test_an_assistant_may_ask_where_an_endpoint_is_set(tmp_path: Path) -> None:
    with vision_endpoint() as server, library_at(tmp_path, server) as library:
        red = red_of(library)
        offered, answer = tools_of(library, "ask_region", segment_id=red, question="What is it?")
        assert answer.structured_content["result"] == "A red thing on a white ground"
        hints = offered["ask_region"].annotations
        assert (hints.read_only_hint, hints.open_world_hint) == (True, True)
        _, answer = tools_of(library, "describe_picture", image_id=1)
        assert answer.structured_content["result"].startswith("A picture of")
        _, answer = tools_of(library, "ask_region", segment_id=9000, question="What is it?")
        assert answer.is_error
        assert "no segment 9000" in str(answer.content)
    with open_small_service(tmp_path / "library") as library:
        assert not {"ask_region", "describe_picture"} & set(tools_of(library)[0])


def test_a_server_that_ends_waits_for_no_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The endpoint would go on for ever, and the question for ten minutes."""
    monkeypatch.setattr("segsearch_api.server.SHUTDOWN_SECONDS", 1)
    start = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{"
    with (
        dripping_server(start, b" ") as (url, accepted),
        library_at(
            tmp_path, None, caption_url=url, caption_model="m", caption_seconds=600.0
        ) as library,
        bind("127.0.0.1", 0) as listening,
    ):
        server = make_server(create_app(library))
        thread = threading.Thread(target=server.run, args=[[listening]])
        thread.start()
        address = url_of("127.0.0.1", listening.getsockname()[1])
        codes: list[int] = []

        def ask() -> None:
            with suppress(httpx.HTTPError):  # it may be cut off
                path = f"{address}/v1/segments/1/ask"
                codes.append(httpx.post(path, json={"question": "What?"}, timeout=300).status_code)

        asking = threading.Thread(target=ask)
        asking.start()
        deadline = time.monotonic() + 60
        while not accepted and time.monotonic() < deadline:
            time.sleep(0.02)
        assert accepted
        server.should_exit = True
        thread.join(120)
        assert not thread.is_alive()
        asking.join(60)
    assert 200 not in codes
    assert len(accepted) == 1
