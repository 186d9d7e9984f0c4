"""Calls of the client that look through a library, and those that arrange many pictures at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from segsearch.client.transport import Connection, Document


class BrowseCalls:
    """A part of `Client`."""

    _server: Connection

    def browse(
        self, /, *, order: str = "newest", page: int = 100, **filters: Any
    ) -> Iterator[Document]:
        """Every picture that is done and passes the filters, fetched a page at a time.

        `order` is newest, oldest, added or name; filters are those of a search, by name.
        """
        query: Document = {"filters": filters, "order": order, "limit": page}
        while True:
            answer = self._server.document("POST", "/v1/browse", json=query)
            yield from answer["images"]
            if answer["next_cursor"] is None:
                return
            query["cursor"] = answer["next_cursor"]

    def facets(self) -> Document:
        """Albums, tags, cameras, collections, formats and months, each with its count of images."""
        return self._server.document("GET", "/v1/facets")

    def tag_images(
        self, image_ids: Sequence[int], *, add: Sequence[str] = (), remove: Sequence[str] = ()
    ) -> int:
        """Add tags to images and remove others; how many have other tags now."""
        change = {"image_ids": list(image_ids), "add": list(add), "remove": list(remove)}
        return int(self._server.document("POST", "/v1/images/tags", json=change)["changed"])

    def remove_images(self, image_ids: Sequence[int]) -> int:
        """Forget images, with the files of those that were uploaded; how many there were."""
        body = {"image_ids": list(image_ids)}
        return int(self._server.document("POST", "/v1/images/remove", json=body)["removed"])

    def near_duplicates(self, image_id: int) -> list[Document]:
        """The images that look almost the same as one, the nearest first."""
        return self._server.documents(f"/v1/images/{image_id}/near-duplicates", "images")

    def duplicates(self, *, page: int = 20) -> Iterator[list[Document]]:
        """Groups of images that look almost the same, the one with the most pixels first."""
        after: int | None = 0
        while after is not None:
            given = {"after": after, "limit": page}
            answer = self._server.document("GET", "/v1/duplicates", params=given)
            yield from (group["images"] for group in answer["groups"])
            after = answer["next_after"]
