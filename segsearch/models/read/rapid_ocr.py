"""PP-OCRv6 small, as packaged in `rapidocr`, as a reader: where text stands, and what it says.

It reads Latin letters with most accents, Chinese, Japanese, digits and signs. Of Greek it knows no
letters with accents; Cyrillic, Korean, Arabic, Hebrew, Thai and Indian scripts it does not know:
lines in them are dropped, or come out as other letters that look alike. The weights lie in the
package; nothing is downloaded, and files other than those are refused.
"""

from __future__ import annotations

import hashlib
import importlib.util
import logging
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from segsearch.core.arrays import Pixels
from segsearch.core.atomic import sha256_of
from segsearch.core.errors import ChecksumError, ModelError, ModelMissingError
from segsearch.core.install import OWN
from segsearch.core.text import Line

if TYPE_CHECKING:
    from segsearch.models.read.pp_ocr import PpOcr

LOG = logging.getLogger(__name__)
PACKAGE = "rapidocr"
DETECTOR = "PP-OCRv6_det_small.onnx"
RECOGNIZER = "PP-OCRv6_rec_small.onnx"
CLASSIFIER = "ch_ppocr_mobile_v2.0_cls_mobile.onnx"
SHA256 = {
    DETECTOR: "090f04abcd9d9a7498bc4ebf677e4cb9bdce1fe4197ddb7e529f1ef44e1ff94f",
    RECOGNIZER: "6f327246b50388f3c176ae304bd95767ea6dc0c9ae92153ef8cbe210b3c14884",
    CLASSIFIER: "e47acedf663230f8863ff1ab0e64dd2d82b838fceb5957146dab185a89d6215c",
}
NAME = "pp-ocrv6-small"
# Counted up when what is read of the same picture changes, here or where lines are placed.
RULES = 2


def reader_identity() -> str:
    """`name@sha256` of the weights and the rules; known without loading them, or having them."""
    content = f"{RULES} {' '.join(SHA256.values())}"
    return f"{NAME}@{hashlib.sha256(content.encode()).hexdigest()}"


def is_installed() -> bool:
    """Whether what reads is here; nothing is loaded."""
    return all(importlib.util.find_spec(package) for package in (PACKAGE, "onnxruntime", "cv2"))


def packaged_weights() -> Path:
    """The folder of weights inside the package; ModelError where it is not installed."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise _missing(PACKAGE)
    return Path(next(iter(spec.submodule_search_locations))) / "models"


def check_weights(folder: Path) -> None:
    """ModelMissingError or ChecksumError unless a folder holds the weights: rapidocr would download
    what is missing."""
    for name, sha256 in SHA256.items():
        try:
            known = sha256_of(folder / name)
        except OSError as problem:
            raise ModelMissingError(
                f"The reader's weights {name} are missing: install {PACKAGE} again."
            ) from problem
        if known != sha256:
            raise ChecksumError(
                f"The reader's weights {name} are not those that segsearch was made for: install "
                f"{PACKAGE} again in the version that segsearch names."
            )


def _missing(package: str) -> ModelError:
    return ModelError(
        f"The package {package} is missing: install segsearch with the extra 'read', which 'cpu' "
        "and 'gpu' bring, for example `pip install 'segsearch[read]'`."
    )


class RapidOcrReader:
    """Lines of a picture; loads its models when it first reads. Thread-safe.

    `weights` is a folder of them, by default the package's; `threads` are those of one picture. A
    picture is looked at as a whole first, and reading ends there when no text is found. Memory is
    bounded by the picture's own size and two maps of 16 million pixels, work by 64 looks of 960 px
    and 1,000 lines; a longer line is read in parts.
    """

    def __init__(self, weights: Path | None = None, *, threads: int = 1) -> None:
        self._weights, self._threads = weights, threads
        self._lock = threading.Lock()
        self._loaded: PpOcr | None = None

    @property
    def identity(self) -> str:
        return reader_identity()

    def read(self, pixels: Pixels) -> list[Line]:
        """The lines of a picture (H, W, 3) u8, from the top, then from the left; none where none
        can be read. ModelError when the models cannot be loaded."""
        from segsearch.models.read.lines import read_lines

        return read_lines(pixels, self._models())

    def _models(self) -> PpOcr:
        with self._lock:
            if self._loaded is None:
                self._loaded = load(self._weights or packaged_weights(), self._threads)
            return self._loaded


def load(folder: Path, threads: int) -> PpOcr:
    """The models of a folder; ModelError where they, or what runs them, are missing."""
    check_weights(folder)
    try:
        from segsearch.models.read.pp_ocr import PpOcr  # loads rapidocr, OpenCV, ONNX Runtime
    except ModuleNotFoundError as problem:
        package = (problem.name or "").partition(".")[0]
        if not package or package in OWN:
            raise
        raise _missing(package) from problem
    LOG.info("Loading %s.", NAME)
    return PpOcr(folder / DETECTOR, folder / CLASSIFIER, folder / RECOGNIZER, threads)
