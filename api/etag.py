"""Answers that are pictures: drawn in a lane of their own, and not again for a caller's copy."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from fastapi import Request
from fastapi.responses import Response

from segsearch.core.version import __version__
from segsearch_api.deps import (
    Kept,
    Lane,
)

# The tag stands for the content. A copy is used only after asking, because another library may be
# served under the same address later; asking costs two look-ups and no drawing.
CACHE_CONTROL = "private, no-cache"


def tag_of(*parts: object) -> str:
    """An ETag for everything that a drawing depends on, this program's version included."""
    text = "\n".join(map(str, (__version__, *parts)))
    return f'"{hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:32]}"'


async def drawn(
    request: Request,
    lane: Lane,
    tag: str,
    media_type: str,
    draw: Callable[[], bytes],
    *,
    kept: Kept | None = None,
) -> Response:
    """The drawing, or 304 when the caller holds it already; from `kept` when it is there."""
    headers = {"ETag": tag, "Cache-Control": CACHE_CONTROL}
    if _held(request.headers.get("if-none-match", ""), tag):
        return Response(status_code=304, headers=headers)
    drawing = kept.get(tag) if kept is not None else None
    if drawing is None:
        drawing = await lane.run(draw)
        if kept is not None:
            kept.put(tag, drawing)
    return Response(drawing, media_type=media_type, headers=headers)


def _held(header: str, tag: str) -> bool:
    held = {one.strip().removeprefix("W/") for one in header.split(",")}
    return tag in held or "*" in held
