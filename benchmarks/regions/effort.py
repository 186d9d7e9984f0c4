"""What each preset of effort finds and costs: `python -m benchmarks.regions.effort`.

Mask recall (AR) is COCO's over IoU 0.5 to 0.95, whatever the name, at 100 and 1000 masks a picture.
Seconds are processor time of one thread for segmentation alone; presets take turns on each picture.
Needs the scenes that `.scenes` has composed; the ones for choosing, which the tests leave alone.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from segsearch.core.settings import Settings
from segsearch.core.types import Mask
from segsearch.media.decode import decode, read_file
from segsearch.models.loading import build_segmenter
from segsearch.models.presets import preset
from segsearch.models.protocols import Segmenter
from segsearch.search.evaluation.metrics import mask_recall
from segsearch.search.evaluation.run import sampled
from segsearch.search.evaluation.truth import TruePicture, read_truth

PRESETS = ("demo", "demo-fast")


@dataclass
class Found:
    """What one preset made of the pictures so far."""

    segmenter: Segmenter
    masks: list[tuple[Mask, ...]] = field(default_factory=list)
    quality: list[tuple[float, ...]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def add(self, picture: TruePicture) -> None:
        pixels, _ = decode(read_file(picture.path))
        began = time.process_time()
        proposals = self.segmenter.propose(pixels)
        self.seconds.append(time.process_time() - began)
        self.masks.append(tuple(one.mask for one in proposals))
        self.quality.append(tuple(one.predicted_iou for one in proposals))


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--scenes", type=Path, default=Path(".benchmarks/regions/choose"))
    options.add_argument("--limit", type=int, default=24)
    chosen = options.parse_args()
    truth = read_truth(chosen.scenes / "annotations.json", chosen.scenes / "images")
    pictures = sampled(truth, chosen.limit)
    settings = Settings(threads=1, device="cpu")
    sides = {name: Found(build_segmenter(preset(name), settings)) for name in PRESETS}
    for picture in pictures:
        for side in sides.values():
            side.add(picture)
    things = sum(len(one.things) for one in pictures)
    print(f"{len(pictures)} pictures, {things} things")
    print(f"{'preset':16}{'AR@100':>8}{'AR@1000':>9}{'masks':>8}{'seconds':>9}{'':>8}")
    base = float(np.mean(sides[PRESETS[0]].seconds))
    for name, side in sides.items():
        at_100, at_1000 = mask_recall(pictures, side.masks, side.quality)
        masks, seconds = np.mean([len(one) for one in side.masks]), float(np.mean(side.seconds))
        print(
            f"{name:16}{at_100:8.1%}{at_1000:9.1%}{masks:8.1f}{seconds:9.2f}{seconds / base:7.2f}x"
        )


if __name__ == "__main__":
    main()
