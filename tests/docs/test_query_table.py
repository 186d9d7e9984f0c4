"""Every row of the table of ways to ask is run as it stands, with the embedded models."""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from pydantic import TypeAdapter
from typer.testing import CliRunner

import segsearch
from segsearch import SegSearch, Settings, open_library
from segsearch.cli.app import app
from segsearch.cli.demo.run import PICTURES
from segsearch.core import query
from segsearch.export.coco import coco_document
from segsearch.export.render import cutout_png
from segsearch.search.scene_assignment import check_scene
from segsearch.search.schema import SceneRequest
from segsearch_api.app import create_app
from tests.support.documents import ROOT, blocks, code, section, table

pytestmark = pytest.mark.slow

QUERIES = "docs/queries.md"
ROWS = table(QUERIES, "Ways to ask")
SHOWN = ("photo-cat.jpg", "photo-coffee.jpg", "scene-00.jpg")


@dataclass(frozen=True)
class Place:
    """A library of three pictures, a folder to stand in, and a server's client."""

    service: SegSearch
    folder: Path
    client: TestClient


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("ways")
    for number, name in enumerate(SHOWN):
        shutil.copy(PICTURES / name, folder / f"{number}.jpg")
    shutil.copy(PICTURES / SHOWN[0], folder / "q.jpg")
    (folder / "2.jpg").rename(folder / "photo.jpg")
    with open_library(Settings(library=folder / "library"), create=True) as service:
        service.index([folder / "0.jpg", folder / "1.jpg"])
        service.index([folder / "photo.jpg"])
        with TestClient(create_app(service), base_url="http://localhost") as client:
            yield Place(service, folder, client)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_each_way_is_run(row: list[str], place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place.folder)
    line, route, call = (code(cell) for cell in row[1:])
    assert line or route or call
    if call:
        assert run_python(place, call) is not None
    if route:
        answer = run_http(place, route)
        assert answer.is_success, answer.text
    if line:
        words = shlex.split(with_cursor(line, place))
        done = CliRunner().invoke(app, ["--library", str(place.folder / "library"), *words])
        assert done.exit_code == 0, done.output


def with_cursor(text: str, place: Place) -> str:
    """The text with a cursor of the query that it goes on with, where it holds one."""
    if "CURSOR" not in text:
        return text
    first = place.service.search(query.Query((query.TextTerm("a cup"),), limit=1))
    assert first.next_cursor
    return text.replace("CURSOR", first.next_cursor)


def run_python(place: Place, call: str) -> Any:
    names = {**vars(query), **{name: getattr(segsearch, name) for name in segsearch.__all__}}
    names |= {"library": place.service, "Path": Path}
    names |= {"coco_document": coco_document, "cutout_png": cutout_png}
    return eval(with_cursor(call, place), names)  # noqa: S307  our own table


def run_http(place: Place, route: str) -> Any:
    method, path, *body = with_cursor(route, place).split(" ", 2)
    if not body:
        return place.client.request(method, path)
    if body[0].startswith("{"):
        return place.client.request(method, path, json=json.loads(body[0]))
    field, _, name = body[0].partition("=@")
    files = {field: (name, (place.folder / name).read_bytes())}
    return place.client.request(method, path, files=files)


def test_the_scene_is_understood() -> None:
    (text,) = blocks(section(QUERIES, "Scenes"), "json")
    check_scene(TypeAdapter(SceneRequest).validate_json(text).query())


def test_a_hit_is_documented_as_it_is_printed(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place.folder)
    line = ["--library", "library", "search", "a cat", "--json"]
    hit = json.loads(CliRunner().invoke(app, line).stdout.splitlines()[0])
    (shown,) = blocks(section(QUERIES, "What an answer holds"), "json")
    assert list(json.loads(shown)) == list(hit)


@pytest.mark.parametrize("name", ["README.md", QUERIES])
def test_the_python_example_runs(
    name: str, place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my-library").symlink_to(place.folder / "library")
    (tmp_path / "Pictures").mkdir()
    shutil.copy(place.folder / "0.jpg", tmp_path / "Pictures")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (example,) = blocks((ROOT / name).read_text("utf-8"), "python")
    exec(example, {})  # noqa: S102  our own example


def test_the_table_is_there() -> None:
    assert len(ROWS) >= 20
