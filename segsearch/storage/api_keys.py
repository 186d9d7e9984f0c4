"""API keys: made once, shown once, kept as sha256: in `keys.json` of a library's folder, or in a
table of its PostgreSQL database (`catalog/postgres/keys.py`), which all nodes share.

A key has 256 random bits, so one round of sha256 keeps it: there is nothing to guess from. The
keys of a folder are no table of its catalog: a backup would carry them along, and a restored one
would let revoked keys in again. Those of a database open nothing in one that was taken back.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from filelock import FileLock

from segsearch.core.atomic import whole
from segsearch.core.errors import (
    ConflictError,
    DamageError,
    DiskFullError,
    InputError,
    KeyMissingError,
    NotFoundError,
    ReadOnlyError,
    tells_of_full_disk,
)

FILE = "keys.json"
PREFIX = "segsearch"
_FORM = re.compile(rf"^{PREFIX}_([0-9a-f]{{8}})_([A-Za-z0-9_-]{{43}})$")
_NAME = re.compile(r"^[\w][\w .@-]{0,63}$")


class Scope(StrEnum):
    """What a key allows; each allows what stands before it, too."""

    READ = "read"
    WRITE = "write"
    ADMIN = "admin"

    def allows(self, needed: Scope) -> bool:
        """Whether a key of this scope may do what needs another."""
        order = list(Scope)
        return order.index(self) >= order.index(needed)


@dataclass(frozen=True, slots=True)
class Key:
    """A key as it is kept: `hash` is the sha256 of its secret part, times are ISO 8601 in UTC."""

    id: str
    name: str
    scope: Scope
    hash: str
    created_at: str
    revoked_at: str | None = None
    trusted: bool = True  # False for one that came back with a dump: it opens nothing

    @property
    def opens(self) -> bool:
        """Whether it opens anything."""
        return self.revoked_at is None and self.trusted

    @property
    def document(self) -> dict[str, Any]:
        """The key without its hash, for whoever looks at the list."""
        return {name: value for name, value in asdict(self).items() if name != "hash"}

    @property
    def kept(self) -> dict[str, Any]:
        """The key as it is written down."""
        return {name: value for name, value in asdict(self).items() if name != "trusted"}


class ApiKeys(Protocol):
    """The keys of one library. Thread-safe; a LibraryError when they cannot be read: then nobody
    is let in."""

    def all(self) -> list[Key]:
        """Every key ever made, revoked ones too, in the order they were made."""
        ...

    def any_valid(self) -> bool:
        """Whether there is a key that opens anything."""
        ...

    def create(self, name: str, scope: Scope) -> tuple[Key, str]:
        """A new key, and the text its owner sends: it cannot be had again.

        InputError for an unusable name, ConflictError when a key that is not revoked has it.
        """
        ...

    def revoke(self, key_id: str) -> Key:
        """End a key; NotFoundError when there is none of this id that still works."""
        ...

    def trust(self, key_id: str) -> Key:
        """Let a key open again that came back with a dump; NotFoundError when there is none of
        this id."""
        ...

    def check(self, text: str) -> Key:
        """The key behind a text; KeyMissingError when there is none, or none that still works."""
        ...

    def is_at_hand(self, text: str) -> bool:
        """Whether `check` answers without waiting for another machine."""
        ...

    def look_up(self, text: str) -> None:
        """Wait for what `check` needs, so that for a second it answers at once."""
        ...

    def take(self, keys: Sequence[Key]) -> None:
        """Take in the keys of another library, hashes and all; ConflictError where there are
        some."""
        ...


class KeyRing:
    """The keys of a library in a folder, as `ApiKeys`; read again when another process has changed
    the file. DamageError when the file cannot be understood.
    """

    def __init__(self, library: Path) -> None:
        self._file = library / FILE
        self._lock = threading.Lock()
        self._stamp: tuple[int, int, int] | None = None
        self._keys: dict[str, Key] = {}

    def all(self) -> list[Key]:
        """Every key ever made, revoked ones too, in the order they were made."""
        with self._lock:
            self._refresh()
            return list(self._keys.values())

    def any_valid(self) -> bool:
        """Whether there is a key that opens anything."""
        return any(key.opens for key in self.all())

    def create(self, name: str, scope: Scope) -> tuple[Key, str]:
        """As `ApiKeys.create`."""
        check_name(name)
        key, text = new_key(name, scope)
        with self._changing():
            if any(
                known.name == name and known.revoked_at is None for known in self._keys.values()
            ):
                raise ConflictError(f"There is a key {name!r} already: revoke it first.")
            self._keys[key.id] = key
        return key, text

    def revoke(self, key_id: str) -> Key:
        """End a key; NotFoundError when there is none of this id that still works."""
        with self._changing():
            key = self._keys.get(key_id)
            if key is None or key.revoked_at is not None:
                raise NotFoundError(f"There is no key {key_id[:20]!r} that still works.")
            self._keys[key_id] = replace(key, revoked_at=now())
        return self._keys[key_id]

    def trust(self, key_id: str) -> Key:
        """As `ApiKeys.trust`: a folder's keys are in no dump."""
        raise NotFoundError(f"There is no key {key_id[:20]!r} that came with a dump.")

    def check(self, text: str) -> Key:
        """As `ApiKeys.check`."""
        key_id = id_in(text)
        with self._lock:
            self._refresh()
            key = self._keys.get(key_id) if key_id else None
        return opened_by(text, key)

    def is_at_hand(self, _text: str) -> bool:
        """As `ApiKeys.is_at_hand`: the file lies on this machine."""
        return True

    def look_up(self, _text: str) -> None:
        """As `ApiKeys.look_up`."""

    def take(self, keys: Sequence[Key]) -> None:
        """As `ApiKeys.take`."""
        with self._changing():
            if self._keys:
                raise ConflictError("There are API keys already.")
            self._keys = {key.id: key for key in keys}

    def _refresh(self) -> None:
        try:
            stat = self._file.stat()
        except FileNotFoundError:
            self._stamp, self._keys = None, {}
            return
        stamp = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
        if stamp == self._stamp:
            return
        try:
            rows = json.loads(self._file.read_text("utf-8"))["keys"]
            keys = [Key(**{**row, "scope": Scope(row["scope"])}) for row in rows]
        except (OSError, ValueError, KeyError, TypeError) as problem:
            raise DamageError(f"The keys in {str(self._file)!r} cannot be read.") from problem
        self._stamp, self._keys = stamp, {key.id: key for key in keys}

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Change `_keys` and write them: one process at a time, whole or not at all."""
        with self._lock, _disk_errors_as_ours(self._file):
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(self._file.with_suffix(".lock")):
                self._refresh()
                before = dict(self._keys)
                try:
                    yield
                    self._write()
                except BaseException:
                    self._keys = before
                    raise

    def _write(self) -> None:
        text = json.dumps({"keys": [key.kept for key in self._keys.values()]}, indent=1)
        with whole(self._file, durable=True) as partial:
            partial.touch(0o600, exist_ok=False)  # its owner's alone, from the first byte on
            partial.write_text(f"{text}\n", encoding="utf-8")
        self._stamp = None


@contextmanager
def _disk_errors_as_ours(file: Path) -> Iterator[None]:
    try:
        yield
    except OSError as problem:
        kind = DiskFullError if tells_of_full_disk(problem) else ReadOnlyError
        raise kind(f"The keys cannot be written to {str(file)!r}: {problem.strerror}.") from problem


def check_name(name: str) -> None:
    """InputError for a name that cannot name a key."""
    if not _NAME.fullmatch(name):
        raise InputError(
            f"The name {name[:80]!r} cannot name a key: expected up to 64 letters, digits, "
            "spaces and . @ - _, a letter or digit first."
        )


def new_key(name: str, scope: Scope) -> tuple[Key, str]:
    """A key that is kept nowhere yet, and the text that opens."""
    secret = secrets.token_urlsafe(32)
    key = Key(secrets.token_hex(4), name, scope, _hash(secret), now())
    return key, f"{PREFIX}_{key.id}_{secret}"


def id_in(text: str) -> str | None:
    """The id of the key that a text says it is; None for what is no key's text."""
    match = _FORM.match(text)
    return match[1] if match else None


def opened_by(text: str, key: Key | None) -> Key:
    """The key of a text's id, where that text is its own; KeyMissingError otherwise."""
    match = _FORM.match(text)
    # Compared in any case: the time it takes must not tell whether an id is known.
    expected = key.hash if key else _hash("")
    fits = hmac.compare_digest(expected, _hash(match[2] if match else "-"))
    if key is None or not fits or key.revoked_at is not None:
        raise KeyMissingError(
            "The API key is not known here, or was revoked: `segsearch keys create NAME` makes "
            "a new one."
        )
    if not key.trusted:
        raise KeyMissingError(
            "The API key came back with a dump of the database, and may have been revoked since: "
            f"`segsearch keys trust {key.id}` lets it open again."
        )
    return key


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def now() -> str:
    """The time, as keys have it."""
    return datetime.now(UTC).isoformat(timespec="seconds")
