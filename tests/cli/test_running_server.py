"""`segsearch search` asks the server that runs for its library, and no other program."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from pydantic import TypeAdapter
from typer.testing import CliRunner

import segsearch_api.server
from segsearch.cli.app import app
from segsearch.cli.running_server import ask_running_server, document_of
from segsearch.core.filters import Filters
from segsearch.core.query import (
    ImageTerm,
    PictureTerm,
    Prefer,
    Query,
    RegionTerm,
    SegmentTerm,
    TextTerm,
    VectorTerm,
)
from segsearch.export.documents import HitDocument
from segsearch.library import SegSearch
from segsearch.search.schema import SearchRequest
from segsearch.storage.announcement import (
    FILE,
    Announcement,
    announced,
    make_announcement,
    read_announcement,
)
from segsearch.storage.index.synced import SyncedIndex
from segsearch_api.app import create_app
from segsearch_api.server import bind, make_server, url_of

pytestmark = pytest.mark.server
RED = Query((TextTerm("red"),), limit=2)


@contextmanager
def running(service: SegSearch, **options: Any) -> Iterator[tuple[FastAPI, Announcement]]:
    """A server of the library that is ready, and what its folder says of it."""
    with bind("127.0.0.1", 0) as listening:
        url = url_of("127.0.0.1", listening.getsockname()[1])
        announcement = make_announcement(url, service.settings.mix)
        made = create_app(service, announcement=announcement, **options)
        server = make_server(made)
        thread = threading.Thread(target=server.run, args=[[listening]])
        thread.start()
        try:
            while httpx.get(f"{url}/readyz").status_code != 200:
                time.sleep(0.01)
            with announced(service.settings.library, announcement):
                yield made, announcement
        finally:
            server.should_exit = True
            thread.join()


QUERIES = [
    RED,
    Query((TextTerm("red"), TextTerm("a dog", -0.5)), prefer=Prefer.ANY, near_duplicates=True),
    Query((SegmentTerm(3, 2.0), ImageTerm(1)), by_picture=True, like=(1,), unlike=(2, 4)),
    Query((VectorTerm((0.5, 0.25, -1.0)),), min_relevance=0.0, cursor="abc"),
    Query((RegionTerm(2, ((3.0, 4.5),), labels=(1,)), RegionTerm(1, box=(1, 2, 3, 4)))),
    Query((RegionTerm(2, ((3.0, 4.5),), stored=True),), captions="join"),
    Query(
        RED.terms,
        filters=Filters(
            paths=("/a/*.jpg",), tags=("x",), taken_after=datetime(2024, 1, 2),
            gps_box=(1, 2, 3, 4), min_width=20, min_area=0.25,
            cameras=("acme",), places=("top left",),
        ),
    ),
]  # fmt: skip


@pytest.mark.parametrize("query", QUERIES)
def test_the_document_of_a_query_asks_the_same(query: Query) -> None:
    body = json.dumps(document_of(query))
    assert TypeAdapter(SearchRequest).validate_json(body).query(None) == query


def test_a_query_with_a_files_bytes_stays_here() -> None:
    assert document_of(Query((TextTerm("red"), PictureTerm(b"x")))) is None
    assert document_of(Query((RegionTerm(b"x", ((1, 1),)),))) is None


@pytest.mark.parametrize("need_key", [False, True], ids=["open", "with keys"])
def test_a_running_server_answers_as_the_library_does(service: SegSearch, need_key: bool) -> None:
    with running(service, need_key=need_key):
        answer = ask_running_server(service.settings, RED)
    expected = [HitDocument.of(hit).model_dump() for hit in service.search(RED).hits]
    assert answer is not None
    assert answer["hits"] == expected
    assert len(expected) == 2
    assert answer["next_cursor"]


def test_the_file_is_its_owners_alone_and_goes_with_the_server(service: SegSearch) -> None:
    folder = service.settings.library
    with running(service) as (_, announcement):
        assert stat.S_IMODE((folder / FILE).stat().st_mode) == 0o600
        assert read_announcement(folder) == announcement
    assert not (folder / FILE).exists()


def test_the_file_of_a_later_server_stays(tmp_path: Path) -> None:
    first, later = (make_announcement(f"http://127.0.0.1:{port}", None) for port in (1, 2))
    with announced(tmp_path, first):
        with announced(tmp_path, later):
            pass
        assert read_announcement(tmp_path) is None
        with announced(tmp_path, later), announced(tmp_path, first):
            assert read_announcement(tmp_path) == first


def test_the_token_reads_and_changes_nothing(service: SegSearch) -> None:
    with running(service, need_key=True) as (_, announcement):
        bearer = {"Authorization": f"Bearer {announcement.token}"}
        assert httpx.get(f"{announcement.url}/v1/images").status_code == 401
        assert httpx.get(f"{announcement.url}/v1/images", headers=bearer).status_code == 200
        gone = httpx.delete(f"{announcement.url}/v1/images/1", headers=bearer)
        assert (gone.status_code, gone.json()["code"]) == (403, "scope_error")


WRONG: dict[str, dict[str, Any]] = {
    "another version": {"version": "0.0.0"},
    "another process answers there": {"token": "made-up"},
    "its process is gone": {"pid": 2**22 + 1},
    "nobody listens": {"url": "http://127.0.0.1:9"},
    "an address of another machine": {"url": "http://192.0.2.1:80"},
    "a name": {"url": "http://localhost:80"},
    "other weights": {"mix": [1.0, 0.0, 0.0]},
    "another machine": {"host": "elsewhere"},
    "no number": {"pid": "x"},
}


@pytest.mark.parametrize("changed", WRONG.values(), ids=WRONG.keys())
def test_who_cannot_be_the_librarys_server_is_not_asked(
    service: SegSearch, changed: dict[str, Any]
) -> None:
    file = service.settings.library / FILE
    with running(service):
        right = file.read_text()
        file.write_text(json.dumps(json.loads(right) | changed))
        assert ask_running_server(service.settings, RED) is None
        file.write_text(right)
        assert ask_running_server(service.settings, RED) is not None


def test_a_file_that_others_may_read_is_not_believed(service: SegSearch) -> None:
    with running(service):
        (service.settings.library / FILE).chmod(0o644)
        assert ask_running_server(service.settings, RED) is None


def test_a_busy_server_is_not_waited_for(service: SegSearch) -> None:
    with running(service) as (made, _):
        made.state.shared.searches.inside = 10_000
        assert ask_running_server(service.settings, RED) is None


def test_a_refused_query_is_refused_here(service: SegSearch) -> None:
    with running(service):
        assert ask_running_server(service.settings, Query((SegmentTerm(999),))) is None


def test_the_command_says_who_answered_and_prints_the_same(service: SegSearch) -> None:
    command = [sys.executable, "-m", "segsearch", "--library", str(service.settings.library)]
    asked = ["search", "red", "--limit", "2", "--json"]
    with running(service):
        told = subprocess.run(
            [*command, "--verbose", *asked], capture_output=True, text=True, check=True, timeout=120
        )
    expected = [HitDocument.of(hit).model_dump() for hit in service.search(RED).hits]
    assert [json.loads(line) for line in told.stdout.splitlines()] == expected
    assert "Answered by the server at http://127.0.0.1:" in " ".join(told.stderr.split())


def test_a_token_proves_itself_without_being_said() -> None:
    one = make_announcement("http://127.0.0.1:1", None)
    assert one.proof("a") != one.proof("b")
    assert one.token not in one.proof("a")
    assert one.proof("a") != replace(one, token="other").proof("a")  # noqa: S106  made up here


def test_serve_opens_its_library_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[SyncedIndex] = []
    served: list[SegSearch] = []

    class CountedIndex(SyncedIndex):
        def __init__(self, *given: Any) -> None:
            super().__init__(*given)
            opened.append(self)

    def end_at_once(library: SegSearch, *_: object, **__: object) -> None:
        served.append(library)

    monkeypatch.setattr("segsearch.storage.index.synced.SyncedIndex", CountedIndex)
    monkeypatch.setattr(segsearch_api.server, "serve", end_at_once)
    done = CliRunner().invoke(app, ["--library", str(tmp_path), "serve"], catch_exceptions=False)
    assert (done.exit_code, len(opened), len(served)) == (0, 1, 1)
