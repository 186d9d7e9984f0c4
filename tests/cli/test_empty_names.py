"""An empty name of a path, as a shell makes it of a variable that is not set, is refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from segsearch.cli.app import app
from segsearch.core.errors import PathError
from tests.support.ingest_processes import paint_many
from tests.support.small_models import open_small_service

COMMANDS = [
    ["index", ""],
    ["watch", ""],
    ["watch", "https://example.com/pictures"],
    ["remove", ""],
    ["tag", "", "--add", "x"],
    ["export", "--under", "", "--into", os.devnull],
    ["presets", "--measure", ""],
    ["eval", "--coco", "truth.json", "--images", ""],
]


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One whose only picture lies in the current folder."""
    with open_small_service(tmp_path / "library") as service:
        service.index([paint_many(tmp_path / "pictures", 1)])
    monkeypatch.chdir(tmp_path / "pictures")
    return tmp_path / "library"


@pytest.mark.parametrize("arguments", COMMANDS, ids=lambda words: " ".join(words))
def test_it_is_not_taken_for_the_current_folder(arguments: list[str], library: Path) -> None:
    done = CliRunner().invoke(app, ["--library", str(library), *arguments])
    assert isinstance(done.exception, PathError), done.output
    with open_small_service(library) as service:
        assert [image.tags for image in service.catalog.images()] == [()]
