"""Turns pages of PDFs into pixels, through PDFium in a process of its own; refuses what is no PDF.

A page as bytes is its file's bytes and a last line that says which page is meant, and by which rule
it is drawn. So whatever works on a picture's bytes works on pages: their sha256 is that of the same
page wherever the file lies, and no other when PDFium is. The last line is a comment to a PDF.
"""

from __future__ import annotations

import atexit
import json
import os
import re
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from PIL import Image

from segsearch.core.errors import PictureError
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
TRIES = 2
KILLS = 4  # by nobody knows whom: what runs out of memory is not always to blame


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


class PdfProcess:
    """The process that holds PDFium (`pdf_child`), started when it is first asked, and anew when it
    has ended. One question at a time: PDFium knows no threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._is_closed = False

    @property
    def pid(self) -> int | None:
        """Its number; None while there is none."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def ask(self, question: dict[str, Any], data: bytes) -> tuple[dict[str, Any], bytes]:
        """The answer about a PDF: its head, and pixels. PictureError where it has none, and where
        PDFium ends over it again and again."""
        if find_spec("pypdfium2") is None:
            raise PictureError(NO_PDF)
        line = json.dumps({**question, "size": len(data)}).encode() + b"\n"
        ends: list[int] = []
        with self._lock:
            head, pixels = self._answer(line, data)
            while head is None:
                ends.append(self._end())
                if self._is_closed:
                    raise PictureError("The program ends: the PDF is not drawn.")
                if ends[-1] == -signal.SIGPROF:
                    raise PictureError("The PDF takes PDFium more than a minute: it is not drawn.")
                kills = ends.count(-signal.SIGKILL)
                if kills == KILLS or len(ends) - kills == TRIES:
                    cause = _cause(ends[-1])
                    raise PictureError(f"PDFium ended over the PDF {len(ends)} times: {cause}.")
                head, pixels = self._answer(line, data)
        if "refused" in head:
            raise PictureError(head["refused"])
        return head, pixels

    def close(self) -> None:
        """End the process, also in the middle of a question, which is not asked again."""
        self._is_closed = True
        if (process := self._process) is not None:
            process.kill()
        with self._lock:
            self._end()

    def _answer(self, line: bytes, data: bytes) -> tuple[dict[str, Any] | None, bytes]:
        """What the process says; None when it ended instead."""
        if self._process is None or self._process.poll() is not None:
            self._end()
            self._process = _started()
        asked, said = self._process.stdin, self._process.stdout
        if asked is None or said is None:
            return None, b""
        with suppress(OSError, ValueError):
            asked.write(line)
            asked.write(data)
            asked.flush()
            head: dict[str, Any] = json.loads(said.readline())
            pixels = said.read(head["size"])
            if len(pixels) == head["size"]:
                return head, pixels
        return None, b""

    def _end(self) -> int:
        """End the process; how it ended."""
        process, self._process = self._process, None
        if process is None:
            return 0
        if process.stdout:
            process.stdout.close()
        with suppress(OSError):  # of what it did not read
            if process.stdin:
                process.stdin.close()
        try:
            return process.wait(timeout=1.0)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()


def _started() -> subprocess.Popen[bytes]:
    """A process that finds what this one finds, and nothing in the current folder."""
    paths = os.pathsep.join(path for path in sys.path if path)
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "segsearch.media.pdf_child"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": paths},
        start_new_session=True,  # Ctrl-C is for its parent
    )


def _cause(status: int) -> str:
    if status >= 0:
        return f"exit status {status}"
    with suppress(ValueError):
        return signal.Signals(-status).name
    return f"signal {-status}"


@cache
def _process() -> PdfProcess:
    """The one of this process: PDFium has no more to do than one can."""
    process = PdfProcess()
    atexit.register(process.close)
    return process
