"""Nearest rows by distance, and rows in groups: for a map of a library, not for its searches."""

from __future__ import annotations

import faiss
import numpy as np

from segsearch.core.arrays import Ids, Vectors

GROUPING_STEPS = 25


def nearest_rows(rows: Vectors, queries: Vectors, k: int) -> tuple[Vectors, Ids]:
    """Squared distances and places (m, k) of the `k` rows (n, d) that lie nearest to each query
    (m, d), nearest first; every row is compared with, and `k` is at most n."""
    index = faiss.IndexFlatL2(rows.shape[1])
    index.add(np.ascontiguousarray(rows, np.float32))
    distances, places = index.search(np.ascontiguousarray(queries, np.float32), k)
    return np.maximum(distances, 0), places


def group_centres(rows: Vectors, count: int, seed: int) -> Vectors:
    """The centres (c, d) of `count` groups of rows (n, d), at most n, by k-means; the same for the
    same rows."""
    means = faiss.Kmeans(
        rows.shape[1],
        min(count, len(rows)),
        niter=GROUPING_STEPS,
        seed=seed,
        min_points_per_centroid=1,  # FAISS warns below 39 of them, and samples above 256
        max_points_per_centroid=max(1, len(rows)),
    )
    means.train(np.ascontiguousarray(rows, np.float32))
    return np.asarray(means.centroids, np.float32)
