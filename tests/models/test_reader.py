"""The reader on real weights: lines are read exactly and where they stand, odd pictures give lines
or none, few shapes arise, nothing is downloaded or printed.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.text.drawing import shaken, turned
from benchmarks.text.pictures import wordless
from segsearch.core.arrays import Pixels
from segsearch.core.errors import ChecksumError, ModelError, ModelMissingError
from segsearch.core.text import Line
from segsearch.models.protocols import Reader
from segsearch.models.read.detection import LOOK_PX, STEP_PX
from segsearch.models.read.lines import MOST_LINES
from segsearch.models.read.rapid_ocr import (
    SHA256,
    RapidOcrReader,
    check_weights,
    load,
    packaged_weights,
)
from segsearch.models.read.recognition import BATCH, HEIGHT_PX, WIDTHS_PX
from tests.support.drawn_text import drawn, strip

pytestmark = pytest.mark.slow

TEXTS = ("Open daily 24 hours", "Crème brûlée, 4,50 €", "Platform 9: Zürich HB", "info@example.org")
Shape = tuple[int, ...]


@pytest.fixture(scope="module")
def shapes() -> list[list[Shape]]:
    """Of what detector, classifier and recogniser of the reader below were given."""
    return []


@pytest.fixture(scope="module")
def reader(shapes: list[list[Shape]]) -> Iterator[Reader]:
    """A reader whose sessions are watched, without a network, whose package must not download."""
    from rapidocr.inference_engine.onnxruntime import OrtInferSession
    from rapidocr.utils.download_file import DownloadFile

    class Watched(OrtInferSession):
        def __init__(self, config: Any) -> None:
            super().__init__(config)
            self.shapes: list[Shape] = []
            shapes.append(self.shapes)

        def __call__(self, content: Any) -> Any:
            self.shapes.append(content.shape)
            return super().__call__(content)

    def refused(*_: object, **__: object) -> None:
        raise AssertionError("no network")

    with pytest.MonkeyPatch.context() as patch:
        for module in ("ch_ppocr_det", "ch_ppocr_cls", "ch_ppocr_rec"):
            patch.setattr(f"rapidocr.{module}.main.get_engine", lambda _: Watched)
        patch.setattr(DownloadFile, "run", refused)
        patch.setattr(socket.socket, "connect", refused)
        yield RapidOcrReader()


def read_texts(lines: list[Line]) -> list[str]:
    return [line.text for line in lines]


def far_apart(read: Line, corners: Any) -> float:
    """How far the corners of a line are from those that were drawn, at most, in pixels."""
    return float(np.abs(np.array(read.corners) - np.array(corners)).max())


def test_plain_lines_are_read_exactly_from_the_top(reader: Reader) -> None:
    pixels, lines = drawn(TEXTS, 18, (330, 560))
    read = reader.read(pixels)
    assert read_texts(read) == list(TEXTS)
    for line, known in zip(read, lines, strict=True):
        assert 0.9 < line.score <= 1
        assert far_apart(line, known.corners) < 12  # letters of 18 px with the room around them


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_turned_lines_begin_where_their_writing_begins(reader: Reader, quarters: int) -> None:
    pixels, lines = drawn(TEXTS[::2], 24, (240, 640))
    read = reader.read(np.ascontiguousarray(np.rot90(pixels, quarters)))
    height, width = pixels.shape[:2]
    # One quarter against the clock takes x, y to y, width - x.
    for _ in range(quarters):
        lines = [
            type(line)(
                tuple((y, width - x) for x, y in line.corners),  # type: ignore[arg-type]  # four
                line.text, line.script, line.letter_px,
            )
            for line in lines
        ]  # fmt: skip
        height, width = width, height
    by_text = {line.text: line for line in read}
    assert sorted(by_text) == sorted(TEXTS[::2])
    for known in lines:
        assert far_apart(by_text[known.text], known.corners) < 16


def test_lines_in_perspective_are_read_where_they_lie(reader: Reader) -> None:
    rng = np.random.default_rng(4)
    target = turned(shaken(700, 300, rng, 0.12), 8) + np.array([20.0, 60.0])
    pixels, lines = drawn(TEXTS[:2], 26, (300, 700), target)
    by_text = {line.text: line for line in reader.read(pixels)}
    assert sorted(by_text) == sorted(TEXTS[:2])
    for known in lines:
        assert far_apart(by_text[known.text], known.corners) < 24


def test_small_letters_of_a_large_picture_are_looked_at_closer(reader: Reader) -> None:
    pixels = np.full((2600, 3400, 3), (96, 120, 110), np.uint8)
    label, _ = drawn(TEXTS[:1], 20, (100, 420))
    pixels[2300:2400, 2900:3320] = label
    read = reader.read(pixels)
    assert read_texts(read) == [TEXTS[0]]
    assert abs(read[0].corners[0][0] - 2940) < 15
    assert abs(read[0].corners[0][1] - 2340) < 15


def test_a_long_strip_is_read_from_end_to_end(reader: Reader) -> None:
    words = [f"Mark {number}" for number in range(0, 20, 3)]
    pixels = strip(words, 11, (20, 20_000), 2900)
    assert read_texts(reader.read(pixels)) == words


def test_a_line_longer_than_what_is_read_at_once_comes_whole(reader: Reader) -> None:
    words = " ".join(f"word{number}" for number in range(40))
    assert read_texts(reader.read(strip([words], 14, (40, 6400), 1))) == [words]


def noise(*shape: int) -> Pixels:
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def squares() -> Pixels:
    """What a QR code looks like: squares at random, and its three marks."""
    cells = np.random.default_rng(1).random((33, 33)) < 0.5
    mark = np.pad(np.pad(np.ones((3, 3), bool), 1), 1, constant_values=True)
    for y, x in ((0, 0), (0, 26), (26, 0)):
        cells[y : y + 7, x : x + 7] = mark
    grey = np.where(np.kron(cells, np.ones((8, 8), bool)), 0, 255).astype(np.uint8)
    return np.repeat(np.pad(grey, 40, constant_values=255)[..., None], 3, axis=2)


@pytest.mark.parametrize(
    "pixels",
    [
        noise(1, 1, 3), noise(1, 3000, 3), noise(20, 400, 3), noise(300, 300, 3),
        np.zeros((9, 9, 3), np.uint8), np.full((2000, 30, 3), 255, np.uint8),
        np.full((700, 900, 3), 255, np.uint8), squares(),
    ],
    ids=lambda pixels: "x".join(map(str, pixels.shape[1::-1])),
)  # fmt: skip
def test_pictures_without_words_give_no_lines(reader: Reader, pixels: Pixels) -> None:
    assert reader.read(pixels) == []


def test_stripes_and_dots_are_no_words(reader: Reader) -> None:
    assert [reader.read(pixels) for pixels in wordless(6, 5)] == [[]] * 6


def test_mirrored_writing_is_no_error(reader: Reader) -> None:
    pixels, _ = drawn(TEXTS[:1], 24, (100, 600))
    for line in reader.read(np.ascontiguousarray(pixels[:, ::-1])):
        assert line.text != TEXTS[0]


def test_a_picture_without_words_is_looked_at_and_not_read(
    reader: Reader, shapes: list[list[Shape]]
) -> None:
    reader.read(drawn(TEXTS[:1], 20, (100, 500))[0])  # loads
    before = [len(given) for given in shapes]
    assert reader.read(np.full((480, 640, 3), 128, np.uint8)) == []
    assert [len(given) for given in shapes] == [before[0] + 1, *before[1:]]


def test_threads_read_what_one_reads(reader: Reader) -> None:
    pictures = [drawn([text], 16 + 2 * i, (90, 520))[0] for i, text in enumerate(TEXTS)]
    alone = [reader.read(pixels) for pixels in pictures]
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(reader.read, pictures * 2)) == alone * 2


def test_few_shapes_arise(reader: Reader, shapes: list[list[Shape]]) -> None:
    rng = np.random.default_rng(2)
    for _ in range(6):
        size = (int(rng.integers(60, 700)), int(rng.integers(300, 900)))
        reader.read(drawn(TEXTS[: int(rng.integers(1, 4))], float(rng.uniform(9, 30)), size)[0])
    detector, classifier, recognizer = (set(given) for given in shapes)
    assert all(side % STEP_PX == 0 and side <= LOOK_PX for shape in detector for side in shape[2:])
    assert classifier == {(1, 3, 48, 192)}
    assert {shape[0] for shape in recognizer} <= {1, BATCH}
    assert {shape[2] for shape in recognizer} == {HEIGHT_PX}
    assert {shape[3] for shape in recognizer} <= set(WIDTHS_PX)


SPECKS = 1600  # more than lines are taken; OpenCV names what is lowest first


@pytest.fixture(scope="module")
def models() -> Any:
    return load(packaged_weights(), 1)


def test_lines_are_found_among_thousands_of_specks(models: Any) -> None:
    heat = np.zeros((900, 960), np.float32)
    for number in range(SPECKS):
        y, x = 200 + 17 * (number // 40), 10 + 24 * (number % 40)
        heat[y : y + 6, x : x + 6] = 1.0
    for row in range(3):
        heat[20 + 40 * row : 40 + 40 * row, 100:800] = 1.0
    found = models.lines(heat, heat.shape)
    assert len(found) == MOST_LINES
    large = [line.quad for line in found if np.ptp(line.quad[:, 0]) > 600]
    assert sorted(round(float(quad[:, 1].mean())) for quad in large) == pytest.approx(
        [30, 70, 110], abs=2
    )


def test_opencv_runs_no_more_threads_than_the_models() -> None:
    bounds = alone(BOUNDS)
    assert bounds.stdout.split() == ["2", "1", "1"], bounds.stderr


def test_the_identity_is_that_of_the_weights() -> None:
    name, _, sha256 = RapidOcrReader().identity.partition("@")
    assert name == "pp-ocrv6-small"
    assert len(sha256) == 64
    check_weights(packaged_weights())


@pytest.mark.parametrize("name", sorted(SHA256))
def test_weights_that_are_missing_or_others_are_refused(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "models"
    shutil.copytree(packaged_weights(), folder)
    (folder / name).write_bytes(b"others")
    with pytest.raises(ChecksumError, match=name):
        check_weights(folder)
    (folder / name).unlink()
    with pytest.raises(ModelMissingError, match=name):
        RapidOcrReader(folder).read(np.zeros((32, 32, 3), np.uint8))
    assert not (folder / name).exists()


ALONE = """
import logging, sys
from segsearch.models.read.rapid_ocr import RapidOcrReader, reader_identity
reader_identity()
assert not {"rapidocr", "onnxruntime", "cv2"} & set(sys.modules)
import numpy
RapidOcrReader().read(numpy.full((200, 300, 3), 255, numpy.uint8))
assert not logging.getLogger().handlers
logging.basicConfig(format="%(message)s")
logging.getLogger("RapidOCR").info("no news")
logging.getLogger("RapidOCR").warning("passed on")
"""
BOUNDS = """
import cv2
from segsearch.models.read.rapid_ocr import load, packaged_weights
cv2.setNumThreads(4)
for threads in (2, 1, 2):
    load(packaged_weights(), threads)
    print(cv2.getNumThreads())
"""
WITHOUT = """
import sys
sys.modules["{}"] = None
import numpy
from segsearch.models.read.rapid_ocr import RapidOcrReader
RapidOcrReader().read(numpy.zeros((32, 32, 3), numpy.uint8))
"""


def alone(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_it_loads_late_prints_nothing_and_leaves_logging_alone() -> None:
    done = alone(ALONE)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "passed on\n")


@pytest.mark.parametrize("package", ["rapidocr", "pyclipper"])
def test_a_missing_package_names_the_extra(package: str) -> None:
    last = alone(WITHOUT.format(package)).stderr.strip().splitlines()[-1]
    assert last.startswith(f"{ModelError.__module__}.ModelError: The package {package} is missing")
    assert "segsearch[read]" in last
