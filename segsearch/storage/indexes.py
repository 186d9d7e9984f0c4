"""Opens the index of a library, of whichever kind its settings name."""

from __future__ import annotations

from segsearch.core.settings import Settings
from segsearch.storage.catalog.sql_catalog import Catalog
from segsearch.storage.index.faiss import FaissIndexFactory
from segsearch.storage.index.library_index import LibraryIndex, MixOf
from segsearch.storage.index.synced import SyncedIndex


def open_index(settings: Settings, catalog: Catalog, mix_of: MixOf) -> LibraryIndex:
    """The index that follows a catalog; `mix_of` says what a recipe's rows are made of."""
    return SyncedIndex(catalog, FaissIndexFactory(), settings.library / "index", mix_of)
