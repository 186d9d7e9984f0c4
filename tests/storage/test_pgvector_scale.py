"""Many rows in pgvector: a walk along the graph, filters beside the distance, whoever writes."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import psycopg
import pytest
import sqlalchemy as sa
from cachetools import LRUCache

from segsearch.core.arrays import Vector
from segsearch.core.errors import EngineError
from segsearch.core.filters import Filters
from segsearch.core.mix import Mix
from segsearch.core.settings import Settings
from segsearch.core.status import RowLayout
from segsearch.search.passing import _OfRecipe
from segsearch.storage.catalog.backend import Server
from segsearch.storage.catalog.postgres import kept_rows
from segsearch.storage.catalog.postgres.kept_rows import ALONG, USUAL
from segsearch.storage.catalog.postgres.row_graphs import set_for
from segsearch.storage.catalog.sql_catalog import Catalog
from segsearch.storage.index.allowed import Allowed
from segsearch.storage.index.pgvector import PgvectorIndex
from segsearch.storage.indexes import open_index
from tests.support.many_rows import MANY, clumped, fill
from tests.support.query_plans import statements
from tools.postgres_server import MADE, PostgresServer


@pytest.fixture(scope="module")
def many(
    postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Catalog, PgvectorIndex]]:
    """30,000 regions of 1,000 pictures, with a graph."""
    address = postgres.create_database("many", like=MADE)
    catalog = Catalog(Server(address, tmp_path_factory.mktemp("many")))
    fill(catalog, 1_000, 30)
    settings = Settings(library=catalog.folder, index="pgvector")
    index = open_index(settings, catalog, lambda _: Mix(0.4, 0.4, 0.2))
    assert isinstance(index, PgvectorIndex)
    assert not index.open((1, MANY)).is_settled
    index.settle((1, MANY))
    with psycopg.connect(address, autocommit=True) as db:
        db.execute("ANALYZE")
    yield catalog, index
    catalog.close()
    postgres.drop_database("many")


LARGE = (1, MANY)
FILTERS = {
    "none": None,
    "half of the regions": Filters(min_predicted_iou=0.85),
    "a third of the pictures": Filters(image_ids=tuple(range(1, 334))),
    "by a tag": Filters(no_tags=("kept",)),
    "by a collection": Filters(collections=("some",)),
    "by a path": Filters(paths=("/[1-7]*",)),
}


def passing(catalog: Catalog, *filters: Filters, **more: Any) -> Allowed:
    def find() -> Any:
        return catalog.segments_passing(1, filters)

    return Allowed(filters, find, asks=_OfRecipe(catalog, 1, LRUCache(9), threading.Lock()), **more)


@pytest.fixture(scope="module")
def sorted_out(many: tuple[Catalog, PgvectorIndex]) -> None:
    catalog, _ = many
    catalog.tag_images(list(range(1, 200)), add=["kept"])
    catalog.create_collection("some")
    catalog.add_to_collection("some", list(range(100, 700)))


@pytest.mark.usefixtures("sorted_out")
@pytest.mark.parametrize("name", FILTERS)
def test_a_search_walks_along_the_graph(name: str, many: tuple[Catalog, PgvectorIndex]) -> None:
    catalog, index = many
    chosen, query = FILTERS[name], clumped(1, 99)[0]
    allowed = None if chosen is None else passing(catalog, chosen)
    if allowed is not None:
        assert 5_000 < allowed.count < 29_000
    plan = _plan(index, query, allowed)
    assert "Index Scan using segment_row_1_graph" in plan
    assert "Seq Scan on segment_row_1" not in plan


def _plan(index: PgvectorIndex, query: Vector, allowed: Allowed | None) -> str:
    generation = index._current(LARGE)
    with index._rows._reading() as db:
        set_for(db, USUAL | ALONG)
        asked = kept_rows.best_rows(generation, query, 10, allowed, 142)
        compiled = asked.compile(dialect=db.dialect, compile_kwargs={"literal_binds": True})
        return "\n".join(db.exec_driver_sql(f"EXPLAIN {compiled}").scalars())


@pytest.mark.usefixtures("sorted_out")
def test_recall_is_measured_with_and_without_filters(
    many: tuple[Catalog, PgvectorIndex],
) -> None:
    catalog, index = many
    assert index.open(LARGE).layout is RowLayout.GRAPH
    queries = clumped(40, 1_234)
    shares: dict[str, list[float]] = {}
    for name, chosen in FILTERS.items():
        for query in queries[: 40 if chosen is None else 12]:
            allowed = None if chosen is None else passing(catalog, chosen)
            scores, ids = index.search(LARGE, query, 10, allowed)
            best = index._rows._best(index._current(LARGE), query, 10, allowed)
            assert len(ids) == 10
            assert scores == sorted(scores)[::-1]
            if allowed is not None:
                assert allowed.has(np.array(ids)).all()
            shares.setdefault(name, []).append(len({*ids} & {*best[1]}) / 10)
    means = {name: float(np.mean(share)) for name, share in shares.items()}
    assert min(means.values()) > 0.95, means


def test_what_few_pass_is_complete_and_exact(many: tuple[Catalog, PgvectorIndex]) -> None:
    catalog, index = many
    one_in_a_hundred = passing(catalog, Filters(image_ids=tuple(range(5, 1_000, 100))))
    assert one_in_a_hundred.count == 300
    query = clumped(1, 77)[0]
    (scores, ids), best = (
        index.search(LARGE, query, 300, one_in_a_hundred),
        index.exact(LARGE, query[None], 30_000)[0],
    )
    chosen = one_in_a_hundred.has(best[1])
    assert ids == best[1][chosen].tolist()
    assert scores == pytest.approx(best[0][chosen].tolist(), abs=1e-5)


@pytest.mark.parametrize("k", [1, 100, 1_500, 2_900, 9_000, 30_001])
def test_however_many_are_asked_for_they_are_there(
    k: int, many: tuple[Catalog, PgvectorIndex]
) -> None:
    _, index = many
    query = clumped(1, 78)[0]
    scores, ids = index.search(LARGE, query, k)
    assert len(ids) == len(set(ids)) == min(k, 30_000)
    best = index.exact(LARGE, query[None], k)[0]
    assert len({*ids} & {*best[1].tolist()}) >= 0.95 * len(ids)
    assert scores == sorted(scores)[::-1]


def test_where_the_nearest_may_not_answer_the_rest_is_complete(
    many: tuple[Catalog, PgvectorIndex],
) -> None:
    """A walk would have to pass all of the nearest by: where it is too long, each is compared."""
    _, index = many
    query = clumped(1, 79)[0]
    best = index.exact(LARGE, query[None], 9_020)[0]
    far = np.setdiff1d(np.arange(1, 30_001), best[1][:9_000])
    allowed = Allowed.of_ids(far).without(best[1][9_002:9_003])
    ids = index.search(LARGE, query, 15, allowed)[1]
    assert ids == [*best[1][9_000:9_002].tolist(), *best[1][9_003:9_016].tolist()]


def test_a_search_fetches_what_it_gives_and_no_more(
    many: tuple[Catalog, PgvectorIndex],
) -> None:
    catalog, index = many
    allowed = passing(catalog, Filters(min_predicted_iou=0.85))
    fetched: list[int] = []

    def note(_connection: Any, cursor: Any, *_: Any) -> None:
        fetched.append(max(0, cursor.rowcount))

    sa.event.listen(catalog._engine, "after_cursor_execute", note)
    with statements() as sent:
        assert allowed.count > 10_000
        index.search(LARGE, clumped(1, 80)[0], 20, allowed)
        assert allowed.has(np.arange(1, 60)).sum() < 59
        assert allowed.page(5_000, 30).size == 30
    sa.event.remove(catalog._engine, "after_cursor_execute", note)
    assert max(fetched) <= 60
    assert len(sent) < 20


def test_adding_and_removing_beside_searches_never_shows_what_is_gone(
    many: tuple[Catalog, PgvectorIndex],
) -> None:
    catalog, index = many
    query, ended, wrong = clumped(1, 81)[0], threading.Event(), list[str]()

    def search() -> None:
        while not ended.is_set():
            gone = set(removed)
            ids = index.search(LARGE, query, 50)[1]
            if len(ids) != 50 or gone & set(ids):
                wrong.append(f"{len(ids)} hits, {gone & set(ids)} of them gone")

    removed: list[int] = []
    threads = [threading.Thread(target=search) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(12):
        best = index.search(LARGE, query, 3)[1]
        assert catalog.remove_segments(best) == 3
        removed += best
    ended.set()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert index.ids(LARGE).size == 30_000 - 36


def test_a_build_that_is_killed_is_made_again_and_two_build_one(
    many: tuple[Catalog, PgvectorIndex],
) -> None:
    """The last of these tests: it takes the graph away."""
    catalog, index = many
    server = catalog.place
    assert isinstance(server, Server)
    found = index.search(LARGE, clumped(1, 82)[0], 5)
    with psycopg.connect(server.address, autocommit=True) as db:
        db.execute("DROP INDEX segment_row_1_graph")
        building = threading.Thread(target=_ignoring, args=(index,))
        building.start()
        asked = "SELECT pid FROM pg_stat_activity WHERE query LIKE 'CREATE INDEX CONCURRENTLY%'"
        asked += " AND state = 'active'"
        deadline = time.monotonic() + 60
        while not (row := db.execute(asked.encode()).fetchone()) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert row is not None
        assert not index._rows.build_graph(index._current(LARGE), 1), "another one builds"
        assert index.search(LARGE, clumped(1, 82)[0], 5) == found, "compared with each"
        db.execute("SELECT pg_terminate_backend(%s)", row)
        building.join()
    assert any("not built to its end" in problem for problem in index.problems(LARGE))
    assert index.open(LARGE).layout is RowLayout.FLAT
    assert not index.open(LARGE).is_settled
    threads = [threading.Thread(target=index.settle, args=(LARGE,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert index.open(LARGE).layout is RowLayout.GRAPH
    assert not any("not built" in problem for problem in index.problems(LARGE))


def _ignoring(index: PgvectorIndex) -> None:
    try:
        index.settle(LARGE)
    except EngineError:
        return
