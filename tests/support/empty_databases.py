"""Empty libraries on a PostgreSQL server of their own, for tests that need one for each example."""

from __future__ import annotations

from pathlib import Path

from segsearch.storage.catalog.backend import Server
from tools.postgres_server import MADE, PostgresServer, make_template


class EmptyDatabases:
    """Databases, each with an empty library; the server starts with the first one."""

    def __init__(self) -> None:
        self._server: PostgresServer | None = None
        self._made = 0

    def another(self, folder: Path) -> Server:
        """A further one; the one before goes, if nobody is connected to it any more."""
        if self._server is None:
            self._server = PostgresServer()
            make_template(self._server)
        if self._made:
            self._server.drop_database(f"example_{self._made}")
        self._made += 1
        return Server(self._server.create_database(f"example_{self._made}", like=MADE), folder)

    def __enter__(self) -> EmptyDatabases:
        return self

    def __exit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.remove()
