"""The engines that an index of a library stands on, for what all of them promise.

A further one is a line of `ENGINES`. Those named `small` go about few rows as they go about many.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from segsearch.storage.catalog.postgres import kept_rows
from segsearch.storage.catalog.postgres.kept_rows import KeptRows
from segsearch.storage.catalog.sql_catalog import Catalog
from segsearch.storage.index import faiss, pgvector
from segsearch.storage.index.faiss import FaissIndexFactory
from segsearch.storage.index.library_index import LibraryIndex, MixOf
from segsearch.storage.index.pgvector import PgvectorIndex
from segsearch.storage.index.synced import SyncedIndex
from tests.support.exact_index import ExactIndexFactory

Limits = tuple[tuple[Any, str, Any], ...]


@dataclass(frozen=True)
class IndexEngine:
    """What opens an index of a catalog, given a folder for what this machine keeps; whether the
    catalog is to be on a PostgreSQL server; and limits that are set otherwise meanwhile."""

    open: Callable[[Catalog, Path, MixOf], LibraryIndex]
    on_server: bool = False
    limits: Limits = ()

    def set_limits(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for owner, name, value in self.limits:
            monkeypatch.setattr(owner, name, value)


def _exact(catalog: Catalog, folder: Path, mix_of: MixOf) -> LibraryIndex:
    return SyncedIndex(catalog, ExactIndexFactory(), folder / "index", mix_of)


def _faiss(catalog: Catalog, folder: Path, mix_of: MixOf) -> LibraryIndex:
    return SyncedIndex(catalog, FaissIndexFactory(), folder / "index", mix_of)


def _pgvector(catalog: Catalog, folder: Path, mix_of: MixOf) -> LibraryIndex:
    del folder
    rows = KeptRows(catalog)
    if not rows.is_on():
        rows.turn_on()
    return PgvectorIndex(catalog, mix_of)


def _milvus(catalog: Catalog, folder: Path, mix_of: MixOf) -> LibraryIndex:
    from tests.support.in_milvus import index_of  # late: it stands on tests

    return index_of(catalog, folder, mix_of)


LISTS: Limits = (
    (faiss, "SETTLED_FROM", 1),
    (faiss, "BESIDE_ROWS", 0),
    (faiss, "BESIDE_SHARE", 0),
    (faiss, "GONE_SHARE", 0),
)
GRAPH: Limits = (
    (kept_rows, "EXACT_ROWS", 0),
    (kept_rows, "WALK_SHARE", 1),
    (kept_rows, "SPARE_ROWS", 2),
    (pgvector, "GRAPH_FROM", 1),
)

ENGINES = {
    "exact": IndexEngine(_exact),
    "faiss": IndexEngine(_faiss),
    "faiss small": IndexEngine(_faiss, limits=LISTS),
    "faiss on a server": IndexEngine(_faiss, on_server=True),
    "pgvector": IndexEngine(_pgvector, on_server=True),
    "milvus": IndexEngine(_milvus),
    "pgvector small": IndexEngine(_pgvector, on_server=True, limits=GRAPH),
}
