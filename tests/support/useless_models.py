"""Small models whose vectors and masks are of no use. A picture over which they fail is tried again
in a process of its own, which imports this module and no more."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

from segsearch.core.arrays import Pixels, Vectors
from segsearch.core.types import Proposal
from segsearch.models.pipeline import Pipeline
from tests.support.small_models import ColourEmbedder, ColourSegmenter, SmallModels


class ScaledEmbedder(ColourEmbedder):
    """Multiplies every last vector of a picture's by a factor, as overflowing products do."""

    def __init__(self, factor: float) -> None:
        self.factor = factor

    def embed_pictures(self, pictures: Sequence[Pixels]) -> Vectors:
        rows = super().embed_pictures(pictures)
        rows[-1] *= self.factor
        return rows


class UnsureSegmenter(ColourSegmenter):
    """Estimates no mask's quality."""

    def propose(self, pixels: Pixels) -> list[Proposal]:
        return [replace(proposal, predicted_iou=math.nan) for proposal in super().propose(pixels)]


def nan_pipeline() -> Pipeline:
    return Pipeline(ColourSegmenter(), ScaledEmbedder(math.nan), SmallModels.crop)


def zero_pipeline() -> Pipeline:
    return Pipeline(ColourSegmenter(), ScaledEmbedder(0.0), SmallModels.crop)


def long_pipeline() -> Pipeline:
    return Pipeline(ColourSegmenter(), ScaledEmbedder(1.1), SmallModels.crop)


def unsure_pipeline() -> Pipeline:
    return Pipeline(UnsureSegmenter(), ColourEmbedder(), SmallModels.crop)


class UselessModels(SmallModels):
    """Small models of the same recipe whose pipeline is another."""

    def __init__(self, build: Callable[[], Pipeline]) -> None:
        self.build = build

    def pipeline(self) -> Pipeline:
        return self.build()

    def builder(self) -> Callable[[], Pipeline]:
        return self.build
