"""The page is small, whole, and made of its own files."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page

from tests.support.page_files import FILM, STATIC, files_of, imports
from tests.support.page_server import served
from tests.support.small_models import SmallModels

BUDGET_BYTES = 150_000
FILM_BUDGET_BYTES = 12_000  # beside it, for who opens a video
SERVED_LEVEL = 5  # of gzip, as the server sends
HOST = re.compile(r"""(?:\bhttps?:|(?<=["'(]))//([\w.-]+)""")
NAMESPACES = {"www.w3.org"}  # of SVG and MathML: names, never fetched
SHIPPED = [
    path for path in sorted(STATIC.rglob("*")) if path.suffix in (".html", ".css", ".js", ".svg")
]

pages = pytest.mark.parametrize("name", ["index.html", "docs.html"])
every_file = pytest.mark.parametrize(
    "file", SHIPPED, ids=lambda path: str(path.relative_to(STATIC))
)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    yield from served(tmp_path_factory.mktemp("library"), None, SmallModels())


def sizes_of(files: set[Path]) -> dict[str, int]:
    """Bytes that the server sends of each file, by its name below static/."""
    return {
        file.relative_to(STATIC).as_posix(): len(gzip.compress(file.read_bytes(), SERVED_LEVEL))
        for file in files
    }


@pages
def test_a_page_takes_at_most_150_kb(name: str) -> None:
    sizes = sizes_of(files_of(STATIC / name))
    assert len(sizes) > 3
    assert sum(sizes.values()) <= BUDGET_BYTES, sizes


def test_a_video_takes_at_most_12_kb_beside_the_page() -> None:
    page = files_of(STATIC / "index.html")
    assert FILM not in page
    sizes = sizes_of(files_of(FILM) - page)
    assert {"app/film.js", "css/film.css"} <= set(sizes)
    assert sum(sizes.values()) <= FILM_BUDGET_BYTES, sizes


@every_file
def test_what_a_file_imports_is_there(file: Path) -> None:
    assert [str(path) for path in imports(file, lazy=True) if not path.is_file()] == []


@every_file
def test_no_file_names_another_host(file: Path) -> None:
    assert set(HOST.findall(file.read_text("utf-8"))) <= NAMESPACES


@pytest.mark.browser
@pytest.mark.server
@pages
def test_a_browser_loads_what_was_counted_and_nothing_else(page: Page, url: str, name: str) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(urlsplit(request.url).path))
    page.goto(url + {"index.html": "/", "docs.html": "/docs"}[name], wait_until="networkidle")
    loaded = {STATIC.parent / path[1:] for path in asked if path.startswith("/static/")}
    assert loaded
    assert loaded <= files_of(STATIC / name)
