"""A library that moves to another engine is the same there, and finds the same."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import Connection, Table

from segsearch.core.errors import BusyError, ConflictError, LibraryMissingError
from segsearch.core.filters import Filters
from segsearch.core.query import Query, SegmentTerm, terms_of_words
from segsearch.core.types import FileStamp, Origin, Recipe
from segsearch.library import SegSearch
from segsearch.storage.catalog import copying
from segsearch.storage.catalog.backend import Place, Server
from segsearch.storage.catalog.copying import CopiedTable
from segsearch.storage.catalog.postgres import backend
from segsearch.storage.catalog.sql_catalog import Catalog
from tests.support.described import RECIPE, describe
from tests.support.index_engines import ENGINES
from tests.support.ingest_processes import paint_many
from tests.support.small_models import ReadingModels, open_small_service
from tests.support.written import write

PICTURES = 30
COLOURS = ("red", "green", "blue", "yellow")


@pytest.fixture(scope="module")
def painted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a library with tags, collections, captions, text, and gaps among its ids."""
    folder = tmp_path_factory.mktemp("painted")
    pictures = paint_many(folder / "pictures", PICTURES)
    with open_small_service(folder / "library", models=ReadingModels()) as service:
        assert service.index([pictures]).indexed == PICTURES
        service.remove(image_ids=[3, PICTURES])
        catalog = service.catalog
        catalog.tag_images([1, 2, 5], add=["Straße", "b"])
        catalog.create_collection("kept")
        catalog.add_to_collection("kept", [4, 5, 6])
        for number in (1, 5, 9):
            catalog.add_caption(number, f"A cosy picture no {number}", Origin("m", "h", "0" * 64))
        write(catalog, {4: [("Open 24 hours", 0)], 7: [("Menu", 1), ("日本語", 1)]})
    return folder / "library"


def answers(service: SegSearch) -> list[list[tuple[int, float]]]:
    """What fifty queries find: ids and scores."""
    queries = [Query(terms_of_words(colour), limit=20) for colour in COLOURS]
    queries += [Query((SegmentTerm(number),), limit=15) for number in range(7, 37)]
    for filters in (
        Filters(tags=("strasse",)), Filters(collections=("KEPT",)), Filters(has_text=True),
        Filters(min_area=0.05), Filters(places=("left",)), Filters(paths=("*/00?.png",)),
        Filters(no_tags=("b",)), Filters(box=(0.0, 0.0, 0.5, 0.5)), Filters(image_ids=(1, 2, 9)),
    ):  # fmt: skip
        queries.append(Query(terms_of_words("red"), limit=20, filters=filters))
    words = ("text:open", 'text:"24 hours"', "text:men*", "text:日本", "red -text:open", "text:enu",
             "text:nothing")  # fmt: skip
    queries += [Query(terms_of_words(text), limit=20) for text in words]
    found = [service.search(query).hits for query in queries]
    return [[(hit.segment.id, hit.score) for hit in hits] for hits in found]


def assert_alike(one: list[list[tuple[int, float]]], other: list[list[tuple[int, float]]]) -> None:
    for mine, theirs in zip(one, other, strict=True):
        assert dict(mine) == pytest.approx(dict(theirs), abs=1e-3)
        for (first, score), (second, _) in zip(mine, theirs, strict=True):
            assert first == second or dict(theirs)[first] == pytest.approx(score, abs=1e-3)


@pytest.mark.parametrize("engine", ["exact", "pgvector", "pgvector small"])
def test_the_twin_on_a_server_and_the_twin_of_the_twin_find_the_same(
    engine: str, painted: Path, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ENGINES[engine].set_limits(monkeypatch)
    with open_small_service(painted, engine="faiss") as service:
        expected, counts = answers(service), service.catalog.counts()
        known = service.catalog.facets(1)
        assert len(expected) == 50
        assert sum(map(bool, expected)) > 40
        with open_small_service(server.folder, address=server.address, engine=engine) as twin:
            tables = twin.catalog.copy_from(service.catalog)
            twin.settle()
            assert twin.catalog.counts() == counts
            assert twin.catalog.facets(1) == known
            assert twin.maintenance.verify() == []
            assert_alike(answers(twin), expected)
            found = twin.catalog.search_captions("cosy pictures", 10)
            assert found == service.catalog.search_captions("cosy pictures", 10)
            with open_small_service(tmp_path / "back", engine="faiss") as back:
                assert back.catalog.copy_from(twin.catalog) == tables
                assert back.catalog.counts() == counts
                assert back.maintenance.verify() == []
                assert answers(back) == expected
    sums = {table.name: table for table in tables}
    assert sums["segment"].rows == counts["segments"]
    assert sums["caption"].rows == 2, "one went with its picture"


def test_no_id_is_given_out_again(painted: Path, place: Place) -> None:
    source, target = Catalog(painted / "catalog.sqlite"), Catalog(place)
    target.copy_from(source)
    newest = source.newest_segment()
    with closing(sqlite3.connect(painted / "catalog.sqlite")) as db:
        ((given,),) = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'segment'")
        ((images,),) = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'image'")
    assert given > newest, "the last picture was removed"
    target.record_file("/new.png", FileStamp(1, 1), "f" * 64, 1)
    claim = target.claim(1, "me", 60)
    assert claim is not None
    assert claim.image_id == images + 1 == PICTURES + 1
    assert target.commit(claim, describe(1, 3))
    assert [one.id for one in target.segments_of(claim.image_id)] == [
        given + 1, given + 2, given + 3,
    ]  # fmt: skip
    source.close()
    target.close()


def _copy_and_die(source: Path, target: Place, rows: int) -> None:
    copying.PAGE_ROWS = 10
    seen = 0

    def progress(_table: str, count: int) -> None:
        nonlocal seen
        seen += count
        if seen >= rows:
            os.kill(os.getpid(), signal.SIGKILL)

    Catalog(target).copy_from(Catalog(source), progress)


def test_killed_halfway_it_goes_on(painted: Path, place: Place) -> None:
    source = painted / "catalog.sqlite"
    for rows in (15, 60, 200):
        process = multiprocessing.get_context("spawn").Process(
            target=_copy_and_die, args=(source, place, rows)
        )
        process.start()
        process.join()
        assert process.exitcode == -9
    one, other = Catalog(source), Catalog(place)
    copied = list[str]()
    tables = other.copy_from(one, lambda table, _rows: copied.append(table))
    assert "image" not in copied, "it is there already"
    assert other.counts() == one.counts()
    assert sum(table.rows for table in tables) > 300
    assert list(other.problems((1, _recipe(other)))) == []
    one.close()
    other.close()


def _recipe(catalog: Catalog) -> Recipe:
    active = catalog.active_recipe()
    assert active is not None
    return active[1]


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Catalog, Catalog]]:
    one, other = Catalog(tmp_path / "one.sqlite"), Catalog(tmp_path / "other.sqlite")
    yield one, other
    one.close()
    other.close()


def stored(catalog: Catalog, number: int) -> None:
    catalog.register_recipe(RECIPE)
    catalog.record_file(f"/{number}.jpg", FileStamp(1, 1), f"{number:064x}", 1)
    claim = catalog.claim(1, "me", 60)
    assert claim is not None
    assert catalog.commit(claim, describe(number, 3))


def test_what_cannot_be_copied_is_refused(pair: tuple[Catalog, Catalog], tmp_path: Path) -> None:
    one, other = pair
    with pytest.raises(LibraryMissingError, match="empty"):
        other.copy_from(one)
    stored(one, 1)
    stored(other, 2)
    with pytest.raises(ConflictError, match="holds pictures"):
        other.copy_from(one)
    third = Catalog(tmp_path / "third.sqlite")

    def stop(table: str, _rows: int) -> None:
        if table == "source":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        third.copy_from(one, stop)
    with pytest.raises(ConflictError, match="part of another"):
        third.copy_from(other)
    one.tag_images([1], add=["new"])  # what is copied already is another one now
    one.remove_images([1])
    stored(one, 3)
    with pytest.raises(BusyError, match="was changed while it was copied"):
        third.copy_from(one)
    third.close()


def test_vectors_and_masks_come_bit_by_bit(pair: tuple[Catalog, Catalog]) -> None:
    one, other = pair
    for number in range(4):
        stored(one, number)
    other.copy_from(one)
    assert other.segments() == one.segments()
    (mine,), (theirs,) = one.vectors(1), other.vectors(1)
    np.testing.assert_array_equal(mine.context, theirs.context)
    np.testing.assert_array_equal(mine.masked, theirs.masked)
    np.testing.assert_array_equal(mine.picture, theirs.picture)
    assert other.identity().split("/")[0] == one.identity().split("/")[0]
    assert other.identity() != one.identity(), "from here on they part"


def test_a_library_that_takes_long_to_read_is_copied_to_and_from_a_server(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever writes may stand still for ten seconds and no longer, but for this."""
    monkeypatch.setattr(backend, "QUEUE_UP", backend.QUEUE_UP.replace("'10s'", "'1s'"))
    made = Catalog(tmp_path / "first.sqlite")
    made.register_recipe(RECIPE)
    made.record_file("/a.jpg", FileStamp(1, 1), "0" * 64, 1)
    waits: list[str] = []
    summed = copying._summed

    def slowly(table: str, _rows: int) -> None:
        if len(waits) < 2:
            waits.append(table)
            time.sleep(1.2)

    def slowly_summed(db: Connection, table: Table) -> CopiedTable:
        slowly(table.name, 0)
        return summed(db, table)

    monkeypatch.setattr(copying, "_summed", slowly_summed)
    there, back = Catalog(server), Catalog(tmp_path / "second.sqlite")
    there.copy_from(made)
    assert len(waits) == 2
    waits.clear()
    back.copy_from(there, slowly)
    assert len(waits) == 2
    assert back.images()[0].paths == ("/a.jpg",)
    for catalog in (made, there, back):
        catalog.close()
