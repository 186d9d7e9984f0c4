"""Answers that are pictures: drawn in a lane of their own, and not again for a caller's copy."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import suppress
from typing import Annotated

from fastapi import Depends, Request
from fastapi.responses import Response

from segsearch.core.downloads import disposition
from segsearch.core.version import __version__
from segsearch_api.deps import SharedDep

# The tag stands for the content. A copy is used only after asking, because another library may be
# served under the same address later; asking costs two look-ups and no drawing.
CACHE_CONTROL = "private, no-cache"


def tag_of(*parts: object) -> str:
    """An ETag for everything that a drawing depends on, this program's version included."""
    text = "\n".join(map(str, (__version__, *parts)))
    return f'"{hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:32]}"'


class Drawer:
    """Answers one request with a picture."""

    def __init__(self, request: Request, shared: SharedDep) -> None:
        header = request.headers.get("if-none-match", "")
        self._copies = {tag.strip().removeprefix("W/") for tag in header.split(",")}
        self._shared = shared

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
        headers = {"ETag": tag, "Cache-Control": CACHE_CONTROL}
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
