"""What is asked of a vector index: rows under ids, nearest rows by inner product."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from segsearch.core.arrays import Ids, Vectors


class VectorIndex(Protocol):
    """Nearest rows by inner product, under ids the catalog has given out."""

    @property
    def dimension(self) -> int:
        """Length d of every row."""

    def __len__(self) -> int: ...

    def ids(self) -> Ids:
        """Every id held, ascending."""

    def add(self, ids: Ids, vectors: Vectors) -> None:
        """Store rows (n, d) under ids (n,); an id already held gets the new row."""

    def remove(self, ids: Ids) -> int:
        """Forget these ids; the number that were held comes back."""

    def search(
        self, query: NDArray[np.float32], k: int, *, allowed: Ids | None = None
    ) -> tuple[NDArray[np.float32], Ids]:
        """Scores and ids of the best `min(k, held)` rows for a query (d,), best first.

        Ties go to the smaller id. With `allowed`, only those ids are considered.
        """

    def rows(self, ids: Ids) -> tuple[Ids, Vectors]:
        """The rows (m, d) held under these ids, with their ids (m,); unknown ones are left out."""

    def save(self, path: Path) -> None:
        """Write everything to one file."""


class IndexFactory(Protocol):
    """Makes and reads the index of one kind."""

    @property
    def kind(self) -> str:
        """Name of the kind, written into every snapshot's manifest."""

    def create(self, dimension: int) -> VectorIndex: ...

    def load(self, path: Path) -> VectorIndex:
        """The index that `save` wrote; DamageError when the file is none."""
