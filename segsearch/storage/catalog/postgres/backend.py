"""A database of a PostgreSQL server as what a catalog stands on.

Readers see one moment of it. Writers queue up at one lock, as they do at a SQLite file: what reads
before it writes was written for that. Claims and heartbeats do not (`Database._claiming`).
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Hashable, Iterator
from contextlib import closing, contextmanager, suppress
from itertools import chain
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy import event

from segsearch.core.errors import (
    BusyError,
    DamageError,
    EngineError,
    InputError,
    LibraryMissingError,
    LibraryVersionError,
)
from segsearch.storage.api_keys import ApiKeys
from segsearch.storage.catalog.backend import Place, Server
from segsearch.storage.catalog.engine import SCHEMA, refuse_later, upgrade_tables
from segsearch.storage.catalog.postgres import schema
from segsearch.storage.catalog.postgres.keys import INCARNATION, DatabaseKeys, take_those_of
from segsearch.storage.catalog.postgres.server_errors import (
    READER_IDLE,
    WRITER_IDLE,
    lost_lock,
    ours,
    rights_to,
)
from segsearch.storage.catalog.postgres.words import PostgresWords
from segsearch.storage.catalog.unchanged import Unchanged
from segsearch.storage.catalog.words import WordIndex

CONNECT_SECONDS = 10
IDLE = "idle_in_transaction_session_timeout"
# Of a session. A worker that stopped in the middle of a transaction, or whose link is cut, holds
# its locks no longer than this: its transaction is rolled back, and what it held is lent anew.
SESSION = {
    "lock_timeout": "30s",
    IDLE: READER_IDLE,
    "statement_timeout": "0",
    "timezone": "UTC",
    "datestyle": "ISO, YMD",
    # The server's side of a link that is cut, as `LINK` is ours; nothing to a Unix socket.
    "tcp_keepalives_idle": "20",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
}
# Of a connection, so that a cut link is noticed within a minute: by silence where we wait for an
# answer, by what is not acknowledged where we have sent something. The kernel's own is two hours.
LINK = {
    "keepalives_idle": 20,  # seconds
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 50_000,  # milliseconds
}
WRITERS = 0x5E65EA  # the lock that writers wait for, of each database its own
HOLDING = 0x5E65EC  # the locks of those who deal with a file's bytes
# Each has a connection of the pool (15) while it asks for others: all of them would wait in a ring.
HOLDERS = 4
HOLDING_SECONDS = 30.0  # as `lock_timeout`
QUEUE_UP = f"SELECT set_config('{IDLE}', '{WRITER_IDLE}', true), pg_advisory_xact_lock({WRITERS})"
WITH_KEYS = "0016"  # the revision from which on API keys are in the database
MAKING = 0x5E65EB  # that of those who make or upgrade the tables
TURN_SECONDS = 0.05  # between two looks whether it is one's turn
AWAKE_SECONDS = 15.0  # between two statements of who has it
COMPACTED_WRITES = 500  # transactions of a process, at each of which counters are added up
COMPACT = (
    "WITH gone AS (DELETE FROM counter RETURNING kind, recipe_id, key, count) "
    "INSERT INTO counter SELECT kind, recipe_id, key, sum(count) FROM gone "
    "GROUP BY kind, recipe_id, key HAVING sum(count) <> 0"
)
LONGEST_PATH = 2_600  # bytes; a row of an index has 2,704
Value = TypeVar("Value")


class PostgresDatabase:
    """One database as a `Backend`."""

    def __init__(self, server: Server) -> None:
        self.place: Place = server
        self.folder = server.folder
        self.name = without_password(server.address)
        self.engine = _engine(server.address)
        event.listen(self.engine, "connect", _configure)
        self.words: WordIndex = PostgresWords()
        self.keys: ApiKeys = DatabaseKeys(self.engine, self.errors)
        self.longest_path: int | None = LONGEST_PATH
        self.read_only = False
        self._create = server.create
        self._looks = _Looks(self.engine)
        self._unchanged = Unchanged(self.version)
        self._writes = 0
        self._holders = threading.BoundedSemaphore(HOLDERS)

    def prepare(self) -> None:
        """As `Backend.prepare`; LibraryMissingError for an empty database that is to stay so."""
        with self.errors():
            with self.engine.connect() as db:
                self.read_only = _is_read_only(db)
                revision = _revision(db)
            if revision is None and not self._create:
                raise LibraryMissingError(
                    f"There is no library in {self.name!r}: run `segsearch index` first, or name "
                    "another database with --library."
                )
            if revision == SCHEMA:
                return
            refuse_later(revision)
            if self.read_only:
                raise LibraryVersionError(
                    f"The library is read-only and has schema {revision!r}, this segsearch reads "
                    f"{SCHEMA!r}: open it once where it can be written."
                )
            refused = f"The tables of the library {self.name!r} cannot be made or upgraded"
            remedy = "Let the database's owner do it once, or make the role its owner."
            with rights_to(refused, remedy), self.engine.begin() as db:
                db.execute(sa.select(sa.func.pg_advisory_xact_lock(MAKING)))
                # Another process may have been faster.
                if (revision := _revision(db)) is None:
                    schema.create(db)
                    upgrade_tables(db, made=True)
                elif revision != SCHEMA:
                    upgrade_tables(db)
                    if revision < WITH_KEYS:
                        take_those_of(self.folder, db)

    def revision(self) -> str | None:
        """As `Backend.revision`."""
        with self.errors(), self.engine.connect() as db:
            return _revision(db)

    def reading(self, connection: sa.Connection) -> sa.Connection:
        """As `Backend.reading`."""
        return connection.execution_options(
            isolation_level="REPEATABLE READ", postgresql_readonly=True
        )

    def queue_up(self, connection: sa.Connection) -> None:
        """As `Backend.queue_up`. What each statement sees from here on was committed before."""
        connection.exec_driver_sql(QUEUE_UP)
        # At the first, too: many a process ends before it has written so often.
        if self._writes % COMPACTED_WRITES == 0:
            connection.exec_driver_sql(COMPACT)
        self._writes += 1

    @contextmanager
    def turn(self, name: str, seconds: float) -> Iterator[Callable[[], None]]:
        """As `Backend.turn`, by an advisory lock. It belongs to a transaction that does nothing
        else: of a process that has stopped, the server ends it (`SESSION`); who goes on keeps it,
        however long a single step takes."""
        digest = hashlib.blake2b(name.encode(), digest_size=8).digest()
        lock = sa.select(sa.func.pg_try_advisory_xact_lock(int.from_bytes(digest, signed=True)))
        end = time.monotonic() + seconds
        with self.errors(), self.engine.begin() as db:
            while not db.execute(lock).scalar():
                if time.monotonic() >= end:
                    raise BusyError(f"Another process brings {name!r} up to date.")
                time.sleep(TURN_SECONDS)
            with closing(_Turn(db)) as held:
                yield lambda: self._still_there(held)

    def _still_there(self, held: _Turn) -> None:
        with self.errors():
            held.look()

    @contextmanager
    def holding(self, sha256: str) -> Iterator[None]:
        """As `Backend.holding`: a lock of a session, which is in no transaction meanwhile."""
        key = {"kind": HOLDING, "of": int.from_bytes(bytes.fromhex(sha256[:8]), signed=True)}
        with self._among_holders(), self.engine.connect() as opened:
            db = opened.execution_options(isolation_level="AUTOCOMMIT")
            db.execute(sa.text("SELECT pg_advisory_lock(:kind, :of)"), key)
            try:
                yield
            finally:
                with lost_lock(self.name):
                    db.execute(sa.text("SELECT pg_advisory_unlock(:kind, :of)"), key)

    @contextmanager
    def _among_holders(self) -> Iterator[None]:
        """Be one of the few of this process who hold such a lock."""
        if not self._holders.acquire(timeout=HOLDING_SECONDS):
            raise BusyError(
                f"Too many files of the library {self.name!r} are added or deleted at once; try "
                "again."
            )
        try:
            yield
        finally:
            self._holders.release()

    def incarnation(self, connection: sa.Connection) -> str:
        """As `Backend.incarnation`: which table of which database, and which transaction wrote
        it. A dump that is taken back gives out ids again that were given out after it."""
        return str(connection.exec_driver_sql(INCARNATION).scalar_one())

    def version(self) -> str | None:
        """As `Backend.version`: which transactions are done and which are not."""
        return self._looks.snapshot()

    def value(self, key: Hashable, read: Callable[[], Value]) -> Value:
        """As `Backend.value`."""
        return self._unchanged.value(key, read)

    def close(self) -> None:
        """As `Backend.close`."""
        self._looks.close()
        self._unchanged.forget()
        self.engine.dispose()

    @contextmanager
    def errors(self) -> Iterator[None]:
        """As `Backend.errors`; EngineError where the server is not there, or does not let
        us in."""
        try:
            yield
        except UnicodeEncodeError as problem:
            raise InputError(f"{problem.object!r} is not valid UTF-8.") from problem
        except sa.exc.DBAPIError as problem:
            raise ours(self.name, problem) from problem
        except (sa.exc.TimeoutError, sa.exc.InvalidRequestError) as problem:
            raise BusyError(f"The library {self.name!r} is busy: {problem}.") from problem


def _engine(address: str) -> sa.Engine:
    try:
        engine = sa.create_engine(
            _url(address).set(drivername="postgresql+psycopg"),
            pool_pre_ping=True,  # a server that was restarted has dropped all that is kept open
            connect_args={
                "connect_timeout": CONNECT_SECONDS,
                "application_name": "segsearch",
                **LINK,
            },
        )
        # Many rows as one statement: what follows a table by triggers hears of them together.
        engine.dialect.use_insertmanyvalues_wo_returning = True
        return engine
    except ModuleNotFoundError as problem:
        raise EngineError(
            "A library on PostgreSQL needs the package psycopg: install segsearch[server]."
        ) from problem


def _url(address: str) -> sa.URL:
    try:
        return sa.make_url(address)
    except (sa.exc.ArgumentError, ValueError) as problem:  # its text may hold a password
        raise InputError(
            "The address of the library is none: expected postgresql://user@host:5432/database."
        ) from problem


class _Turn:
    """A transaction that holds a lock, and is asked for something now and then, so that the server
    does not end it while its process runs. Thread-safe."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._lost: sa.exc.DBAPIError | None = None
        self._keeper = threading.Thread(target=self._keep, name="turn", daemon=True)
        self._keeper.start()

    def look(self) -> None:
        """DBAPIError where the transaction has ended."""
        with self._lock:
            if self._lost is not None:
                raise self._lost
            try:
                self._connection.exec_driver_sql("SELECT 1")
            except sa.exc.DBAPIError as problem:
                self._lost = problem
                raise

    def close(self) -> None:
        """Leave the transaction to its owner again."""
        self._ended.set()
        self._keeper.join()

    def _keep(self) -> None:
        with suppress(sa.exc.DBAPIError):  # its owner hears of it by `look`
            while not self._ended.wait(AWAKE_SECONDS):
                self.look()


class _Looks:
    """A connection that is asked whether anything was committed. Thread-safe."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._connection: sa.Connection | None = None

    def snapshot(self) -> str | None:
        with self._lock:
            try:
                if self._connection is None:
                    opened = self._engine.connect()
                    self._connection = opened.execution_options(isolation_level="AUTOCOMMIT")
                asked = self._connection.exec_driver_sql("SELECT pg_current_snapshot()::text")
                return str(asked.scalar_one())
            except sa.exc.SQLAlchemyError:
                self._drop()
                return None

    def close(self) -> None:
        with self._lock:
            self._drop()

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.invalidate()
            self._connection.close()
        self._connection = None


def without_password(address: str) -> str:
    """An address as it may be shown."""
    url = _url(address).set(drivername="postgresql", password=None)
    hidden = {key: value for key, value in url.query.items() if "pass" not in key.lower()}
    return url.set(query=hidden).render_as_string()


def _configure(connection: Any, _record: Any) -> None:
    calls = ", ".join(["set_config(%s, %s, false)"] * len(SESSION))
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {calls}", list(chain.from_iterable(SESSION.items())))
    connection.commit()


def _revision(db: sa.Connection) -> str | None:
    if db.exec_driver_sql("SELECT to_regclass('alembic_version')").scalar() is None:
        return None
    revisions = db.exec_driver_sql("SELECT version_num FROM alembic_version").scalars().all()
    if len(revisions) > 1:
        raise DamageError(f"The catalog's tables stand at {len(revisions)} revisions at once.")
    return str(revisions[0]) if revisions else None


def _is_read_only(db: sa.Connection) -> bool:
    """Whether this is a replica, or the role may not write the library's table."""
    if db.exec_driver_sql("SELECT pg_is_in_recovery()").scalar():
        return True
    if db.exec_driver_sql("SHOW default_transaction_read_only").scalar() == "on":
        return True
    if db.exec_driver_sql("SELECT to_regclass('library')").scalar() is None:
        return False
    return not db.exec_driver_sql("SELECT has_table_privilege('library', 'INSERT')").scalar()
