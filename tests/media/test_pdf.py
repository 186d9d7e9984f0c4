"""Pages of PDFs as pictures: the rule by which they are drawn, and what PDFium cannot do to us."""

from __future__ import annotations

import hashlib
import os
import re
import signal
import subprocess
import sys
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from segsearch.core.errors import PictureError, PictureTooLargeError
from segsearch.media import pdf as pages
from segsearch.media import pdf_child
from segsearch.media.bounded import RefusedError
from segsearch.media.decode import Limits, decode, decode_small, inspect
from segsearch.media.pdf import (
    MOST_PAGES,
    PdfProcess,
    count_pages,
    page_bytes,
    page_sha256,
    split_page_bytes,
)
from tests.support.pdfs import (
    PX_A_POINT,
    SIZE,
    coloured,
    dated,
    endless,
    locked,
    of_kids,
    of_pages,
    of_shared_kids,
    pdf,
    rectangle,
    stream,
    with_picture,
)
from tests.support.small_models import COLOURS

MANY = 10**9
A4, LETTER = (595, 842), (612, 792)


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        (LETTER, (1700, 2200)),  # 200 dpi
        (A4, (1653, 2339)),
        ((842, 595), (2339, 1653)),
        (SIZE, (1024, 768)),  # small pages are drawn larger
        ((1, 1), (1024, 1024)),
        ((14_400, 14_400), (5000, 5000)),  # 200 inches
        ((14_400, 1), (5000, 1)),
        ((1, 14_400), (1, 5000)),
        ((1e-4, 1e-5), (1024, 102)),
    ],
)
def test_pages_are_drawn_at_200_dpi_within_limits(
    points: tuple[float, float], expected: tuple[int, int]
) -> None:
    assert pdf_child.size_px(*points, MANY, MANY) == expected
    for most_pixels in (1_000_000, 1000, 1):
        width, height = pdf_child.size_px(*points, MANY, most_pixels)
        assert 1 <= width * height <= most_pixels
    assert max(pdf_child.size_px(*points, 100, MANY)) == 100
    with pytest.raises(RefusedError):
        pdf_child.size_px(float("nan"), 1, MANY, MANY)


def test_a_page_is_drawn_on_white_and_the_same_each_time() -> None:
    data = coloured("red", "green", "blue")
    pixels, info = decode(page_bytes(data, 2))
    assert (info.width, info.height, info.format, info.size_bytes) == (1024, 768, "PDF", len(data))
    assert pixels.shape == (768, 1024, 3)
    shown = np.zeros((768, 1024), bool)
    shown[768 - 132 * PX_A_POINT : 768 - 32 * PX_A_POINT, 40 * PX_A_POINT : 160 * PX_A_POINT] = True
    assert np.array_equal(pixels[shown], np.broadcast_to(COLOURS["green"], (shown.sum(), 3)))
    assert (pixels[~shown] == 255).all()
    again, _ = decode(page_bytes(data, 2))
    assert np.array_equal(pixels, again)
    measured = inspect(page_bytes(data, 2))
    assert (measured.width, measured.height, measured.format) == (1024, 768, "PDF")
    small = decode_small(page_bytes(data, 2), 256, max_decoded_pixels=256 * 256)
    assert small.shape == (192, 256, 3)
    assert tuple(small[100, 100]) == COLOURS["green"]


@pytest.mark.parametrize(
    ("turn", "corner"), [(0, (-9, 9)), (90, (9, 9)), (180, (9, -9)), (270, (-9, -9))]
)
def test_a_page_is_turned_as_it_says(turn: int, corner: tuple[int, int]) -> None:
    data = of_pages([rectangle("red", (0, 0, 20, 20))], page=b"/Rotate %d" % turn)
    pixels, info = decode(page_bytes(data, 1))
    assert (info.width, info.height) == ((1024, 768) if turn % 180 == 0 else (768, 1024))
    corners = [(y, x) for y in (9, -9) for x in (9, -9)]
    assert [spot for spot in corners if tuple(pixels[spot]) == COLOURS["red"]] == [corner]


def test_annotations_and_what_stands_in_forms_are_drawn() -> None:
    look = stream(rectangle("blue", (0, 0, 50, 50)), b"/Type/XObject/Subtype/Form/BBox[0 0 50 50]")
    place = b"/Rect[0 0 50 50]/F 4/AP<</N 101 0 R>>>>"
    note = b"<</Type/Annot/Subtype/Stamp" + place
    field = b"<</Type/Annot/Subtype/Widget/FT/Tx/T(a)/V(b)" + place
    form = b"/AcroForm<</Fields[100 0 R]>>"
    for made in (
        of_pages([b""], page=b"/Annots[100 0 R]", more=[note, look]),
        of_pages([b""], page=b"/Annots[100 0 R]", catalogue=form, more=[field, look]),
    ):
        pixels, _ = decode(page_bytes(made, 1))
        assert tuple(pixels[-100, 100]) == COLOURS["blue"]
        assert tuple(pixels[100, 100]) == (255, 255, 255)


def test_scripts_links_and_attachments_change_nothing() -> None:
    script = b"<</S/JavaScript/JS(app.alert\\(1\\); this.closeDoc\\(\\);)>>"
    link = b"<</Type/Annot/Subtype/Link/Rect[0 0 256 192]/Border[0 0 0]/A<</S/URI/URI(http://127.0.0.1:9/)>>>>"
    inside = stream(b"MZ", b"/Type/EmbeddedFile")
    files = b"/Names<</EmbeddedFiles<</Names[(a.exe)<</F(a.exe)/EF<</F 102 0 R>>>>]>>>>"
    made = coloured(
        "red",
        page=b"/Annots[101 0 R]/AA<</O 100 0 R>>",
        catalogue=b"/OpenAction 100 0 R" + files,
        more=[script, link, inside],
    )
    assert np.array_equal(decode(page_bytes(made, 1))[0], decode(page_bytes(coloured("red"), 1))[0])


def test_pages_are_known_by_file_number_and_rule_and_by_nothing_else() -> None:
    data = coloured("red", "green")
    both = [page_bytes(data, number) for number in (1, 2)]
    digests = [page_sha256(hashlib.sha256(data), number) for number in (1, 2)]
    assert digests == [hashlib.sha256(one).hexdigest() for one in both]
    assert len({*digests, hashlib.sha256(data).hexdigest()}) == 3
    assert [split_page_bytes(one) for one in both] == [(data, 1), (data, 2)]
    assert count_pages(both[1]) == 2, "still a PDF"
    for other in (data, b"", b"\n%segsearch page=1 rule=1\n", both[0] + b"x"):
        assert split_page_bytes(other) is None


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (locked(), "asks for a password"),
        (pdf([b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Kids[]/Count 0>>"]), "PDF"),
        (b"%PDF-1.7\nrubbish", "damaged, or none"),
        (coloured("red")[:150], "damaged, or none"),
        (of_shared_kids(5), "100,000 pages, more than the 10,000"),
        (of_kids(b"9 0 R " * 50, b"50"), "None of the 50 pages"),
        (of_kids(b"", b"9999"), "PDF"),
        (of_kids(b"5 0 R", b"1000000", b"<</Type/Pages/Kids[2 0 R]/Count 1000000>>"), "None of"),
        (of_kids(b"3 0 R" + b" 9 0 R" * 9000 + b" 4 0 R", b"9002"), "Only 2 of the first 9,002"),
        (coloured("red", "blue"), "its pages are (2)"),
        (b"\0" * 100 + coloured("red"), "its pages are (1)"),
    ],
)
def test_a_pdf_as_a_whole_is_refused_with_a_sentence(data: bytes, reason: str) -> None:
    for read in (decode, inspect):
        with pytest.raises(PictureError, match=re.escape(reason)) as refused:
            read(data)
        assert str(refused.value).endswith(".")


def test_pages_that_are_not_there_or_damaged_are_refused() -> None:
    data = coloured("red", "green")
    with pytest.raises(PictureError, match="has 2 pages, there is no page 3"):
        decode(page_bytes(data, 3))
    wrong = data.replace(b"/Count 2", b"/Count 4")
    assert decode(page_bytes(wrong, 1))[0].shape == (768, 1024, 3)
    with pytest.raises(PictureError):
        decode(page_bytes(wrong, 4))
    with pytest.raises(PictureTooLargeError):
        decode(page_bytes(data, 1), Limits(max_bytes=100))
    assert decode(page_bytes(data, 1), Limits(max_pixels=10_000))[1].width == 115


@pytest.mark.parametrize(
    ("data", "pages", "reason"),
    [
        (of_kids(b"3 0 R 4 0 R", b"9999"), 3, "not there, nor are those after it"),
        (of_kids(b"3 0 R 4 0 R", b"1000000"), 3, "it says that it has 1,000,000"),
        (of_kids(b"3 0 R 2 0 R", b"9999"), 2, "not there, nor are those after it"),
        (of_kids(b"3 0 R 2 0 R", b"2"), 2, "Page 2 of the PDF is damaged"),
        (of_kids(b"3 0 R 9 0 R", b"2"), 2, "Page 2 of the PDF is damaged"),
        (of_kids(b"3 0 R 9 0 R 4 0 R", b"3"), 3, None),
        (of_kids(b"3 0 R 4 0 R", b"-5"), 2, None),
        (of_kids(b"3 0 R 4 0 R", b""), 2, None),
        (of_kids(b"3 0 R 4 0 R", b"99999999999999"), 2, None),
        (of_kids(b"3 0 R 4 0 R", b"(two)"), 2, None),
        (of_kids(b"3 0 R 4 0 R", b"1"), 1, None),  # as viewers have it
        (of_kids(b"3 0 R " * 9000, b"9000"), 9000, None),
    ],
)
def test_pages_are_counted_by_what_is_there(data: bytes, pages: int, reason: str | None) -> None:
    assert count_pages(data) == pages
    if reason is None:
        assert inspect(page_bytes(data, pages)).width == 1024
        return
    inspect(page_bytes(data, pages - 1))
    with pytest.raises(PictureError, match=reason):
        inspect(page_bytes(data, pages))


def test_one_page_more_than_are_taken_is_looked_at() -> None:
    assert pdf_child.LOOKED_AT_PAGES == MOST_PAGES + 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("D:20240714123105+02'00'", datetime(2024, 7, 14, 12, 31, 5)),
        ("D:20240714123105Z", datetime(2024, 7, 14, 12, 31, 5)),
        ("D:20240714", datetime(2024, 7, 14)),
        ("20240714123105", datetime(2024, 7, 14, 12, 31, 5)),
        ("D:19700101000000Z", None),  # a clock that was never set
        ("D:20241399", None),
        ("yesterday", None),
        ("", None),
    ],
)
def test_a_document_says_when_it_was_made(text: str, expected: datetime | None) -> None:
    assert decode(page_bytes(dated(text), 1))[1].taken_at == expected


def test_pdfium_dies_and_is_started_again() -> None:
    data = coloured("red")
    process = PdfProcess()
    try:
        assert process.ask({}, data)[0]["pages"] == 1
        first = process.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        assert process.ask({}, data)[0]["pages"] == 1
        assert process.pid not in {None, first}
    finally:
        process.close()
    assert process.pid is None


def test_what_ends_pdfium_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    dying = "import os, sys; sys.stdin.buffer.readline(); os.abort()"
    started = [sys.executable, "-c", dying]
    count = []

    def start() -> subprocess.Popen[bytes]:
        count.append(1)
        return subprocess.Popen(started, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    monkeypatch.setattr(pages, "_started", start)
    process = PdfProcess()
    with pytest.raises(PictureError, match="ended over the PDF 2 times: SIGABRT"):
        process.ask({}, coloured("red") * 1000)
    assert len(count) == 2
    monkeypatch.undo()
    assert process.ask({}, coloured("red"))[0]["pages"] == 1
    process.close()


@pytest.mark.parametrize(
    ("memory_bytes", "seconds", "data", "outcome"),
    [
        (4 << 30, 1, endless(), "takes PDFium more than a minute"),
        (1 << 28, 60, endless(), "ended over the PDF 2 times"),
        (1 << 28, 60, with_picture(12_000), "black"),  # 432 MB in 400 kB, drawn line by line
    ],
)
def test_bombs_are_bounded_in_memory_and_time(
    memory_bytes: int, seconds: int, data: bytes, outcome: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With less than in earnest, so that it is over soon."""
    bounded = (
        "from segsearch.media import pdf_child as c; "
        f"c.MEMORY_BYTES, c.QUESTION_SECONDS = {memory_bytes}, {seconds}; c.main()"
    )

    def start() -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", bounded]
        return subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )

    assert len(data) < 1_000_000
    monkeypatch.setattr(pages, "_started", start)
    process = PdfProcess()
    question = {"page": 1, "most_side_px": 500, "most_pixels": MANY, "draws": True}
    try:
        pixels = process.ask(question, data)[1]
        said = {b"\xff" * len(pixels): "white", bytes(len(pixels)): "black"}[pixels]
    except PictureError as problem:
        said = str(problem)
    assert outcome in said
    assert process.ask({}, coloured("red"))[0]["pages"] == 1, "the next one is read"
    process.close()


@pytest.mark.parametrize("is_busy", [False, True])
def test_the_child_ends_with_its_parent(tmp_path: Path, *, is_busy: bool) -> None:
    file = tmp_path / "a.pdf"
    file.write_bytes(endless() if is_busy else coloured("red"))
    end = "print(pdf._process().pid, flush=True); os.kill(os.getpid(), 9)"
    ask = f"pdf.count_pages(Path({str(file)!r}).read_bytes()); {end}"
    if is_busy:
        draw = f"pdf.draw_page(Path({str(file)!r}).read_bytes(), 1, side_px=500, max_pixels={MANY})"
        ask = f"threading.Thread(target=lambda: {draw}).start(); time.sleep(3); {end}"
    code = (
        "import os, threading, time; from pathlib import Path; from segsearch.media import pdf; "
        f"{ask}"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    child = int(run.stdout)
    ended = subprocess.run(
        ["timeout", "60", "tail", f"--pid={child}", "-f", "/dev/null"], check=False
    )
    assert ended.returncode == 0


def test_the_largest_side_is_reached_before_the_pixels_of_a_bomb() -> None:
    sides = [max(pdf_child.size_px(10.0**n, 10.0**n, MANY, MANY)) for n in range(8)]
    assert all(before <= after for before, after in pairwise(sides))
    assert sides[-1] == pdf_child.MOST_SIDE_PX
