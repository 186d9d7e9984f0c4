"""Turns decoded pictures into regions with vectors; returns values, stores nothing.

What is no number, or no unit vector, is refused: stored, it would be found by no search.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np

from segsearch.core.arrays import (
    DescribedPicture,
    DescribedSegment,
    PictureText,
    Pixels,
    Vectors,
)
from segsearch.core.errors import ModelError
from segsearch.core.types import Mask, PictureInfo, Proposal, Recipe
from segsearch.masks.crops import CropRule
from segsearch.masks.levels import Levels
from segsearch.masks.rle import full
from segsearch.masks.traits import nesting
from segsearch.media.pdf import PDF
from segsearch.media.phash import perceptual_hash
from segsearch.models.faults import fault_of
from segsearch.models.protocols import Embedder, Follow, Reader, Segmenter

if TYPE_CHECKING:
    from segsearch.masks.text_layout import Placed

LOG = logging.getLogger(__name__)
UNIT_TOLERANCE = 1e-3  # of a vector's length; stricter than what `verify` asks of stored halves


@dataclass(frozen=True, slots=True)
class Pipeline:
    """The models of one recipe, and the rule by which segments are cut out for the second.

    `device` is where they run: on any but `cpu`, pictures side by side share one copy of them.
    Without a `reader` no text is read. `follow` carries masks of a video from one keyframe to the
    next; optical flow does without it.
    """

    segmenter: Segmenter
    embedder: Embedder
    crop: CropRule
    device: str = "cpu"
    reader: Reader | None = None
    follow: Follow | None = None

    def regions(self, pixels: Pixels) -> list[Proposal]:
        """Regions of a picture (H, W, 3) u8.

        A picture in which nothing stands out gets one region that covers it all, with quality 0:
        no picture becomes unfindable. FloatingPointError when the estimates are no numbers.
        """
        proposals = self.segmenter.propose(pixels)
        _check_estimates(proposals, self.segmenter.identity)
        return proposals or [Proposal(full(*pixels.shape[:2]), 0.0, 0.0)]

    def describe(
        self, pixels: Pixels, info: PictureInfo, *, reads: bool = True
    ) -> DescribedPicture:
        """Regions of a picture (H, W, 3), two vectors each, and one vector of the whole; its text,
        unless `reads` puts that off. An error of the reader costs no picture its regions.

        FloatingPointError, which names the model, when what it gave is no number or no unit
        vector.
        """
        proposals = self.regions(pixels)
        masks = [proposal.mask for proposal in proposals]
        placed = self._placed_if_read(pixels, masks) if reads else None
        added = [Proposal(mask, 0.0, 0.0) for mask in placed.masks] if placed else []
        levels = Levels(pixels)
        vectors = self._vectors(levels, [*proposals, *added])
        holds, lies_in = nesting([proposal.seen or proposal.mask for proposal in proposals])
        nested = zip([*holds, *[0] * len(added)], [*lies_in, *[0] * len(added)], strict=True)
        pairs = zip([*proposals, *added], vectors[1::2], vectors[2::2], nested, strict=True)
        segments = tuple(
            DescribedSegment(proposal, context, masked, *counts)
            for proposal, context, masked, counts in pairs
        )
        if info.format != PDF:  # pages full of print are all near-duplicates of each other
            info = replace(info, perceptual_hash=perceptual_hash(levels.whole()))
        count = len(proposals)
        text = self._text(placed, segments[count:]) if placed else None
        is_unread = self.reader is not None and placed is None
        return DescribedPicture(info, vectors[0], segments[:count], text, is_unread)

    def read(self, pixels: Pixels, masks: Sequence[Mask]) -> PictureText:
        """The text of a picture (H, W, 3) that has regions already: their masks, in its size.

        ModelError where nothing reads; FloatingPointError as of `describe`.
        """
        placed = self._placed(pixels, masks)
        if placed is None:
            raise ModelError("No text can be read: the models were loaded without a reader.")
        added = [Proposal(mask, 0.0, 0.0) for mask in placed.masks]
        vectors = self._vectors(Levels(pixels), added) if added else np.empty((1, 0), np.float32)
        segments = map(DescribedSegment, added, vectors[1::2], vectors[2::2])
        return self._text(placed, tuple(segments))

    def read_if_able(self, pixels: Pixels, masks: Sequence[Mask]) -> PictureText | None:
        """As `read`; None without a reader, and where it fails over the picture."""
        if self.reader is None:
            return None
        try:
            return self.read(pixels, masks)
        except Exception as problem:
            if fault_of(problem) != "error":
                raise
            LOG.exception("The text of a picture could not be read.")
            return None

    def _placed_if_read(self, pixels: Pixels, masks: Sequence[Mask]) -> Placed | None:
        try:
            return self._placed(pixels, masks)
        except Exception as problem:
            if fault_of(problem) != "error":
                raise
            LOG.exception("The text of a picture could not be read.")
            return None

    def _placed(self, pixels: Pixels, masks: Sequence[Mask]) -> Placed | None:
        if self.reader is None:
            return None
        from segsearch.masks.text_layout import place  # late: it loads SciPy, which no search needs

        return place(self.reader.read(pixels), masks, pixels.shape[:2])

    def _text(self, placed: Placed, added: tuple[DescribedSegment, ...]) -> PictureText:
        reader = self.reader.identity if self.reader else ""
        return PictureText(reader, placed.lines, added, placed.kinds, placed.order)

    def _vectors(self, levels: Levels, proposals: Sequence[Proposal]) -> Vectors:
        """(1 + 2 n, d): of the whole picture, then two of each region."""
        crops = [levels.whole()]
        for proposal in proposals:
            crops += levels.crops(proposal.mask, self.crop, proposal.seen)
        vectors = self.embedder.embed_pictures(crops)
        _check_units(vectors, self.embedder.identity)
        return vectors


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

    @property
    def reader(self) -> str | None:
        """What reads text, `name@sha256-of-weights`; None where nothing does. Known without
        loading it."""

    def embedder(self) -> Embedder: ...

    def pipeline(self) -> Pipeline: ...

    def builder(self) -> Callable[[], Pipeline]:
        """What loads the same pipeline in another process; picklable."""


ModelsOf = Callable[[str | None], Models]  # a preset's name, or None for the usual one
