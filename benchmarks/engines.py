"""Puts the engines of an index side by side, over one catalog on a real PostgreSQL.

    python -m benchmarks.engines --library LARGE

The library (`benchmarks.large_library`) is copied into a PostgreSQL server of its own. Over that
catalog its rows are searched by FAISS, by pgvector in the same database, and by a Milvus server,
one question after the other: every word by every engine, so that what else the machine does hits
all alike. Printed: how long an engine takes to be filled and to build what it searches by, how long
answers take without and with filters, how many of the ten best they hold, and how many bytes lie on
the disk for it. All of it runs in a network namespace with loopback alone, since that Milvus
listens on all interfaces; without rights to make one, Milvus is left out.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import psycopg
from pydantic import SecretStr

from benchmarks.search import FILTERED
from segsearch.core.arrays import Ids, Vector, Vectors
from segsearch.core.filters import Filters
from segsearch.core.settings import Settings
from segsearch.library import SegSearch, open_library
from segsearch.search.calibration import WORDS
from segsearch.search.vectors import Active
from segsearch.storage.catalogs import move_library
from segsearch.storage.index.allowed import Allowed
from segsearch.storage.index.library_index import LibraryIndex
from segsearch.storage.index.milvus.address import MilvusAddress
from segsearch.storage.index.milvus.index import MilvusIndex
from segsearch.storage.indexes import open_index
from tools.milvus_server import MilvusServer, is_alone, namespace
from tools.postgres_server import PostgresServer

BEST = 10
WARM = 5
QUERIES = 200
SLACK = 1e-5  # two ways to work out one product differ by rounding
ALL = "all"
MOST_SECONDS = 3_600.0  # for a Milvus to build its graphs


@dataclass
class Engine:
    """One engine: its index, how long it took to fill and to build, the bytes it takes, and by
    kind of question how long answers took (ms) and how many of the best they held."""

    name: str
    index: LibraryIndex
    bytes_on_disk: Callable[[], int]
    built: Callable[[Active], object] = lambda _: None  # waits for what is built by itself
    fill_seconds: float = 0.0
    build_seconds: float = 0.0
    milliseconds: dict[str, list[float]] = field(default_factory=dict)
    recalls: dict[str, list[float]] = field(default_factory=dict)

    def make(self, active: Active) -> None:
        """Fill it, and build what it searches by."""
        moment = time.perf_counter()
        self.index.open(active)
        self.fill_seconds = time.perf_counter() - moment
        moment = time.perf_counter()
        self.index.settle(active)
        self.built(active)
        self.build_seconds = time.perf_counter() - moment

    def ask(
        self, active: Active, kind: str, query: Vector, allowed: Allowed | None, exact: Vector
    ) -> None:
        """Ask once, and hold the answer against the best scores (k,)."""
        moment = time.perf_counter()
        scores, _ = self.index.search(active, query, BEST, allowed)
        took = (time.perf_counter() - moment) * 1000
        good = sum(score >= exact[-1] - SLACK for score in scores)
        self.milliseconds.setdefault(kind, []).append(took)
        self.recalls.setdefault(kind, []).append(min(1.0, good / exact.size))


def folder_bytes(folder: Path) -> int:
    """What lies in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def relation_bytes(address: str) -> int:
    """What the tables of rows and their graphs take in a database."""
    with psycopg.connect(address) as db:
        found = db.execute(
            "SELECT coalesce(sum(pg_total_relation_size(oid)), 0)::bigint FROM pg_class "
            "WHERE relkind = 'r' AND relname LIKE 'segment\\_row\\_%'"
        ).fetchone()
    return int(found[0]) if found else 0


def engines(
    library: SegSearch, settings: Settings, address: str, milvus: MilvusServer | None
) -> Iterator[Engine]:
    """The engines over one catalog; each is opened when it is asked for."""
    catalog, mix = library.catalog, library._index.mix
    index = settings.library / "index"

    def opened(kind: str) -> LibraryIndex:
        chosen = settings.model_copy(update={"index": SecretStr(kind)})
        return open_index(chosen, catalog, mix)

    yield Engine("FAISS", opened("faiss"), lambda: folder_bytes(index))
    yield Engine("pgvector", opened("pgvector"), lambda: relation_bytes(address))
    if milvus is not None:
        data = milvus.folder
        before = folder_bytes(data)
        there = MilvusIndex(catalog, MilvusAddress.of(milvus.address), mix)
        yield Engine(
            "Milvus", there, lambda: folder_bytes(data) - before, partial(wait_for_graphs, there)
        )


def wait_for_graphs(index: MilvusIndex, active: Active) -> None:
    """Have a Milvus seal what it was given, and wait until graphs lead through all of it."""
    name = index._follower.name(active)
    with index._store._calls() as client:
        client.flush(name, timeout=MOST_SECONDS)
        end = time.monotonic() + MOST_SECONDS
        while int(client.describe_index(name, "row")["pending_index_rows"]):
            if time.monotonic() > end:
                raise SystemExit("The Milvus does not get done with its graphs.")
            time.sleep(0.2)


def questions(library: SegSearch, active: Active) -> Iterator[tuple[str, Allowed | None]]:
    """None, and filters on predicted IoU that leave about these shares of the regions."""
    yield ALL, None
    some = library.catalog.segments(library.catalog.segment_ids_after(active[0], 0, 5_000))
    values = np.array([one.predicted_iou for one in some])
    for name, share in FILTERED.items():
        least = float(np.quantile(values, 1 - share))
        yield name, library._engine.allowed(active, Filters(min_predicted_iou=least))


def best_scores(
    index: LibraryIndex, active: Active, asked: Vectors, kinds: dict[str, Allowed | None]
) -> dict[str, list[Vector]]:
    """By kind of question, the best scores of each query (m, w), each row compared with each."""
    best = {kind: [np.empty(0, np.float32) for _ in asked] for kind in kinds}
    ids: Ids = index.ids(active)
    for start in range(0, ids.size, 65_536):
        held, rows = index.rows(active, ids[start : start + 65_536])
        products = rows @ asked.T
        for kind, allowed in kinds.items():
            chosen = products if allowed is None else products[allowed.has(held)]
            for number, column in enumerate(chosen.T):
                joined = np.concatenate((best[kind][number], column))
                best[kind][number] = -np.sort(-joined)[:BEST]
    return best


def measure(
    folder: Path, node: Path, queries: int, milvus: MilvusServer | None, postgres: str
) -> None:
    """Fill, ask and print; `node` is what a machine keeps for the library."""
    settings = Settings(library=node)
    moment = time.perf_counter()
    on_server = settings.model_copy(update={"catalog": SecretStr(postgres)})
    move_library(Settings(library=folder), on_server)
    print(f"Copied into PostgreSQL in {time.perf_counter() - moment:.0f} s.", flush=True)
    with open_library(on_server) as library:
        active = library.catalog.active_recipe()
        if active is None:
            raise SystemExit(f"{folder} is empty.")
        words = [WORDS[number % len(WORDS)] for number in range(queries + WARM)]
        vectors = library._vectors.words(active, words)
        asked = library._index.mix(active[1]).asked(vectors, 1.0)
        made = []
        for engine in engines(library, on_server, postgres, milvus):
            engine.make(active)
            print(f"{engine.name}: {engine.fill_seconds:.0f} s to fill, {engine.build_seconds:.0f} "
                  "s to build.", flush=True)  # fmt: skip
            made.append(engine)
        kinds = dict(questions(library, active))
        counts = {kind: one.count for kind, one in kinds.items() if one is not None}
        exact = best_scores(made[0].index, active, asked, kinds)
        gc.collect()
        for kind, allowed in kinds.items():
            for number, query in enumerate(asked):
                for engine in made:
                    engine.ask(active, kind, query, allowed, exact[kind][number])
        rows = made[0].index.open(active).rows
        left = ", ".join(f"{name} {n:,}" for name, n in counts.items())
        print(f"{rows:,} regions, {asked.shape[1]} numbers each, {queries} words, first {BEST}; "
              f"filters leave {left}.")  # fmt: skip
        show(made, list(kinds))


def show(made: list[Engine], kinds: list[str]) -> None:
    """The table."""
    print(f"{'':10}{'fill s':>8}{'build s':>9}{'MB':>8}", end="")
    print("".join(f"{kind:>9}: p50{'p99 ms':>8}{'recall':>8}" for kind in kinds))
    for engine in made:
        megabytes = engine.bytes_on_disk() / 1e6
        print(f"{engine.name:10}{engine.fill_seconds:8.0f}{engine.build_seconds:9.0f}"
              f"{megabytes:8.0f}", end="")  # fmt: skip
        for kind in kinds:
            middle, high = np.percentile(engine.milliseconds[kind][WARM:], [50, 99])
            recall = np.mean(engine.recalls[kind][WARM:])
            print(f"{middle:14.1f}{high:8.1f}{recall:8.3f}", end="")
        print()


def main() -> None:
    """Command line."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--library", type=Path, required=True, help="a folder")
    options.add_argument("--queries", type=int, default=QUERIES)
    chosen = options.parse_args()
    if not is_alone() and namespace() is not None:
        again = [sys.executable, "-m", "tools.milvus_server", sys.executable, "-m", __spec__.name]
        os.execv(again[0], [*again, *sys.argv[1:]])  # noqa: S606  itself, where loopback is all
    with ExitStack() as stack:
        server = stack.enter_context(PostgresServer())
        milvus = None
        if is_alone():
            milvus = MilvusServer()
            stack.callback(milvus.remove)
            milvus.start()
        node = Path(stack.enter_context(TemporaryDirectory(prefix="segsearch-engines-")))
        postgres = server.create_database("engines")
        measure(chosen.library, node, chosen.queries, milvus, postgres)


if __name__ == "__main__":
    main()
