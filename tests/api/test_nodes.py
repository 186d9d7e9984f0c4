"""Two nodes that serve one library on a real PostgreSQL, each with an index of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from fastapi.testclient import TestClient

from segsearch.core.errors import RateError
from segsearch.library import SegSearch
from segsearch.storage.api_keys import Scope
from segsearch.storage.catalog.backend import Server
from segsearch.storage.catalog.sql_catalog import Catalog
from segsearch_api.app import create_app
from segsearch_api.middleware.rates import RateLimiter, SharedRates
from segsearch_api.routers.jobs import _running
from tests.support.gated_models import Gate, GatedModels
from tests.support.ingest_processes import paint_many, until
from tests.support.small_models import open_small_service
from tools.postgres_server import PostgresServer

pytestmark = [pytest.mark.process, pytest.mark.server]
PICTURES = 8
Node = Callable[..., tuple[SegSearch, TestClient]]


@pytest.fixture(scope="module")
def engine() -> Iterator[PostgresServer]:
    with PostgresServer() as server:
        yield server


@pytest.fixture
def address(engine: PostgresServer, request: pytest.FixtureRequest) -> str:
    return engine.create_database(request.node.name[:60])


@pytest.fixture
def node(address: str, tmp_path: Path) -> Iterator[Node]:
    """Starts a node by the name of its folder: its library and a client of it."""
    with ExitStack() as stack:

        def started(name: str, *, need_key: bool = False, **settings: Any) -> Any:
            service = stack.enter_context(
                open_small_service(tmp_path / name, address=address, **settings)
            )
            app = create_app(service, need_key=need_key)
            client = TestClient(app, base_url="http://localhost")
            stack.enter_context(client)
            return service, client

        yield started


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    return paint_many(tmp_path / "pictures", PICTURES)


def ready(client: TestClient) -> tuple[int, dict[str, Any]]:
    answer = client.get("/readyz")
    return answer.status_code, answer.json()


def wait_until_ready(client: TestClient) -> None:
    until(lambda: ready(client)[0] == 200)


# How far behind the log


def test_a_node_says_how_far_behind_it_is_and_a_search_brings_it_up(
    node: Node, pictures: Path
) -> None:
    filled, _ = node("a")
    filled.index([pictures / "000.png"])
    _, other = node("b")
    wait_until_ready(other)
    assert ready(other) == (200, {"status": "ok", "behind": 0})
    filled.index([pictures])
    assert ready(other) == (200, {"status": "ok", "behind": 2 * (PICTURES - 1)})
    assert other.post("/v1/search", json={"text": "red"}).json()["hits"]
    assert ready(other) == (200, {"status": "ok", "behind": 0})


def test_a_node_too_far_behind_is_not_ready_and_catches_up_though_nobody_asks(
    node: Node, pictures: Path
) -> None:
    filled, _ = node("a")
    filled.index([pictures / "000.png"])
    _, other = node("b", ready_behind=5)
    wait_until_ready(other)
    filled.index([pictures])
    status, problem = ready(other)
    assert (status, problem["code"]) == (503, "service_unavailable")
    assert problem["detail"].startswith("The index lacks 14 changes of the catalog")
    wait_until_ready(other)
    assert ready(other) == (200, {"status": "ok", "behind": 0})


def test_a_node_that_starts_far_behind_is_ready_when_it_has_caught_up(
    node: Node, pictures: Path, tmp_path: Path, address: str
) -> None:
    with open_small_service(tmp_path / "b", address=address) as before:
        before.index([pictures / "000.png"])  # and leaves a snapshot of two regions
    filled, _ = node("a")
    filled.index([pictures])
    service, other = node("b", ready_behind=5)
    assert (service.behind() == 14) or ready(other)[0] == 200
    while (answer := ready(other))[0] != 200:
        assert answer[1]["code"] == "service_unavailable"
        time.sleep(0.01)
    assert answer[1] == {"status": "ok", "behind": 0}


def test_a_node_without_the_librarys_server_is_not_ready(tmp_path: Path, pictures: Path) -> None:
    with PostgresServer() as own:
        address = own.create_database("photos")
        with (
            open_small_service(tmp_path / "a", address=address) as service,
            TestClient(create_app(service), base_url="http://localhost") as client,
        ):
            service.index([pictures])
            wait_until_ready(client)
            own.stop(at_once=True)
            status, problem = ready(client)
            assert (status, problem["code"]) == (503, "engine_error")
            own.start()
            wait_until_ready(client)
            assert client.post("/v1/search", json={"text": "red"}).json()["hits"]


# What one node hears, the others know


def test_who_signs_in_at_one_node_is_signed_in_at_all_until_the_key_goes(node: Node) -> None:
    (service, one), (_, other) = (node(name, need_key=True) for name in "ab")
    key, text = service.catalog.keys.create("page", Scope.READ)
    own = {"Origin": "http://localhost"}
    assert other.get("/v1/collections").status_code == 401
    assert one.post("/v1/session", json={"key": text}, headers=own).json()["key"] == "page"
    other.cookies = one.cookies
    assert other.get("/v1/session").json()["scope"] == "read"
    assert other.get("/v1/collections").status_code == 200
    service.catalog.keys.revoke(key.id)
    assert one.get("/v1/collections").status_code == 401
    until(lambda: other.get("/v1/collections").status_code == 401)


def test_pages_saved_searches_and_collections_go_on_at_another_node(
    node: Node, pictures: Path
) -> None:
    filled, one = node("a")
    _, other = node("b")
    filled.index([pictures])
    asked = {"text": "red", "limit": 3, "near_duplicates": True}
    whole = one.post("/v1/search", json={**asked, "limit": 6}).json()["hits"]
    first = one.post("/v1/search", json=asked).json()
    second = other.post("/v1/search", json={**asked, "cursor": first["next_cursor"]}).json()
    found = [hit["segment_id"] for hit in (*first["hits"], *second["hits"])]
    assert found == [hit["segment_id"] for hit in whole]
    page = one.get("/v1/images", params={"limit": 5}).json()
    rest = other.get("/v1/images", params={"after": page["next_after"]}).json()["images"]
    assert len(rest) == PICTURES - 5
    saved = {"address": "?q=red"}
    assert one.put("/v1/searches/mine", json=saved).is_success
    names = [each["name"] for each in other.get("/v1/searches").json()["searches"]]
    assert names == ["mine"]


def test_a_job_is_seen_and_cancelled_at_another_node(
    tmp_path: Path, node: Node, pictures: Path
) -> None:
    gate = Gate(tmp_path / "gate")
    gate.shut("pictures")
    busy, _ = node("a", models=GatedModels(gate.folder))
    watching, other = node("b")
    thread = threading.Thread(target=busy.index, args=[[pictures]])
    thread.start()
    try:
        until(lambda: bool(other.get("/v1/jobs").json()["jobs"]))
        (job,) = other.get("/v1/jobs").json()["jobs"]
        assert job["state"] == "running"
        told = _running(watching)
        assert told is not None
        assert f'"id": {job["id"]}' in told, "what the stream of events says"
        cancelled = other.post(f"/v1/jobs/{job['id']}/cancel")
        assert (cancelled.status_code, cancelled.json()["stopping"]) == (202, True)
    finally:
        gate.open("pictures")
        thread.join()
    assert other.get(f"/v1/jobs/{job['id']}").json()["state"] == "stopped"
    assert other.get("/v1/status").json()["paused"]
    assert other.post("/v1/jobs/resume").status_code == 202
    assert not busy.ingest.is_paused


# Limits


def admitted(limiters: list[RateLimiter], caller: str = "key") -> int:
    """How many requests all nodes together let through before each refuses."""
    count = 0
    for limiter in limiters:
        while True:
            try:
                limiter.take(caller, time.monotonic())
            except RateError:
                break
            count += 1
    return count


def settle(nodes: list[SharedRates]) -> None:
    for each in nodes:
        anyio.run(each.settle, "key")


def test_what_several_nodes_let_through_too_much_is_paid_back(address: str, tmp_path: Path) -> None:
    count = 4
    catalogs = [Catalog(Server(address, tmp_path / str(n))) for n in range(count)]
    limiters = [RateLimiter(60) for _ in range(count)]  # ten at once, then one a second
    nodes = [SharedRates(c, {"key": r}) for c, r in zip(catalogs, limiters, strict=True)]
    started = time.monotonic()
    let_through = admitted(limiters)
    settle(nodes)
    let_through += admitted(limiters)  # the first to settle know of fewer
    settle(nodes)
    bound = 10 + (count - 1) * 15
    assert count * 10 <= let_through <= bound + time.monotonic() - started
    later = 0
    for _ in range(6):
        time.sleep(0.4)
        later += admitted(limiters)
        settle(nodes)
    # Each by itself would let one a second through. A node that has let nothing through since it
    # settled learns with its next request what the others have.
    owed = let_through + later <= 10 + time.monotonic() - started
    assert later < count or owed
    for catalog in catalogs:
        catalog.close()


def test_callers_far_from_their_limit_are_told_of_seldom() -> None:
    rates = RateLimiter(60)
    rates.take("calm", 0.0)
    assert rates.due(1.0) == {}
    assert rates.due(5.0) == {"calm": 1}
    assert rates.due(20.0) == {}, "nothing has come since"
    for _ in range(6):
        rates.take("busy", 20.0)
    assert rates.due(20.1) == {"busy": 6}
    rates.settled({"busy": -3.0}, 20.2)
    with pytest.raises(RateError) as refused:
        rates.take("busy", 20.2)
    assert refused.value.seconds == pytest.approx(4.0)
    rates.take("busy", 24.3)


def test_two_nodes_share_the_limit_of_a_key(node: Node) -> None:
    (service, one), (_, other) = (node(n, need_key=True, rate_per_minute=60) for n in "ab")
    text = service.catalog.keys.create("page", Scope.READ)[1]
    header = {"Authorization": f"Bearer {text}"}
    clients = [one, other]

    def wait_seconds(client: TestClient) -> int:
        answer = client.get("/v1/collections", headers=header)
        return int(answer.headers.get("retry-after", "0")) if answer.status_code == 429 else 0

    for client in clients:
        until(partial(lambda client: wait_seconds(client) > 0, client))  # ten and a few
    # By itself, no node would ever make anybody wait for more than a second.
    until(lambda: max(map(wait_seconds, clients)) > 3)


def test_while_the_server_is_away_each_node_counts_for_itself(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with PostgresServer() as own:
        catalog = Catalog(Server(own.create_database("photos"), tmp_path))
        limiter = RateLimiter(60)
        node = SharedRates(catalog, {"key": limiter})
        own.stop(at_once=True)
        assert 10 <= admitted([limiter]) <= 12
        settle([node])
        assert "Each server counts requests for itself" in caplog.text
        with pytest.raises(RateError):
            limiter.take("key", limiter._buckets["key"].at)
        own.start()
        limiter.take("key", limiter._buckets["key"].at + 5.0)
        settle([node])
        assert limiter._buckets["key"].left == pytest.approx(9.0, abs=0.5), "the rest is forgotten"
        catalog.close()
