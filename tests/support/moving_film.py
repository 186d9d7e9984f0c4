"""A clip whose things move, come and go: a mask of one moment fits the frame of no other.

It has a shot of ten seconds, which is looked at at 1.25, 3.75, 6.25 and 8.75 s, the second of which
stands for it, and one of two seconds, which is looked at twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from av.video.frame import VideoFrame
from PIL import Image, ImageDraw

from segsearch.core.arrays import BoolArray, Pixels
from segsearch.core.types import Segment
from segsearch.library import SegSearch
from tests.support.clips import Coding, write_frames
from tests.support.small_models import (
    COLOURS,
    Shape,
    SmallModels,
    nearest_colours,
    open_small_service,
    paint,
)

RATE, CUT, SECONDS, SIZE = 8, 10, 12, (160, 96)
CODING = Coding(rate=RATE, size=SIZE, options=(("g", "8"), ("crf", "4")))


def things_at(seconds: float) -> list[Shape]:
    """What is there: red goes from left to right, blue leaves to the left before 6 s, and green
    comes from the right behind 4 s, as the largest; after the cut there is cyan alone."""
    if seconds >= CUT:
        left = int(20 * (seconds - CUT))
        return [Shape("cyan", (left, 10, left + 110, 90))]
    red, blue, green = int(10 * seconds), int(60 - 16 * seconds), int(160 - 16 * (seconds - 4))
    things = [
        Shape("red", (red, 4, red + 40, 28)),
        Shape("blue", (blue, 60, blue + 30, 90)),
        Shape("green", (green, 36, green + 60, 92)),
    ]
    return [thing for thing in things if thing.box[2] > 0 and thing.box[0] < SIZE[0]]


def moving_film(path: Path) -> Path:
    """Write the clip."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_frames(path, map(_frame, range(RATE * SECONDS)), CODING)


def _frame(number: int) -> VideoFrame:
    picture = Image.new("RGB", SIZE, COLOURS["white"])
    pen = ImageDraw.Draw(picture)
    for thing in things_at(number / RATE):
        thing.draw(pen, COLOURS[thing.colour])
    return VideoFrame.from_ndarray(np.asarray(picture), "rgb24")


@contextmanager
def library_of_film(folder: Path, *, models: SmallModels | None = None) -> Iterator[SegSearch]:
    """A library of the clip, and of a picture beside it."""
    moving_film(folder / "films" / "clip.mp4")
    paint(folder / "films" / "still.png", [Shape("purple", (10, 10, 50, 40))])
    with open_small_service(folder / "library", models=models) as service:
        service.index([folder / "films"])
        yield service


def tracks(service: SegSearch) -> Iterator[Segment]:
    """The things of the clip."""
    return (hit.segment for hit in service.select() if hit.image.shot)


def colour_inside(pixels: Pixels, inside: BoolArray) -> str:
    """The one colour of pixels (H, W, 3) where a mask (H, W) is, but for its edge."""
    named, counts = np.unique(nearest_colours(pixels[inside][None]), return_counts=True)
    assert counts.max() > 0.9 * counts.sum(), "what the mask covers has several colours"
    return list(COLOURS)[int(named[counts.argmax()])]
