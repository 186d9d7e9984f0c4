"""Parts of files, for the header Range (RFC 9110, section 14)."""

from __future__ import annotations

import re
from typing import Any

from fastapi import Request
from starlette.exceptions import HTTPException

RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
BYTES = {"schema": {"type": "string", "format": "binary"}}


def settle_range(request: Request, size: int, tag: str) -> None:
    """416 for a part behind the end of a file of this tag and so many bytes. What is no single
    range is forgotten, as the RFC has it, and one of a file with another tag (If-Range): all of the
    file is sent."""
    given = request.headers.get("range")
    if given is None:
        return
    match = RANGE.fullmatch(given.strip())
    first, last = match.groups() if match else ("", "")
    is_range = bool(first or last) and not (first and last and int(last) < int(first))
    if not is_range or request.headers.get("if-range", tag) != tag:
        request.scope["headers"] = [
            (name, value) for name, value in request.scope["headers"] if name != b"range"
        ]
    elif int(first) >= size if first else int(last) == 0:
        raise HTTPException(
            416,
            f"The file has {size:,} bytes: it has no part {given!r}.",
            {"Content-Range": f"bytes */{size}"},
        )


def whole_and_part(*kinds: str) -> dict[int | str, Any]:
    """OpenAPI's words for an answer that is a file of one of these kinds, or a part of it."""
    content = dict.fromkeys(sorted(kinds), BYTES)
    part = "The part that the header Range asks for."
    return {
        200: {"description": "All of the file.", "content": content},
        206: {"description": part, "content": content},
    }
