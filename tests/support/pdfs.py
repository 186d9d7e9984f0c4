"""PDFs written by hand: pages of coloured rectangles, and what is wrong with a PDF."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from segsearch.media.pdf import PdfProcess
from tests.support.small_models import COLOURS

SIZE = (256, 192)  # points; drawn at four pixels a point
PX_A_POINT = 4


def pdf(objects: Sequence[bytes], trailer: bytes = b"", version: bytes = b"1.7") -> bytes:
    """A file of these objects, the first of which is the catalogue."""
    out = bytearray(b"%PDF-" + version + b"\n")
    places = []
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n" % number + body + b"\nendobj\n"
    table = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % place for place in places)
    out += b"trailer\n<</Size %d/Root 1 0 R%s>>\n" % (len(objects) + 1, trailer)
    return bytes(out + b"startxref\n%d\n%%%%EOF\n" % table)


def stream(data: bytes, said: bytes = b"") -> bytes:
    """An object with bytes behind what is said of them."""
    return b"<<%s/Length %d>>stream\n" % (said, len(data)) + data + b"\nendstream"


def of_pages(
    contents: Sequence[bytes],
    *,
    size: tuple[float, float] = SIZE,
    page: bytes = b"",
    catalogue: bytes = b"",
    more: Sequence[bytes] = (),
    trailer: bytes = b"",
) -> bytes:
    """A PDF of one page for each of these streams. What is said of a `page` and the `catalogue` may
    name `more` objects, which count from 100."""
    kids = b" ".join(b"%d 0 R" % (3 + 2 * n) for n in range(len(contents)))
    objects = [
        b"<</Type/Catalog/Pages 2 0 R%s>>" % catalogue,
        b"<</Type/Pages/Kids[%s]/Count %d>>" % (kids, len(contents)),
    ]
    for number, content in enumerate(contents):
        box = b"[0 0 %s %s]" % tuple(b"%g" % points for points in size)
        said = b"<</Type/Page/Parent 2 0 R/MediaBox%s/Contents %d 0 R%s>>"
        objects.append(said % (box, 4 + 2 * number, page))
        objects.append(stream(content))
    if more:
        objects += [b"null"] * (99 - len(objects)) + list(more)
    return pdf(objects, trailer)


def of_kids(kids: bytes, count: bytes, *more: bytes) -> bytes:
    """A PDF whose tree of pages, object 2, has these kids and says so many; more objects, from 5,
    follow its pages 3 and 4."""
    page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 256 192]>>"
    tree = b"<</Type/Pages/Kids[%s]%s>>" % (kids, b"/Count " + count if count else b"")
    return pdf([b"<</Type/Catalog/Pages 2 0 R>>", tree, page, page, *more])


def of_shared_kids(tens: int) -> bytes:
    """A small PDF of 10 ** `tens` pages: each node of its tree has the next one ten times."""
    objects = [b"<</Type/Catalog/Pages 2 0 R>>"]
    for depth in range(tens):
        kids = b" ".join([b"%d 0 R" % (depth + 3)] * 10)
        objects.append(b"<</Type/Pages/Kids[%s]/Count %d>>" % (kids, 10 ** (tens - depth)))
    return pdf([*objects, b"<</Type/Page/MediaBox[0 0 256 192]>>"])


def rectangle(colour: str, box: tuple[float, float, float, float]) -> bytes:
    """A rectangle on a page, by points from its lower left corner: x, y, width, height."""
    red, green, blue = (level / 255 for level in COLOURS[colour])
    return b"%.4f %.4f %.4f rg %g %g %g %g re f\n" % (red, green, blue, *box)


def coloured(*colours: str, **options: Any) -> bytes:
    """A PDF whose pages show one rectangle each, of these colours."""
    return of_pages([rectangle(colour, (40, 32, 120, 100)) for colour in colours], **options)


def with_picture(side_px: int) -> bytes:
    """A PDF whose page shows one black picture of so many pixels a side, packed to little."""
    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(bytes(side_px * 3)) for _ in range(side_px))
    packed += packer.flush()
    said = b"/Type/XObject/Subtype/Image/ColorSpace/DeviceRGB/BitsPerComponent 8/Filter/FlateDecode"
    shown = stream(packed, said + b"/Width %d/Height %d" % (side_px, side_px))
    page = b"/Resources<</XObject<</I 100 0 R>>>>"
    return of_pages([b"q 256 0 0 192 0 0 cm /I Do Q"], page=page, more=[shown])


def endless() -> bytes:
    """A PDF whose page draws itself, twice, without end."""
    itself = stream(
        b"/I Do /I Do",
        b"/Type/XObject/Subtype/Form/BBox[0 0 9 9]/Resources<</XObject<</I 100 0 R>>>>",
    )
    return of_pages([b"/I Do"], page=b"/Resources<</XObject<</I 100 0 R>>>>", more=[itself])


def locked() -> bytes:
    """A PDF that asks for a password."""
    key = b"<%s>" % (b"5a" * 32)
    said = b"/Encrypt<</Filter/Standard/V 1/R 2/P -4/O%s/U%s>>/ID[<00><00>]" % (key, key)
    return coloured("red", trailer=said)


def dated(text: str) -> bytes:
    """A PDF that says when it was made."""
    return coloured(
        "red", more=[b"<</CreationDate(%s)>>" % text.encode()], trailer=b"/Info 100 0 R"
    )


def write(path: Path, data: bytes) -> Path:
    """Bytes at a path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


@contextmanager
def questions() -> Iterator[list[dict[str, Any]]]:
    """What PDFium is asked in this process meanwhile: `{}` is how many pages there are."""
    asked: list[dict[str, Any]] = []
    real = PdfProcess.ask

    def ask(self: PdfProcess, question: dict[str, Any], data: bytes) -> Any:
        asked.append(question)
        return real(self, question, data)

    with patch.object(PdfProcess, "ask", ask):
        yield asked
