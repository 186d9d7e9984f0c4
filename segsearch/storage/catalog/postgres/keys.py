"""API keys in a table of a library's database: the same on all nodes, revoked on all at once.

A dump carries them along, and may be from before one was revoked. So each is bound to the database
that it was made in (`INCARNATION`): in one that was taken back it opens nothing until a person says
that it may.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from cachetools import TTLCache

from segsearch.core.errors import ConflictError, DamageError, LibraryError, NotFoundError
from segsearch.storage.api_keys import (
    Key,
    KeyRing,
    Scope,
    check_name,
    id_in,
    new_key,
    now,
    opened_by,
)
from segsearch.storage.catalog.portable import TEXT

INCARNATION = (
    "SELECT concat_ws('.', (SELECT oid FROM pg_database WHERE datname = current_database()), "
    "'library'::regclass::oid, (SELECT xmin FROM library WHERE key = 'catalog_id'))"
)
FRESH_SECONDS = 1.0  # so long what a key is worth is not asked again
KEYS_KEPT = 4_096
API_KEY = sa.Table(
    "api_key",
    sa.MetaData(),
    sa.Column("id", TEXT, primary_key=True),
    sa.Column("name", TEXT, nullable=False),
    sa.Column("scope", TEXT, nullable=False),
    sa.Column("hash", TEXT, nullable=False),
    sa.Column("created_at", TEXT, nullable=False),
    sa.Column("revoked_at", TEXT),
    sa.Column("incarnation", TEXT, nullable=False),
    sa.Column("number", sa.BigInteger, sa.Identity(), nullable=False),  # as they were made
)
KEPT = ("id", "name", "scope", "hash", "created_at", "revoked_at", "trusted")
_IS_OF_HERE = API_KEY.c.incarnation == sa.literal_column(f"({INCARNATION})", TEXT)
_KEYS = sa.select(API_KEY, _IS_OF_HERE.label("trusted"))


class DatabaseKeys:
    """The keys of one library on PostgreSQL, as `ApiKeys`. Thread-safe.

    What a key is worth is remembered for a second, and asked in one statement. EngineError where
    the server is away: then nobody is let in.
    """

    def __init__(
        self, engine: sa.Engine, errors: Callable[[], AbstractContextManager[None]]
    ) -> None:
        self._engine = engine
        self._errors = errors
        self._lock = threading.Lock()
        self._fresh: TTLCache[str, Key | LibraryError | None] = TTLCache(KEYS_KEPT, FRESH_SECONDS)

    def all(self) -> list[Key]:
        """As `ApiKeys.all`."""
        with self._errors(), self._engine.connect() as db:
            rows = db.execute(_KEYS.order_by(API_KEY.c.number)).mappings()
            return [_key(row) for row in rows]

    def any_valid(self) -> bool:
        """As `ApiKeys.any_valid`."""
        return any(key.opens for key in self.all())

    def create(self, name: str, scope: Scope) -> tuple[Key, str]:
        """As `ApiKeys.create`."""
        check_name(name)
        key, text = new_key(name, scope)
        with self._changing() as db:
            same = (API_KEY.c.name == name) & API_KEY.c.revoked_at.is_(None)
            if db.execute(sa.select(API_KEY.c.id).where(same)).first():
                raise ConflictError(f"There is a key {name!r} already: revoke it first.")
            _insert(db, [key])
        return key, text

    def revoke(self, key_id: str) -> Key:
        """As `ApiKeys.revoke`."""
        with self._changing() as db:
            works = (API_KEY.c.id == key_id) & API_KEY.c.revoked_at.is_(None)
            ended = db.execute(sa.update(API_KEY).where(works).values(revoked_at=now()))
            if not ended.rowcount:
                raise NotFoundError(f"There is no key {key_id[:20]!r} that still works.")
            return _key(db.execute(_KEYS.where(API_KEY.c.id == key_id)).mappings().one())

    def trust(self, key_id: str) -> Key:
        """As `ApiKeys.trust`."""
        with self._changing() as db:
            restored = (API_KEY.c.id == key_id) & API_KEY.c.revoked_at.is_(None)
            restored &= API_KEY.c.incarnation != _here(db)
            bound = db.execute(sa.update(API_KEY).where(restored).values(incarnation=_here(db)))
            if not bound.rowcount:
                raise NotFoundError(f"There is no key {key_id[:20]!r} that came with a dump.")
            return _key(db.execute(_KEYS.where(API_KEY.c.id == key_id)).mappings().one())

    def check(self, text: str) -> Key:
        """As `ApiKeys.check`."""
        self.look_up(text)
        key_id = id_in(text)
        with self._lock:
            kept = self._fresh.get(key_id) if key_id else None
        if isinstance(kept, LibraryError):
            raise kept
        return opened_by(text, kept)

    def is_at_hand(self, text: str) -> bool:
        """As `ApiKeys.is_at_hand`."""
        key_id = id_in(text)
        with self._lock:
            return key_id is None or key_id in self._fresh

    def look_up(self, text: str) -> None:
        """As `ApiKeys.look_up`."""
        key_id = id_in(text)
        if key_id is None or self.is_at_hand(text):
            return
        kept: Key | LibraryError | None
        try:
            with self._errors(), self._engine.connect() as db:
                row = db.execute(_KEYS.where(API_KEY.c.id == key_id)).mappings().first()
            kept = _key(row) if row else None
        except LibraryError as problem:
            kept = problem
        with self._lock:
            self._fresh[key_id] = kept

    def take(self, keys: Sequence[Key]) -> None:
        """As `ApiKeys.take`."""
        with self._changing() as db:
            if db.execute(sa.select(API_KEY.c.id).limit(1)).first():
                raise ConflictError("There are API keys already.")
            _insert(db, keys)

    @contextmanager
    def _changing(self) -> Iterator[sa.Connection]:
        """A transaction that changes keys: one at a time does."""
        with self._errors(), self._engine.begin() as db:
            db.exec_driver_sql("LOCK TABLE api_key IN SHARE ROW EXCLUSIVE MODE")
            yield db
        with self._lock:
            self._fresh.clear()


def take_those_of(folder: Path, db: sa.Connection) -> None:
    """Take in the keys that a version before kept in this machine's folder, while its library is
    upgraded; those that cannot be read open nothing, as before."""
    with suppress(DamageError):
        _insert(db, KeyRing(folder).all())


def _here(db: sa.Connection) -> str:
    return str(db.exec_driver_sql(INCARNATION).scalar_one())


def _insert(db: sa.Connection, keys: Sequence[Key]) -> None:
    here = _here(db)
    rows = [{**key.kept, "incarnation": here} for key in keys]
    if rows:
        db.execute(sa.insert(API_KEY), rows)


def _key(row: Any) -> Key:
    given = {name: row[name] for name in KEPT}
    return Key(**{**given, "scope": Scope(row["scope"])})
