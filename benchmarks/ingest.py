"""Ingest beside the script people write, in one run: `python -m benchmarks.ingest`.

The script: segment_anything's SamAutomaticMaskGenerator, then one open_clip call a crop, one
picture after the other, torch's own threads. Ours: the product's pipeline, pictures side by side.
Same pictures, same weights, same thresholds; two vectors a segment on both sides. Each side runs in
a process of its own. FLOPs are what torch's operators do (torch.utils.flop_counter); the peak is a
large matrix product measured on all cores in the same run.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from segment_anything import SamAutomaticMaskGenerator
from torch.utils.flop_counter import FlopCounterMode

import segsearch.cli.demo
from segsearch.core.arrays import Pixels, Vector
from segsearch.core.settings import Settings
from segsearch.core.types import Mask
from segsearch.masks.crops import context_crop, masked_crop
from segsearch.masks.rle import from_coco, iou
from segsearch.media.decode import decode, read_file
from segsearch.models.loading import build_embedder, build_segmenter
from segsearch.models.pipeline import Pipeline
from segsearch.models.presets import Preset, preset
from segsearch.models.segment.sam import load_sam
from segsearch.models.segment.sam_lite import build_sam_lite
from segsearch.models.zoo.installed import embedded_model

PICTURES = Path(segsearch.cli.demo.__file__).parent / "pictures"
MATRIX_SIDE = 2048
LISTED = 5  # hits of a name that are compared


@dataclass(frozen=True)
class FoundRegion:
    """A segment as a search sees it: its picture's number, its mask, its unit vector (d,)."""

    picture: int
    mask: Mask
    vector: Vector


@dataclass(frozen=True)
class IngestRun:
    """Seconds and processor seconds over all pictures, their segments, FLOPs of one picture."""

    seconds: float
    processor: float
    regions: list[FoundRegion]
    flops: float


def script(paths: list[Path], chosen: Preset) -> IngestRun:
    """What people write; generator clean-up left out, for it would need OpenCV."""
    options = {k: v for k, v in chosen.generator.items() if k != "min_mask_region_area"}
    sam = load_sam(build_sam_lite, embedded_model(chosen.segmenter).path("weights"))
    generator = SamAutomaticMaskGenerator(sam, **options, output_mode="coco_rle")
    embedder = build_embedder(chosen, Settings(device="cpu"))
    torch.set_num_threads(os.cpu_count() or 1)

    def one(path: Path) -> list[FoundRegion]:
        pixels = decoded(path)
        regions = []
        for row in generator.generate(pixels):
            mask = from_coco(row["segmentation"])
            context = embedder.embed_pictures([context_crop(pixels, mask, chosen.crop)])[0]
            masked = embedder.embed_pictures([masked_crop(pixels, mask, chosen.crop)])[0]
            regions.append(FoundRegion(paths.index(path), mask, half(context, masked)))
        return regions

    return timed(one, paths, lanes=1)


def ours(paths: list[Path], chosen: Preset) -> IngestRun:
    """The product's pipeline with one thread a picture, as `segsearch index` runs it."""
    settings = Settings(device="cpu")
    segmenter, embedder = build_segmenter(chosen, settings), build_embedder(chosen, settings)
    pipeline = Pipeline(segmenter, embedder, chosen.crop)

    def one(path: Path) -> list[FoundRegion]:
        pixels, info = decode(read_file(path))
        return [
            FoundRegion(paths.index(path), found.proposal.mask, half(found.context, found.masked))
            for found in pipeline.describe(pixels, info).segments
        ]

    return timed(one, paths, lanes=os.cpu_count() or 1)


def ours_as_is(paths: list[Path], chosen: Preset) -> IngestRun:
    """Ours without the clean-up that the script lacks: the same masks are wanted of both."""
    return ours(paths, replace(chosen, generator={**chosen.generator, "min_mask_region_area": 0}))


def timed(one: Any, paths: list[Path], *, lanes: int) -> IngestRun:
    with FlopCounterMode(display=False) as counter:
        one(paths[0])  # counts, and warms up
    began, used = time.monotonic(), time.process_time()
    with ThreadPoolExecutor(lanes) as pool:
        regions = [region for some in pool.map(one, paths) for region in some]
    flops = float(counter.get_total_flops())
    return IngestRun(time.monotonic() - began, time.process_time() - used, regions, flops)


def half(context: Vector, masked: Vector) -> Vector:
    """Both vectors mixed as searches do, at unit length."""
    mixed = context + masked
    return cast(Vector, mixed / np.linalg.norm(mixed))


def hits(run: IngestRun, words: Vector) -> list[FoundRegion]:
    """The best regions for words, none twice the same thing."""
    scores = np.stack([one.vector for one in run.regions]) @ words
    kept: list[FoundRegion] = []
    for number in np.argsort(-scores):
        one = run.regions[number]
        if all(one.picture != other.picture or iou(one.mask, other.mask) < 0.7 for other in kept):
            kept.append(one)
        if len(kept) == LISTED:
            break
    return kept


def agreement(first: IngestRun, second: IngestRun) -> str:
    """How far the hit lists of both agree, over the names of all things in the demo pictures."""
    embedder = build_embedder(preset("demo"), Settings(device="cpu"))
    truth = json.loads(PICTURES.with_name("truth.json").read_text("utf-8"))
    names = sorted({one["name"] for one in truth["categories"]})
    firsts, shared = 0, 0.0
    for words in embedder.embed_texts([f"a {name}" for name in names]):
        one, other = hits(first, words), hits(second, words)
        firsts += alike(one[0], other[0])
        shared += float(np.mean([any(alike(a, b) for b in other) for a in one]))
    return (
        f"hit lists for {len(names)} names: the same region first for {firsts / len(names):.0%}, "
        f"{shared / len(names):.0%} of the script's first {LISTED} among ours"
    )


def alike(one: FoundRegion, other: FoundRegion) -> bool:
    return one.picture == other.picture and iou(one.mask, other.mask) >= 0.8


def decoded(path: Path) -> Pixels:
    return decode(read_file(path))[0]


def peak() -> float:
    """FLOP/s of a float32 matrix product on all cores: the best of five."""
    torch.set_num_threads(os.cpu_count() or 1)
    one = torch.randn(MATRIX_SIDE, MATRIX_SIDE)
    best = np.inf
    for _ in range(5):
        began = time.monotonic()
        one @ one
        best = min(best, time.monotonic() - began)
    return float(2 * MATRIX_SIDE**3 / best)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--pictures", type=int, default=12)
    options.add_argument("--preset", default="demo")
    chosen = options.parse_args()
    paths = sorted(PICTURES.glob("*.jpg"))[:: max(1, 48 // chosen.pictures)][: chosen.pictures]
    context: Any = multiprocessing.get_context("spawn")
    runs: dict[str, IngestRun] = {}
    for name, side in (("script", script), ("ours", ours), ("as is", ours_as_is)):
        with context.Pool(1) as pool:
            runs[name] = pool.apply(side, (paths, preset(chosen.preset)))
    best = peak()
    print(f"{len(paths)} pictures, {os.cpu_count()} cores, peak {best / 1e9:.0f} GFLOP/s")
    columns = (("pictures/s", 11), ("ratio", 7), ("CPU s", 8), ("segments", 10), ("GFLOP", 8))
    print(" " * 8 + "".join(name.rjust(width) for name, width in columns) + "  of peak")
    for name, run in runs.items():
        rate = len(paths) / run.seconds
        ratio = runs["script"].seconds / run.seconds
        share = run.flops * rate / best
        print(
            f"{name:8}{rate:11.2f}{ratio:7.2f}{run.processor:8.1f}{len(run.regions):10}"
            f"{run.flops / 1e9:8.1f}{share:9.1%}"
        )
    print("GFLOP: of the first picture; of peak: that at the rate of all pictures.")
    print("as is: ours without the clean-up of islands and holes, which the script lacks.")
    for name in ("ours", "as is"):
        print(f"{name}: {agreement(runs['script'], runs[name])}")


if __name__ == "__main__":
    main()
