"""Takes broken metadata out of the bytes of a JPEG, PNG or AVIF that Pillow refuses because of it.

What the pixels need stays, a colour profile among it. Pillow reads most metadata late and forgives
it; a few fields it reads while it opens a file, and then the whole picture was lost.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator

JPEG_START = b"\xff\xd8"
PNG_START = b"\x89PNG\r\n\x1a\n"
START_OF_SCAN, EXIF_SEGMENT, COMMENT = 0xDA, 0xE1, 0xFE
APPLICATION = range(0xE0, 0xF0)
# Segments that say how colours are meant: how they begin, and how long Pillow expects them.
COLOUR_SEGMENTS = {0xE0: (b"JFIF", 7), 0xE2: (b"ICC_PROFILE\0", 14), 0xEE: (b"Adobe", 7)}
EXIF_START = b"Exif\0\0"
# Chunks that a PNG's pixels need, and those whose contents are looked at late.
PNG_CHUNKS = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND", b"eXIf", b"iCCP"})
# Of an AVIF the entry in the list of items that says which of them is EXIF (ISO 14496-12, `infe`,
# versions 2 and 3).
AVIF_EXIF = re.compile(rb"(infe\x02.{3}.{4}|infe\x03.{3}.{6})Exif", re.DOTALL)


def without_metadata(data: bytes) -> tuple[bytes, bytes] | None:
    """A picture's bytes without their metadata, and the EXIF block that is to be read apart, which
    may be empty; None where there is nothing to take out."""
    exif = b""
    if data.startswith(JPEG_START):
        bare, exif = _bare_jpeg(data)
    elif data.startswith(PNG_START):
        bare = PNG_START + b"".join(
            chunk for name, chunk in _chunks(data) if _is_sound(name, chunk)
        )
    elif data[4:8] == b"ftyp":  # libavif passes by an item of an unknown kind
        bare = AVIF_EXIF.sub(rb"\1none", data)
    else:
        return None
    return (bare, exif) if bare != data else None


def _bare_jpeg(data: bytes) -> tuple[bytes, bytes]:
    """A JPEG with only those application segments that say how its colours are meant; its EXIF."""
    kept, exif = [JPEG_START], b""
    at = len(JPEG_START)
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != START_OF_SCAN:
        marker = data[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
            continue
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        body = data[at + 4 : end]
        if marker == EXIF_SEGMENT and body.startswith(EXIF_START):
            exif = exif or body
        start, least_bytes = COLOUR_SEGMENTS.get(marker, (b"", 0))
        is_of_colour = bool(start) and body.startswith(start) and len(body) >= least_bytes
        if is_of_colour or not (marker in APPLICATION or marker == COMMENT):
            kept.append(data[at:end])
        at = end
    return b"".join([*kept, data[at:]]), exif


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Name and bytes of each chunk of a PNG, the last one maybe cut."""
    at = len(PNG_START)
    while at < len(data):
        end = at + 12 + int.from_bytes(data[at : at + 4], "big")
        yield data[at + 4 : at + 8], data[at:end]
        at = end


def _is_sound(name: bytes, chunk: bytes) -> bool:
    """Whether a chunk is one to keep; damage in what the pixels need is for the decoder to find."""
    body = chunk[8:-4]
    if name in {b"tRNS", b"eXIf", b"iCCP"}:
        checked = int.from_bytes(chunk[-4:], "big") == zlib.crc32(chunk[4:-4])
        method = body.partition(b"\0")[2][:1]
        return checked and len(body) > 0 and (name != b"iCCP" or method == b"\0")
    return name in PNG_CHUNKS
