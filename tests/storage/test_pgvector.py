"""Rows in pgvector: written with the segments, whoever is killed; asked along a graph, with filters
beside the distance; a property of the library that all of its nodes share."""

from __future__ import annotations

import multiprocessing
import os
import random
import re
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest

from segsearch.core.errors import ConflictError, EngineError, InputError, ReadOnlyError
from segsearch.core.mix import Mix
from segsearch.core.settings import Settings
from segsearch.core.types import FileStamp
from segsearch.storage.catalog.backend import Server
from segsearch.storage.catalog.postgres import kept_rows, row_tables
from segsearch.storage.catalog.sql_catalog import Catalog
from segsearch.storage.index.library_index import LibraryIndex
from segsearch.storage.index.pgvector import PgvectorIndex
from segsearch.storage.index.synced import SyncedIndex
from segsearch.storage.indexes import drop_rows, open_index
from tests.support.described import DIMENSION, RECIPE, describe
from tests.support.older_server import make_older
from tools.postgres_server import PostgresServer

MIX = Mix(0.4, 0.4, 0.2)
ACTIVE = (1, RECIPE)
QUERY = np.eye(DIMENSION, dtype=np.float32)[0]


def opened(catalog: Catalog, mix: Mix = MIX, index: str | None = "pgvector") -> LibraryIndex:
    settings = Settings(library=catalog.folder, index=index)
    return open_index(settings, catalog, lambda _: mix)


@pytest.fixture
def index(catalog: Catalog) -> LibraryIndex:
    for number in range(6):
        store(catalog, number)
    return opened(catalog)


def store(catalog: Catalog, seed: int, recipe_id: int = 1) -> int:
    catalog.record_file(f"/{seed}", FileStamp(1, 1), f"sha-{seed}", recipe_id)
    claim = catalog.claim(recipe_id, "me", 60)
    assert claim is not None
    assert catalog.commit(claim, describe(seed))
    return claim.image_id


def tables(server: Server) -> list[str]:
    with psycopg.connect(server.address) as db:
        found = db.execute(
            "SELECT relname FROM pg_class WHERE relname ~ '^segment_row_[0-9]+$' ORDER BY oid"
        )
        return [name for (name,) in found]


# A property of the library


def test_a_library_of_the_version_before_can_have_them(server: Server, catalog: Catalog) -> None:
    store(catalog, 1)
    catalog.close()
    make_older(server.address)
    upgraded = Catalog(server)
    index = opened(upgraded)
    store(upgraded, 2)
    assert index.ids(ACTIVE).tolist() == upgraded.segment_ids(1).tolist()
    assert index.problems(ACTIVE) == []
    upgraded.close()


def test_once_on_every_node_writes_rows_and_searches_them(
    server: Server, index: LibraryIndex
) -> None:
    assert isinstance(index, PgvectorIndex)
    found = index.search(ACTIVE, QUERY, 5)
    other = Catalog(server)
    silent, own = opened(other, index=None), opened(other, index="faiss")
    assert isinstance(silent, PgvectorIndex)
    assert isinstance(own, SyncedIndex)
    assert silent.search(ACTIVE, QUERY, 5) == found
    assert own.search(ACTIVE, QUERY, 5)[1] == found[1]
    image = store(other, 7)
    assert index.ids(ACTIVE).tolist() == other.segment_ids(1).tolist()
    other.remove_images([image])
    assert index.problems(ACTIVE) == []
    assert own.ids(ACTIVE).tolist() == index.ids(ACTIVE).tolist()
    other.close()


def test_a_library_says_nothing_of_it_until_a_node_turns_it_on(
    server: Server, catalog: Catalog
) -> None:
    assert isinstance(opened(catalog, index=None), SyncedIndex)
    assert tables(server) == []
    opened(catalog)
    assert isinstance(opened(catalog, index=None), PgvectorIndex)


def test_turned_off_it_leaves_nothing_and_says_so_to_who_goes_on(
    server: Server, catalog: Catalog, index: LibraryIndex
) -> None:
    index.search(ACTIVE, QUERY, 1)
    assert len(tables(server)) == 1
    assert drop_rows(catalog)
    assert not drop_rows(catalog)
    assert tables(server) == []
    store(catalog, 8)
    with pytest.raises(ConflictError, match="start this process again"):
        index.search(ACTIVE, QUERY, 1)
    assert isinstance(opened(catalog, index=None), SyncedIndex)
    again = opened(catalog)
    assert again.ids(ACTIVE).tolist() == catalog.segment_ids(1).tolist()


def test_what_cannot_be_is_one_sentence(
    postgres: PostgresServer, server: Server, catalog: Catalog, tmp_path: Path
) -> None:
    folder = Catalog(tmp_path / "catalog.sqlite")
    with pytest.raises(InputError, match="needs a library on PostgreSQL"):
        opened(folder)
    assert not drop_rows(folder)
    folder.close()
    with pytest.raises(ValueError, match="faiss, pgvector"):
        Settings(index="lucene")
    with psycopg.connect(server.address) as db:
        db.execute("DROP ROLE IF EXISTS writer")
        db.execute("CREATE ROLE writer LOGIN")
        db.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO writer")
        db.execute("GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO writer")
    role = Catalog(replace(server, address=server.address.replace("segsearch@", "writer@")))
    with pytest.raises(ReadOnlyError, match="cannot be kept in pgvector by this role"):
        opened(role)
    role.close()
    control = postgres.programs / "share" / "extension" / "vector.control"
    gone = control.with_suffix(".gone")
    control.rename(gone)
    try:
        with pytest.raises(EngineError, match=r"has none, .* install pgvector"):
            opened(catalog)
        control.write_text(gone.read_text().replace("0.8", "0.4"))
        with pytest.raises(EngineError, match=r"has 0\.4"):
            opened(catalog)
    finally:
        gone.rename(control)
    with psycopg.connect(server.address) as db:
        db.execute("DROP OWNED BY writer")


def test_a_reader_uses_rows_and_is_told_where_there_are_none(
    server: Server, index: LibraryIndex
) -> None:
    with psycopg.connect(server.address, autocommit=True) as db:
        db.execute("DROP ROLE IF EXISTS reader")
        db.execute("CREATE ROLE reader LOGIN")
        db.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader")
        mine = replace(server, address=server.address.replace("segsearch@", "reader@"))
        reading = Catalog(mine)
        with pytest.raises(ReadOnlyError, match="has no rows in pgvector yet"):
            opened(reading).search(ACTIVE, QUERY, 1)
        found = index.search(ACTIVE, QUERY, 3)
        db.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader")
        assert opened(reading).search(ACTIVE, QUERY, 3) == found
        reading.close()
        db.execute("DROP OWNED BY reader")


def test_other_weights_count_after_a_repair_and_no_search_sees_half_of_them(
    server: Server, catalog: Catalog, index: LibraryIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    index.search(ACTIVE, QUERY, 1)
    weighted = opened(catalog, Mix(1.0, 0.0, 0.0))
    assert weighted.mix(RECIPE) == MIX
    assert weighted.search(ACTIVE, QUERY, 9) == index.search(ACTIVE, QUERY, 9)
    assert any("other weights" in problem for problem in weighted.problems(ACTIVE))
    assert "other weights" in str(weighted.glance(ACTIVE)[1])
    before, seen = index.search(ACTIVE, QUERY, 18), []
    monkeypatch.setattr(kept_rows, "FILLED_ROWS", 4)
    fill_some = row_tables.fill

    def filled(*given: Any) -> Any:
        last = fill_some(*given)
        seen.append(index.search(ACTIVE, QUERY, 18))
        return last

    monkeypatch.setattr(row_tables, "fill", filled)
    assert weighted.rebuild_if_needed(ACTIVE)
    assert len(seen) > 3
    assert all(found == before for found in seen)
    assert weighted.problems(ACTIVE) == []
    assert index.mix(RECIPE) == Mix(1.0, 0.0, 0.0)
    assert index.search(ACTIVE, QUERY, 18) != before
    assert tables(server) == ["segment_row_2"]


def test_a_second_recipe_has_rows_of_its_own_until_the_first_one_goes(
    server: Server, catalog: Catalog, index: LibraryIndex
) -> None:
    index.begin(ACTIVE)
    coming = replace(RECIPE, embedder="e@2")
    second = catalog.register_recipe(coming)
    index.begin((second, coming))
    catalog.queue_all(second)
    while claim := catalog.claim(second, "me", 60):
        assert catalog.commit(claim, describe(90 + claim.image_id))
    store(catalog, 9)  # under the first
    assert index.ids((second, coming)).size == 18
    assert index.problems(ACTIVE) == []
    assert len(tables(server)) == 2
    while claim := catalog.claim(second, "me", 60):
        assert catalog.commit(claim, describe(90 + claim.image_id))
    catalog.queue_all(second)
    claim = catalog.claim(second, "me", 60)
    if claim is not None:
        assert catalog.commit(claim, describe(99))
    assert catalog.switch_recipe(second)
    assert tables(server) == ["segment_row_2"]
    assert index.problems((second, coming)) == []
    assert index.ids((second, coming)).tolist() == catalog.segment_ids(second).tolist()


def test_a_copy_by_pg_dump_has_rows_and_keeps_them(
    postgres: PostgresServer, server: Server, catalog: Catalog, index: LibraryIndex
) -> None:
    found = index.search(ACTIVE, QUERY, 9)
    copy = Catalog(Server(postgres.copy_database(server.address, "dumped_rows"), server.folder))
    theirs = opened(copy, index=None)
    assert theirs.search(ACTIVE, QUERY, 9) == found
    store(copy, 30)
    copy.remove_images([2])
    assert theirs.problems(ACTIVE) == []
    assert theirs.ids(ACTIVE).tolist() == copy.segment_ids(1).tolist()
    assert theirs.ids(ACTIVE).tolist() != catalog.segment_ids(1).tolist()
    copy.close()
    postgres.drop_database("dumped_rows")


# Whatever is killed, dropped or damaged


def _work(server: Server, seed: int) -> None:
    catalog = Catalog(server)
    rng = random.Random(seed)
    number = 1_000 * (seed + 1)
    while True:
        number += 1
        catalog.record_file(f"/{number}", FileStamp(1, 1), f"sha-{number}", 1)
        claim = catalog.claim(1, f"worker {seed}", 60)
        if claim is not None:
            catalog.commit(claim, describe(claim.image_id, rng.randint(1, 5)))
        if rng.random() < 0.3:
            catalog.remove_images([rng.randint(1, 40)])


def _fill_in(server: Server) -> None:
    kept_rows.FILLED_ROWS = 2
    catalog = Catalog(server)
    index = opened(catalog, Mix(0.2, 0.2, 0.6))
    while True:
        index.rebuild_if_needed(ACTIVE)
        index._rows.begin(ACTIVE, MIX, anew=True)  # type: ignore[attr-defined]


def test_workers_and_fillers_that_are_killed_leave_rows_equal_to_segments(
    server: Server, catalog: Catalog, index: LibraryIndex
) -> None:
    index.search(ACTIVE, QUERY, 1)
    rng, context = random.Random(5), multiprocessing.get_context("spawn")
    searched = 0
    for attempt in range(5):
        before = catalog.newest_change()
        processes = [
            context.Process(target=_work, args=(server, 3 * attempt + number)) for number in (0, 1)
        ]
        processes.append(context.Process(target=_fill_in, args=(server,)))
        for process in processes:
            process.start()
        deadline = time.monotonic() + 60
        while catalog.newest_change() < before + 40 and time.monotonic() < deadline:
            ids = index.search(ACTIVE, QUERY, 50)[1]
            assert len(set(ids)) == len(ids)
            searched += 1
        time.sleep(rng.uniform(0.0, 0.2))
        for process in processes:
            os.kill(process.pid or 0, signal.SIGKILL)
            process.join()
        assert catalog.newest_change() >= before + 40
        assert index.ids(ACTIVE).tolist() == catalog.segment_ids(1).tolist()
    assert searched > 10
    index.rebuild_if_needed(ACTIVE)
    assert index.problems(ACTIVE) == []
    assert len(tables(server)) == 1


def test_a_table_that_somebody_drops_keeps_nobody_from_working(
    server: Server, catalog: Catalog, index: LibraryIndex
) -> None:
    found = index.search(ACTIVE, QUERY, 18)
    with psycopg.connect(server.address) as db:
        db.execute("DROP TABLE segment_row_1")
    image = store(catalog, 50)
    catalog.remove_images([image])
    assert "no rows in pgvector yet" in index.problems(ACTIVE)[0]
    assert index.search(ACTIVE, QUERY, 18) == found, "they are made again"
    assert tables(server) == ["segment_row_2"]


DAMAGE = {
    "DELETE FROM segment_row_1 WHERE segment_id < 4": "misses 3 segments and holds 0",
    "UPDATE segment_row_1 SET segment_id = 900 WHERE segment_id = 4": "misses 1 .* holds 1",
    "UPDATE segment_row_1 SET mixed = (SELECT mixed FROM segment_row_1 WHERE segment_id = 2)": (
        "Of 18 rows of the index 17 are not what"
    ),
    "ALTER TABLE segment_row_1 ALTER mixed TYPE halfvec": "The rows of the index are halfvec,",
    "INSERT INTO vector_generation SELECT 9, recipe_id, mix, dimension, width, false "
    "FROM vector_generation; CREATE TABLE segment_row_9 (LIKE segment_row_1)": "being filled in",
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_is_wrong_is_said_and_put_right(
    damage: str, server: Server, index: LibraryIndex
) -> None:
    found = index.search(ACTIVE, QUERY, 18)
    with psycopg.connect(server.address) as db:
        db.execute(damage.encode())
    (said,) = index.problems(ACTIVE)
    assert re.search(DAMAGE[damage], said)
    assert index.rebuild_if_needed(ACTIVE)
    assert index.problems(ACTIVE) == []
    assert index.search(ACTIVE, QUERY, 18) == found
    assert len(tables(server)) == 1


def test_a_row_that_was_rounded_the_other_way_is_no_damage(
    server: Server, index: LibraryIndex
) -> None:
    """Sums of traits differ in their last digit by how many rows are summed up at once."""
    _, rows = index.rows(ACTIVE, index.ids(ACTIVE))
    with psycopg.connect(server.address) as db:
        for number, row in enumerate(rows.astype(np.float16), 1):
            row[number % DIMENSION] = np.nextafter(row[number % DIMENSION], np.float16(1))
            given = (str(row.astype(np.float32).tolist()), number)
            db.execute("UPDATE segment_row_1 SET mixed = %s::halfvec WHERE segment_id = %s", given)
    assert index.problems(ACTIVE) == []
    assert not index.rebuild_if_needed(ACTIVE)


def test_no_rows_are_made_by_who_has_not_heard_that_there_are_to_be_none(
    server: Server, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(2):
        store(catalog, number)
    index = opened(catalog)
    assert drop_rows(catalog)
    monkeypatch.setattr(kept_rows.KeptRows, "is_on", lambda _: True)  # as it was a moment ago
    with pytest.raises(ConflictError, match="start this process again"):
        index.search(ACTIVE, QUERY, 1)
    assert tables(server) == []


def test_a_build_that_is_called_off_is_no_error(
    server: Server, catalog: Catalog, index: LibraryIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    index.search(ACTIVE, QUERY, 1)
    monkeypatch.setattr("segsearch.storage.index.pgvector.GRAPH_FROM", 1)
    waits = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'CREATE INDEX CONC%'"
    waits += " AND wait_event_type = 'Lock' AND datname = current_database()"
    with ThreadPoolExecutor(2) as threads:
        with psycopg.connect(server.address) as writer:
            writer.execute("LOCK TABLE segment_row_1 IN ROW EXCLUSIVE MODE")  # a build waits for it
            building = threads.submit(index.settle, ACTIVE)
            with psycopg.connect(server.address, autocommit=True) as db:
                while db.execute(waits.encode()).fetchone() != (1,):
                    assert not building.done()
                    time.sleep(0.05)
            dropping = threads.submit(drop_rows, catalog)
            building.result(20)
        assert dropping.result(60)
    assert tables(server) == []
