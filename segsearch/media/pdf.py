"""Turns pages of PDFs into pixels, through PDFium in a process of its own; refuses what is no PDF.

A page as bytes is its file's bytes and a last line that says which page is meant, and by which rule
it is drawn. So whatever works on a picture's bytes works on pages: their sha256 is that of the same
page wherever the file lies, and no other when PDFium is. The last line is a comment to a PDF.
"""

from __future__ import annotations

import atexit
import re
import subprocess
import sys
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from PIL import Image

from segsearch.core.errors import PictureError
from segsearch.media.bounded import Answer, BoundedProcess, Sentences, started
from segsearch.media.exif import moment_of

if TYPE_CHECKING:
    from hashlib import _Hash

PDF = "PDF"  # as a picture's format
PDF_SUFFIXES = frozenset({".pdf"})
NO_PDF = 'Pages of PDFs need an extra package: `pip install "segsearch[pdf]"`.'
RULE = 1  # of `pdf_child.size_px` and how it draws; another one makes other pictures of all pages
MOST_PAGES = 10_000  # of one file
START = b"%PDF-"
START_WITHIN = 1024  # bytes, as Adobe's reader looks for it (ISO 32000-1, annex H.3.4.1)
LAST_LINE = b"\n%%segsearch page=%d rule=%d\n"
LAST_LINE_AGAIN = re.compile(rb"\n%segsearch page=([1-9][0-9]{0,6}) rule=([0-9]{1,3})\n$")
LONGEST_LINE = 64
FIRST_YEAR = 1993  # PDF's own
SENTENCES = Sentences(
    "PDFium",
    "the PDF",
    "The PDF takes PDFium more than a minute: it is not drawn.",
    "The program ends: the PDF is not drawn.",
)


@dataclass(frozen=True, slots=True)
class PageInfo:
    """What a PDF says of itself and of one of its pages: how many there are, when the document was
    made, by its own clock, and how large the page is drawn."""

    pages: int
    made_at: datetime | None
    width: int = 0
    height: int = 0


def is_pdf(data: bytes) -> bool:
    """Whether bytes begin as a PDF does."""
    return START in data[:START_WITHIN]


def page_bytes(data: bytes, page: int) -> bytes:
    """The bytes of a page, from 1, of a PDF."""
    return b"".join((data, LAST_LINE % (page, RULE)))


def page_sha256(of_file: _Hash, page: int) -> str:
    """sha256 as hex of `page_bytes`, from that of the file, which stays as it is: a file of many
    pages is hashed once."""
    digest = of_file.copy()
    digest.update(LAST_LINE % (page, RULE))
    return digest.hexdigest()


def split_page_bytes(data: bytes) -> tuple[bytes, int] | None:
    """The PDF and the page that `page_bytes` were made of; None for all other bytes."""
    said = LAST_LINE_AGAIN.search(data[-LONGEST_LINE:])
    if said is None or not is_pdf(data):
        return None
    return data[: len(data) - len(said[0])], int(said[1])


def count_pages(data: bytes) -> int:
    """How many pages a PDF has, whatever it says of itself, and one more where those behind are
    missing; PictureError for one that cannot be opened, has none, or more than 10,000."""
    pages = _info(_process().ask({}, data)[0]).pages
    if pages > MOST_PAGES:
        raise PictureError(
            f"The PDF has {pages:,} pages, more than the {MOST_PAGES:,} that are taken: split it."
        )
    return pages


def measure_page(data: bytes, page: int, max_pixels: int) -> PageInfo:
    """What there is to know of a page without drawing it; PictureError as `count_pages`, and for
    a page that is not there or damaged."""
    return _info(_process().ask(_question(page, 0, max_pixels, draws=False), data)[0])


def draw_page(
    data: bytes, page: int, max_pixels: int, *, side_px: int = 0
) -> tuple[Image.Image, PageInfo]:
    """A page as an upright RGB picture, at 200 dpi or as the limits allow; the longer side has
    `side_px` at most, unless that is 0. Raises what `measure_page` raises."""
    head, pixels = _process().ask(_question(page, side_px, max_pixels, draws=True), data)
    info = _info(head)
    picture = Image.frombytes("RGB", (info.width, info.height), pixels)
    picture.format = PDF
    return picture, info


def refuse_whole(data: bytes) -> PictureError:
    """Why a PDF that names no page is no picture."""
    try:
        pages = count_pages(data)
    except PictureError as problem:
        return problem
    return PictureError(
        f"A PDF is no picture, its pages are ({pages:,}): index the file again, or name one, as in "
        "`report.pdf#page=1`."
    )


def made_at(text: str) -> datetime | None:
    """The clock of a PDF's date (`D:20240714123105+02'00'`; ISO 32000-1, 7.9.4), without its zone;
    None for what is none, or from before there were PDFs: clocks that were never set."""
    moment = moment_of(text.removeprefix("D:"))
    return moment if moment and moment.year >= FIRST_YEAR else None


def _question(page: int, side_px: int, max_pixels: int, *, draws: bool) -> dict[str, Any]:
    most_side_px = side_px or sys.maxsize
    return {"page": page, "most_side_px": most_side_px, "most_pixels": max_pixels, "draws": draws}


def _info(head: dict[str, Any]) -> PageInfo:
    made = made_at(str(head.get("created", "")))
    return PageInfo(head["pages"], made, head.get("width", 0), head.get("height", 0))


class PdfProcess(BoundedProcess):
    """The process that holds PDFium (`pdf_child`). One question at a time: PDFium knows no
    threads."""

    def __init__(self) -> None:
        super().__init__(lambda: _started(), SENTENCES)

    def ask(self, question: dict[str, Any], data: bytes = b"", **options: Any) -> Answer:
        """The answer about a PDF: its head, and pixels."""
        if find_spec("pypdfium2") is None:
            raise PictureError(NO_PDF)
        return super().ask(question, data, **options)


def _started() -> subprocess.Popen[bytes]:
    return started("segsearch.media.pdf_child")


@cache
def _process() -> PdfProcess:
    """The one of this process: PDFium has no more to do than one can."""
    process = PdfProcess()
    atexit.register(process.close)
    return process
