"""Which region a line of text belongs to, and the regions of lines that no mask covers."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from segsearch.core.arrays import PlacedLine
from segsearch.core.text import Corners, Line, RegionKind
from segsearch.core.types import Box, Mask
from segsearch.masks import rle
from segsearch.masks.page_layout import Page, page_of

COVERED_SHARE = 0.6  # of a line, that a mask has to cover
GROUND_SHARE = 0.5  # of the picture: what is larger is the ground that lines stand on
FIGURE_SHARE = 0.015  # of the picture, that a figure of a page covers
TEXT_SHARE = 0.1  # of a figure's area, that may be text, or another figure's
SAME_SHARE = 0.6  # intersection over union of an element and the mask that stands for it


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

    On a page the elements come first: each is a region, the mask that is nearly the same where
    there is one, and may hold lines as any other. What covers more than half of the picture is its
    ground, and covers no line. Lines outside the picture, or of no area, belong to none.
    """
    outlines = [mask_of(line.corners, size) for line in lines]
    region_of = [_smallest(outline, masks) if outline else None for outline in outlines]
    held = {number for number in region_of if number is not None}
    page = page_of(lines, _figures(masks, outlines, held), size)
    regions, order = list(masks), list(range(len(lines)))
    kinds: list[RegionKind] = ["thing"] * len(masks)
    places: list[int | None] = [None] * len(masks)
    if page is not None:
        _add_elements(page, regions, kinds, places, size)
        region_of = [_smallest(outline, regions) if outline else None for outline in outlines]
        order = [number for element in page.elements for number in element.lines]
    placed: list[PlacedLine] = []
    for number in order:
        outline, region = outlines[number], region_of[number]
        if outline is not None and region is None:
            region = len(regions)
            regions.append(outline)
            kinds.append("text")
            places.append(None)
        placed.append(PlacedLine(lines[number], region))
    return Placed(tuple(placed), tuple(regions[len(masks) :]), tuple(kinds), tuple(places))


def _add_elements(
    page: Page,
    regions: list[Mask],
    kinds: list[RegionKind],
    places: list[int | None],
    size: tuple[int, int],
) -> None:
    """Number the elements of a page in the order of reading, as regions that are there or as new
    ones."""
    count = 0
    for element in page.elements:
        number = element.figure
        if number is None:
            mask = mask_of(page.corners(element.box), size)
            if mask is None:
                continue
            number = _same(mask, regions)
            if number is None or places[number] is not None:
                number = len(regions)
                regions.append(mask)
                kinds.append(element.kind)
                places.append(None)
        count += 1
        kinds[number], places[number] = element.kind, count


def _same(mask: Mask, regions: Sequence[Mask]) -> int | None:
    """The number of the region that is nearly the same; None where none is."""
    for number, region in enumerate(regions):
        if min(mask.area, region.area) >= SAME_SHARE * max(mask.area, region.area):
            shared = rle.intersection(mask, region)
            if shared >= SAME_SHARE * (mask.area + region.area - shared):
                return number
    return None


def _figures(
    masks: Sequence[Mask], outlines: Sequence[Mask | None], held: AbstractSet[int]
) -> list[tuple[int, Corners]]:
    """Masks that may be figures of a page, with the corners of their boxes: large ones, not the
    ground, hardly anything of them text, and in none that is larger."""
    found: list[tuple[int, Mask]] = []
    for number, mask in sorted(enumerate(masks), key=lambda pair: -pair[1].area):
        share = mask.area / (mask.height * mask.width)
        if number in held or not FIGURE_SHARE <= share <= GROUND_SHARE:
            continue
        written = sum(rle.intersection(one, mask) for one in outlines if one is not None)
        if written > TEXT_SHARE * mask.area:
            continue
        if any(rle.intersection(mask, other) > TEXT_SHARE * mask.area for _, other in found):
            continue
        found.append((number, mask))
    return [(number, _corners(mask.box)) for number, mask in found]


def _corners(box: Box) -> Corners:
    return ((box.x0, box.y0), (box.x1, box.y0), (box.x1, box.y1), (box.x0, box.y1))


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
