"""Puts ways to lay out rows for a graph (HNSW) side by side: how many of the ten best they find.

    python -m benchmarks.graphs --library LARGE

The rows of a library (`benchmarks.large_library`) are linked by FAISS's HNSW, M 16 and 128 looked
at, as they are; all of one length; and of one length with what traits are worth stretched. Words
ask with the traits, and regions of the library without them, as `Mix.asked` has it. The layout that
pgvector and Milvus are given is `segsearch.storage.index.graph_rows`.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import faiss
import numpy as np

from segsearch.core.arrays import Vectors
from segsearch.core.settings import Settings
from segsearch.library import open_library
from segsearch.search.calibration import WORDS
from segsearch.storage.index.library_index import ROWS_AT_ONCE

BEST = 10
QUERIES = 100
BREADTHS = (100, 200, 400)
STRETCHES = (1, 2, 4, 8)
SLACK = 1e-5


def layouts(rows: Vectors, dimension: int) -> Iterator[tuple[str, Vectors, float]]:
    """What a layout is called, its rows, and what the query's share of the traits is divided by."""
    yield "as they are", rows, 1.0
    for stretch in STRETCHES:
        laid = rows.copy()
        laid[:, dimension] *= stretch
        lengths = np.einsum("nw,nw->n", laid, laid)
        laid[:, dimension + 1] = np.sqrt(lengths.max() - lengths)
        yield f"one length, traits x {stretch}", laid.astype(np.float16).astype(np.float32), stretch


def recall(graph: faiss.IndexHNSWFlat, rows: Vectors, queries: Vectors, asked: Vectors) -> float:
    """The share of the best rows for queries (m, w) that a graph finds, asked as it wants it."""
    _, found = graph.search(asked, BEST)
    shares = []
    for query, ids in zip(queries, found, strict=True):
        scores = rows @ query
        least = -np.partition(-scores, BEST - 1)[BEST - 1]
        shares.append(np.mean(scores[ids] >= least - SLACK))
    return float(np.mean(shares))


def main() -> None:
    """Read the rows, and print a line a layout and breadth."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--library", type=Path, required=True)
    folder = parser.parse_args().library
    with open_library(Settings(library=folder)) as library:
        active = library.catalog.active_recipe()
        if active is None:
            raise SystemExit(f"{folder} is empty.")
        index, dimension = library._index, active[1].dimension
        mix = index.mix(active[1])
        ids = index.ids(active)
        parts = range(0, ids.size, ROWS_AT_ONCE)
        rows = np.concatenate([index.rows(active, ids[at : at + ROWS_AT_ONCE])[1] for at in parts])
        words = mix.asked(library._vectors.words(active, WORDS[:QUERIES]), 1.0)
    if rows.shape[1] == dimension:
        raise SystemExit(f"Nothing was learnt of traits for the models of {folder}.")
    like = rows[np.random.default_rng(0).choice(len(rows), QUERIES, replace=False)].copy()
    like[:, dimension:] = 0
    like /= np.linalg.norm(like, axis=1, keepdims=True)
    print(f"{len(rows):,} rows of {rows.shape[1]}: recall at {BEST} of words, and of regions")
    for name, laid, stretch in layouts(rows, dimension):
        graph = faiss.IndexHNSWFlat(rows.shape[1], 16, faiss.METRIC_INNER_PRODUCT)
        graph.hnsw.efConstruction = 128
        graph.add(laid)
        for breadth in BREADTHS:
            graph.hnsw.efSearch = breadth
            found = []
            for queries in (words, like):
                asked = queries.copy()
                asked[:, dimension] /= stretch
                found.append(f"{recall(graph, rows, queries, asked):.3f}")
            print(f"{name:28} {breadth:4}  {'  '.join(found)}", flush=True)


if __name__ == "__main__":
    main()
