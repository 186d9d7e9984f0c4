"""The calls of `Client` about what queries are made from: pictures to search by, words
for regions, questions about them, saved searches."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from segsearch.client.transport import Connection, Document, File, as_parts
from segsearch.core.errors import InputError


class QueryCalls:
    """The part of `Client` that keeps what queries are made from."""

    _server: Connection

    def keep_picture(self, picture: File) -> Document:
        """Send a picture to search by; `picture_id` is how queries name it: `search(picture_id=)`,
        terms and regions."""
        with as_parts([picture]) as (part,):
            return self._server.document("POST", "/v1/pictures", files={"picture": part})

    def picture_thumbnail(self, picture_id: str, side: int = 480) -> bytes:
        """A small JPEG of a picture that was kept to search by."""
        path = f"/v1/pictures/{quote(picture_id, safe='')}/thumbnail"
        return self._server.bytes_of(path, side=side)

    def words_of(self, segment_id: int, limit: int = 6) -> list[Document]:
        """The everyday words that fit a segment best."""
        return self._server.documents(f"/v1/segments/{segment_id}/words", "words", limit=limit)

    def words_at(self, region: Document, limit: int = 6) -> list[Document]:
        """The same for a thing that is pointed at: `{"image_id": 31, "points": [[320, 200]]}`."""
        body = {"region": region, "limit": limit}
        words: list[Document] = self._server.document("POST", "/v1/words", json=body)["words"]
        return words

    def ask(self, segment_id: int, question: str, *, keep: bool = False) -> Document:
        """What the vision model of the server's settings says of a segment: `answer`, `kept_for`;
        with `keep`, the answer becomes a caption. ApiError `endpoint_missing_error` where the
        server has none."""
        body = {"question": question, "keep": keep}
        return self._server.document("POST", f"/v1/segments/{segment_id}/ask", json=body)

    def ask_picture(
        self, image_id: int, question: str | None = None, *, keep: bool = False
    ) -> Document:
        """The same of a whole picture; without a question, how the things in it lie."""
        body = {"keep": keep, **({} if question is None else {"question": question})}
        return self._server.document("POST", f"/v1/images/{image_id}/ask", json=body)

    def rerank(self, query: Document, /, first: int = 20, **bounds: Any) -> Document:
        """`search` for a query (`{"text": "a red umbrella"}`), its first regions put in order by
        that model; `reranked` says what came of it. `bounds` are `seconds` and `requests`."""
        body = {"query": query, "first": first, **bounds}
        return self._server.document("POST", "/v1/search/rerank", json=body)

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
