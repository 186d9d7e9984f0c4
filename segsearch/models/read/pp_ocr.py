"""rapidocr's detector, classifier and recogniser over sessions of our own: nothing is downloaded,
printed or left to a pool of threads.

Imported late: rapidocr brings OpenCV, shapely and requests. Pictures are RGB here, BGR inside.
"""

from __future__ import annotations

import logging
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segsearch.core.arrays import Pixels
from segsearch.masks.quads import bound_threads, sides
from segsearch.models.read.detection import FoundLine, Heat
from segsearch.models.read.recognition import ReadText

# It hangs a coloured handler on its own logger, unless one is there, and keeps ours from its lines.
RAPID_LOG = logging.getLogger("RapidOCR")
RAPID_LOG.addHandler(logging.NullHandler())

import onnxruntime  # noqa: E402
from rapidocr.ch_ppocr_cls import TextClassifier  # noqa: E402
from rapidocr.ch_ppocr_det import TextDetector  # noqa: E402
from rapidocr.ch_ppocr_rec import TextRecognizer  # noqa: E402
from rapidocr.utils.typings import EngineType, LangRec, OCRVersion  # noqa: E402

RAPID_LOG.propagate = True
RAPID_LOG.setLevel(logging.WARNING)

MOST_LINES = 1000  # taken from one map: the largest
MOST_SPECKS = 5000  # looked at in one map, in no order that means anything: specks among lines
# DB (Liao et al. 2019): a pixel is text from `thresh` on, a line counts when its pixels average
# `box_thresh`, and grows by its area / length times `unclip_ratio`, since the map is of its core.
THRESHOLD = 0.3
DETECTION = {
    "thresh": THRESHOLD, "box_thresh": 0.5, "max_candidates": MOST_SPECKS, "unclip_ratio": 1.6,
    "use_dilation": True, "score_mode": "fast",
}  # fmt: skip
UPSIDE_DOWN = "180"
LEAST_TURNED = 0.5
CLASSIFIED_RATIO = 6  # the classifier squeezes a line into 4 heights: it sees its beginning only


class _Config(dict[str, Any]):
    """What rapidocr asks of a configuration: keys that are attributes, too."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


class PpOcr:
    """The three models. `threads` are those of one call; calls may come from several threads.

    OpenCV's threads are bounded by `threads`, too, for the whole process.
    """

    def __init__(self, detector: Path, classifier: Path, recognizer: Path, threads: int) -> None:
        bound_threads(threads)

        def config(weights: Path, **more: Any) -> _Config:
            session = new_session(weights, threads)
            return _Config(engine_type=EngineType.ONNXRUNTIME, session=session, **more)

        self._detector = TextDetector(config(detector, **DETECTION))
        self._classifier = TextClassifier(
            config(
                classifier, ocr_version=OCRVersion.PPOCRV4, cls_batch_num=1, cls_thresh=1.0,
                label_list=["0", UPSIDE_DOWN],
            )
        )  # fmt: skip
        self._recognizer = TextRecognizer(
            config(recognizer, lang_type=LangRec.CH, rec_batch_num=1, rec_img_shape=[3, 48, 320])
        )

    def heat(self, pixels: Pixels) -> Heat:
        """How surely each pixel of a look (H, W, 3) belongs to text; sides are multiples of 32."""
        seen = self._detector.session(_numbers(pixels[None]))
        return np.asarray(seen[0, 0], np.float32)

    def lines(self, heat: Heat, size: tuple[int, int]) -> list[FoundLine]:
        """Lines of a map (h, w), in pixels of a picture (H, W): the largest, `MOST_LINES` of them
        at most."""
        if not (heat > THRESHOLD).any():
            return []
        quads, scores = self._detector.postprocess_op(heat[None, None], size)
        found = [
            FoundLine(np.asarray(quad, np.float32), float(score))
            for quad, score in zip(quads, scores, strict=True)
        ]
        return sorted(found, key=lambda line: -math.prod(sides(line.quad)))[:MOST_LINES]

    def recognize(self, strips: NDArray[np.uint8]) -> list[ReadText]:
        """What strips (n, 48, W, 3) say."""
        guesses = self._recognizer.session(_numbers(strips))
        read, _ = self._recognizer.postprocess_op(guesses)
        return [ReadText(text, float(score)) for text, score in read]

    def is_turned(self, strip: Pixels) -> bool:
        """Whether a strip (48, W, 3) may stand upside down."""
        seen = strip[:, : CLASSIFIED_RATIO * strip.shape[0], ::-1]
        said: Any = self._classifier([seen])
        label, score = said.cls_res[0]
        return bool(label == UPSIDE_DOWN and score >= LEAST_TURNED)


def _numbers(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Pictures (n, H, W, 3) as the models take them: (n, 3, H, W) BGR in [-1, 1]."""
    planes = pictures[..., ::-1].transpose(0, 3, 1, 2).astype(np.float32)
    planes /= 127.5
    planes -= 1.0
    return np.ascontiguousarray(planes)


def new_session(weights: Path, threads: int) -> onnxruntime.InferenceSession:
    """A session that gives its memory back and keeps no plan of it for each shape."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    options.enable_mem_pattern = False
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(weights), options, providers=["CPUExecutionProvider"])
