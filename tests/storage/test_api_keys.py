"""API keys: what opens is shown once, kept as a hash, and ends when revoked."""

from __future__ import annotations

import re
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from sqlalchemy.event import listen

from segsearch.core.errors import (
    ConflictError,
    DamageError,
    InputError,
    KeyMissingError,
    LibraryError,
    NotFoundError,
)
from segsearch.core.settings import Settings
from segsearch.storage.api_keys import FILE, ApiKeys, KeyRing, Scope
from segsearch.storage.catalog.backend import Server
from segsearch.storage.catalog.engine import SCHEMA
from segsearch.storage.catalog.postgres.keys import FRESH_SECONDS, DatabaseKeys
from segsearch.storage.catalog.sql_catalog import Catalog
from segsearch.storage.catalogs import move_library, open_catalog, open_keys
from tests.storage.test_postgres import connected
from tests.support.described import RECIPE
from tests.support.older_server import make_older
from tools.postgres_server import PostgresServer


@pytest.fixture
def ring(tmp_path: Path) -> KeyRing:
    return KeyRing(tmp_path / "library")


@pytest.fixture(params=["file", "database"])
def node(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], ApiKeys]]:
    """A way to the keys of one library, as each of its processes has its own."""
    if request.param == "file":
        yield lambda: KeyRing(tmp_path / "library")
        return
    server: Server = request.getfixturevalue("server")
    with ExitStack() as opened:
        yield lambda: opened.enter_context(closing(Catalog(server))).keys


def test_a_key_opens_and_only_its_hash_is_kept(ring: KeyRing, tmp_path: Path) -> None:
    key, text = ring.create("laptop", Scope.WRITE)
    assert ring.check(text) == key
    file = tmp_path / "library" / FILE
    assert text.rpartition("_")[2] not in file.read_text()
    assert text[-43:] not in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "hash" not in key.document


@pytest.mark.parametrize("change", ["", "x", "segsearch_", "flip", "other id", "case"])
def test_nothing_else_opens(node: Callable[[], ApiKeys], change: str) -> None:
    ring = node()
    key, text = ring.create("laptop", Scope.READ)
    changed = {
        "flip": text[:-1] + ("A" if text[-1] != "A" else "B"),
        "other id": text.replace(key.id, "00000000"),
        "case": text.upper(),
    }.get(change, change)
    with pytest.raises(KeyMissingError):
        ring.check(changed)


def test_a_revoked_key_ends_at_once_for_others(node: Callable[[], ApiKeys]) -> None:
    ring, other = node(), node()
    key, text = ring.create("laptop", Scope.READ)
    assert other.check(text) == key
    assert other.is_at_hand(text)
    ring.revoke(key.id)
    with pytest.raises(KeyMissingError):
        ring.check(text)
    if isinstance(other, DatabaseKeys):
        time.sleep(FRESH_SECONDS)
    with pytest.raises(KeyMissingError):
        other.check(text)
    assert [key.id for key in other.all()] == [key.id]
    assert not other.any_valid()
    with pytest.raises(NotFoundError):
        ring.revoke(key.id)
    again, _ = ring.create("laptop", Scope.READ)  # the name is free again
    assert again.id != key.id


def test_a_name_is_given_to_one_valid_key(node: Callable[[], ApiKeys]) -> None:
    ring = node()
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


def test_keys_that_nodes_make_at_once_are_all_kept_and_a_name_is_given_once(
    server: Server,
) -> None:
    with ExitStack() as opened:
        rings = [opened.enter_context(closing(Catalog(server))).keys for _ in range(3)]
        refused: list[ConflictError] = []

        def make(ring: ApiKeys, number: int) -> None:
            for turn in range(5):
                ring.create(f"{number}-{turn}", Scope.READ)
                try:
                    ring.create(f"same {turn}", Scope.READ)
                except ConflictError as problem:
                    refused.append(problem)

        threads = [
            threading.Thread(target=make, args=(ring, number)) for number, ring in enumerate(rings)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        names = [key.name for key in rings[0].all()]
    assert (len(names), len(set(names)), len(refused)) == (20, 20, 10)


def test_a_check_is_one_statement_and_none_for_a_second(server: Server) -> None:
    with closing(Catalog(server)) as catalog:
        made = [catalog.keys.create(str(number), Scope.READ)[1] for number in range(30)]
        asked: list[str] = []
        listen(catalog._engine, "before_cursor_execute", lambda *given: asked.append(str(given[2])))
        for _ in range(50):
            catalog.keys.check(made[7])
        assert [text.count("SELECT api_key") for text in asked] == [1]
        for bad in ("", "segsearch_", "x" * 100_000, made[7] + "x"):
            with pytest.raises(KeyMissingError):
                catalog.keys.check(bad)
        assert len(asked) == 1, "what is no key by its form is not asked for"
        with connected(server) as db:
            db.execute("SET enable_seqscan = off")
            query = re.sub(r"%\(\w+\)s", "'x'", asked[0])
            plan = db.execute(f"EXPLAIN {query}".encode())
            assert "api_key_pkey" in str(plan.fetchall())


def test_keys_of_a_database_that_was_taken_back_open_nothing_until_somebody_says_so(
    postgres: PostgresServer, server: Server, tmp_path: Path
) -> None:
    """A dump from before a key was revoked would let it in again."""
    with closing(Catalog(server)) as catalog:
        catalog.register_recipe(RECIPE)
        revoked, text = catalog.keys.create("revoked after the dump", Scope.ADMIN)
        kept, good = catalog.keys.create("laptop", Scope.READ)
        address = postgres.copy_database(server.address, "taken_back")
        catalog.keys.revoke(revoked.id)
    with closing(Catalog(Server(address, tmp_path / "other"))) as restored:
        ring = restored.keys
        assert [(key.name, key.revoked_at, key.trusted, key.opens) for key in ring.all()] == [
            ("revoked after the dump", None, False, False),
            ("laptop", None, False, False),
        ]
        assert not ring.any_valid()
        for shown in (text, good):
            with pytest.raises(KeyMissingError, match="came back with a dump"):
                ring.check(shown)
        with pytest.raises(KeyMissingError, match="not known here"):
            ring.check(text[:-1] + ("A" if text[-1] != "A" else "B"))
        with pytest.raises(ConflictError):
            ring.create("laptop", Scope.READ)
        assert ring.trust(kept.id).opens
        assert ring.check(good).id == kept.id
        for unknown in (kept.id, "00000000"):
            with pytest.raises(NotFoundError):
                ring.trust(unknown)
        ring.revoke(revoked.id)
        _, new = ring.create("desk", Scope.READ)
        assert ring.check(new).scope is Scope.READ
        restored.resume()  # what else is written changes nothing of that
        assert [key.name for key in ring.all() if key.opens] == ["laptop", "desk"]
    postgres.drop_database("taken_back")


def test_keys_stay_good_where_the_database_only_moves_on(server: Server) -> None:
    with closing(Catalog(server)) as catalog:
        _, text = catalog.keys.create("laptop", Scope.READ)
    with connected(server) as db:
        db.autocommit = True
        db.execute("VACUUM (FULL, FREEZE) library")
        db.execute("VACUUM (FULL, FREEZE) api_key")
    with closing(Catalog(server)) as catalog:
        assert catalog.keys.check(text).name == "laptop"


def test_a_database_that_is_away_lets_nobody_in(server: Server) -> None:
    with closing(Catalog(server)) as catalog:
        _, text = catalog.keys.create("laptop", Scope.READ)
        with connected(server) as db:
            db.execute("ALTER TABLE api_key RENAME TO hidden")
            db.commit()
        with pytest.raises(LibraryError):
            catalog.keys.check(text)


def test_a_database_of_the_version_before_gets_the_table_and_its_keys(server: Server) -> None:
    Catalog(server).close()  # it has a name of its own
    make_older(server.address)
    ring = KeyRing(server.folder)  # where they were
    (ended, _), (_, old) = ring.create("gone", Scope.READ), ring.create("phone", Scope.WRITE)
    ring.revoke(ended.id)
    before = ring.all()
    for _ in range(2):
        with closing(Catalog(server)) as catalog:
            assert catalog.schema() == SCHEMA
            assert catalog.keys.all() == before
            assert catalog.keys.check(old).scope is Scope.WRITE
    with closing(Catalog(server)) as catalog:
        _, text = catalog.keys.create("laptop", Scope.READ)
        assert catalog.keys.check(text).name == "laptop"


def test_a_library_whose_keys_cannot_be_read_is_upgraded_all_the_same(server: Server) -> None:
    make_older(server.address)
    server.folder.mkdir(exist_ok=True)
    (server.folder / FILE).write_text("half of")
    with closing(Catalog(server)) as catalog:
        assert (catalog.schema(), catalog.keys.all()) == (SCHEMA, [])


def test_keys_move_with_a_library_in_both_directions(server: Server, tmp_path: Path) -> None:
    folder, back = Settings(library=tmp_path / "a"), Settings(library=tmp_path / "b")
    database = Settings(library=tmp_path / "node", catalog=server.address)
    with closing(open_catalog(folder, create=True)) as catalog:
        catalog.register_recipe(RECIPE)
        ended, old = catalog.keys.create("old", Scope.READ)
        _, text = catalog.keys.create("laptop", Scope.WRITE)
        catalog.keys.revoke(ended.id)
        before = catalog.keys.all()
    assert move_library(folder, database).keys
    assert move_library(database, back).keys
    for settings in (database, back):
        with open_keys(settings) as keys:
            assert keys.all() == before
            assert keys.check(text).scope is Scope.WRITE
            with pytest.raises(KeyMissingError):
                keys.check(old)


def test_a_move_that_is_killed_before_the_keys_goes_on(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Settings(library=tmp_path / "a")
    database = Settings(library=tmp_path / "node", catalog=server.address)
    with closing(open_catalog(folder, create=True)) as catalog:
        catalog.register_recipe(RECIPE)
        _, text = catalog.keys.create("laptop", Scope.WRITE)

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as only:
        only.setattr(DatabaseKeys, "take", die)
        with pytest.raises(KeyboardInterrupt):
            move_library(folder, database)
    assert move_library(folder, database).keys
    with open_keys(database) as keys:
        assert keys.check(text).scope is Scope.WRITE
    with pytest.raises(ConflictError, match="holds pictures"):
        move_library(folder, database)
