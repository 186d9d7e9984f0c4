"""Opens the index of a library, of whichever kind its settings or the library itself name."""

from __future__ import annotations

from segsearch.core.errors import InputError, ReadOnlyError
from segsearch.core.settings import Settings
from segsearch.storage.catalog.backend import Server
from segsearch.storage.catalog.sql_catalog import Catalog
from segsearch.storage.index.library_index import LibraryIndex, MixOf

FAISS, PGVECTOR = "faiss", "pgvector"


def open_index(settings: Settings, catalog: Catalog, mix_of: MixOf) -> LibraryIndex:
    """The index of a catalog; `mix_of` says what a recipe's rows are made of.

    Without a setting it is what the library keeps rows for, else FAISS. InputError where a library
    in a file is to keep rows in pgvector; EngineError, ReadOnlyError where a server's cannot.
    """
    if settings.index == PGVECTOR or (settings.index is None and _keeps_rows(catalog)):
        return _pgvector(catalog, mix_of)
    # FAISS takes a while to load.
    from segsearch.storage.index.faiss import FaissIndexFactory
    from segsearch.storage.index.synced import SyncedIndex

    return SyncedIndex(catalog, FaissIndexFactory(), settings.library / "index", mix_of)


def drop_rows(catalog: Catalog) -> bool:
    """Let a library keep no rows in pgvector any more; whether it did. Processes that search them
    are to be started again."""
    if not isinstance(catalog.place, Server):
        return False
    from segsearch.storage.catalog.postgres.kept_rows import KeptRows

    return KeptRows(catalog).turn_off()


def _keeps_rows(catalog: Catalog) -> bool:
    if not isinstance(catalog.place, Server):
        return False
    from segsearch.storage.catalog.postgres.kept_rows import KeptRows

    return KeptRows(catalog).is_on()


def _pgvector(catalog: Catalog, mix_of: MixOf) -> LibraryIndex:
    if not isinstance(catalog.place, Server):
        raise InputError(
            f"SEGSEARCH_INDEX=pgvector needs a library on PostgreSQL, {catalog.name!r} is a folder."
        )
    from segsearch.storage.catalog.postgres.kept_rows import KeptRows
    from segsearch.storage.index.pgvector import PgvectorIndex

    rows = KeptRows(catalog)
    if not rows.is_on():
        if catalog.read_only:
            raise ReadOnlyError(
                f"The library {catalog.name!r} keeps no rows in pgvector yet: open it once where "
                "it can be written."
            )
        rows.turn_on()
    return PgvectorIndex(catalog, mix_of)
