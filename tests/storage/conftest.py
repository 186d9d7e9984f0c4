"""What the contract of a catalog is held on: a SQLite file, and a PostgreSQL server."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from segsearch.storage.catalog.backend import Place, Server
from segsearch.storage.catalog.sql_catalog import Catalog
from tests.support.described import RECIPE
from tools.postgres_server import MADE, PostgresServer, make_template

_NUMBERS = count(1)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A running server, with a database `MADE` that holds an empty library."""
    with PostgresServer() as server:
        make_template(server)
        yield server


@pytest.fixture
def server(postgres: PostgresServer, tmp_path: Path) -> Iterator[Server]:
    """A database of its own, with an empty library."""
    name = f"library_{next(_NUMBERS)}"
    yield Server(postgres.create_database(name, like=MADE), tmp_path / "node")
    postgres.drop_database(name)


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Where a catalog is made: on each of the engines in turn."""
    if request.param == "sqlite":
        return tmp_path / "catalog.sqlite"
    made: Server = request.getfixturevalue("server")
    return made


@pytest.fixture
def catalog(server: Server) -> Iterator[Catalog]:
    """On a server, with a recipe; modules whose tests run on both engines have one of their own."""
    made = Catalog(server)
    made.register_recipe(RECIPE)
    yield made
    made.close()
