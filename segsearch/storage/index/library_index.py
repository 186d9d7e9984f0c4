"""What is asked of the index of a whole library, wherever its rows lie."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from segsearch.core.arrays import Ids, Vector, Vectors
from segsearch.core.errors import NotFoundError
from segsearch.core.mix import Mix, row_of
from segsearch.core.status import IndexGlance, RowLayout
from segsearch.core.types import Recipe
from segsearch.storage.catalog.sql_catalog import Catalog
from segsearch.storage.index.allowed import Allowed

MixOf = Callable[[Recipe], Mix]
ROWS_AT_ONCE = 65_536


@dataclass(frozen=True, slots=True)
class IndexReport:
    """How many rows an index holds, whether it compares with each, and whether they lie as
    searches want them."""

    rows: int
    layout: RowLayout
    is_settled: bool


class LibraryIndex(ABC):
    """The rows of one library's active recipe, equal to its catalog before each use. Thread-safe.

    `mix_of` says what a recipe's rows are to be made of. Queries here have the rows' length w: what
    `Mix.asked` makes of a vector (d,). A recipe comes with its id.
    """

    name = "faiss"  # of the engine, as SEGSEARCH_INDEX has it
    # Whether it looks at filters while it searches: then nobody fetches the ids that pass.
    takes_filters = False
    is_elsewhere = False  # kept by a server: without it no search is answered

    def __init__(self, catalog: Catalog, mix_of: MixOf) -> None:
        self._catalog = catalog
        self._mix_of = mix_of

    def mix(self, recipe: Recipe) -> Mix:
        """How much each of a segment's vectors, and what else is known of it, counts."""
        return self._mix_of(recipe)

    def vector(self, recipe: tuple[int, Recipe], segment_id: int) -> Vector:
        """What to look for to find a stored segment's like: its mixed row (d,) at unit length.

        NotFoundError when the recipe has no such segment.
        """
        for rows in self._catalog.vectors(recipe[0], np.array([segment_id], dtype=np.int64)):
            return row_of(self.mix(recipe[1]), rows)
        raise NotFoundError(f"There is no segment {segment_id} in the library.")

    def picture_vector(self, recipe: tuple[int, Recipe], image_id: int) -> Vector:
        """What describes an image as a whole (d,), at unit length; NotFoundError when there is no
        such image, or it has not been described yet."""
        vector = self._catalog.picture_vector(recipe[0], image_id)
        if vector is None:
            raise NotFoundError(f"There is no described image {image_id} in the library.")
        return vector

    def begin(self, recipe: tuple[int, Recipe]) -> None:
        """Get ready for the rows of a recipe that is about to be filled, where its segments get
        them as they are stored."""
        del recipe  # whatever follows the catalog has nothing to do

    @abstractmethod
    def search(
        self, recipe: tuple[int, Recipe], query: Vector, k: int, allowed: Allowed | None = None
    ) -> tuple[list[float], list[int]]:
        """Scores and segment ids of the best `k` rows for a query (w,), best first, ties by the
        smaller id; with `allowed`, of those that may answer."""

    @abstractmethod
    def scores(
        self, recipe: tuple[int, Recipe], query: Vector, ids: Ids
    ) -> tuple[list[float], list[int]]:
        """Scores of these segments, each compared on its own, best first; ties go to the smaller
        id. Ids that are gone are left out."""

    @abstractmethod
    def rows(self, recipe: tuple[int, Recipe], ids: Ids) -> tuple[Ids, Vectors]:
        """The rows (n, w) of segments that a search has just found, beside their ids; those
        that are gone are left out."""

    @abstractmethod
    def sample(self, recipe: tuple[int, Recipe]) -> tuple[Vectors, int]:
        """Rows (m, w) of a fixed sample of the segments, and how many segments there are.

        The rows are the same object while the sample is.
        """

    @abstractmethod
    def ids(self, recipe: tuple[int, Recipe]) -> Ids:
        """Every segment id the index holds, once it is up to date, ascending."""

    @abstractmethod
    def exact(
        self, recipe: tuple[int, Recipe], queries: Vectors, k: int
    ) -> list[tuple[Vector, Ids]]:
        """Scores and segment ids of the best `k` rows for each of some queries (m, w), each row
        compared with each: what `search` is held against."""

    @abstractmethod
    def open(self, recipe: tuple[int, Recipe]) -> IndexReport:
        """Have the index ready and up to date; how it stands."""

    @abstractmethod
    def glance(self, recipe: tuple[int, Recipe]) -> tuple[IndexGlance, str | None]:
        """How the index stands, without loading it, and what is wrong with it."""

    @abstractmethod
    def save(self, recipe: tuple[int, Recipe]) -> None:
        """Keep what is new, where that is not kept by itself."""

    @abstractmethod
    def settle(self, recipe: tuple[int, Recipe]) -> None:
        """`save`, and before it, where many rows have come since, put all into the order that
        searches want; others search and change the library meanwhile."""

    @abstractmethod
    def rebuild_if_needed(self, recipe: tuple[int, Recipe]) -> bool:
        """Build the index anew when its ids are not the catalog's; whether that was needed."""

    @abstractmethod
    def problems(self, recipe: tuple[int, Recipe]) -> list[str]:
        """What is wrong with what is kept, and ids that differ from the catalog's."""


def best_rows(
    batches: Iterable[tuple[Ids, Vectors]], queries: Vectors, k: int
) -> list[tuple[Vector, Ids]]:
    """Scores and ids of the best `k` of some rows (n, w), in batches with their ids (n,), for each
    of some queries (m, w); ties by the smaller id."""
    best = [(np.empty(0, np.float32), np.empty(0, np.int64)) for _ in queries]
    for held, rows in batches:
        for number, products in enumerate((rows @ queries.T).T):
            scores = np.concatenate((best[number][0], products))
            ids = np.concatenate((best[number][1], held))
            order = np.lexsort((ids, -scores))[:k]
            best[number] = scores[order], ids[order]
    return best
