"""Answers that are pictures: drawn in a lane of their own, and not again for a caller's copy."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import suppress
from typing import Annotated, Self

from fastapi import Depends, Query, Request
from fastapi.responses import Response

from segsearch.core.downloads import disposition
from segsearch.core.version import __version__
from segsearch.library import SegSearch
from segsearch_api.deps import SharedDep

# The tag stands for the content. A copy is used only after asking, because another library may be
# served under the same address later; asking costs two look-ups and no drawing.
ASK_AGAIN = "private, no-cache"
# Where the address names the library, its content never changes: nothing is asked.
KEEP = "private, max-age=31536000, immutable"
Mark = Annotated[
    str | None,
    Query(
        max_length=100,
        description="What `/v1/session` calls `library`: the answer may then be kept unasked.",
    ),
]


def tag_of(*parts: object) -> str:
    """An ETag for everything that a drawing depends on, this program's version included."""
    text = "\n".join(map(str, (__version__, *parts)))
    return f'"{hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:32]}"'


def mark_of(library: SegSearch) -> str:
    """What stands for a library, and for how this program draws, in the addresses of pictures."""
    return tag_of("library", library.catalog.identity()).strip('"')[:16]


class Drawer:
    """Answers one request with a picture."""

    def __init__(self, request: Request, shared: SharedDep, library: Mark = None) -> None:
        is_named = library is not None and library == mark_of(shared.library)
        self._headers = {"Cache-Control": KEEP if is_named else ASK_AGAIN}
        if request.app.state.access.need_key:  # who signs out no longer sees the browser's copies
            self._headers["Vary"] = "Cookie, Authorization"
        header = request.headers.get("if-none-match", "")
        self._copies = {tag.strip().removeprefix("W/") for tag in header.split(",")}
        self._shared = shared

    def of_what_changes(self) -> Self:
        """For what changes under one address, whatever that names: a copy is asked about."""
        self._headers["Cache-Control"] = ASK_AGAIN
        return self

    @property
    def headers(self) -> dict[str, str]:
        """How long a caller may keep the answer."""
        return dict(self._headers)

    def unchanged(self, tag: str) -> Response | None:
        """304 where the caller holds a copy with this tag; else None."""
        if self._copies & {tag, "*"}:
            return Response(status_code=304, headers={"ETag": tag, **self._headers})
        return None

    async def answer(
        self,
        tag: str,
        media_type: str,
        draw: Callable[[], bytes],
        *,
        keep: bool = False,
        name: str | None = None,
    ) -> Response:
        """What `draw` gives, or 304 when the caller holds a copy with this tag.

        With `keep` it is kept among the thumbnails, and not drawn for the next caller. A browser
        that saves it calls it by the `name`.
        """
        headers = {"ETag": tag, **self._headers}
        if name is not None:
            headers["Content-Disposition"] = disposition("inline", name)
        if self._copies & {tag, "*"}:
            return Response(status_code=304, headers=headers)
        thumbnails = self._shared.thumbnails
        drawing = thumbnails.get(tag) if keep else None
        if drawing is None:
            drawing = await self._shared.drawings.run(draw)
            if keep:
                with suppress(ValueError):  # larger than all that is kept
                    thumbnails[tag] = drawing
        return Response(drawing, media_type=media_type, headers=headers)


DrawerDep = Annotated[Drawer, Depends()]
