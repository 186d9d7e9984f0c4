"""Chooses the defaults: `python -m benchmarks.regions.choose`, after `.scenes` has composed.

Each setting is moved alone from the preset's, on scenes of their own (the test scenes take no part
in choosing). Mixes and overlap removal are judged on one description of the pictures. With `--set`
there is one row alone, of several settings moved together.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

from segsearch.core.settings import Settings
from segsearch.masks.crops import CropRule
from segsearch.media.decode import decode, read_file
from segsearch.models.loading import build_embedder, build_segmenter
from segsearch.models.pipeline import Pipeline
from segsearch.models.presets import DEFAULT_PRESET, Preset, mix_of, preset
from segsearch.search import ranking
from segsearch.search.evaluation.methods import (
    BOTH,
    CONTEXT,
    MASKED,
    Description,
    Regions,
    describe,
)
from segsearch.search.evaluation.metrics import Row, measure
from segsearch.search.evaluation.run import sampled, with_article
from segsearch.search.evaluation.truth import TruePicture, read_truth

GENERATOR = {
    "points_per_side": (6, 12),
    "pred_iou_thresh": (0.2, 0.4, 0.5),
    "stability_score_thresh": (0.3, 0.55),
    "box_nms_thresh": (0.6, 0.7, 0.9),
    "crop_nms_thresh": (0.7, 0.9),
    "min_mask_region_area": (0, 200),
    "edges_px": (0, 64, 96),
}
MARGINS = (0.0, 0.05, 0.3)
FILLS = {"black": (0, 0, 0), "white": (255, 255, 255)}
SAME_THING = (0.5, 0.6, 0.8, 0.95)
STEPS = 10


def variants(base: Preset) -> Iterator[tuple[str, Preset]]:
    """The preset, then each setting moved alone."""
    yield "preset", base
    yield "demo-fast", preset("demo-fast")
    halved = {"points_per_side": 16, "crop_n_points_downscale_factor": 2}
    yield "16 points, 8 in crops", replace(base, generator={**base.generator, **halved})
    for name, values in GENERATOR.items():
        for value in values:
            yield f"{name} {value}", replace(base, generator={**base.generator, name: value})
    for margin in MARGINS:
        yield f"margin {margin}", replace(base, crop=CropRule(margin=margin))
    for name, fill in FILLS.items():
        yield f"background {name}", replace(base, crop=CropRule(fill=fill))


class Judge:
    """The choosing scenes with their queries."""

    def __init__(self, pictures: list[TruePicture], settings: Settings) -> None:
        self.pictures, self.settings = pictures, settings
        self.embedder = build_embedder(preset(DEFAULT_PRESET), settings)
        self.names = sorted({thing.name for one in pictures for thing in one.things})
        self.mix = mix_of(DEFAULT_PRESET, settings.mix)
        self.words = self.embedder.embed_texts([with_article(name) for name in self.names])

    def describe(self, chosen: Preset) -> list[Description]:
        """Every picture under a variant."""
        segmenter = build_segmenter(chosen, self.settings)
        pipeline = Pipeline(segmenter, self.embedder, chosen.crop)
        shown = (decode(read_file(one.path))[0] for one in self.pictures)
        return [describe(pipeline, pixels, self.mix) for pixels in shown]

    def row(self, label: str, described: list[Description], mix: float | None = None) -> Row:
        """The measures of both vectors, under another share of the context vector if given."""
        regions = [one.regions[BOTH] if mix is None else mixed(one, mix) for one in described]
        quality = [one.quality for one in described]
        asked = self.mix.asked(self.words, 1.0) if mix is None else self.words
        return measure(label, self.pictures, regions, quality, (self.names, asked))


def mixed(one: Description, context: float) -> Regions:
    """Both vectors blended with this share of context."""
    first, second = one.regions[CONTEXT], one.regions[MASKED]
    vectors = context * first.vectors + (1 - context) * second.vectors
    return Regions(first.masks, vectors, one.regions[BOTH].seconds)


def line(row: Row) -> str:
    small = row.picture_recall["small"][1]
    shares = (small, row.first_right, row.map_50, row.map_75, row.recall_1000)
    percent = "".join(f"{100 * share:8.1f}" for share in shares)
    return f"{row.method:<28}{percent}{row.regions:9.1f}{row.seconds:7.2f}"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--scenes", type=Path, default=Path(".benchmarks/regions/choose"))
    options.add_argument("--limit", type=int)
    options.add_argument("--only", nargs="+", default=[""], help="variants that begin like this")
    options.add_argument("--set", nargs="+", metavar="NAME=NUMBER", help="judge these together")
    chosen = options.parse_args()
    truth = read_truth(chosen.scenes / "annotations.json", chosen.scenes / "images")
    judge = Judge(sampled(truth, chosen.limit), Settings())
    head = f"{'s@1':>8}{'first':>8}{'mAP50':>8}{'mAP75':>8}{'AR1000':>8}{'regions':>9}{'sec':>7}"
    print(f"{len(judge.pictures)} pictures, {len(judge.names)} names\n{'':28}{head}")
    if chosen.set:
        base = preset(DEFAULT_PRESET)
        moved = {name: json.loads(value) for name, value in (one.split("=") for one in chosen.set)}
        together = replace(base, generator={**base.generator, **moved})
        print(line(judge.row("together", judge.describe(together))))
        return
    for label, variant in variants(preset(DEFAULT_PRESET)):
        if not label.startswith(tuple(chosen.only)):
            continue
        described = judge.describe(variant)
        print(line(judge.row(label, described)), flush=True)
        if label != "preset":
            continue
        for step in range(STEPS + 1):
            share = step / STEPS
            print(line(judge.row(f"context share {share}", described, share)), flush=True)
        for least in SAME_THING:
            with patch.object(ranking, "SAME_THING_IOU", least):
                print(line(judge.row(f"one answer from IoU {least}", described)), flush=True)


if __name__ == "__main__":
    main()
