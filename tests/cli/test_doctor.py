"""`segsearch doctor` tells what is here, and measures the index against an exact search."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchmarks.large_library import RegionVectors, fill
from segsearch.cli.app import app
from segsearch.core.settings import Settings
from segsearch.library import open_library
from segsearch.models.loading import PresetModels
from segsearch.models.presets import preset
from segsearch.storage.catalog.sql_catalog import Catalog
from segsearch.storage.index import faiss, inverted


def doctor(library: Path, *arguments: str) -> str:
    result = CliRunner().invoke(app, ["--library", str(library), "doctor", *arguments])
    assert result.exit_code == 0, result.output
    return result.output


def test_without_a_library_it_says_what_is_installed(tmp_path: Path) -> None:
    text = doctor(tmp_path / "none")
    assert "faiss-" in text
    assert "There is no library" in text
    assert "recall" not in text


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """40 pictures of 50 regions, described under the embedded models' recipe."""
    recipe = PresetModels(preset("demo"), Settings(library=tmp_path)).recipe
    catalog = Catalog(tmp_path / "catalog.sqlite")
    fill(catalog, recipe, RegionVectors.random(recipe.dimension, 300), 40)
    catalog.close()
    return tmp_path


@pytest.mark.slow
def test_an_index_that_misses_much_is_told_from_one_that_does_not(
    library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = json.loads(doctor(library, "--recall", "--json"))
    assert report["index"] == "2,000 regions, comparing with each (faiss)"
    assert [found["mean"] for found in report["recall"]] == [1.0, 1.0, 1.0]
    assert not any("miss" in advice for advice in report["advice"])
    monkeypatch.setattr(faiss, "SETTLED_FROM", 100)
    monkeypatch.setattr(inverted, "LOOKED_AT", 0.0)
    monkeypatch.setattr(inverted, "LOOKED_AT_LEAST", 0)
    monkeypatch.setattr(inverted, "LOOKED_AT_PER_ROW", 1)
    monkeypatch.setattr(inverted, "CANDIDATES", 0)
    monkeypatch.setattr(inverted, "COMPARED_ALONE", 0)
    assert "puts it in order" in doctor(library)
    with open_library(Settings(library=library)) as opened:
        opened.settle()
    report = json.loads(doctor(library, "--recall", "--json"))
    assert report["index"] == "2,000 regions, by lists of alike ones (faiss)"
    words, regions, filtered = report["recall"]
    assert words["mean"] < 0.9
    assert words["worst"] <= words["mean"]
    assert regions["asked"] == "regions"
    assert filtered["mean"] < 0.9
    assert any("Searches by words miss" in advice for advice in report["advice"])
