"""The calls of `Client` about what queries are made from: saved searches."""

from __future__ import annotations

from urllib.parse import quote

from segsearch.client.transport import Connection, Document
from segsearch.core.errors import InputError


class QueryCalls:
    """The part of `Client` that keeps what queries are made from."""

    _server: Connection

    def searches(self) -> list[Document]:
        """All saved searches by name."""
        return self._server.documents("/v1/searches", "searches")

    def save_search(self, name: str, address: str) -> Document:
        """Keep an address of the page, from its question mark on, under a name; what had that
        name before goes."""
        return self._server.document("PUT", _search(name), json={"address": address})

    def delete_search(self, name: str) -> None:
        """Forget a saved search."""
        self._server.send("DELETE", _search(name))


def _search(name: str) -> str:
    if not name:  # its address would be that of all searches
        raise InputError("A saved search's name is empty.")
    return f"/v1/searches/{quote(name, safe='')}"
