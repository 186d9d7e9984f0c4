"""Turns decoded pictures into regions with vectors; returns values, stores nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace

from segsearch.crops import CropRule, context_crop, masked_crop
from segsearch.domain import PictureInfo, Proposal
from segsearch.likeness import perceptual_hash
from segsearch.masks import full
from segsearch.ports import (
    DescribedPicture,
    DescribedSegment,
    Embedder,
    Pixels,
    Segmenter,
)


@dataclass(frozen=True, slots=True)
class Pipeline:
    """The models of one recipe, and the rule by which segments are cut out for the second."""

    segmenter: Segmenter
    embedder: Embedder
    crop: CropRule

    def regions(self, pixels: Pixels) -> list[Proposal]:
        """Regions of a picture (H, W, 3) u8.

        A picture in which nothing stands out gets one region that covers it all, with quality 0:
        no picture becomes unfindable.
        """
        found = self.segmenter.propose(pixels)
        return found or [Proposal(full(*pixels.shape[:2]), 0.0, 0.0)]

    def describe(self, pixels: Pixels, info: PictureInfo) -> DescribedPicture:
        """Regions of a picture (H, W, 3), two vectors each, and one vector of the whole."""
        proposals = self.regions(pixels)
        crops = [pixels]
        for one in proposals:
            crops.append(context_crop(pixels, one.mask, self.crop))
            crops.append(masked_crop(pixels, one.mask, self.crop))
        vectors = self.embedder.embed_pictures(crops)
        segments = tuple(
            DescribedSegment(one, vectors[1 + 2 * number], vectors[2 + 2 * number])
            for number, one in enumerate(proposals)
        )
        known = replace(info, perceptual_hash=perceptual_hash(pixels))
        return DescribedPicture(known, vectors[0], segments)
