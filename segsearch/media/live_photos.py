"""Tells whether a short clip is that of a live photo: by the identifier that Apple's cameras give
it, which no other clip has. Reads the file's own index; decodes nothing.

The boxes are those of QuickTime (ISO 14496-12, and Apple's QuickTime File Format for `keys`). The
still holds the identifier as well; reading thousands of stills at every look would say little more
than their names do.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

LONGEST_LIVE_SECONDS = 6.0  # cameras record three, phones that let people choose a few more
CLIP_SUFFIXES = frozenset({".mov", ".mp4"})
STILL_SUFFIXES = frozenset({".heic", ".heif", ".jpg", ".jpeg"})
IDENTIFIER = b"com.apple.quicktime.content.identifier"
MOST_BOXES = 64
MOST_INDEX_BYTES = 4 << 20  # of a clip of seconds it takes some kilobytes
# What damaged files make of their numbers: they say nothing.
DAMAGED = (OSError, ValueError, LookupError, ArithmeticError, struct.error)


class ClipFacts(NamedTuple):
    """How long a clip says that it lasts, in seconds, and what still it says that it belongs to."""

    seconds: float
    identifier: str | None = None


def is_clip_of(clip: Path, still: Path) -> bool:
    """Whether a clip is that of a still that lies beside it under the same name, and is there."""
    facts = clip_facts(clip)
    if facts is None or facts.identifier is None or not 0 < facts.seconds <= LONGEST_LIVE_SECONDS:
        return False
    return still.is_file()


def clip_facts(path: Path) -> ClipFacts | None:
    """What a QuickTime or MP4 file says of itself; None for what is none, or cannot be read."""
    try:
        with path.open("rb") as file:
            index = _index(file)
        return None if index is None else _facts(index)
    except DAMAGED:
        return None


def _index(file: BinaryIO) -> bytes | None:
    """The `moov` box of a file, wherever it lies."""
    at = 0
    for _ in range(MOST_BOXES):
        file.seek(at)
        head = file.read(16)
        if len(head) < 8:
            return None
        length, kind = struct.unpack_from(">I4s", head)
        body = 8
        if length == 1:
            (length,), body = struct.unpack_from(">Q", head, 8), 16
        if kind == b"moov":
            file.seek(at + body)
            return file.read(min(length - body, MOST_INDEX_BYTES) if length > body else 0)
        if length < body:
            return None
        at += length
    return None


def _facts(index: bytes) -> ClipFacts | None:
    seconds, identifier = None, None
    for kind, body in _boxes(index):
        if kind == b"mvhd":
            form, at = (">IQ", 20) if body[0] == 1 else (">II", 12)
            scale, duration = struct.unpack_from(form, body, at)
            seconds = duration / scale
        elif kind == b"meta":
            identifier = identifier or _of_meta(body)
        elif kind == b"udta":
            for inner, of_inner in _boxes(body):
                identifier = identifier or (_of_meta(of_inner) if inner == b"meta" else None)
    return None if seconds is None else ClipFacts(seconds, identifier)


def _of_meta(body: bytes) -> str | None:
    """The identifier among a file's own words, which name their keys by number."""
    names: list[bytes] = []
    # QuickTime's box begins with another one, that of MP4 with its version.
    for kind, inner in _boxes(body if body[4:8] == b"hdlr" else body[4:]):
        if kind == b"keys":
            names = [name[4:] if len(name) > 4 else b"" for name in _keys(inner)]
        elif kind == b"ilst":
            for number, item in _boxes(inner):
                key = int.from_bytes(number, "big") - 1
                if 0 <= key < len(names) and names[key] == IDENTIFIER:
                    return item[16:].decode("utf-8", "replace") or None  # behind its own header
    return None


def _keys(body: bytes) -> Iterator[bytes]:
    """The names of keys, each behind the four letters of its kind."""
    at = 8
    while at + 8 <= len(body):
        (length,) = struct.unpack_from(">I", body, at)
        if length < 8:
            return
        yield body[at + 4 : at + length]
        at += length


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The boxes of one that holds others: four letters, or a number, and what is in it."""
    at = 0
    while at + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        if length < 8:
            return
        yield kind, data[at + 8 : at + length]
        at += length
