"""API keys: what opens is shown once, kept as a hash, and ends when revoked."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from segsearch.core.errors import (
    ConflictError,
    DamageError,
    InputError,
    KeyMissingError,
    NotFoundError,
)
from segsearch.storage.api_keys import FILE, KeyRing, Scope


@pytest.fixture
def ring(tmp_path: Path) -> KeyRing:
    return KeyRing(tmp_path / "library")


def test_a_key_opens_and_only_its_hash_is_kept(ring: KeyRing, tmp_path: Path) -> None:
    key, text = ring.create("laptop", Scope.WRITE)
    assert ring.check(text) == key
    file = tmp_path / "library" / FILE
    assert text.rpartition("_")[2] not in file.read_text()
    assert text[-43:] not in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "hash" not in key.document


@pytest.mark.parametrize("change", ["", "x", "segsearch_", "flip", "other id", "case"])
def test_nothing_else_opens(ring: KeyRing, change: str) -> None:
    key, text = ring.create("laptop", Scope.READ)
    changed = {
        "flip": text[:-1] + ("A" if text[-1] != "A" else "B"),
        "other id": text.replace(key.id, "00000000"),
        "case": text.upper(),
    }.get(change, change)
    with pytest.raises(KeyMissingError):
        ring.check(changed)


def test_a_revoked_key_ends_at_once_for_others_who_read_the_file(ring: KeyRing) -> None:
    key, text = ring.create("laptop", Scope.READ)
    other = KeyRing(ring._file.parent)
    assert other.check(text).id == key.id
    ring.revoke(key.id)
    with pytest.raises(KeyMissingError):
        other.check(text)
    assert [key.id for key in other.all()] == [key.id]
    assert not other.any_valid()
    with pytest.raises(NotFoundError):
        ring.revoke(key.id)
    again, _ = ring.create("laptop", Scope.READ)  # the name is free again
    assert again.id != key.id


def test_a_name_is_given_to_one_valid_key(ring: KeyRing) -> None:
    ring.create("laptop", Scope.READ)
    with pytest.raises(ConflictError):
        ring.create("laptop", Scope.ADMIN)
    for bad in ("", " ", "../x", "a" * 65, "a\nb", "a\n"):
        with pytest.raises(InputError):
            ring.create(bad, Scope.READ)


def test_a_file_that_cannot_be_read_lets_nobody_in(ring: KeyRing) -> None:
    _, text = ring.create("laptop", Scope.READ)
    ring._file.write_text("{")
    with pytest.raises(DamageError):
        ring.check(text)


@pytest.mark.parametrize(
    ("has", "wants", "allowed"),
    [
        (Scope.READ, Scope.READ, True),
        (Scope.READ, Scope.WRITE, False),
        (Scope.WRITE, Scope.READ, True),
        (Scope.WRITE, Scope.ADMIN, False),
        (Scope.ADMIN, Scope.WRITE, True),
    ],
)
def test_a_scope_allows_what_stands_before_it(has: Scope, wants: Scope, allowed: bool) -> None:
    assert has.allows(wants) is allowed


def test_keys_made_by_processes_at_once_are_all_kept(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from segsearch.storage.api_keys import KeyRing, Scope\n"
        "ring = KeyRing(Path(sys.argv[1]))\n"
        "for n in range(10): ring.create(f'{sys.argv[2]}-{n}', Scope.READ)"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path), str(number)])
        for number in range(3)
    ]
    assert [process.wait(timeout=60) for process in running] == [0, 0, 0]
    assert len({key.name for key in KeyRing(tmp_path).all()}) == 30
