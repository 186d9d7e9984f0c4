"""Calls of the client that list regions without a query, and those about their map."""

from __future__ import annotations

from collections.abc import Iterator

from segsearch.client.transport import Connection, Document
from segsearch.core.errors import DamageError, UnreachableError
from segsearch.core.map_points import MapPoints


class MapCalls:
    """A part of `Client`."""

    _server: Connection

    def regions(self, filters: Document | None = None, *, page: int = 100) -> Iterator[Document]:
        """Every region that passes filters, with its picture, by ascending id, fetched a page at a
        time; fields of `filters` as in a search, such as `{"map_cluster": 7}`."""
        cursor: str | None = None
        while True:
            asked = {"filters": filters or {}, "cursor": cursor, "limit": page}
            answer = self._server.document("POST", "/v1/regions", json=asked)
            yield from answer["regions"]
            cursor = answer["next_cursor"]
            if cursor is None:
                return

    def map(self, collection: str | None = None) -> Document:
        """How the map of the library, or of a collection, stands, with its clusters."""
        return self._server.document("GET", "/v1/map", params=_of(collection))

    def make_map(self, collection: str | None = None) -> Document:
        """Begin to make a map; `map` says how far it is."""
        return self._server.document("POST", "/v1/map", json={"collection": collection})

    def map_points(self, collection: str | None = None) -> MapPoints:
        """Where every region lies on the map, as NumPy's arrays."""
        content = self._server.bytes_of("/v1/map/points", **_of(collection))
        try:
            return MapPoints.from_bytes(content)
        except DamageError as problem:
            raise UnreachableError(f"The server sends no map that can be read: {problem}") from (
                problem
            )


def _of(collection: str | None) -> dict[str, str]:
    return {} if collection is None else {"collection": collection}
