"""What is asked of a vector index: rows under ids, nearest rows by inner product."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from segsearch.core.arrays import Ids, Vectors


class VectorIndex(Protocol):
    """Nearest rows by inner product, under ids the catalog has given out.

    Thread-safe: a search runs beside others and beside changes, over the rows as they are when it
    begins.
    """

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
        """Scores and ids of `min(k, held)` rows for a query (d,), best first: the best, or nearly
        so where there are very many.

        Ties go to the smaller id. With `allowed`, ids ascending, only those are considered.
        """

    def rows(self, ids: Ids) -> tuple[Ids, Vectors]:
        """The rows (m, d) held under these ids, with their ids (m,); unknown ones are left out."""

    @property
    def is_exact(self) -> bool:
        """Whether a search compares with every row."""

    @property
    def is_settled(self) -> bool:
        """Whether the rows lie as searches want them; when not, `settle` sees to it."""

    def settle(self, folder: Path) -> None:
        """Put the rows into the order that searches want, in files of a folder that `save` is
        going to name. Takes seconds to minutes; searches and changes go on meanwhile."""

    def save(self, folder: Path) -> list[str]:
        """Write what a folder does not hold yet; the names of all files that belong to it.

        A file that has been written never changes, and no two have one name. DamageError where one
        is gone that cannot be written again.
        """


class IndexFactory(Protocol):
    """Makes and reads the index of one kind."""

    @property
    def kind(self) -> str:
        """Name of the kind, written into every snapshot's manifest."""

    def create(self, dimension: int) -> VectorIndex: ...

    def load(self, folder: Path, names: Sequence[str]) -> VectorIndex:
        """The index whose files `save` named; DamageError when they hold none."""
