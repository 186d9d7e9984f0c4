"""Which region a line of text belongs to, and the regions of lines that no mask covers."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from segsearch.core.arrays import PlacedLine
from segsearch.core.text import Corners, Line, RegionKind
from segsearch.core.types import Box, Mask
from segsearch.masks import rle
from segsearch.masks.line_parts import whole_lines
from segsearch.masks.page_layout import LEAST_LINES, Page, page_of

COVERED_SHARE = 0.6  # of a line, that a mask has to cover: it may leave the line's margin out
HELD_SHARE = 0.95  # of a line's middle: what covers less cuts through letters, or lacks some
MARGIN_SHARE = 0.2  # of a line's height, that is around its letters on each side
GROUND_SHARE = 0.5  # of the picture: what is larger is the ground that lines stand on
FIGURE_SHARE = 0.015  # of the picture, that a figure of a page covers
TEXT_SHARE = 0.1  # of a figure's area, that may be text, or another figure's
RIM_SIDES, RIM_FILLED = 2, 0.8  # of the picture, touched; of its box, that a figure fills there
CUT_SHARE = 0.15  # of a line's middle, in a mask that does not hold the line, or left out of one
SAME_SHARE = 0.6  # intersection over union of an element and the mask that stands for it
MOST_ADDED = 100  # regions that are made of the lines of one picture


@dataclass(frozen=True, slots=True)
class Placed:
    """n lines in the order of reading, and the m masks (same frame) that were added for them;
    `PictureText` says what the other two hold."""

    lines: tuple[PlacedLine, ...]
    masks: tuple[Mask, ...]
    kinds: tuple[RegionKind, ...]
    order: tuple[int | None, ...]


@dataclass(slots=True)
class _Region:
    """What may become a region: an element of a page, or a line that is in none. `number` is that
    of the region, None where it is none (yet)."""

    kind: RegionKind
    mask: Mask
    lines: Sequence[int]
    number: int | None = None
    is_element: bool = True


def place(lines: Sequence[Line], masks: Sequence[Mask], size: tuple[int, int]) -> Placed:
    """Join parts of one line, and give each line to the smallest mask that holds it: that covers
    60 % of it, and 95 % of it without its margin; one that none holds gets a region of its own.
    `size` (H, W) is that of the picture and of all masks.

    The segmenter often cuts a label in two, and through its letters: by 60 % alone the upper half
    is the smallest mask of the line, and what is shown, cut out and captioned is half a word. By
    95 % of all of the line, masks as tight as the word would hold none.

    On a page the elements come first: each is a region, the mask that is nearly the same where
    there is one. Its lines belong to it as their element whichever smaller mask holds them, and
    none of them gets a region of its own; a mask that cuts through any line of the page is a piece
    of paper, and holds none. A mask of more than half of the picture is its ground: it holds no
    line and is no element. Lines outside the picture, or of no area, belong to none.

    At most `MOST_ADDED` regions are added, the largest; where there would be more, the last is the
    box around all lines that are left.
    """
    lines = whole_lines(lines)
    outlines = [mask_of(line.corners, size) for line in lines]
    middles = [mask_of(_middle(line.corners), size) for line in lines]
    region_of = _smallest(outlines, middles, masks)
    held = {number for number in region_of if number is not None}
    page = page_of(lines, _figures(masks, outlines, held, size), size)
    order = [number for one in page.elements for number in one.lines] if page else range(len(lines))
    parts = _elements(page, masks, size) if page else []
    inside = {number for part in parts for number in part.lines}
    for number in order:
        outline = outlines[number]
        if outline is not None and region_of[number] is None and number not in inside:
            parts.append(_Region("text", outline, [number], is_element=False))
    regions, kinds, places = _number(parts, masks)
    element_of: dict[int, int] = {}
    elements = {part.number for part in parts if part.is_element}
    ragged = _cutting({*region_of} - elements, masks, middles) if page else set()
    for part in parts:
        if part.number is None:
            continue
        for number in part.lines:
            if outlines[number] is None:
                continue
            if part.is_element:
                element_of[number] = part.number
            smaller = region_of[number]
            if (
                smaller is None
                or smaller in elements | ragged
                or masks[smaller].area > part.mask.area
            ):
                region_of[number] = part.number
    left = [o for o, region in zip(outlines, region_of, strict=True) if o and region is None]
    if left and (rest := _around(left, size)):
        region_of = [
            len(regions) if outline and region is None else region
            for outline, region in zip(outlines, region_of, strict=True)
        ]
        regions, kinds, places = [*regions, rest], [*kinds, "text"], [*places, None]
    placed = (PlacedLine(lines[one], region_of[one], element_of.get(one)) for one in order)
    return Placed(tuple(placed), tuple(regions[len(masks) :]), tuple(kinds), tuple(places))


def _elements(page: Page, masks: Sequence[Mask], size: tuple[int, int]) -> list[_Region]:
    """The elements of a page as they are read, with the numbers of the masks that they are."""
    parts: list[_Region] = []
    taken = {element.figure for element in page.elements}
    areas, boxes = np.array([mask.area for mask in masks]), _sides(masks)
    for element in page.elements:
        if element.figure is not None:
            parts.append(_Region("figure", masks[element.figure], (), element.figure))
            continue
        mask = mask_of(page.corners(element.box), size)
        if mask is None:
            continue
        likely = np.minimum(areas, mask.area) >= SAME_SHARE * np.maximum(areas, mask.area)
        likely &= _shared(boxes, mask) >= SAME_SHARE * np.maximum(areas, mask.area)
        likely &= areas <= GROUND_SHARE * size[0] * size[1]
        same = (int(n) for n in np.flatnonzero(likely) if n not in taken)
        number = next((n for n in same if rle.iou(mask, masks[n]) >= SAME_SHARE), None)
        taken.add(number)
        mask = mask if number is None else masks[number]
        parts.append(_Region(element.kind, mask, element.lines, number))
    return parts


def _number(
    parts: Sequence[_Region], masks: Sequence[Mask]
) -> tuple[list[Mask], list[RegionKind], list[int | None]]:
    """Number what becomes a region, and those that are elements as they are read: all regions, what
    they are, and their places."""
    regions = list(masks)
    kinds: list[RegionKind] = ["thing"] * len(masks)
    places: list[int | None] = [None] * len(masks)
    new = [place for place, part in enumerate(parts) if part.number is None]
    if len(new) > MOST_ADDED:
        new.sort(key=lambda place: -parts[place].mask.area)
        new = new[: MOST_ADDED - 1]
    added, count = set(new), 0
    for place, part in enumerate(parts):
        if place in added:
            part.number = len(regions)
            regions.append(part.mask)
            kinds.append(part.kind)
            places.append(None)
        if part.number is not None and part.is_element:
            count += 1
            kinds[part.number], places[part.number] = part.kind, count
    return regions, kinds, places


def _figures(
    masks: Sequence[Mask],
    outlines: Sequence[Mask | None],
    held: AbstractSet[int],
    size: tuple[int, int],
) -> list[tuple[int, Corners]]:
    """Masks that may be figures of a page, with the corners of their boxes: large ones, not the
    ground or a rim of it, hardly anything of them text, and in none that is larger."""
    least, most = (share * size[0] * size[1] for share in (FIGURE_SHARE, GROUND_SHARE))
    fitting = [n for n, one in enumerate(masks) if n not in held and least <= one.area <= most]
    if len(outlines) < LEAST_LINES or not fitting:
        return []
    written, taken = np.zeros(size, bool), np.zeros(size, bool)
    for outline in outlines:
        if outline is not None:
            written[_window(outline.box)] |= rle.decode_crop(outline)
    found: list[tuple[int, Corners]] = []
    for number in sorted(fitting, key=lambda number: -masks[number].area):
        mask = masks[number]
        at, crop, little = _window(mask.box), rle.decode_crop(mask), TEXT_SHARE * mask.area
        if all(np.count_nonzero(there[at] & crop) <= little for there in (written, taken)):
            taken[at] |= crop
            if not _is_rim(mask):
                found.append((number, _corners(mask.box)))
    return found


def _is_rim(mask: Mask) -> bool:
    """Whether a mask is what shows of the table around a page, which lies askew, and so leaves
    much of the mask's box."""
    box = mask.box
    touched = (box.x0 == 0) + (box.y0 == 0) + (box.x1 == mask.width) + (box.y1 == mask.height)
    return touched >= RIM_SIDES and mask.area < RIM_FILLED * box.width * box.height


def _window(box: Box) -> tuple[slice, slice]:
    return slice(box.y0, box.y1), slice(box.x0, box.x1)


def _around(masks: Sequence[Mask], size: tuple[int, int]) -> Mask | None:
    sides = _sides(masks)
    low, high = sides[:, :2].min(axis=0).tolist(), sides[:, 2:].max(axis=0).tolist()
    return mask_of(_corners(Box(*low, *high)), size)


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


def _middle(corners: Corners) -> Corners:
    """The corners of a line without its margin; those of a point or a stroke stay."""
    quad = np.asarray(corners, np.float64)
    edges = np.roll(quad, -1, axis=0) - quad  # (4, 2): along the top, down, back, up
    along, down = edges[0] - edges[2], edges[1] - edges[3]
    lengths = np.linalg.norm([along, down], axis=1, keepdims=True)
    if not (lengths > 0).all():
        return corners
    shift = MARGIN_SHARE * lengths.min() / 2 * np.stack([along, down]) / lengths
    inward = np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]], np.float64)
    first, second, third, fourth = ((x, y) for x, y in (quad + inward @ shift).tolist())
    return first, second, third, fourth


def _smallest(
    lines: Sequence[Mask | None], middles: Sequence[Mask | None], masks: Sequence[Mask]
) -> list[int | None]:
    """The number of the smallest mask that holds each line, whose middle is given beside it; None
    where none does, and for None. A mask is decoded once at most."""
    found: list[int | None] = [None] * len(lines)
    there = [(number, line) for number, line in enumerate(lines) if line is not None]
    boxes = _sides([line for _, line in there])
    needed = COVERED_SHARE * np.array([line.area for _, line in there])
    waits = np.ones(len(there), bool)
    for number, mask in sorted(enumerate(masks), key=lambda pair: pair[1].area):
        if mask.area > GROUND_SHARE * mask.height * mask.width:
            break
        likely = np.flatnonzero(
            waits & (needed <= mask.area) & (_shared(boxes, mask) >= np.maximum(needed, 1))
        )
        if not likely.size:
            continue
        crop = rle.decode_crop(mask)
        for place in likely:
            which, line = there[place]
            middle = middles[which]
            if rle.shared_with(crop, mask.box, line) < needed[place]:
                continue
            if middle is None or (
                rle.shared_with(crop, mask.box, middle) >= HELD_SHARE * middle.area
            ):
                found[which], waits[place] = number, False
    return found


def _cutting(
    numbers: AbstractSet[int | None], masks: Sequence[Mask], middles: Sequence[Mask | None]
) -> set[int]:
    """Those of some masks that hold a part of a line and leave a part of it out. Lines are decoded
    once, whatever the masks."""
    lines = [middle for middle in middles if middle is not None]
    chosen = [number for number in numbers if number is not None]
    if not lines or not chosen:
        return set()
    drawn = np.zeros((lines[0].height, lines[0].width), np.int32)  # the number of a line, from 1
    for number, line in enumerate(lines, 1):
        drawn[_window(line.box)][rle.decode_crop(line)] = number
    areas = np.bincount(drawn.ravel(), minlength=len(lines) + 1)
    found: set[int] = set()
    for number in chosen:
        inside = drawn[_window(masks[number].box)][rle.decode_crop(masks[number])]
        held = np.bincount(inside, minlength=len(lines) + 1)[1:] / np.maximum(areas[1:], 1)
        if ((held > CUT_SHARE) & (held < 1 - CUT_SHARE)).any():
            found.add(number)
    return found


def _sides(masks: Sequence[Mask]) -> NDArray[np.int64]:
    """(n, 4): x0, y0, x1, y1 of the boxes of masks."""
    return np.array([mask.box.as_tuple() for mask in masks], np.int64).reshape(-1, 4)


def _shared(boxes: NDArray[np.int64], mask: Mask) -> NDArray[np.int64]:
    """(n,): the area that boxes share with that of a mask: no less than what their masks do."""
    low, high = np.array(mask.box.as_tuple()).reshape(2, 2)
    sides = np.minimum(boxes[:, 2:], high) - np.maximum(boxes[:, :2], low)
    return np.asarray(sides.clip(0).prod(axis=1))
