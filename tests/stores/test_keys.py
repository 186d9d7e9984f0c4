"""API keys of a library on PostgreSQL open, and end, on all of its nodes."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest
from fastapi.testclient import TestClient
from sqlalchemy.event import listen
from typer.testing import CliRunner

from segsearch.cli.app import app
from segsearch.core.errors import OpenAddressError
from segsearch.storage.api_keys import Scope
from segsearch.storage.catalog.postgres.keys import FRESH_SECONDS
from segsearch_api import server
from segsearch_api.app import create_app
from tests.support.small_models import open_small_service
from tools.postgres_server import PostgresServer

Nodes = tuple[TestClient, TestClient]


@pytest.fixture
def nodes(address: str, tmp_path: Path) -> Iterator[Nodes]:
    with ExitStack() as opened:

        def open_node(name: str) -> TestClient:
            service = opened.enter_context(open_small_service(tmp_path / name, address=address))
            made = create_app(service, need_key=True)
            return opened.enter_context(TestClient(made, base_url="http://localhost"))

        yield open_node("one"), open_node("two")


def bearer(text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}"}


def test_a_key_opens_on_all_nodes_and_ends_on_all(nodes: Nodes, address: str) -> None:
    one, two = nodes
    runner = CliRunner()
    made = runner.invoke(app, ["--library", address, "keys", "create", "root", "--scope", "admin"])
    root = bearer(made.stdout.strip())
    key = one.post("/v1/keys", json={"name": "laptop", "scope": "read"}, headers=root).json()
    laptop = bearer(key["key"])
    for node in nodes:
        assert node.get("/v1/images").status_code == 401
        assert node.get("/v1/images", headers=laptop).status_code == 200
        assert node.delete("/v1/images/1", headers=laptop).status_code == 403
        names = [one["name"] for one in node.get("/v1/keys", headers=root).json()["keys"]]
        assert names == ["root", "laptop"]
    signed_in = two.post("/v1/session", json={"key": key["key"]})
    assert (signed_in.status_code, signed_in.json()["key"]) == (200, "laptop")
    assert one.delete(f"/v1/keys/{key['id']}", headers=root).status_code == 200
    assert one.get("/v1/images", headers=laptop).status_code == 401
    time.sleep(FRESH_SECONDS)
    assert two.get("/v1/images", headers=laptop).status_code == 401
    two.cookies.clear()
    listed = runner.invoke(app, ["--library", address, "keys", "list", "--json"])
    assert '"trusted": true' in listed.stdout


def test_requests_that_follow_each_other_ask_the_database_for_the_key_once(nodes: Nodes) -> None:
    one, _ = nodes
    library = one.app.state.shared.library  # type: ignore[attr-defined]  # a Starlette app
    _, text = library.catalog.keys.create("laptop", Scope.READ)
    asked: list[str] = []
    listen(library.catalog._engine, "before_cursor_execute", lambda *g: asked.append(str(g[2])))
    began = time.monotonic()
    for _ in range(10):
        assert one.get("/v1/images", headers=bearer(text)).status_code == 200
    took = time.monotonic() - began
    about_keys = sum("api_key" in statement for statement in asked)
    assert 1 <= about_keys <= 1 + took / FRESH_SECONDS


def test_while_a_key_is_waited_for_others_are_answered(nodes: Nodes, address: str) -> None:
    """The database holds the table back: whoever shows a key waits beside the event loop."""
    one, _ = nodes
    library = one.app.state.shared.library  # type: ignore[attr-defined]  # a Starlette app
    _, text = library.catalog.keys.create("laptop", Scope.READ)
    answers: list[int] = []

    def show() -> None:
        answers.append(one.get("/v1/images", headers=bearer(text)).status_code)

    with psycopg.connect(address) as db:
        db.execute("LOCK TABLE api_key IN ACCESS EXCLUSIVE MODE")
        waiting = threading.Thread(target=show)
        waiting.start()
        for _ in range(5):
            assert one.get("/healthz").status_code == 200
        assert answers == []
    waiting.join()
    assert answers == [200]


def test_a_server_says_that_keys_came_with_a_dump(
    postgres: PostgresServer, address: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with open_small_service(tmp_path / "one", address=address) as service:
        key, _ = service.catalog.keys.create("laptop", Scope.READ)
    restored = postgres.copy_database(address, "nodes_restored")
    runner = CliRunner()
    listed = runner.invoke(app, ["--library", restored, "keys", "list"])
    assert "came with a dump" in " ".join(listed.stdout.split())
    with open_small_service(tmp_path / "two", address=restored) as service:
        with pytest.raises(OpenAddressError, match="keys trust"):
            server._check_keys(service.catalog.keys, service.settings, "0.0.0.0")  # noqa: S104
        assert "open nothing (1)" in caplog.text
        trusted = runner.invoke(app, ["--library", restored, "keys", "trust", key.id])
        assert "opens again" in trusted.stdout, trusted.output
        server._check_keys(service.catalog.keys, service.settings, "0.0.0.0")  # noqa: S104
    postgres.drop_database("nodes_restored")
