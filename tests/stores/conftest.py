"""A real S3 server behind a proxy that counts and spoils answers, and a bucket for each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count

import pytest
import s3fs

from segsearch.core.settings import Settings
from segsearch.media.sources.object_store import ObjectStore
from tests.support.faulty_store import FaultyStore, faulty_store
from tools.postgres_server import MADE, PostgresServer, make_template
from tools.s3_server import S3Server

_NUMBERS = count(1)


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    with S3Server() as server:
        yield server


@pytest.fixture
def proxy(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyStore]:
    """The way to the server that this process and its children take."""
    with faulty_store(s3_server.port) as proxy:
        for name, value in s3_server.environment(proxy.endpoint).items():
            monkeypatch.setenv(name, value)
        forget_clients()
        yield proxy
        forget_clients()


def forget_clients() -> None:
    """Clients know where they ask from the environment that they were made in."""
    for client in s3fs.S3FileSystem._cache.values():
        client.close_session(client.loop, client._s3)
    s3fs.S3FileSystem.clear_instance_cache()


@pytest.fixture
def bucket() -> str:
    """A URL of its own in a bucket."""
    return f"s3://pictures/{next(_NUMBERS)}"


@pytest.fixture
def put(bucket: str, proxy: FaultyStore) -> Callable[[str, bytes], str]:
    """Put an object into the bucket; its URL."""
    store = ObjectStore(30)

    def put(name: str, data: bytes) -> str:
        store.write(f"{bucket}/{name}", data)
        proxy.mend()
        return f"{bucket}/{name}"

    return put


@pytest.fixture
def settings() -> Settings:
    return Settings(store_seconds=20)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    with PostgresServer() as server:
        make_template(server)
        yield server


@pytest.fixture
def address(postgres: PostgresServer) -> Iterator[str]:
    """A database of its own, with an empty library."""
    name = f"nodes_{next(_NUMBERS)}"
    yield postgres.create_database(name, like=MADE)
    postgres.drop_database(name)
