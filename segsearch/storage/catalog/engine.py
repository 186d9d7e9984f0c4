"""Opens the catalog's database: pragmas, immediate write transactions, schema by Alembic.

Alembic is imported where a schema is an earlier version's, and nowhere else: that takes longer than
everything else here. A new catalog is made by the statements that the migrations come to.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from contextlib import closing
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy import event

from segsearch.core.errors import DamageError, DiskFullError, LibraryVersionError

if TYPE_CHECKING:
    from alembic.config import Config

LOG = logging.getLogger(__name__)
SCHEMA = "0019"  # the newest of the migrations' revisions
BUSY_TIMEOUT_MS = 30_000
LOG_RETRY_SECONDS = 0.01
# Seven segments' pairs of 512-dimensional vectors fill a page; at 4,096 bytes half of it is empty.
PAGE_BYTES = 16_384
_REVISIONS = "SELECT version_num FROM alembic_version"
_REVISION_TABLE = sa.text(
    "SELECT name FROM sqlite_master WHERE type = 'table' AND name = 'alembic_version'"
)
ROOM = 2  # times the file: what an upgrade writes to the log and adds, and what a packing takes


def is_writable(file: Path) -> bool:
    """Whether this process may write a database: the file, and its folder for the log."""
    return (not file.exists() or os.access(file, os.W_OK)) and os.access(file.parent, os.W_OK)


def create_engine(file: Path, *, read_only: bool = False) -> sa.Engine:
    """An engine over one SQLite file: WAL, full durability, foreign keys, writers queue up.

    Where nothing can be written, each transaction opens the file anew: see `open_to_read`.
    """
    if not read_only:
        waits = {"timeout": BUSY_TIMEOUT_MS / 1000}
        # As text of a URL, `?` and `%20` in a path would lead to another file.
        address = sa.URL.create("sqlite", database=str(file))
        engine = sa.create_engine(address, connect_args=waits)
        event.listen(engine, "connect", _configure)
    else:
        opened = partial(open_to_read, file)
        engine = sa.create_engine("sqlite://", creator=opened, poolclass=sa.pool.NullPool)
        event.listen(engine, "connect", _configure_reader)
    event.listen(engine, "begin", _begin)
    return engine


def open_to_read(file: Path) -> sqlite3.Connection:
    """A connection to a file that this process may not write.

    A log that lies beside the file is read; without one the file is opened as one that does not
    change, the only way SQLite opens it then (https://www.sqlite.org/wal.html#read_only_databases).
    Others may write all the same: such a connection kept would never see what they do.
    """
    still = "" if Path(f"{file}-wal").exists() else "&immutable=1"
    address = f"{file.absolute().as_uri()}?mode=ro{still}"
    waits = BUSY_TIMEOUT_MS / 1000
    return sqlite3.connect(address, uri=True, timeout=waits, check_same_thread=False)


def _configure(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves
    cursor = connection.cursor()
    for pragma in (
        f"busy_timeout={BUSY_TIMEOUT_MS}",
        f"page_size={PAGE_BYTES}",  # of a new file; an old one keeps its own
        "synchronous=FULL",
        "foreign_keys=ON",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    _keep_log(cursor)
    cursor.close()


def _keep_log(cursor: sqlite3.Cursor) -> None:
    """Turn the write-ahead log on. While others do so to a new file, or remove the log as the last
    ones that close it, SQLite says at once that it is locked, and waits for nobody."""
    end = time.monotonic() + BUSY_TIMEOUT_MS / 1000
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as problem:
            if problem.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                raise
            time.sleep(LOG_RETRY_SECONDS)
        else:
            return


def _configure_reader(connection: Any, _record: Any) -> None:
    connection.isolation_level = None


def _begin(connection: sa.Connection) -> None:
    # A writer that starts as a reader can fail halfway with SQLITE_BUSY; IMMEDIATE queues instead.
    options = connection.get_execution_options()
    connection.exec_driver_sql("BEGIN" if options.get("reader") else "BEGIN IMMEDIATE")


def migrations_config() -> Config:
    """Alembic's configuration for the migrations, from the checkout or the installed package."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_migrations_folder()).replace("%", "%%"))
    return config


def _migrations_folder() -> Path:
    spec = find_spec("segsearch_migrations")
    if spec is None or not spec.submodule_search_locations:
        raise DamageError("The package segsearch_migrations is missing: install segsearch again.")
    return Path(next(iter(spec.submodule_search_locations)))


def new_catalog_file() -> Path:
    """What the migrations make of an empty file, as SQL; `tools/new_catalog.py` writes it."""
    return _migrations_folder() / "new_catalog.sql"


def new_catalog() -> list[str]:
    """The statements that make an empty database one of this version's schema."""
    statements, text = [], ""
    for line in new_catalog_file().read_text("utf-8").splitlines(keepends=True):
        text += line
        if sqlite3.complete_statement(text):  # a trigger has semicolons of its own
            statements.append(text)
            text = ""
    return statements


def schema_revision(engine: sa.Engine) -> str | None:
    """The revision the database stands at; None for an empty one.

    DamageError for a file that is no database; SQLAlchemy's OperationalError where it cannot be
    read now.
    """
    try:
        with engine.connect().execution_options(reader=True) as connection:
            if connection.execute(_REVISION_TABLE).first() is None:
                return None
            revisions = connection.exec_driver_sql(_REVISIONS).scalars().all()
    except sa.exc.OperationalError:
        raise
    except sa.exc.DatabaseError as problem:
        raise DamageError(f"The catalog cannot be read: {problem.orig}.") from problem
    if len(revisions) > 1:
        raise DamageError(f"The catalog's tables stand at {len(revisions)} revisions at once.")
    return str(revisions[0]) if revisions else None


def check_schema(engine: sa.Engine) -> None:
    """LibraryVersionError unless the schema is this version's; for what cannot be upgraded."""
    revision = schema_revision(engine)
    if revision != SCHEMA:
        refuse_later(revision)
        raise LibraryVersionError(
            f"The library is read-only and has schema {revision!r}, this segsearch reads "
            f"{SCHEMA!r}: open it once where it can be written."
        )


def check_revision(db: sqlite3.Connection) -> str:
    """The revision a foreign database says it stands at; DamageError where that is not one,
    LibraryVersionError for one of a later segsearch."""
    revisions = [row[0] for row in db.execute(_REVISIONS)]
    if len(revisions) != 1 or not isinstance(revisions[0], str):
        raise DamageError(f"it has {len(revisions)} revisions of its tables, expected one")
    refuse_later(revisions[0])
    return revisions[0]


def upgrade(engine: sa.Engine) -> None:
    """Bring the schema to this version's, and the file to its size of pages.

    LibraryVersionError when it comes from a later version, DiskFullError where the disk has less
    room than an upgrade takes; then nothing has changed.
    """
    revision = schema_revision(engine)
    if revision is None and _make(engine):
        return
    if revision != SCHEMA:
        refuse_later(revision)
        if revision is not None:
            _check_room(engine)
        migrate(engine)
    with engine.connect().execution_options(reader=True) as connection:
        is_old = connection.exec_driver_sql("PRAGMA page_size").scalar() != PAGE_BYTES
    if is_old:
        engine.dispose()
        set_page_size(Path(str(engine.url.database)), PAGE_BYTES)


def _make(engine: sa.Engine) -> bool:
    """Make the schema where there is nothing at all; False where there is something by now."""
    with engine.begin() as connection:
        if connection.exec_driver_sql("SELECT 1 FROM sqlite_master").first() is not None:
            return False
        for statement in new_catalog():
            connection.exec_driver_sql(statement)
        return True


def upgrade_tables(connection: sa.Connection, *, made: bool = False) -> None:
    """Bring tables to the newest revision, in the caller's transaction; with `made`, which have
    just been made as they are described, note that they are."""
    from alembic import command

    config = migrations_config()
    config.attributes["connection"] = connection
    (command.stamp if made else command.upgrade)(config, "head")


def migrate(engine: sa.Engine) -> None:
    """Take every step from the schema's revision to this version's, in one transaction."""
    with engine.connect() as connection:
        # A table that others hang on is made anew, and SQLite heeds this outside of a
        # transaction alone (https://www.sqlite.org/lang_altertable.html#otheralter).
        pragma = connection.connection.cursor().execute
        pragma("PRAGMA foreign_keys=OFF")
        try:
            with connection.begin():
                upgrade_tables(connection)
        finally:
            pragma("PRAGMA foreign_keys=ON")


def set_page_size(file: Path, size: int) -> bool:
    """Pack a database into pages of another size; False, and nothing is lost, where others have
    it open or the disk has no room. The next one that opens it tries again."""
    if _room_beside(file) < ROOM * file.stat().st_size:
        return False
    try:
        with closing(sqlite3.connect(file, timeout=0, isolation_level=None)) as db:
            # The size cannot change while there is a log, and there is one while others have it
            # open. Killed from here on, the file is whole: SQLite undoes a VACUUM that broke off.
            if db.execute("PRAGMA journal_mode=DELETE").fetchone()[0] != "delete":
                return False
            db.execute(f"PRAGMA page_size={size}")
            db.execute("VACUUM")
            db.execute("PRAGMA journal_mode=WAL")
    except sqlite3.OperationalError as problem:
        LOG.info("The catalog keeps its size of pages: %s.", problem)
        return False
    return True


def _check_room(engine: sa.Engine) -> None:
    file = Path(str(engine.url.database))
    needed, room = ROOM * file.stat().st_size, _room_beside(file)
    if room < needed:
        raise DiskFullError(
            f"The library {str(file.parent)!r} is of an earlier version: its upgrade takes "
            f"{needed / 1e6:,.0f} MB on the disk for a while, {room / 1e6:,.0f} MB are left. Make "
            "room and open it again; nothing has changed."
        )


def _room_beside(file: Path) -> int:
    """Bytes that are left on the disk of a file."""
    disk = os.statvfs(file.parent)
    return disk.f_bavail * disk.f_frsize


def refuse_later(revision: str | None) -> None:
    """LibraryVersionError for a revision that these migrations do not know."""
    if revision in (None, SCHEMA):
        return
    from alembic.script import ScriptDirectory
    from alembic.util import CommandError

    script = ScriptDirectory.from_config(migrations_config())
    try:
        script.get_revision(revision)
    except CommandError as problem:
        raise LibraryVersionError(
            f"The library has schema {revision!r}, this segsearch knows up to "
            f"{SCHEMA!r}: update segsearch, or index into a new folder."
        ) from problem
