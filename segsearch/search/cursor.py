"""Cursors: where a page ended, in a string that the caller hands back; the server keeps nothing.

A cursor carries what was shown. So a page is right whatever came or went since: a region shown
before is not shown again, one that came since waits for a new search, one that is gone is left out.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import math
import zlib
from dataclasses import MISSING, Field, asdict, dataclass, fields, is_dataclass
from datetime import datetime
from itertools import accumulate, pairwise
from typing import Any, cast

from segsearch.core.errors import QueryError
from segsearch.core.query import Query
from segsearch.core.types import MAX_ID

MAX_SHOWN = 5_000  # regions; about 15 KB
MAX_CHARACTERS = 50_000
MAX_BYTES = 200_000  # once it is unpacked
UNREADABLE = (
    ValueError, TypeError, OverflowError, zlib.error, binascii.Error, RecursionError,
)  # fmt: skip
_VERSION = 1


@dataclass(frozen=True, slots=True)
class Cursor:
    """The score the page before ended with, the newest segment then, and the ids shown so far:
    of segments, or of images in an answer by picture."""

    question: str
    below: float
    newest: int
    shown: tuple[int, ...]


def question_of(query: Query, recipe: str) -> str:
    """What makes two queries the same but for their page: a short hash."""
    plain = {name: value for name, value in _options(query) if name not in ("cursor", "limit")}
    text = json.dumps([recipe, plain], sort_keys=True, default=_plain)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _options(query: Query) -> list[tuple[str, Any]]:
    """What a query says that is not so anyway: most of it is, and takes long to write down."""
    said = [(entry, getattr(query, entry.name)) for entry in fields(query)]
    return [(entry.name, value) for entry, value in said if value != _usual(entry)]


def _usual(entry: Field[Any]) -> Any:
    return entry.default if entry.default_factory is MISSING else entry.default_factory()


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return [type(value).__name__, asdict(cast(Any, value))]
    if isinstance(value, bytes):
        return hashlib.sha256(value).hexdigest()
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(type(value).__name__)


def write(cursor: Cursor) -> str:
    """The cursor as a URL-safe string."""
    ids = sorted(cursor.shown)
    steps = [*ids[:1], *(b - a for a, b in pairwise(ids))]
    document = [_VERSION, cursor.question, cursor.below, cursor.newest, steps]
    packed = zlib.compress(json.dumps(document, separators=(",", ":")).encode(), 9)
    return base64.urlsafe_b64encode(packed).decode()


def read(text: str, question: str) -> Cursor:
    """The cursor in a string; QueryError when it is none, or belongs to another question."""
    try:
        version, asked, below, newest, steps = json.loads(_unpacked(text))
        shown = tuple(accumulate(int(step) for step in steps))
        cursor = Cursor(str(asked), float(below), int(newest), shown)
        if not all(0 <= number <= MAX_ID for number in (cursor.newest, *shown)):
            raise ValueError("no ids")
        if not math.isfinite(cursor.below):
            raise ValueError("no score")
    except UNREADABLE as problem:
        raise QueryError("The cursor is none: hand back next_cursor as it was.") from problem
    if version != _VERSION or cursor.question != question:
        raise QueryError(
            "The cursor belongs to another query, or the library has been made anew since: "
            "search again without it."
        )
    return cursor


def _unpacked(text: str) -> bytes:
    if len(text) > MAX_CHARACTERS:
        raise ValueError("too long")
    machine = zlib.decompressobj()
    data = machine.decompress(base64.urlsafe_b64decode(text.encode("ascii")), MAX_BYTES)
    if not machine.eof:
        raise ValueError("too much")
    return data
