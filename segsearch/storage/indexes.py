"""Opens the index of a library, of whichever kind its settings name."""

from __future__ import annotations

from segsearch.core.settings import Settings
from segsearch.storage.catalog.sql_catalog import Catalog
from segsearch.storage.index.faiss import FaissIndexFactory
from segsearch.storage.index.library_index import LibraryIndex, MixOf
from segsearch.storage.index.synced import SyncedIndex


def open_index(settings: Settings, catalog: Catalog, mix_of: MixOf) -> LibraryIndex:
    """The index that follows a catalog; `mix_of` says what a recipe's rows are made of."""
    kind = settings.index.get_secret_value() if settings.index else "faiss"
    if kind.startswith("milvus"):
        # Its client is no part of what a library in a folder needs.
        from segsearch.storage.index.milvus.address import MilvusAddress
        from segsearch.storage.index.milvus.index import MilvusIndex

        address = MilvusAddress.of(kind)
        return MilvusIndex(catalog, address, mix_of, consistency=settings.consistency)
    return SyncedIndex(catalog, FaissIndexFactory(), settings.library / "index", mix_of)
