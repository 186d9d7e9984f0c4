"""A FAISS index: flat float16 rows under the catalog's ids (`IDMap2` over a scalar quantizer).

Ids live in IDMap2 because a flat index renumbers on removal; they are the catalog's and are never
reused (faiss issues 4535 and 4655 tell why not to put IDMap2 over IVF).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from segsearch.core.arrays import Ids, Vectors
from segsearch.core.errors import DamageError

# Rows are stored as float16: half the memory, twice the speed of the scan, and what the catalog
# holds anyway, so that nothing is lost against it.
FACTORY = "IDMap2,SQfp16"
MANY_ROWS = 1_000_000  # from here on a single query is worth several threads


class FaissIndex:
    """Rows of one length in a FAISS index, compared by inner product."""

    def __init__(self, index: Any) -> None:
        self._index = index
        held = faiss.vector_to_array(index.id_map)
        self._newest = int(held.max()) if held.size else -1

    @property
    def dimension(self) -> int:
        return int(self._index.d)

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def ids(self) -> Ids:
        return np.sort(faiss.vector_to_array(self._index.id_map)).astype(np.int64)

    def add(self, ids: Ids, vectors: Vectors) -> None:
        if ids.size == 0:
            return
        # Removing reads every row, and the catalog gives out each id once: few are held already.
        held = self._held(ids)
        if held.size:
            self.remove(held)
        rows = np.ascontiguousarray(vectors, dtype=np.float32)
        self._index.add_with_ids(rows, np.ascontiguousarray(ids, dtype=np.int64))

    def remove(self, ids: Ids) -> int:
        if ids.size == 0 or len(self) == 0:
            return 0
        selector = faiss.IDSelectorBatch(np.ascontiguousarray(ids, dtype=np.int64))
        return int(self._index.remove_ids(selector))

    def _held(self, ids: Ids) -> Ids:
        """Those of some ids that have a row; none where all are newer than every id added."""
        newest, self._newest = self._newest, max(self._newest, int(ids.max()))
        if int(ids.min()) > newest:
            return ids[:0]
        return ids[np.isin(ids, self.ids())]

    def search(
        self, query: NDArray[np.float32], k: int, *, allowed: Ids | None = None
    ) -> tuple[NDArray[np.float32], Ids]:
        k = min(k, len(self))
        if k == 0:
            return np.empty(0, dtype=np.float32), np.empty(0, dtype=np.int64)
        parameters = None
        if allowed is not None:
            selector = faiss.IDSelectorBatch(np.ascontiguousarray(allowed, dtype=np.int64))
            parameters = faiss.SearchParameters()
            parameters.sel = selector
        rows = np.ascontiguousarray(query[None], dtype=np.float32)
        # Setting this is per calling thread. One query over a small index is done before a second
        # thread has woken: 100,000 rows took 4 ms on one thread, 24 ms on two busy cores.
        faiss.omp_set_num_threads(1 if len(self) < MANY_ROWS else os.cpu_count() or 1)
        scores, ids = self._index.search(rows, min(k + 1, len(self)), params=parameters)
        held = ids[0] >= 0  # FAISS fills up with -1
        scores, ids = scores[0][held], ids[0][held]
        if len(ids) > k and scores[k] == scores[k - 1]:  # FAISS takes any of those that tie
            least = float(np.nextafter(scores[k], -np.inf))
            _, scores, ids = self._index.range_search(rows, least, params=parameters)
        order = np.lexsort((ids, -scores))[:k]
        return scores[order], ids[order]

    def rows(self, ids: Ids) -> tuple[Ids, Vectors]:
        ids = np.ascontiguousarray(ids, dtype=np.int64)
        try:
            return ids, self._index.reconstruct_batch(ids)
        except RuntimeError:  # one of them is not held; FAISS does not say which
            held = ids[np.isin(ids, self.ids())]
            return held, self._index.reconstruct_batch(held)

    def save(self, path: Path) -> None:
        faiss.write_index(self._index, str(path))


class FaissIndexFactory:
    """Makes and reads `FaissIndex`."""

    kind = "faiss-" + FACTORY

    def create(self, dimension: int) -> FaissIndex:
        index = faiss.index_factory(dimension, FACTORY, faiss.METRIC_INNER_PRODUCT)
        return FaissIndex(index)

    def load(self, path: Path) -> FaissIndex:
        try:
            return FaissIndex(faiss.read_index(str(path)))
        except RuntimeError as problem:
            raise DamageError(f"{path.name} holds no FAISS index.") from problem
