"""Describes a picture in every way that is compared: whole, in patches, by boxes, by masks.

All ways share one embedder and, where they need it, one segmenter, so that they differ in what
they show the embedder and in nothing else.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segsearch.core.arrays import Pixels, VectorRows, Vectors
from segsearch.core.mix import Mix
from segsearch.core.types import Box, Mask, Proposal
from segsearch.masks.crops import cut
from segsearch.masks.levels import Levels
from segsearch.masks.rle import encode, full
from segsearch.masks.traits import nesting, traits
from segsearch.models.pipeline import Pipeline

GRID = 3
WHOLE, PATCHES, BOXES = "whole picture", "3 x 3 patches", "box crops"
CONTEXT, MASKED, BOTH = "context crops", "masked crops", "both (ours)"
METHODS = (WHOLE, PATCHES, BOXES, CONTEXT, MASKED, BOTH)
BY_SEGMENT = (BOXES, CONTEXT, MASKED, BOTH)


@dataclass(frozen=True, slots=True)
class Regions:
    """n regions of one picture: masks, rows (n, w) that queries are compared with, and the seconds
    they took."""

    masks: tuple[Mask, ...]
    vectors: Vectors
    seconds: float


@dataclass(frozen=True, slots=True)
class Description:
    """One picture described by each method; `quality` (n,) is the predicted IoU of each segment."""

    regions: dict[str, Regions]
    quality: tuple[float, ...]


def describe(pipeline: Pipeline, pixels: Pixels, mix: Mix) -> Description:
    """Describe a picture (H, W, 3) u8; `mix` makes the rows of `both`, as it does in searches."""
    began = time.monotonic()
    proposals = pipeline.regions(pixels)
    segmenting = time.monotonic() - began
    segments = tuple(proposal.mask for proposal in proposals)
    rule = pipeline.crop
    levels = Levels(pixels)
    cut_out = [levels.crops(proposal.mask, rule, proposal.seen) for proposal in proposals]
    regions = {
        WHOLE: _embedded(pipeline, (full(*pixels.shape[:2]),), [levels.whole()]),
        PATCHES: _patches(pipeline, pixels),
        BOXES: _embedded(pipeline, segments, [cut(pixels, mask.box) for mask in segments]),
        CONTEXT: _embedded(pipeline, segments, [first for first, _ in cut_out]),
        MASKED: _embedded(pipeline, segments, [second for _, second in cut_out]),
    }
    parts = [regions[name] for name in (CONTEXT, MASKED, WHOLE)]
    context, masked, whole = (part.vectors for part in parts)
    whole = np.broadcast_to(whole, context.shape)
    rows = VectorRows(np.arange(len(segments)), context, masked, whole, known(proposals))
    regions[BOTH] = Regions(segments, mix.rows(rows), sum(part.seconds for part in parts))
    for name in BY_SEGMENT:
        part = regions[name]
        regions[name] = Regions(part.masks, part.vectors, part.seconds + segmenting)
    return Description(regions, tuple(proposal.predicted_iou for proposal in proposals))


def known(proposals: Sequence[Proposal]) -> NDArray[np.float32]:
    """(n, t) the traits of the regions of a picture."""
    masks = [proposal.mask for proposal in proposals]
    quality = [(proposal.predicted_iou, proposal.stability) for proposal in proposals]
    places = [(*mask.box.as_tuple(), mask.area, mask.width, mask.height) for mask in masks]
    return traits(np.array(quality), np.array(places), np.stack(nesting(masks), axis=1))


def _patches(pipeline: Pipeline, pixels: Pixels) -> Regions:
    """The picture cut into GRID x GRID equal rectangles, each a region."""
    height, width = pixels.shape[:2]
    rows = np.linspace(0, height, GRID + 1).astype(int).tolist()
    columns = np.linspace(0, width, GRID + 1).astype(int).tolist()
    boxes = [
        Box(columns[j], rows[i], columns[j + 1], rows[i + 1])
        for i in range(GRID)
        for j in range(GRID)
        if rows[i] < rows[i + 1] and columns[j] < columns[j + 1]
    ]
    masks = tuple(_rectangle(box, height, width) for box in boxes)
    return _embedded(pipeline, masks, [cut(pixels, box) for box in boxes])


def _rectangle(box: Box, height: int, width: int) -> Mask:
    mask = encode(
        np.ones((box.height, box.width), dtype=bool), origin=(box.x0, box.y0), size=(height, width)
    )
    assert mask is not None, "a box has pixels"  # noqa: S101
    return mask


def _embedded(pipeline: Pipeline, masks: tuple[Mask, ...], crops: list[Pixels]) -> Regions:
    began = time.monotonic()
    vectors = pipeline.embedder.embed_pictures(crops)
    return Regions(masks, vectors, time.monotonic() - began)
