"""Makes described pictures with random unit vectors, for tests of what stores and indexes them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from segsearch.core.arrays import (
    DescribedPicture,
    DescribedSegment,
    PictureText,
    PlacedLine,
    Vector,
)
from segsearch.core.text import Corners, Line, RegionKind
from segsearch.core.types import Box, PictureInfo, Proposal, Recipe
from segsearch.masks.rle import encode

DIMENSION = 8
RECIPE = Recipe(
    "test", "s@1", "e@1", DIMENSION, {"points_per_side": 4}, {"margin": 0.1}, {"size": 8}
)


def unit(rng: np.random.Generator) -> Vector:
    vector = rng.normal(size=DIMENSION).astype(np.float32)
    return vector / np.linalg.norm(vector)


def describe(seed: int, segments: int = 3) -> DescribedPicture:
    """A 30 x 20 picture with `segments` small rectangles, the first nine side by side."""
    rng = np.random.default_rng(seed)
    described = []
    for number in range(segments):
        window = np.ones((3, 2), dtype=bool)
        mask = encode(window, origin=(3 * number % 27, number % 17), size=(20, 30))
        assert mask is not None
        proposal = Proposal(mask, 0.9 - 0.01 * number, 0.8)
        described.append(DescribedSegment(proposal, unit(rng), unit(rng)))
    return DescribedPicture(PictureInfo(30, 20, "PNG"), unit(rng), tuple(described))


def read_lines(lines: Sequence[str], things: int = 0) -> PictureText:
    """The text of a picture as `describe` makes them, with so many things: each line is a region
    of its own."""
    made = describe(0, len(lines)).segments
    boxes = [segment.proposal.mask.box for segment in made]
    placed = tuple(
        PlacedLine(Line(_corners(box), text, 0.9), things + number)
        for number, (box, text) in enumerate(zip(boxes, lines, strict=True))
    )
    kinds: list[RegionKind] = ["thing"] * things
    kinds += ["text"] * len(lines)
    return PictureText("reader@1", placed, made, tuple(kinds), (None,) * len(kinds))


def _corners(box: Box) -> Corners:
    return ((box.x0, box.y0), (box.x1, box.y0), (box.x1, box.y1), (box.x0, box.y1))
