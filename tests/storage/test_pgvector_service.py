"""A library on PostgreSQL whose rows lie in pgvector, as a whole service asks it."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from segsearch.cli.commands.move import migrate_store
from segsearch.core.filters import Filters
from segsearch.core.mix import Mix
from segsearch.core.query import Prefer, Query, SceneQuery, Slot, terms_of_words
from segsearch.core.status import RowLayout
from segsearch.library import SegSearch
from segsearch.search import engine
from segsearch.storage.catalog.backend import Server
from segsearch.storage.catalog.sql_catalog import Catalog
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
        for service in (own, twin):
            assert service.index([pictures]).indexed == 12
            service.catalog.tag_images([2, 3, 5], add=["kept"])
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
