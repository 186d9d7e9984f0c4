"""A library whose index is in a Milvus: Lite, in a file; or the server, inside of its namespace."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from segsearch.core.arrays import Ids
from segsearch.core.filters import Filters
from segsearch.storage.catalog.backend import Place
from segsearch.storage.catalog.sql_catalog import Catalog
from segsearch.storage.index.allowed import Allowed
from segsearch.storage.index.library_index import LibraryIndex, MixOf
from segsearch.storage.index.milvus import conditions
from segsearch.storage.index.milvus.address import MilvusAddress
from segsearch.storage.index.milvus.index import MilvusIndex
from segsearch.storage.index.milvus.store import MilvusStore
from tests.storage.test_synced import ACTIVE, MIX, IndexedCatalog
from tests.support.described import DIMENSION
from tests.support.exact_index import ExactIndexFactory
from tools.milvus_server import MilvusServer

# Set by test_milvus_server.py, which runs these tests once more where a server may run.
INSIDE = "SEGSEARCH_TESTS_IN_NAMESPACE"
ON_SERVER = INSIDE in os.environ


@cache
def server() -> MilvusServer:
    """The server of this process's tests, running."""
    made = MilvusServer()
    atexit.register(made.remove)
    made.start()
    return made


@cache
def milvus() -> MilvusAddress:
    """The Milvus of this process's tests."""
    if ON_SERVER:
        return MilvusAddress.of(server().address)
    folder = Path(tempfile.mkdtemp(prefix="segsearch-milvus-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return MilvusAddress.of(f"milvus:{folder / 'tested.db'}")


def index_of(catalog: Catalog, _folder: Path, mix_of: MixOf) -> LibraryIndex:
    """A library's index there."""
    return MilvusIndex(catalog, milvus(), mix_of)


QUERY = MIX.asked(np.eye(DIMENSION, dtype=np.float32)[0])


class InMilvus(IndexedCatalog):
    """A catalog and a collection that follows it; `reopen` is another process that comes."""

    index: MilvusIndex  # type: ignore[assignment]  # of the same port

    def __init__(self, folder: Path, place: Place | None = None) -> None:
        super().__init__(folder, ExactIndexFactory(), place)

    def reopen(self) -> None:
        self.index = self.another()

    def another(self, **options: Any) -> MilvusIndex:
        return MilvusIndex(self.catalog, milvus(), lambda _: self.mix, **options)

    @property
    def collections(self) -> MilvusStore:
        return self.index._store

    @property
    def name(self) -> str:
        return self.index._follower.name(ACTIVE)

    def held(self) -> list[int]:
        ids: list[int] = self.collections.ids(self.name).tolist()
        return ids

    def known(self) -> list[int]:
        ids: list[int] = self.catalog.segment_ids(1).tolist()
        return ids

    def mine(self) -> list[str]:
        """Collections of this library."""
        library = self.name.rpartition("_")[0]
        return [name for name in self.collections.names() if name.startswith(library)]

    def row_of(self, segment_id: int) -> tuple[Ids, Any, dict[str, list[Any]]]:
        """What stands in the collection for a segment."""
        ids = np.array([segment_id], np.int64)
        (batch,) = self.catalog.vectors(1, ids)
        return ids, self.mix.rows(batch), conditions.scalars_of(self.catalog.facts(ids))


def made_at(folder: Path, place: Place) -> Iterator[InMilvus]:
    made = InMilvus(folder, place)
    for seed in range(4):
        made.store(seed)
    yield made
    try:
        made.reopen()
        for name in made.mine():
            made.collections.drop(name)
    finally:
        made.catalog.close()


def allowed_by(catalog: Catalog, *filters: Filters) -> Allowed:
    def find() -> Ids:
        ids = catalog.segment_ids(1)
        for one in filters:
            ids = np.intersect1d(ids, catalog.select_segments(1, one))
        return ids

    return Allowed(filters, find)
