"""A library on PostgreSQL whose rows lie in pgvector, as a whole service asks it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import psycopg
import pytest
from typer.testing import CliRunner

from segsearch.cli.app import app
from segsearch.cli.commands.move import migrate_store
from segsearch.core.arrays import DescribedPicture
from segsearch.core.errors import InputError
from segsearch.core.filters import Filters
from segsearch.core.mix import Mix
from segsearch.core.query import Prefer, Query, SceneQuery, Slot, terms_of_words
from segsearch.core.settings import Settings
from segsearch.core.status import RowLayout
from segsearch.core.types import FileStamp
from segsearch.library import SegSearch
from segsearch.models.loading import PresetModels
from segsearch.models.presets import preset
from segsearch.search import engine
from segsearch.storage.catalog.backend import Server
from segsearch.storage.catalog.sql_catalog import Catalog
from tests.support.described import describe
from tests.support.index_engines import ENGINES
from tests.support.ingest_processes import paint_many
from tests.support.small_models import open_small_service

MIX = Mix(0.4, 0.4, 0.2)


def test_no_search_fetches_the_ids_that_pass(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = paint_many(tmp_path / "pictures", 12)
    ENGINES["pgvector small"].set_limits(monkeypatch)
    monkeypatch.setattr(engine, "EXACT_IDS", -1)
    with (
        open_small_service(tmp_path / "folder", engine="faiss") as own,
        open_small_service(server.folder, address=server.address, engine="pgvector small") as twin,
    ):
        assert own.index([pictures]).indexed == 12
        own.catalog.tag_images([2, 3, 5], add=["kept"])
        twin.catalog.copy_from(own.catalog)
        twin.settle()
        answers = []
        for service in (own, twin):
            if service is twin:
                monkeypatch.setattr(Catalog, "select_segments", _refuse)
            answers.append([_found(service, filters) for filters in ASKED])
        for one, other in zip(*answers, strict=True):
            assert [number for number, _ in one] == [number for number, _ in other]
            assert dict(one) == pytest.approx(dict(other), abs=1e-3)
        assert sum(map(bool, answers[1])) >= 3
        assert all(found.mean > 0.95 for found in twin.recall())
        assert twin.index_state().layout is RowLayout.GRAPH
        status = twin.status().index
        assert status is not None
        assert (status.engine, status.behind, status.regions) == (
            "pgvector", 0, twin.catalog.counts()["segments"],
        )  # fmt: skip
        assert twin.maintenance.verify() == []


ASKED = (
    Filters(tags=("kept",)),
    Filters(no_tags=("kept",), min_area=0.01),
    Filters(places=("left",)),
    Filters(image_ids=(99,)),
)


def _refuse(*_: object) -> None:
    raise AssertionError("all ids that pass were fetched")


def _found(service: SegSearch, filters: Filters) -> list[tuple[int, float]]:
    query = Query(terms_of_words("red"), limit=9, filters=filters, prefer=Prefer.WHOLE)
    hits = [(hit.segment.id, hit.score) for hit in service.search(query).hits]
    slots = (Slot("a", terms_of_words("red")), Slot("b", terms_of_words("blue"), filters=filters))
    service.search_scene(SceneQuery(slots, filters=filters))
    page = service.regions(filters, limit=4)
    return [*hits, *((segment.id + 10_000, float(page.total)) for segment, _ in page.regions)]


def test_a_library_that_is_moved_has_its_rows_when_the_command_ends(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "own"
    with open_small_service(folder) as own:
        assert own.index([paint_many(tmp_path / "pictures", 5)]).indexed == 5
        count = own.catalog.counts()["segments"]
    monkeypatch.setenv("SEGSEARCH_CATALOG", "")
    monkeypatch.setenv("SEGSEARCH_INDEX", "pgvector")
    monkeypatch.setenv("HOME", str(tmp_path))
    with monkeypatch.context() as only:
        only.setattr("segsearch.library.mix_of", lambda *_: MIX)
        migrate_store(str(folder), server.address)
    with psycopg.connect(server.address) as db:
        assert db.execute("SELECT count(*) FROM segment_row_1").fetchone() == (count,)


def test_a_library_is_not_copied_into_a_folder_that_cannot_keep_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_small_service(tmp_path / "own") as own:
        assert own.index([paint_many(tmp_path / "pictures", 2)]).indexed == 2
    monkeypatch.setenv("SEGSEARCH_INDEX", "pgvector")
    with pytest.raises(InputError, match=r"'[^']*/twin' is a folder"):
        migrate_store(str(tmp_path / "own"), str(tmp_path / "twin"))
    assert not (tmp_path / "twin").exists()


def test_the_commands_say_how_the_rows_lie_and_take_them_away(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(*arguments: str, code: int = 0) -> str:
        result = CliRunner().invoke(app, ["--library", server.address, *arguments])
        assert result.exit_code == code, result.output
        return result.output

    ENGINES["pgvector small"].set_limits(monkeypatch)
    monkeypatch.setenv("HOME", str(tmp_path))
    recipe = PresetModels(preset("demo"), Settings(library=tmp_path)).recipe
    catalog = Catalog(server)
    catalog.register_recipe(recipe)
    for seed in range(12):
        catalog.record_file(f"/{seed}", FileStamp(1, 1), f"sha-{seed}", 1)
        claim = catalog.claim(1, "me", 60)
        assert claim is not None
        assert catalog.commit(claim, wide(seed, recipe.dimension))
    assert "not written yet" in run("status") or "faiss" in run("status")
    monkeypatch.setenv("SEGSEARCH_INDEX", "pgvector")
    run("repair", code=14)  # their files are nowhere
    assert "96 regions, along a graph of neighbours (pgvector)" in run("status")
    report = json.loads(run("doctor", "--recall", "--json"))
    assert "along a graph of neighbours (pgvector)" in report["index"]
    assert all(found["mean"] >= 0.95 for found in report["recall"])
    again = CliRunner().invoke(app, ["--library", server.address, "repair", "--drop-rows"])
    assert isinstance(again.exception, InputError)
    assert "SEGSEARCH_INDEX says pgvector" in str(again.exception)
    monkeypatch.delenv("SEGSEARCH_INDEX")
    assert "pgvector" in run("status")
    assert "The rows in pgvector were dropped." in run("repair", "--drop-rows", code=14)
    assert "pgvector" not in run("status")
    catalog.close()


def wide(seed: int, dimension: int) -> DescribedPicture:
    """`describe` with vectors of another length."""
    made, rng = describe(seed, 8), np.random.default_rng(seed)
    rows = rng.normal(size=(17, dimension)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    segments = [
        replace(segment, context=one, masked=other)
        for segment, one, other in zip(made.segments, rows[1::2], rows[2::2], strict=True)
    ]
    return replace(made, vector=rows[0], segments=tuple(segments))
