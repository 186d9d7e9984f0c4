"""What runs in the process that holds PDFium: counts and draws pages of PDFs that it is sent.

PDFium is C++ over hostile bytes, and knows no threads: here it may crash, hang or ask for any
amount of memory, and costs one page. It opens no file but fonts, and no connection; it was built
without JavaScript, and links, attachments and actions are never followed.

It ends with its parent, and after a while without a question.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import Any

import pypdfium2
import pypdfium2.raw

from segsearch.media.bounded import Answer, RefusedError, bounds, serve

QUESTION_SECONDS = 60  # of a processor, for one question
MEMORY_BYTES = 4 << 30  # of addresses
PASSWORD_ERROR = 4  # FPDF_ERR_PASSWORD
LOOKED_AT_PAGES = 10_001  # one more than are taken (`pdf.MOST_PAGES`); each may cost 70 us
MOST_MISSING_PAGES = 100  # among those that are there, where these are fewer
# The rule by which a page becomes pixels. Another rule gives other pictures: `pdf.RULE` counts.
DOTS_A_POINT = 200 / 72  # 200 dpi: print of 6 points is 17 px high
LEAST_SIDE_PX, MOST_SIDE_PX = 1024, 5000  # of the longer side


def size_px(width: float, height: float, most_side_px: int, most_pixels: int) -> tuple[int, int]:
    """Pixels across and down of a page of so many points: at 200 dpi, the longer side 1,024 to
    5,000 px, and within both limits."""
    longer = max(width, height)
    if not (math.isfinite(longer) and min(width, height) > 0):
        raise RefusedError("The page of the PDF has no size.")
    side = min(max(longer * DOTS_A_POINT, LEAST_SIDE_PX), MOST_SIDE_PX, most_side_px)
    scale = min(side / longer, math.sqrt(most_pixels / width / height))
    across, down = (max(1, round(points * scale)) for points in (width, height))
    across = min(across, most_pixels)
    return across, min(down, most_pixels // across)


def answer(question: dict[str, Any], data: bytes, _: Callable[[], None]) -> Answer:
    """The answer's head, and its pixels if they were asked for: (H, W, 3) u8, RGB."""
    try:
        document = pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as problem:
        if problem.err_code == PASSWORD_ERROR:
            raise RefusedError(
                "The PDF asks for a password: save it without one to have it indexed."
            ) from problem
        raise RefusedError("The PDF is damaged, or none: it cannot be opened.") from problem
    try:
        document.init_forms()
        pages = len(document)
        if pages < 1:
            raise RefusedError("The PDF has no pages.")
        number = question.get("page")
        if number is None:
            return {"pages": count_pages(document), "created": _created(document)}, b""
        head: dict[str, Any] = {"pages": pages, "created": _created(document)}
        if number > pages:
            raise RefusedError(f"The PDF has {pages:,} pages, there is no page {number:,} in it.")
        try:
            page = document[number - 1]
        except pypdfium2.PdfiumError as problem:
            raise RefusedError(_why_missing(document, number)) from problem
        width, height = page.get_size()
        head["width"], head["height"] = size_px(
            width, height, question["most_side_px"], question["most_pixels"]
        )
        pixels = _drawn(page, head["width"], head["height"]) if question["draws"] else b""
        page.close()
        return head, pixels
    finally:
        document.close()


def count_pages(document: Any) -> int:
    """How many pages to take of a PDF: those up to the last one that is there, and one more where
    it says that it has more, which tells why.

    Its own count may be anything, and PDFium believes it: 400 bytes may speak of a million pages.
    RefusedError where hardly any of them are there.
    """
    says = len(document)
    found = [number for number in _looked_at(document, 1) if _is_there(document, number)]
    if not found:
        raise RefusedError(f"None of the {says:,} pages that the PDF says it has is there.")
    missing = found[-1] - len(found)
    if missing > max(MOST_MISSING_PAGES, len(found)):
        raise RefusedError(
            f"Only {len(found):,} of the first {found[-1]:,} pages of the PDF are there: it is "
            "damaged."
        )
    return says if len(found) == LOOKED_AT_PAGES else min(says, found[-1] + 1)


def _looked_at(document: Any, first: int) -> range:
    return range(first, min(len(document), LOOKED_AT_PAGES) + 1)


def _is_there(document: Any, number: int) -> bool:
    """Whether PDFium finds a page, from 1, by the test it makes before it loads one."""
    size = pypdfium2.raw.FS_SIZEF()
    return bool(pypdfium2.raw.FPDF_GetPageSizeByIndexF(document, number - 1, size))


def _why_missing(document: Any, number: int) -> str:
    """Why there is no such page, in a sentence."""
    says = len(document)
    if number < says and not any(_is_there(document, n) for n in _looked_at(document, number)):
        return (
            f"Page {number:,} of the PDF is not there, nor are those after it: it says that it has "
            f"{says:,}."
        )
    return f"Page {number:,} of the PDF is damaged."


def _created(document: Any) -> str:
    try:
        return str(document.get_metadata_value("CreationDate"))
    except Exception:  # noqa: BLE001  a broken date costs only itself
        return ""


def _drawn(page: Any, width: int, height: int) -> bytes:
    """A page on white ground as it is printed and shown: with its annotations and what stands in
    its forms, turned as it says."""
    raw = pypdfium2.raw
    bitmap = pypdfium2.PdfBitmap.new_native(width, height, raw.FPDFBitmap_BGR, rev_byteorder=True)
    bitmap.fill_rect((255, 255, 255, 255), 0, 0, width, height)
    place = (bitmap, page, 0, 0, width, height, 0, raw.FPDF_ANNOT | raw.FPDF_REVERSE_BYTE_ORDER)
    raw.FPDF_RenderPageBitmap(*place)
    if page.formenv:
        raw.FPDF_FFLDraw(page.formenv, *place)
    pixels = bytes(bitmap.buffer)
    bitmap.close()
    return pixels


def _sentence(problem: Exception) -> str | None:
    if isinstance(problem, MemoryError | pypdfium2.PdfiumError):
        return f"PDFium cannot draw the PDF: {problem or 'it needs more memory'}."
    return None


def main() -> None:
    """Bound what the process may take, and serve."""
    questions, answers = bounds(MEMORY_BYTES)
    serve(questions, answers, answer, seconds=QUESTION_SECONDS, foreign=_sentence)


if __name__ == "__main__":
    main()
    sys.exit(0)
