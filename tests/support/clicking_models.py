"""Small models that can be pointed at: a click takes the patch of one colour under it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from segsearch.core.arrays import BoolArray, Pixels
from segsearch.models.pipeline import Pipeline
from segsearch.models.protocols import PromptedMasks
from segsearch.models.segment.prompts import Prompts
from tests.support.small_models import ColourEmbedder, ColourSegmenter, SmallModels, nearest_colours

MASKS = 3


@dataclass(frozen=True)
class ColourPatches:
    """A picture as the number of each pixel's patch (H, W)."""

    numbers: NDArray[np.int32]

    @property
    def size(self) -> tuple[int, int]:
        height, width = self.numbers.shape
        return height, width

    @property
    def mask_size(self) -> tuple[int, int]:
        return (8, 8)

    @property
    def nbytes(self) -> int:
        return self.numbers.nbytes


class ClickSegmenter(ColourSegmenter):
    """As the colour segmenter; boxes and the points that are of the thing choose patches."""

    looks_closer = False

    def encode(self, pixels: Pixels) -> ColourPatches:
        nearest = nearest_colours(pixels)
        numbers = np.zeros(nearest.shape, dtype=np.int32)
        for colour in np.unique(nearest):
            labels, _ = ndimage.label(nearest == colour)
            is_there = labels > 0
            numbers[is_there] = labels[is_there] + numbers.max()
        return ColourPatches(numbers)

    def answer(self, picture: ColourPatches, prompts: Prompts) -> PromptedMasks:
        things = [self._thing(picture, prompts, box) for box in prompts.boxes]
        if not things:
            things = [self._thing(picture, prompts, None)]
        count = MASKS if prompts.multimask else 1
        masks = np.repeat(np.array(things)[:, None], count, axis=1)
        scores = np.linspace(0.9, 0.5, count, dtype=np.float32)
        logits = np.zeros((len(things), count, *picture.mask_size), dtype=np.float32)
        return PromptedMasks(masks, np.tile(scores, (len(things), 1)), logits)

    def _thing(
        self,
        picture: ColourPatches,
        prompts: Prompts,
        box: NDArray[np.float64] | None,
    ) -> BoolArray:
        height, width = picture.size
        mask = np.zeros((height, width), dtype=bool)
        if box is not None:
            x0, y0, x1, y1 = (int(side) for side in box)
            mask[y0:y1, x0:x1] = True
        for (x, y), label in zip(prompts.points, prompts.labels, strict=True):
            number = picture.numbers[min(int(y), height - 1), min(int(x), width - 1)]
            mask[picture.numbers == number] = label == 1
        return mask


class ClickModels(SmallModels):
    """The small models, with a segmenter that takes prompts."""

    def pipeline(self) -> Pipeline:
        return Pipeline(ClickSegmenter(), ColourEmbedder(), self.crop)
