"""What is lost when processes or a Milvus die, or there is none: nothing; and what is said."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr, ValidationError

from segsearch.core.arrays import Ids
from segsearch.core.errors import EngineError
from segsearch.core.settings import Settings
from segsearch.storage.catalog.sql_catalog import Catalog
from segsearch.storage.index.milvus import follower, store
from segsearch.storage.index.milvus.address import MilvusAddress
from segsearch.storage.index.milvus.index import MilvusIndex
from segsearch.storage.index.milvus.store import MilvusStore
from segsearch.storage.indexes import open_index
from segsearch_api.app import create_app
from tests.conftest import BLUE, RED
from tests.storage.test_copying import painted as painted  # a fixture
from tests.storage.test_synced import ACTIVE, MIX
from tests.support.in_milvus import (
    ON_SERVER,
    QUERY,
    InMilvus,
    made_at,
    milvus,
    server,
)
from tests.support.small_models import open_small_service, paint


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[InMilvus]:
    """On SQLite, where what is tested is the Milvus's side."""
    yield from made_at(tmp_path, tmp_path / "catalog.sqlite")


def _follow_and_die(file: Path, address: MilvusAddress, last: int) -> None:
    """By SIGKILL, once so many rows are written, or all of them and nobody knows it."""
    index = MilvusIndex(Catalog(file), address, lambda _: MIX)
    upsert, left = index._store.upsert, [last]

    def counted(name: str, ids: Ids, *others: Any) -> None:
        upsert(name, ids, *others)
        left[0] -= ids.size
        if left[0] <= 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def die(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    follower.PORTION = 3
    noted = _but_filling(index._catalog, die)
    with (
        patch.object(index._store, "upsert", counted),
        patch.object(index._catalog, "note_follower", noted),
    ):
        index.open(ACTIVE)


def _but_filling(catalog: Catalog, otherwise: Callable[[], None]) -> Callable[[str, int], None]:
    note = catalog.note_follower

    def noted(name: str, seq: int) -> None:
        if seq >= 0:
            otherwise()
        note(name, seq)

    return noted


@pytest.mark.process
def test_killed_while_it_follows_the_next_one_goes_on(alone: InMilvus, tmp_path: Path) -> None:
    """Before anything stands there, in the middle of it, and when all was written but not noted."""
    address = milvus()
    if address.is_lite:  # one process at a time has the file open
        address = MilvusAddress.of(f"milvus:{tmp_path / 'own.db'}")
    file = tmp_path / "catalog.sqlite"
    for number, rows in enumerate((1, 7, 1_000)):
        alone.store(60 + number)
        alone.catalog.remove_segments([1 + number])
        process = multiprocessing.get_context("spawn").Process(
            target=_follow_and_die, args=(file, address, rows)
        )
        process.start()
        process.join(120)
        assert process.exitcode == -signal.SIGKILL
        alone.index = MilvusIndex(alone.catalog, address, lambda _: MIX)
        assert alone.index.open(ACTIVE)
        assert alone.held() == alone.known()
        assert alone.agrees()
        alone.index.close()


def once_it_answers(ask: Callable[[], bool]) -> bool:
    """A server that comes back takes a while to read what it holds."""
    end = time.monotonic() + 90.0
    while True:
        try:
            return ask()
        except EngineError:
            if time.monotonic() > end:
                raise
            time.sleep(0.5)


@pytest.mark.skipif(not ON_SERVER, reason="needs a server")
@pytest.mark.process
def test_a_server_that_is_killed_has_what_it_was_told_and_takes_the_rest(alone: InMilvus) -> None:
    """Killed in the middle of a picture's rows; ingest goes on, a search says what is wrong, and
    once the server is back the rest is replayed. It then asks for a token, too."""
    assert alone.agrees()
    with (
        patch.object(store, "CALL_SECONDS", 1.0),
        server().stopped(),  # it takes calls, and is silent
        pytest.raises(EngineError, match="cannot be used"),
    ):
        alone.index.search(ACTIVE, QUERY, 3)
    alone.store(70)
    upsert = alone.collections.upsert

    def killed(name: str, ids: Ids, rows: Any, scalars: dict[str, list[Any]]) -> None:
        upsert(name, ids[:2], rows[:2], {key: value[:2] for key, value in scalars.items()})
        server().kill()
        upsert(name, ids, rows, scalars)

    with patch.multiple(store, CALL_SECONDS=2.0, WRITE_SECONDS=2.0, CONNECT_SECONDS=2.0):
        with patch.object(alone.collections, "upsert", killed), pytest.raises(EngineError):
            alone.index.search(ACTIVE, QUERY, 3)
        alone.store(71)
        alone.catalog.remove_segments([1, 2])
        for index in (alone.index, alone.another()):
            with pytest.raises(EngineError, match=r"The Milvus at 127\.0\.0\.1:19530 cannot be"):
                index.search(ACTIVE, QUERY, 3)
        (problem,) = alone.index.problems(ACTIVE)
        assert "cannot be" in problem
        assert alone.index.glance(ACTIVE)[1] is not None
        alone.index.settle(ACTIVE)
    server().start(asks_for_token=True)
    try:
        for wrong in ("", "root:wrong"):
            address = MilvusAddress(milvus().uri, milvus().name, token=SecretStr(wrong))
            with pytest.raises(EngineError, match=r"does not let us in|cannot be used") as refused:
                MilvusIndex(alone.catalog, address, lambda _: MIX).search(ACTIVE, QUERY, 3)
            assert "wrong" not in str(refused.value)
        address = MilvusAddress.of(server().address.replace("//", "//root:Milvus@"))
        alone.index = MilvusIndex(alone.catalog, address, lambda _: MIX)
        assert once_it_answers(alone.agrees)
        assert alone.held() == alone.known()
        alone.index.close()
    finally:
        server().kill()
        server().start()


def test_without_it_ingest_goes_on_and_searches_say_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody listens there."""
    monkeypatch.setattr(store, "CONNECT_SECONDS", 0.5)
    paint(tmp_path / "pictures" / "a.png", [RED, BLUE])
    away = MilvusAddress.of("milvus+http://anna:secret@127.0.0.1:9/photos")

    def nowhere(catalog: Catalog, _folder: Path, mix_of: Any) -> MilvusIndex:
        return MilvusIndex(catalog, away, mix_of)

    with open_small_service(tmp_path / "library", make_index=nowhere) as service:
        with caplog.at_level(logging.WARNING):
            assert service.index([tmp_path / "pictures"]).indexed == 1
        assert "brought up to date later" in caplog.text
        with TestClient(create_app(service), base_url="http://localhost") as client:
            answer = client.post("/v1/search", json={"text": "red"})
            assert answer.status_code == 503
            assert "the Milvus at 127.0.0.1:9" in answer.text.replace("The", "the")
            assert client.get("/v1/status").status_code == 200
            with pytest.raises(EngineError, match=r"127\.0\.0\.1:9"):
                service.behind()
            assert client.get("/readyz").status_code == 503
        (problem,) = [one for one in service.status().problems if one.code == "index_away"]
        assert "127.0.0.1:9" in problem.what
        said = caplog.text + answer.text + repr(away) + problem.what
        assert "secret" not in said
        assert service.maintenance.verify() != []


@pytest.mark.parametrize("package", ["pymilvus", "milvus_lite.server_manager"])
def test_what_is_not_installed_is_named(
    package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    name = package.partition(".")[0].replace("_", "-")
    with pytest.raises(EngineError, match=f"needs the package {name}"):
        MilvusStore(MilvusAddress.of(f"milvus:{tmp_path / 'none.db'}")).names()


def test_a_file_that_cannot_be_opened_is_told(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="its folder is missing"):
        MilvusStore(MilvusAddress.of(f"milvus:{tmp_path / 'no' / 'none.db'}")).names()


def test_an_old_server_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from pymilvus import MilvusClient

    opened = MilvusStore(milvus())
    opened.names()
    with opened._calls() as client:
        uri = client._config.uri
    monkeypatch.setattr(MilvusClient, "get_server_version", lambda *_, **__: "v2.2.16")
    with pytest.raises(EngineError, match=r"is version v2\.2\.16, segsearch needs 2\.3"):
        MilvusStore(MilvusAddress(uri, "the Milvus")).names()


def test_rows_that_are_no_numbers_are_refused(alone: InMilvus) -> None:
    assert alone.agrees()
    ids, row, scalars = alone.row_of(1)
    with pytest.raises(EngineError, match="none"):
        alone.collections.upsert(alone.name, ids, row * np.nan, scalars)


@pytest.mark.parametrize(
    ("text", "uri", "database", "token"),
    [
        ("milvus+http://host", "http://host:19530", "", "from-env"),
        ("milvus+https://host:443/photos", "https://host:443", "photos", "from-env"),
        ("milvus+http://anna:s%2Fx@host:1/", "http://host:1", "", "anna:s/x"),
        ("milvus+http://key@[::1]:1", "http://[::1]:1", "", "key"),
    ],
)
def test_an_address_is_read(
    text: str, uri: str, database: str, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MILVUS_TOKEN", "from-env")
    chosen = Settings(index=SecretStr(text)).index
    assert chosen is not None
    address = MilvusAddress.of(chosen.get_secret_value())
    assert (address.uri, address.database) == (uri, database)
    assert address.token is not None
    assert address.token.get_secret_value() == token
    assert token not in repr(address)


@pytest.mark.parametrize("text", ["milvus", "milvus:x", "faiss2", "milvus+ftp://secret@x", ""])
def test_what_is_no_index_is_refused(text: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Settings(index=SecretStr(text))
    assert "secret" not in str(refused.value)


def test_settings_choose_it(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path / "catalog.sqlite")
    settings = Settings(library=tmp_path, index=SecretStr(f"milvus:{tmp_path / 'x.db'}"))
    assert isinstance(open_index(settings, catalog, lambda _: MIX), MilvusIndex)
    assert "x.db" not in repr(settings)
    catalog.close()
