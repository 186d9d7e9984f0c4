"""API keys: made once, shown once, kept as sha256 in the library's `keys.json`.

A key has 256 random bits, so one round of sha256 keeps it: there is nothing to guess from. The
keys are no table of the catalog: a backup would carry them along, and a restored one would let
revoked keys in again.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

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

    @property
    def document(self) -> dict[str, Any]:
        """The key without its hash, for whoever looks at the list."""
        return {name: value for name, value in asdict(self).items() if name != "hash"}


class KeyRing:
    """The keys of one library, read again when another process has changed the file.

    Thread-safe. DamageError when the file cannot be understood: then nobody is let in.
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
        return any(key.revoked_at is None for key in self.all())

    def create(self, name: str, scope: Scope) -> tuple[Key, str]:
        """A new key, and the text its owner sends: it cannot be had again.

        InputError for an unusable name, ConflictError when a valid key has it.
        """
        if not _NAME.fullmatch(name):
            raise InputError(
                f"The name {name[:80]!r} cannot name a key: expected up to 64 letters, digits, "
                "spaces and . @ - _, a letter or digit first."
            )
        secret = secrets.token_urlsafe(32)
        with self._changing():
            if any(key.name == name and key.revoked_at is None for key in self._keys.values()):
                raise ConflictError(f"There is a key {name!r} already: revoke it first.")
            key = Key(secrets.token_hex(4), name, scope, _hash(secret), _now())
            self._keys[key.id] = key
        return key, f"{PREFIX}_{key.id}_{secret}"

    def revoke(self, key_id: str) -> Key:
        """End a key; NotFoundError when there is none of this id that still works."""
        with self._changing():
            key = self._keys.get(key_id)
            if key is None or key.revoked_at is not None:
                raise NotFoundError(f"There is no key {key_id[:20]!r} that still works.")
            self._keys[key_id] = replace(key, revoked_at=_now())
        return self._keys[key_id]

    def check(self, text: str) -> Key:
        """The key behind a text; KeyMissingError when there is none, or none that still works."""
        match = _FORM.match(text)
        with self._lock:
            self._refresh()
            key = self._keys.get(match[1]) if match else None
        # Compared in any case: the time it takes must not tell whether an id is known.
        expected = key.hash if key else _hash("")
        fits = hmac.compare_digest(expected, _hash(match[2] if match else "-"))
        if key is None or not fits or key.revoked_at is not None:
            raise KeyMissingError(
                "The API key is not known here, or was revoked: `segsearch keys create NAME` makes "
                "a new one."
            )
        return key

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
        text = json.dumps({"keys": [asdict(key) for key in self._keys.values()]}, indent=1)
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


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
