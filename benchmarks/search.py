"""Times searches by words over a large library beside other ways to find nearest rows.

    python -m benchmarks.large_library --like DEMO --library LARGE --regions 1000000
    python -m benchmarks.search --library LARGE --beside numpy --beside faiss-flat --beside usearch

All answer the same queries over the same rows in one process, in turn: what the machine does
meanwhile meets all of them. The product's lines are the whole call: the index, relevance, removal
of what overlaps, catalog rows, masks; the others give ids alone. `recall@10` is the share of the
ten best rows by NumPy, in float32, that come back. hnswlib and usearch are set as their documents
show them, and build on all cores (`pip install hnswlib usearch`).
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from segsearch.core.arrays import Ids, Vector, Vectors
from segsearch.core.filters import Filters
from segsearch.core.query import Query, TextTerm
from segsearch.core.settings import Settings
from segsearch.library import SegSearch, open_library
from segsearch.search.calibration import WORDS

BEST = 10
WARM = 3  # queries that are not counted
FILTERED = {"1 %": 0.01, "50 %": 0.5}
Find = Callable[[Vector], Ids]


@dataclass
class Way:
    """One way to answer: what its searches took, and how much of the exact answer they gave."""

    name: str
    find: Callable[[int], Ids]
    build_seconds: float = 0.0
    milliseconds: list[float] = field(default_factory=list)
    recalls: list[float] = field(default_factory=list)

    def ask(self, number: int, exact: Ids | None, *, counts: bool) -> None:
        """Answer query `number`, and keep how that went."""
        started = time.perf_counter()
        found = self.find(number)
        took = (time.perf_counter() - started) * 1000
        if counts:
            self.milliseconds.append(took)
            if exact is not None:
                self.recalls.append(np.intersect1d(found, exact).size / exact.size)


def numpy_exact(ids: Ids, rows: Vectors) -> Find:
    """Products of all rows, and the best of them."""

    def find(query: Vector) -> Ids:
        scores = rows @ query
        best = np.argpartition(-scores, BEST)[:BEST]
        return ids[best]

    return find


def faiss_flat(ids: Ids, rows: Vectors) -> Find:
    """`IndexFlatIP` in float32."""
    import faiss

    index = faiss.IndexFlatIP(rows.shape[1])
    index.add(rows)

    def find(query: Vector) -> Ids:
        faiss.omp_set_num_threads(os.cpu_count() or 1)
        found: Ids = ids[index.search(query[None], BEST)[1][0]]
        return found

    return find


def hnswlib_graph(ids: Ids, rows: Vectors) -> Find:
    """hnswlib with M 16, ef_construction 200, ef 100."""
    import hnswlib

    index = hnswlib.Index(space="ip", dim=rows.shape[1])
    index.init_index(max_elements=len(rows), ef_construction=200, M=16)
    index.add_items(rows, ids)
    index.set_ef(100)

    def find(query: Vector) -> Ids:
        return np.asarray(index.knn_query(query[None], k=BEST)[0][0], np.int64)

    return find


def usearch_graph(ids: Ids, rows: Vectors) -> Find:
    """usearch with float16 rows and its own defaults."""
    from usearch.index import Index

    index = Index(ndim=rows.shape[1], metric="ip", dtype="f16")
    index.add(ids, rows)

    def find(query: Vector) -> Ids:
        return np.asarray(index.search(query, BEST).keys, np.int64)

    return find


BESIDE: dict[str, Callable[[Ids, Vectors], Find]] = {
    "numpy": numpy_exact,
    "faiss-flat": faiss_flat,
    "hnswlib": hnswlib_graph,
    "usearch": usearch_graph,
}


def filters_for(library: SegSearch) -> Iterator[tuple[str, Filters]]:
    """Filters on predicted IoU that leave about these shares of the regions."""
    some = library.catalog.segments(list(range(1, 5_001)))
    values = np.array([one.predicted_iou for one in some])
    for name, share in FILTERED.items():
        yield name, Filters(min_predicted_iou=float(np.quantile(values, 1 - share)))


def megabytes() -> dict[str, int]:
    """What this process holds: all of it, and what is its own (`RssAnon`)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    sizes = {line.split(":")[0]: int(line.split()[1]) // 1024 for line in lines if "kB" in line}
    return {"all": sizes["VmRSS"], "own": sizes["RssAnon"]}


def measure(folder: Path, beside: list[str], queries: int) -> None:
    """Ask everything in turn; prints a table."""
    started = time.perf_counter()
    library = open_library(Settings(library=folder))
    active = library.catalog.active_recipe()
    if active is None:
        raise SystemExit(f"{folder} is empty.")
    library.settle()
    index, vectors = library._index, library._vectors
    library.warm()
    words = [WORDS[number % len(WORDS)] for number in range(queries + WARM)]
    asked = index.mix(active[1]).asked(vectors.words(active, words), 1.0)
    library.search(Query((TextTerm(words[0]),)))
    opened, held = time.perf_counter() - started, megabytes()

    def searched(filters: Filters) -> Callable[[int], Ids]:
        def find(number: int) -> Ids:
            answer = library.search(Query((TextTerm(words[number]),), limit=BEST, filters=filters))
            return np.array([hit.segment.id for hit in answer.hits], np.int64)

        return find

    ways = [Way("segsearch, words", searched(Filters()))]
    first: dict[str, float] = {}
    for name, filters in filters_for(library):
        moment = time.perf_counter()
        allowed = library._engine.allowed(active, filters)
        passing = index.open(active).rows if allowed is None else allowed.count
        first[name] = (time.perf_counter() - moment) * 1000
        share = passing / index.open(active).rows
        ways.append(Way(f"segsearch, a filter of {share:.0%}", searched(filters)))
    ways.append(
        Way(
            "its index alone", lambda n: np.array(index.search(active, asked[n], BEST)[1], np.int64)
        )
    )
    ids, rows = index.rows(active, index.ids(active))
    for name in beside:
        moment = time.perf_counter()
        find = BESIDE[name](ids, rows)
        took = time.perf_counter() - moment
        ways.append(Way(name, lambda number, find=find: find(asked[number]), took))  # type: ignore[misc]
    exact = [best for _, best in index.exact(active, asked, BEST)]
    for number in range(queries + WARM):
        for way in ways:
            is_alone = not way.name.startswith("segsearch")
            way.ask(number, exact[number] if is_alone else None, counts=number >= WARM)
    print(f"{ids.size:,} regions, {rows.shape[1]} numbers each, {queries} words, first {BEST}")
    print(f"Opened and first words answered after {opened:.1f} s; {held['all']} MB, of which "
          f"{held['own']} MB its own, the rest mapped files.")  # fmt: skip
    print("A filter that is new: " + ", ".join(f"{n} {ms:.0f} ms" for n, ms in first.items()))
    print(f"{'':28}{'median ms':>10}{'p95 ms':>9}{'recall@10':>11}{'build s':>9}")
    for way in ways:
        spread = np.percentile(way.milliseconds, [50, 95])
        recall = f"{np.mean(way.recalls):.3f}" if way.recalls else ""
        build = f"{way.build_seconds:.0f}" if way.build_seconds else ""
        print(f"{way.name:28}{spread[0]:10.1f}{spread[1]:9.1f}{recall:>11}{build:>9}")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--library", type=Path, required=True)
    options.add_argument("--beside", choices=BESIDE, action="append", default=[])
    options.add_argument("--queries", type=int, default=50)
    chosen = options.parse_args()
    measure(chosen.library, chosen.beside, chosen.queries)


if __name__ == "__main__":
    main()
