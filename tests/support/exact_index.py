"""An index that compares with every row in float32; the oracle the others are held against."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segsearch.core.arrays import Ids, Vectors
from segsearch.core.errors import DamageError


class ExactIndex:
    """Rows (n, d) float32 in memory, ids ascending."""

    def __init__(self, dimension: int) -> None:
        self._ids: Ids = np.empty(0, dtype=np.int64)
        self._rows: Vectors = np.empty((0, dimension), dtype=np.float32)

    @property
    def dimension(self) -> int:
        return int(self._rows.shape[1])

    def __len__(self) -> int:
        return int(self._ids.size)

    def ids(self) -> Ids:
        return self._ids.copy()

    def add(self, ids: Ids, vectors: Vectors) -> None:
        kept = ~np.isin(self._ids, ids)
        joined = np.concatenate((self._ids[kept], ids))
        rows = np.concatenate((self._rows[kept], vectors.astype(np.float32)))
        order = np.argsort(joined, kind="stable")
        self._ids, self._rows = joined[order], rows[order]

    def remove(self, ids: Ids) -> int:
        kept = ~np.isin(self._ids, ids)
        removed = int(self._ids.size - np.count_nonzero(kept))
        self._ids, self._rows = self._ids[kept], self._rows[kept]
        return removed

    def search(
        self, query: NDArray[np.float32], k: int, *, allowed: Ids | None = None
    ) -> tuple[NDArray[np.float32], Ids]:
        ids, rows = self._ids, self._rows
        if allowed is not None:
            chosen = np.isin(ids, allowed)
            ids, rows = ids[chosen], rows[chosen]
        scores = rows @ query.astype(np.float32)
        best = np.lexsort((ids, -scores))[:k]
        return scores[best], ids[best]

    def rows(self, ids: Ids) -> tuple[Ids, Vectors]:
        held = ids[np.isin(ids, self._ids)]
        return held, self._rows[np.searchsorted(self._ids, held)]

    @property
    def is_exact(self) -> bool:
        return True

    @property
    def is_settled(self) -> bool:
        return True

    def settle(self, folder: Path) -> None:
        """Nothing is to be done: each row is compared with."""

    def save(self, folder: Path) -> list[str]:
        name = f"{os.urandom(8).hex()}.index"
        with (folder / name).open("wb") as file:
            np.savez(file, ids=self._ids, rows=self._rows)
        return [name]


class ExactIndexFactory:
    """Makes and reads `ExactIndex`."""

    kind = "exact"

    def create(self, dimension: int) -> ExactIndex:
        return ExactIndex(dimension)

    def load(self, folder: Path, names: Sequence[str]) -> ExactIndex:
        path = folder / names[0]
        try:
            with np.load(path, allow_pickle=False) as file:
                index = ExactIndex(int(file["rows"].shape[1]))
                index.add(file["ids"], file["rows"])
        except (OSError, ValueError, KeyError, IndexError, EOFError) as problem:
            raise DamageError(f"{path.name} holds no exact index: {problem}.") from problem
        return index
