"""`segsearch map`: makes the map of a library or a collection, and says what is in it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from segsearch.cli.app import app
from segsearch.core.errors import LibraryMissingError, NotFoundError
from segsearch.library import SegSearch
from tests.support.mapped import FEW, mapped_library


@pytest.fixture
def service(tmp_path: Path) -> Iterator[SegSearch]:
    with mapped_library(tmp_path, FEW) as made:
        made.catalog.create_collection("Holidays")
        made.catalog.add_to_collection("Holidays", [1, 2])
        yield made


def run(service: SegSearch, *words: str) -> str:
    done = CliRunner().invoke(app, ["--library", str(service.settings.library), *words])
    assert done.exception is None, done.exception
    return done.stdout


def test_the_map_is_made_and_said(service: SegSearch) -> None:
    text = run(service, "map")
    assert f"{3 * FEW} regions laid out by the first two principal components." in text
    state = service.maps.state()
    assert (state.state, state.stale) == ("ready", False)
    document = json.loads(run(service, "map", "--json", "--collection", "holidays"))
    assert (document["method"], document["regions"]) == ("pca", 6)
    assert sum(cluster["regions"] for cluster in document["clusters"]) == 6
    assert len(service.maps.newest("Holidays").points) == 6


def test_what_is_not_there_gets_no_map(service: SegSearch, tmp_path: Path) -> None:
    for words, error in (
        (["--library", str(service.settings.library), "map", "--collection", "x"], NotFoundError),
        (["--library", str(tmp_path / "none"), "map"], LibraryMissingError),
    ):
        assert isinstance(CliRunner().invoke(app, words).exception, error)
