"""What appears in composed clips: drawings that no model was trained on, and things cut out of
photographs of which the same holds, along the outlines that people gave them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from segsearch.core.arrays import Pixels
from segsearch.masks.rle import decode
from training.data.annotated import AnnotatedPhotograph, Annotation, annotated
from training.data.fetch import HELD_OUT
from training.data.render import RGBA, Drawings, load_drawings

SMALLEST_SHARE, SMALLEST_PX = 0.01, 50  # of a photograph that a thing covers, and its shorter side
MARGIN_PX = 2  # what comes nearer to a photograph's edge may be cut by it
# Not things that move, whatever they may be in a photograph.
STUFF = {"cardboard", "ceiling", "floor", "grass", "mountain", "paper", "road", "sand", "sea"}
STUFF |= {"sky", "snow", "tree", "wall", "brick wall", "stone wall", "tiled wall", "wooden wall"}
CUTOUT_SHARE = 0.35  # of the things of a clip


@dataclass(frozen=True, slots=True)
class Actor:
    """A named thing: (h, w, 4) u8 with straight alpha; `source` is `drawing` or `photograph`."""

    name: str
    source: str
    picture: RGBA


class Cast:
    """Drawings and cutouts in an order that a seed gives, each as seldom as any other, and
    photographs that stand behind them."""

    def __init__(self, cache: Path, photographs: Path, *, seed: int, trained: bool) -> None:
        """With `trained`, cutouts and grounds are of photographs that models learned from: to
        choose by, so that nothing is chosen by what is measured on."""
        rng = np.random.default_rng(seed)
        self._drawings: Drawings = load_drawings(cache, styles=(HELD_OUT,))
        names = rng.permutation(self._drawings.names(HELD_OUT))
        self._names = names[: len(names) // 2] if trained else names[len(names) // 2 :]
        shown = annotated(photographs, validation=not trained)
        cutouts = [pair for one in shown for pair in _cutouts(one)]
        self._cutouts = [cutouts[place] for place in rng.permutation(len(cutouts))]
        self._grounds = [shown[place] for place in rng.permutation(len(shown))]
        self._drawn = self._cut = self._shown = 0

    def actors(self, rng: np.random.Generator, count: int, taken: set[str]) -> list[Actor]:
        """The next ones, none with a name that is taken already; their names are taken then."""
        found: list[Actor] = []
        while len(found) < count:
            if self._cutouts and rng.random() < CUTOUT_SHARE:
                photograph, annotation = self._cutouts[self._cut % len(self._cutouts)]
                self._cut += 1
                if annotation.name not in taken:
                    found.append(Actor(annotation.name, "photograph", _cut(photograph, annotation)))
                    taken.add(annotation.name)
            else:
                name = str(self._names[self._drawn % len(self._names)])
                self._drawn += 1
                if name not in taken:
                    found.append(Actor(name, "drawing", self._drawings.picture(name, HELD_OUT)))
                    taken.add(name)
        return found

    def ground(self) -> tuple[Pixels, list[str]]:
        """The next photograph, (H, W, 3) u8, and the names of what people saw in it."""
        photograph = self._grounds[self._shown % len(self._grounds)]
        self._shown += 1
        names = sorted({one.name for one in photograph.annotations})
        return np.asarray(Image.open(photograph.path).convert("RGB")), names


def _cutouts(photograph: AnnotatedPhotograph) -> Iterator[tuple[AnnotatedPhotograph, Annotation]]:
    for one in photograph.annotations:
        if one.mask is None or one.crowd or one.name in STUFF:
            continue
        x0, y0, x1, y1 = one.box
        is_whole = min(x0, y0) > MARGIN_PX
        is_whole &= x1 < photograph.width - MARGIN_PX and y1 < photograph.height - MARGIN_PX
        share = one.mask.area / (one.mask.height * one.mask.width)
        if is_whole and share > SMALLEST_SHARE and min(x1 - x0, y1 - y0) > SMALLEST_PX:
            yield photograph, one


def _cut(photograph: AnnotatedPhotograph, annotation: Annotation) -> RGBA:
    """The thing alone, its outline a pixel soft."""
    assert annotation.mask is not None
    pixels = np.asarray(Image.open(photograph.path).convert("RGB"))
    box = annotation.mask.box
    window = slice(box.y0, box.y1), slice(box.x0, box.x1)
    mask = decode(annotation.mask)[window].astype(np.uint8) * 255
    alpha = cv2.GaussianBlur(cv2.erode(mask, np.ones((2, 2), np.uint8)), (0, 0), 0.8)
    cut: RGBA = np.dstack([pixels[window], alpha])
    return cut


def enlarged(ground: Pixels, size: Sequence[int]) -> Pixels:
    """A photograph that covers (height, width), its middle where theirs is."""
    height, width = ground.shape[:2]
    scale = max(size[0] / height, size[1] / width)
    grown = cv2.resize(
        ground,
        (int(np.ceil(width * scale)), int(np.ceil(height * scale))),
        interpolation=cv2.INTER_CUBIC,
    )
    top, left = (grown.shape[0] - size[0]) // 2, (grown.shape[1] - size[1]) // 2
    return np.ascontiguousarray(grown[top : top + size[0], left : left + size[1]])
