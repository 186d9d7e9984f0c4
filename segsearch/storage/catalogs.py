"""Opens the catalog of a library, wherever its settings say that it is; copies one to another."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from segsearch.core.errors import ConflictError, LibraryMissingError
from segsearch.core.settings import Settings
from segsearch.storage.api_keys import ApiKeys, KeyRing
from segsearch.storage.catalog.backend import Place, Server
from segsearch.storage.catalog.copying import CopiedTable, Progress
from segsearch.storage.catalog.sql_catalog import Catalog


@dataclass(frozen=True, slots=True)
class MoveReport:
    """What a move has copied, the same on both sides; whether API keys came along; and the folder
    in which uploaded pictures stay, where there are some."""

    tables: tuple[CopiedTable, ...]
    keys: bool
    uploads: Path | None


def is_made(settings: Settings) -> bool:
    """Whether there may be a library: a server says by itself, when it is asked."""
    return settings.catalog is not None or _file(settings).is_file()


def open_catalog(settings: Settings, *, create: bool = False) -> Catalog:
    """The catalog of these settings; LibraryMissingError when there is none and `create` is off."""
    if not is_made(settings) and not create:
        raise LibraryMissingError(
            f"There is no library in {str(settings.library)!r}: run `segsearch index` first, or "
            "name another folder with --library."
        )
    try:
        settings.library.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise LibraryMissingError(
            f"The library folder {str(settings.library)!r} cannot be made: {problem.strerror}."
        ) from problem
    place: Place = _file(settings)
    if settings.catalog is not None:
        place = Server(settings.catalog.get_secret_value(), settings.library, create=create)
    return Catalog(place)


@contextmanager
def open_keys(settings: Settings, *, create: bool = False) -> Iterator[ApiKeys]:
    """The API keys of a library; those of a folder are there before its catalog is, and so are
    those of a database with `create`, which makes its tables. Errors as `open_catalog`."""
    if settings.catalog is None:
        yield KeyRing(settings.library)
        return
    with closing(open_catalog(settings, create=create)) as catalog:
        yield catalog.keys


def move_library(
    source: Settings, target: Settings, progress: Progress = lambda _table, _rows: None
) -> MoveReport:
    """Copy all that one library holds into another, empty place, on whichever engine: ids, vectors,
    masks, text, captions, tags, collections, jobs, and API keys. The source stays as it is.

    Pictures stay where they are, uploads too. The index is made anew from the catalog. Errors as
    `CopyMixin.copy_from`; killed halfway, the next call goes on.
    """
    if (source.catalog, source.library) == (target.catalog, target.library):
        raise ConflictError("A library cannot be moved to where it is.")
    with ExitStack() as opened:
        before = opened.enter_context(closing(open_catalog(source)))
        after = opened.enter_context(closing(open_catalog(target, create=True)))
        keys = [key for key in before.keys.all() if key.trusted]

        def take_keys() -> None:
            if keys and not after.keys.all():
                after.keys.take(keys)

        tables = after.copy_from(before, progress, take_keys)
        there = {key.id for key in after.keys.all()}
        has_keys = bool(keys) and there.issuperset(key.id for key in keys)
    uploads = source.library / "uploads"
    return MoveReport(tables, has_keys, uploads if uploads.is_dir() else None)


def _file(settings: Settings) -> Path:
    return settings.library / "catalog.sqlite"
