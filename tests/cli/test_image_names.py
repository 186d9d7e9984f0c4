"""Commands that take one picture take the same words for it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from segsearch.cli.app import app
from segsearch.core.errors import NotFoundError, PathError, QueryError
from segsearch.core.types import MAX_ID
from segsearch.library import SegSearch
from tests.support.captioned import painted
from tests.support.pdfs import coloured, write
from tests.support.vision import vision_endpoint

pytestmark = pytest.mark.server
Command = Callable[[str], Result]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SegSearch]:
    """Read by all: nothing here writes."""
    folder = tmp_path_factory.mktemp("named")
    with painted(folder) as made:
        write(folder / "two.pdf", coloured("red", "green"))
        for name, other in (("31", "0.png"), ("2", "1.png")):
            write(folder / name, (folder / "pictures" / other).read_bytes() + b" ")
        made.index([folder / "two.pdf", folder / "31", folder / "2"])
        yield made


@pytest.fixture(params=["ask", "text"])
def command(
    request: pytest.FixtureRequest, service: SegSearch, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Command]:
    monkeypatch.chdir(service.settings.library.parent)
    with vision_endpoint() as server:
        words = ["ask", "--base-url", server.url, "--model", server.model, "--image"]

        def run(name: str) -> Result:
            given = words if request.param == "ask" else ["text"]
            library = ["--library", str(service.settings.library)]
            return CliRunner().invoke(app, [*library, *given, name, "--json"])

        yield run


def test_a_number_is_an_id_and_all_else_a_path(service: SegSearch, command: Command) -> None:
    at = service.catalog.find_images
    for name, image in (
        ("2", 2),
        ("./2", at([Path("2").absolute().as_posix()])[0]),
        ("./31", at([Path("31").absolute().as_posix()])[0]),
        ("pictures/3.png", at([Path("pictures/3.png").absolute().as_posix()])[0]),
        ("two.pdf#page=2", at([Path("two.pdf#page=2").absolute().as_posix()])[0]),
    ):
        said: Any = command(name)
        assert said.exit_code == 0, (name, said.exception)
        assert json.loads(said.stdout)["image_id"] == image, name
    assert at([Path("2").absolute().as_posix()]) != [2]


@pytest.mark.parametrize(
    ("name", "error", "told"),
    [
        ("31", NotFoundError, "no image 31"),
        ("0", NotFoundError, "no image 0"),
        (str(MAX_ID * 10), NotFoundError, "no image at"),
        ("١٢", NotFoundError, "no image at"),
        ("no.png", NotFoundError, "no image at 'no.png'"),
        ("pictures", QueryError, "there are 5 images, expected one."),
        ("two.pdf", QueryError, "there are 2 images, expected one as in 'two.pdf#page=1'."),
        ("two.pdf#page=3", NotFoundError, "no image at"),
        ("", PathError, "names no path"),
    ],
)
def test_what_is_no_picture_is_one_sentence(
    command: Command, name: str, error: type[Exception], told: str
) -> None:
    said = command(name)
    assert said.exit_code != 0
    assert isinstance(said.exception, error)
    assert told in str(said.exception)
