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
    kind = _kind(settings)
    if kind == PGVECTOR or (kind is None and _keeps_rows(catalog)):
        return _pgvector(catalog, mix_of)
    if kind is not None and kind.startswith("milvus"):
        # Its client is no part of what a library in a folder needs.
        from segsearch.storage.index.milvus.address import MilvusAddress
        from segsearch.storage.index.milvus.index import MilvusIndex

        address = MilvusAddress.of(kind)
        return MilvusIndex(catalog, address, mix_of, consistency=settings.consistency)
    # FAISS takes a while to load.
    from segsearch.storage.index.faiss import FaissIndexFactory
    from segsearch.storage.index.synced import SyncedIndex

    return SyncedIndex(catalog, FaissIndexFactory(), settings.library / "index", mix_of)


def check_index(settings: Settings) -> None:
    """InputError where a library in a folder is to keep rows in pgvector."""
    if asks_rows(settings) and settings.catalog is None:
        raise _in_a_folder(str(settings.library))


def asks_rows(settings: Settings) -> bool:
    """Whether rows are to be kept in pgvector, whatever the library does now."""
    return _kind(settings) == PGVECTOR


def drop_rows(catalog: Catalog) -> bool:
    """Let a library keep no rows in pgvector any more; whether it did. Processes that search them
    are to be started again."""
    if not isinstance(catalog.place, Server):
        return False
    from segsearch.storage.catalog.postgres.kept_rows import KeptRows

    return KeptRows(catalog).turn_off()


def _kind(settings: Settings) -> str | None:
    return None if settings.index is None else settings.index.get_secret_value()


def _keeps_rows(catalog: Catalog) -> bool:
    if not isinstance(catalog.place, Server):
        return False
    from segsearch.storage.catalog.postgres.kept_rows import KeptRows

    return KeptRows(catalog).is_on()


def _in_a_folder(name: str) -> InputError:
    return InputError(
        f"SEGSEARCH_INDEX=pgvector needs a library on PostgreSQL, {name!r} is a folder."
    )


def _pgvector(catalog: Catalog, mix_of: MixOf) -> LibraryIndex:
    if not isinstance(catalog.place, Server):
        raise _in_a_folder(catalog.name)
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
