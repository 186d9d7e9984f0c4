"""Opens the catalog's database: pragmas, immediate write transactions, schema by Alembic."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import event

from segsearch.errors import DamageError, LibraryVersionError

BUSY_TIMEOUT_MS = 30_000


def create_engine(file: Path) -> sa.Engine:
    """An engine over one SQLite file: WAL, full durability, foreign keys, writers queue up."""
    engine = sa.create_engine(f"sqlite:///{file}", connect_args={"timeout": BUSY_TIMEOUT_MS / 1000})
    event.listen(engine, "connect", _configure)
    event.listen(engine, "begin", _begin)
    return engine


def _configure(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves
    cursor = connection.cursor()
    for pragma in (
        f"busy_timeout={BUSY_TIMEOUT_MS}",
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: sa.Connection) -> None:
    # A writer that starts as a reader can fail halfway with SQLITE_BUSY; IMMEDIATE queues instead.
    options = connection.get_execution_options()
    connection.exec_driver_sql("BEGIN" if options.get("reader") else "BEGIN IMMEDIATE")


def migrations_config() -> Config:
    """Alembic's configuration for the migrations, from the checkout or the installed package."""
    config = Config()
    config.set_main_option("script_location", str(_migrations_folder()).replace("%", "%%"))
    return config


def _migrations_folder() -> Path:
    spec = find_spec("segsearch_migrations")
    if spec is None or not spec.submodule_search_locations:
        raise DamageError("The package segsearch_migrations is missing: install segsearch again.")
    return Path(next(iter(spec.submodule_search_locations)))


def schema_revision(engine: sa.Engine) -> str | None:
    """The revision the database stands at; None for an empty one."""
    try:
        with engine.connect().execution_options(reader=True) as connection:
            return MigrationContext.configure(connection).get_current_revision()
    except sa.exc.DatabaseError as problem:
        raise DamageError(f"The catalog cannot be read: {problem.orig}.") from problem


def upgrade(engine: sa.Engine) -> None:
    """Bring the schema to this version's; LibraryVersionError when it comes from a later one."""
    config = migrations_config()
    script = ScriptDirectory.from_config(config)
    revision = schema_revision(engine)
    if revision == script.get_current_head():
        return
    if revision is not None:
        try:
            script.get_revision(revision)
        except CommandError as problem:
            raise LibraryVersionError(
                f"The library has schema {revision!r}, this segsearch knows up to "
                f"{script.get_current_head()!r}: update segsearch, or index into a new folder."
            ) from problem
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
