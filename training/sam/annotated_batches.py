"""Cuts crops from annotated photographs and draws prompts on them, clicks mostly on a grid.

Masks lie over each other there: a click is answered by the smallest that holds it and by the
largest that holds that one. Where everything has a mask, a click on none is answered by nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from segsearch.models.segment.automatic import point_grid
from training.data.annotated import EVERYTHING, SOME, THINGS
from training.sam.annotated_pool import (
    COMPLETE,
    TRUTH,
    WEAK,
    AnnotatedPart,
    open_annotated,
)
from training.sam.batches import (
    PROMPTS,
    SMALLEST_REGION_PX,
    Prompted,
    loose_box,
    padded_pixels,
    reduced,
    several_clicks,
)
from training.sam.pasting import cut_out, pasted
from training.sam.pool import UNKNOWN

PART_SHARES = {TRUTH: 1.0, WEAK: 0.7}  # of the photographs, once they are there
SHARES = {EVERYTHING: 4.0, THINGS: 2.0, SOME: 0.7}  # how often a photograph is taken, by its masks
BOX_SHARE, CLICKS_SHARE = 0.12, 0.08
WHOLE_PICTURE_SHARE, SMALLEST_WINDOW = 0.45, 0.45  # of crops; of the sides
PASTED_SHARE = 0.35  # of crops have a thing of another photograph over them
GRID_SHARE = 0.6  # of the clicks, where the automatic mode asks; others lie anywhere in a mask
GRID_SIDES = (8, 16)
AREA_POWER = 0.25  # larger masks are asked for more often
INSIDE = 0.85  # of a mask lies in the whole that it is a part of
TRUTH_RATED, WEAK_RATED = 2.0, 0.3  # what quality counts: masks by people, and by a model


@dataclass
class AnnotatedSampler:
    """Endless prompted crops of annotated photographs."""

    cache: Path
    side_px: int
    rng: np.random.Generator
    parts: dict[str, AnnotatedPart] = field(default_factory=dict)

    def prompted(self) -> Prompted:
        """One crop with PROMPTS prompts."""
        for name in PART_SHARES:
            if name not in self.parts and (part := open_annotated(self.cache, name)):
                self.parts[name] = part
        shares = np.array([PART_SHARES[name] for name in self.parts])
        while True:
            name = list(self.parts)[int(self.rng.choice(len(shares), p=shares / shares.sum()))]
            made = self._crop(self.parts[name], weak=name != TRUTH)
            if made is not None:
                return made

    def _crop(self, part: AnnotatedPart, *, weak: bool) -> Prompted | None:
        row = self._row(part)
        pixels, masks = _content(part, row)
        view = _window(self.rng, *masks.shape[1:])
        picture, outlines = _scaled(pixels[view], masks[:, *view], self.side_px)
        if self.rng.random() < PASTED_SHARE:
            thing = cut_out(self.rng, *_content(part, self._row(part)))
            if thing is not None:
                picture, outlines = pasted(self.rng, (picture, outlines), thing)
        if self.rng.random() < 0.5:
            picture, outlines = picture[:, ::-1], outlines[:, :, ::-1]
        outlines = outlines[outlines.sum((1, 2)) >= SMALLEST_REGION_PX]
        if not len(outlines):
            return None
        everything = COMPLETE[part.complete[row]] == EVERYTHING and not weak
        rated = WEAK_RATED if weak else TRUTH_RATED
        coloured = _recoloured(self.rng, picture)
        return _prompted(self.rng, coloured, outlines, self.side_px, (everything, rated))

    def _row(self, part: AnnotatedPart) -> int:
        shares = np.array([SHARES[name] for name in COMPLETE])[part.complete]
        return int(self.rng.choice(len(shares), p=shares / shares.sum()))


def _content(part: AnnotatedPart, row: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """A photograph's pixels (H, W, 3) and masks (k, H, W), without padding."""
    height, width = (int(side) for side in part.sizes[row])
    return part.pixels[row, :height, :width], part.masks_of(row)[:, :height, :width]


def _window(rng: np.random.Generator, height: int, width: int) -> tuple[slice, slice]:
    """All of a picture, or a part of the same shape or another."""
    if rng.random() < WHOLE_PICTURE_SHARE:
        return slice(0, height), slice(0, width)
    down, across = (rng.uniform(SMALLEST_WINDOW, 1.0, 2) + rng.uniform(SMALLEST_WINDOW, 1.0)) / 2
    tall, wide = round(height * down), round(width * across)
    top, left = int(rng.integers(height - tall + 1)), int(rng.integers(width - wide + 1))
    return slice(top, top + tall), slice(left, left + wide)


def _scaled(
    pixels: NDArray[np.uint8], masks: NDArray[np.bool_], side_px: int
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """The crop and its masks (k, h, w), the longer side scaled to the input's."""
    scale = side_px / max(pixels.shape[:2])
    size = max(round(pixels.shape[1] * scale), 8), max(round(pixels.shape[0] * scale), 8)
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    picture = cv2.resize(np.ascontiguousarray(pixels), size, interpolation=method).astype(np.uint8)
    outlines = [
        cv2.resize(np.ascontiguousarray(mask).view(np.uint8) * 255, size, interpolation=method)
        > 127
        for mask in masks
        if mask.any()
    ]
    return picture, np.stack(outlines) if outlines else np.zeros((0, *size[::-1]), np.bool_)


def _recoloured(rng: np.random.Generator, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Another brightness, contrast and tint; now and then grey."""
    values = picture.astype(np.float32)
    if rng.random() < 0.08:
        values = np.repeat(values.mean(2, keepdims=True), 3, axis=2)
    tint = rng.uniform(0.92, 1.08, 3) * rng.uniform(0.75, 1.25)
    middle = values.mean()
    values = (values - middle) * tint * rng.uniform(0.8, 1.2) + middle * tint
    return np.asarray(np.clip(values, 0, 255).astype(np.uint8))


def _prompted(
    rng: np.random.Generator,
    picture: NDArray[np.uint8],
    masks: NDArray[np.bool_],
    side_px: int,
    known: tuple[bool, float],
) -> Prompted:
    """Prompts on one crop with masks (k, h, w); `known`: whether all is outlined, how surely."""
    everything, rated = known
    areas = masks.sum((1, 2))
    shares = areas**AREA_POWER
    chosen = rng.choice(len(masks), PROMPTS, p=shares / shares.sum())
    form = rng.random()
    points = kinds = boxes = None
    parts, wholes = masks[chosen], masks[chosen]
    if form < BOX_SHARE:
        boxes = torch.from_numpy(np.stack([loose_box(rng, mask) for mask in parts]))
    elif form < BOX_SHARE + CLICKS_SHARE:
        count = int(rng.integers(2, 4))
        clicks = [several_clicks(rng, mask, mask, count) for mask in parts]
        points = torch.from_numpy(np.stack([places for places, _ in clicks]))
        kinds = torch.from_numpy(np.stack([sides for _, sides in clicks]))
    else:
        places = np.stack([_click(rng, mask) for mask in parts])
        if everything:
            places[PROMPTS // 2 :] = _grid(rng, masks.shape[1:], PROMPTS - PROMPTS // 2)
        parts, wholes = answers(masks, areas, places)
        points = torch.from_numpy(places[:, None])
        kinds = torch.ones(PROMPTS, 1, dtype=torch.int64)
    return Prompted(
        pixels=padded_pixels(picture, side_px),
        valid=(masks.shape[1], masks.shape[2]),
        points=points,
        kinds=kinds,
        boxes=boxes,
        part=reduced(list(parts), side_px),
        whole=reduced(list(wholes), side_px),
        cells=_cells(masks, areas, side_px),
        rated=rated,
    )


def answers(
    masks: NDArray[np.bool_], areas: NDArray[np.int64], places: NDArray[np.float32]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """For clicks (P, 2) as x, y: the smallest mask that holds each, and the whole around that.

    Both (P, h, w), empty where no mask holds the click.
    """
    parts = np.zeros((len(places), *masks.shape[1:]), np.bool_)
    wholes = parts.copy()
    for number, (x, y) in enumerate(places.astype(int)):
        holding = np.flatnonzero(masks[:, y, x])
        if not len(holding):
            continue
        smallest = holding[np.argmin(areas[holding])]
        around = [
            index
            for index in holding
            if (masks[index] & masks[smallest]).sum() >= INSIDE * areas[smallest]
        ]
        parts[number], wholes[number] = masks[smallest], masks[max(around, key=areas.item)]
    return parts, wholes


def _click(rng: np.random.Generator, mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """(2,) x, y inside a mask (h, w): a point of a grid mostly, or any."""
    if rng.random() < GRID_SHARE:
        for side in rng.permutation(GRID_SIDES):
            grid = (point_grid(int(side)) * mask.shape[::-1]).astype(np.float32)
            inside = grid[mask[grid[:, 1].astype(int), grid[:, 0].astype(int)]]
            if len(inside):
                return np.asarray(inside[int(rng.integers(len(inside)))])
    inside = np.argwhere(mask)
    row, column = inside[int(rng.integers(len(inside)))]
    return np.array([column + 0.5, row + 0.5], np.float32)


def _grid(rng: np.random.Generator, size: tuple[int, ...], count: int) -> NDArray[np.float32]:
    """(count, 2) x, y: points of the automatic mode's grid in a picture (H, W)."""
    grid = point_grid(int(rng.choice(GRID_SIDES))) * size[::-1]
    return grid[rng.choice(len(grid), count, replace=False)].astype(np.float32)


def _cells(masks: NDArray[np.bool_], areas: NDArray[np.int64], side_px: int) -> torch.Tensor:
    """(S / 8, S / 8): the smallest mask over each cell of the embedding, UNKNOWN where none is."""
    owner = np.full((side_px, side_px), UNKNOWN, np.int64)
    for index in np.argsort(-areas)[:UNKNOWN]:
        owner[: masks.shape[1], : masks.shape[2]][masks[index]] = index
    return torch.from_numpy(owner[4::8, 4::8].copy())
