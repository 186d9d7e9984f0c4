"""Turns decoded pictures into regions with vectors; returns values, stores nothing.

What is no number, or no unit vector, is refused: stored, it would be found by no search.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from segsearch.core.arrays import DescribedPicture, DescribedSegment, Pixels, Vectors
from segsearch.core.types import PictureInfo, Proposal, Recipe
from segsearch.masks.crops import CropRule
from segsearch.masks.levels import Levels
from segsearch.masks.rle import full
from segsearch.masks.traits import nesting
from segsearch.media.pdf import PDF
from segsearch.media.phash import perceptual_hash
from segsearch.models.protocols import Embedder, Segmenter

UNIT_TOLERANCE = 1e-3  # of a vector's length; stricter than what `verify` asks of stored halves


@dataclass(frozen=True, slots=True)
class Pipeline:
    """The models of one recipe, and the rule by which segments are cut out for the second.

    `device` is where they run: on any but `cpu`, pictures side by side share one copy of them.
    """

    segmenter: Segmenter
    embedder: Embedder
    crop: CropRule
    device: str = "cpu"

    def regions(self, pixels: Pixels) -> list[Proposal]:
        """Regions of a picture (H, W, 3) u8.

        A picture in which nothing stands out gets one region that covers it all, with quality 0:
        no picture becomes unfindable. FloatingPointError when the estimates are no numbers.
        """
        proposals = self.segmenter.propose(pixels)
        _check_estimates(proposals, self.segmenter.identity)
        return proposals or [Proposal(full(*pixels.shape[:2]), 0.0, 0.0)]

    def describe(self, pixels: Pixels, info: PictureInfo) -> DescribedPicture:
        """Regions of a picture (H, W, 3), two vectors each, and one vector of the whole.

        FloatingPointError, which names the model, when what it gave is no number or no unit
        vector.
        """
        proposals = self.regions(pixels)
        levels = Levels(pixels)
        crops = [levels.whole()]
        for proposal in proposals:
            crops += levels.crops(proposal.mask, self.crop, proposal.seen)
        vectors = self.embedder.embed_pictures(crops)
        _check_units(vectors, self.embedder.identity)
        holds, lies_in = nesting([proposal.seen or proposal.mask for proposal in proposals])
        pairs = zip(vectors[1::2], vectors[2::2], holds, lies_in, strict=True)
        segments = tuple(
            DescribedSegment(proposal, *known)
            for proposal, known in zip(proposals, pairs, strict=True)
        )
        if info.format != PDF:  # pages full of print are all near-duplicates of each other
            info = replace(info, perceptual_hash=perceptual_hash(levels.whole()))
        return DescribedPicture(info, vectors[0], segments)


def _check_estimates(proposals: Iterable[Proposal], identity: str) -> None:
    for proposal in proposals:
        if not (math.isfinite(proposal.predicted_iou) and math.isfinite(proposal.stability)):
            raise _useless(identity, "masks whose quality is no number")


def _check_units(vectors: Vectors, identity: str) -> None:
    lengths = np.linalg.norm(vectors, axis=1)
    if not (np.abs(lengths - 1) < UNIT_TOLERANCE).all():  # NaN is not below either
        raise _useless(identity, "vectors that are not of length 1")


def _useless(identity: str, what: str) -> FloatingPointError:
    name = identity.partition("@")[0]
    return FloatingPointError(
        f"The model {name} gives {what}: pull or import it again, or set SEGSEARCH_DTYPE to "
        "float32."
    )


class Models(Protocol):
    """The models of one preset; each is loaded when first asked for, and once. `loading` makes
    them of weights, tests of colours."""

    @property
    def recipe(self) -> Recipe:
        """What they and their settings amount to; known without loading them."""

    def embedder(self) -> Embedder: ...

    def pipeline(self) -> Pipeline: ...

    def builder(self) -> Callable[[], Pipeline]:
        """What loads the same pipeline in another process; picklable."""


ModelsOf = Callable[[str | None], Models]  # a preset's name, or None for the usual one
