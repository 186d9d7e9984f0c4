"""Which region a line of text belongs to, and the regions of lines that no mask covers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from segsearch.core.arrays import PlacedLine
from segsearch.core.text import Corners, Line, RegionKind
from segsearch.core.types import Mask
from segsearch.masks import rle

COVERED_SHARE = 0.6  # of a line, that a mask has to cover
GROUND_SHARE = 0.5  # of the picture: what is larger is the ground that lines stand on


@dataclass(frozen=True, slots=True)
class Placed:
    """n lines in the order of reading, and the m masks (same frame) that were added for them;
    `PictureText` says what the other two hold."""

    lines: tuple[PlacedLine, ...]
    masks: tuple[Mask, ...]
    kinds: tuple[RegionKind, ...]
    order: tuple[int | None, ...]


def place(lines: Sequence[Line], masks: Sequence[Mask], size: tuple[int, int]) -> Placed:
    """Give each line to the smallest mask that covers 60 % of it; one that none covers gets a
    region of its own. `size` (H, W) is that of the picture and of all masks.

    What covers more than half of the picture is its ground, and covers no line. Lines outside the
    picture, or of no area, belong to none.
    """
    own: list[Mask] = []
    placed: list[PlacedLine] = []
    for line in lines:
        mask = mask_of(line.corners, size)
        region = None if mask is None else _smallest(mask, masks)
        if mask is not None and region is None:
            region = len(masks) + len(own)
            own.append(mask)
        placed.append(PlacedLine(line, region))
    kinds: list[RegionKind] = ["thing"] * len(masks)
    kinds += ["text"] * len(own)
    return Placed(tuple(placed), tuple(own), tuple(kinds), (None,) * len(kinds))


def mask_of(corners: Corners, size: tuple[int, int]) -> Mask | None:
    """The pixels within four corners, as a mask of a picture of this size (H, W); None for none."""
    if not np.isfinite(corners).all():
        return None
    height, width = size
    points = np.clip(np.asarray(corners, np.float64), 0, [width - 1, height - 1])
    low, high = np.floor(points.min(axis=0)).astype(int), np.ceil(points.max(axis=0)).astype(int)
    if not (high > low).all():
        return None
    across, down = (int(side) for side in high - low + 1)
    window = Image.new("1", (across, down))
    ImageDraw.Draw(window).polygon([(x, y) for x, y in (points - low).tolist()], fill=1)
    return rle.encode(np.asarray(window), origin=(int(low[0]), int(low[1])), size=size)


def _smallest(line: Mask, masks: Sequence[Mask]) -> int | None:
    """The number of the smallest mask that covers a line; None where none does."""
    needed, ground = COVERED_SHARE * line.area, GROUND_SHARE * line.height * line.width
    fitting = [
        (mask.area, number)
        for number, mask in enumerate(masks)
        if needed <= mask.area <= ground and _shared_box(line, mask) >= needed
    ]
    for _, number in sorted(fitting):
        if rle.intersection(line, masks[number]) >= needed:
            return number
    return None


def _shared_box(first: Mask, second: Mask) -> int:
    """The area that two boxes share: no less than what their masks do."""
    one, other = first.box, second.box
    across = min(one.x1, other.x1) - max(one.x0, other.x0)
    down = min(one.y1, other.y1) - max(one.y0, other.y0)
    return max(0, across) * max(0, down)
