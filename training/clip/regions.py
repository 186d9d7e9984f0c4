"""Cuts the things that people annotated out of photographs, as the product cuts out regions.

A crop shows a whole thing with its surroundings, or alone on the fill colour by its mask; or, to
compare with it, a part of that thing. Other names of the same photograph are wrong answers, unless
their things take the same place.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from segsearch.core.types import Box, Mask
from segsearch.masks.crops import CropRule, square_around
from segsearch.masks.rle import decode
from training.clip.patches import opened, recoloured
from training.data.annotated import AnnotatedPhotograph

LEAST_SIDE_PX = 16  # of what is taught; smaller ones hardly show what they are
SAME_PLACE_IOU = 0.5
MASKED_SHARE = 0.45
JITTER = 0.06  # of the box's sides: masks of a segmenter do not end where people end them
PART_SIDES = (0.3, 0.65)  # of the thing's
RULE = CropRule()


@dataclass(frozen=True)
class RegionCrops:
    """A batch of n wholes, then m parts of the first m of them.

    `pixels` (n + m, 3, s, s) f32 in 0..1, `things` (n + m,) the name of each, `shown`
    (n + m, names) bool: what it may be called beside it.
    """

    pixels: Tensor
    things: Tensor
    shown: Tensor

    def to(self, device: str) -> RegionCrops:
        """The same on another device."""
        return RegionCrops(self.pixels.to(device), self.things.to(device), self.shown.to(device))


@dataclass(frozen=True)
class NamedRegion:
    """A thing in the photograph of number `picture`; `thing` is its name's row."""

    picture: int
    box: Box
    mask: Mask | None
    thing: int
    shown: tuple[int, ...]


class AnnotatedRegions:
    """The annotated things of photographs, and the row numbers of their names among `names`."""

    def __init__(self, photographs: Sequence[AnnotatedPhotograph], names: Sequence[str]) -> None:
        number = {name: index for index, name in enumerate(names)}
        self.pictures = [opened(one.path) for one in photographs]
        self.names = len(names)
        self.regions = [
            region
            for picture, photograph in enumerate(photographs)
            for region in regions_of(picture, photograph, number)
        ]
        counts = Counter(region.thing for region in self.regions)
        # Of 2,000 persons and ten trains the trains are shown oftener than ten times in 2,000.
        self.chances = torch.tensor([counts[one.thing] ** -0.5 for one in self.regions])

    def sample(self, wholes: int, parts: int, side: int, random: torch.Generator) -> RegionCrops:
        """So many whole things, and parts of the first `parts` of them (at most `wholes`)."""
        rows = torch.multinomial(self.chances, wholes, replacement=True, generator=random).tolist()
        chosen = [self.regions[row] for row in rows]
        crops = [self.cut(one, side, random) for one in chosen]
        crops += [self.cut(_part_of(one, random), side, random) for one in chosen[:parts]]
        pixels = torch.cat(crops)
        mirrored = torch.rand(len(pixels), 1, 1, 1, generator=random) < 0.5
        pixels = recoloured(torch.where(mirrored, pixels.flip(-1), pixels), random)
        asked = chosen + chosen[:parts]
        shown = torch.zeros(len(asked), self.names, dtype=torch.bool)
        for row, one in zip(shown, asked, strict=True):
            row[list(one.shown)] = True
        return RegionCrops(pixels, torch.tensor([one.thing for one in asked]), shown)

    def cut(self, region: NamedRegion, side: int, random: torch.Generator | None = None) -> Tensor:
        """One crop (1, 3, side, side) f32 in 0..1; without `random` just as the product cuts it,
        with its surroundings."""
        picture, box, masked = self.pictures[region.picture], region.box, False
        if random is not None:
            box = _jittered(box, random)
            masked = bool(torch.rand(1, generator=random) < MASKED_SHARE)
        alone = region.mask if masked else None
        return cropped(picture, box, side, alone)

    def masked(self, region: NamedRegion, side: int) -> Tensor:
        """The crop (1, 3, side, side) with all but the thing in the fill colour."""
        return cropped(self.pictures[region.picture], region.box, side, region.mask)


def regions_of(
    picture: int, photograph: AnnotatedPhotograph, number: dict[str, int]
) -> list[NamedRegion]:
    """The things of a photograph that are large enough to be taught."""
    rows = [(row, _whole_pixels(row.box, photograph)) for row in photograph.annotations]
    made = []
    for row, box in rows:
        if row.crowd or min(box.width, box.height) < LEAST_SIDE_PX:
            continue
        shown = {number[other.name] for other, place in rows if _overlap(box, place)}
        made.append(NamedRegion(picture, box, row.mask, number[row.name], tuple(sorted(shown))))
    return made


def cropped(picture: Tensor, box: Box, side: int, mask: Mask | None = None) -> Tensor:
    """The product's square around a box of pixels (3, H, W) u8, by its mask alone if one is given,
    resized to (1, 3, side, side) f32 in 0..1."""
    height, width = picture.shape[1:]
    square = square_around(box, RULE, height, width)
    fill = torch.tensor(RULE.fill, dtype=torch.uint8).view(3, 1, 1)
    canvas = fill.expand(3, square.height, square.width).clone()
    x0, y0 = max(square.x0, 0), max(square.y0, 0)
    x1, y1 = min(square.x1, width), min(square.y1, height)
    part = picture[:, y0:y1, x0:x1]
    if mask is not None:
        inside = torch.zeros(height, width, dtype=torch.bool)
        inside[box.y0 : box.y1, box.x0 : box.x1] = torch.from_numpy(
            decode(mask)[box.y0 : box.y1, box.x0 : box.x1]
        )
        part = torch.where(inside[y0:y1, x0:x1], part, fill)
    canvas[:, y0 - square.y0 : y1 - square.y0, x0 - square.x0 : x1 - square.x0] = part
    pixels = canvas[None].float() / 255
    made = functional.interpolate(pixels, size=(side, side), mode="bicubic", antialias=True)
    return made.clamp(0, 1)


def _part_of(region: NamedRegion, random: torch.Generator) -> NamedRegion:
    """A box within the thing's own, with what the mask has there."""
    low, high = PART_SIDES
    draws = torch.rand(4, generator=random).tolist()
    box = region.box
    width, height = (
        max(8, round((low + (high - low) * draw) * length))
        for draw, length in zip(draws[:2], (box.width, box.height), strict=True)
    )
    x0 = box.x0 + round(draws[2] * max(box.width - width, 0))
    y0 = box.y0 + round(draws[3] * max(box.height - height, 0))
    part = Box(x0, y0, min(x0 + width, box.x1), min(y0 + height, box.y1))
    return NamedRegion(region.picture, part, region.mask, region.thing, region.shown)


def _jittered(box: Box, random: torch.Generator) -> Box:
    moves = ((torch.rand(4, generator=random) * 2 - 1) * JITTER).tolist()
    spans = (box.width, box.height, box.width, box.height)
    x0, y0, x1, y1 = (
        edge + round(move * span)
        for edge, move, span in zip(box.as_tuple(), moves, spans, strict=True)
    )
    return Box(max(x0, 0), max(y0, 0), max(x1, x0 + 4), max(y1, y0 + 4))


def _whole_pixels(box: tuple[float, ...], photograph: AnnotatedPhotograph) -> Box:
    x0, y0, x1, y1 = (round(edge) for edge in box)
    x0, y0 = max(x0, 0), max(y0, 0)
    x1, y1 = min(max(x1, x0 + 1), photograph.width), min(max(y1, y0 + 1), photograph.height)
    return Box(x0, y0, x1, y1)


def _overlap(one: Box, other: Box) -> bool:
    width = min(one.x1, other.x1) - max(one.x0, other.x0)
    height = min(one.y1, other.y1) - max(one.y0, other.y0)
    both = max(width, 0) * max(height, 0)
    areas = one.width * one.height + other.width * other.height
    return both >= SAME_PLACE_IOU * (areas - both)
