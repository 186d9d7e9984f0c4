"""Runs the mask generator beside segment_anything's own on the same pictures with the same model.

Prints processor seconds, the peak of the process's memory above what the model takes, and how far
the masks agree: the share of each side's masks that the other side has with an IoU of 0.9 or more,
and the mean IoU of those pairs. Each measurement runs in a process of its own.
"""

from __future__ import annotations

import multiprocessing
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from numpy.typing import NDArray
from PIL import Image
from segment_anything import SamAutomaticMaskGenerator, sam_model_registry
from segment_anything.modeling import Sam

from segsearch.core.arrays import Pixels
from segsearch.masks import rle
from segsearch.models.presets import preset
from segsearch.models.segment.automatic import GeneratorSettings
from segsearch.models.segment.sam import SamSegmenter, load_sam
from segsearch.models.segment.sam_lite import build_sam_lite

EMBEDDED = Path(__file__).parents[1] / "segsearch/models/embedded/sam-lite.safetensors"
LONGEST_PX = 1600
STATUS, CLEAR_REFS = Path("/proc/self/status"), Path("/proc/self/clear_refs")
OURS_ONLY = (
    "one_mask_per_thing", "overlap_thresh", "coarse_points_per_side", "settled_area_share",
)  # fmt: skip

Run = tuple[float, float, NDArray[np.bool_]]  # seconds, MB, masks (n, H W)


def model_of(name: str) -> Sam:
    """The embedded SAM, or one of upstream's shapes (vit_b, vit_l, vit_h) with random weights."""
    if name == "embedded":
        return load_sam(build_sam_lite, EMBEDDED)
    torch.manual_seed(0)
    return sam_model_registry[name]()


def settings_of(name: str) -> GeneratorSettings:
    """The demo preset's for the embedded SAM; for random weights, whatever they say passes."""
    if name == "embedded":
        chosen = GeneratorSettings(**preset("demo").generator)
        # Upstream would need OpenCV for the clean-up, so it is left out on both sides.
        return replace(chosen, min_mask_region_area=0, one_mask_per_thing=False)
    return GeneratorSettings(pred_iou_thresh=0.0, stability_score_thresh=0.0)


def measure(side: str, name: str, pixels: Pixels, settings: GeneratorSettings) -> Run:
    """Seconds, megabytes and masks of one side; to be called in a fresh process."""
    torch.set_num_threads(1)
    model = model_of(name)
    CLEAR_REFS.write_text("5")  # forget the peak that loading has left (man 5 proc)
    before = kilobytes("VmRSS")
    start = time.process_time()
    # Masks become full frames only after the peak has been read.
    if side == "ours":
        segmenter = SamSegmenter(model, identity=name, settings=settings)
        proposals = segmenter.propose(pixels)
        seconds, peak = time.process_time() - start, kilobytes("VmHWM") - before
        frames = [rle.decode(one.mask).ravel() for one in proposals]
    else:
        options = {key: value for key, value in asdict(settings).items() if key not in OURS_ONLY}
        found = SamAutomaticMaskGenerator(model, **options, output_mode="coco_rle").generate(pixels)
        seconds, peak = time.process_time() - start, kilobytes("VmHWM") - before
        frames = [rle.decode(rle.from_coco(one["segmentation"])).ravel() for one in found]
    return seconds, peak / 1024, np.array(frames, dtype=bool).reshape(-1, pixels[..., 0].size)


def kilobytes(name: str) -> int:
    """A memory value of this process as Linux names it: VmRSS now, VmHWM at its peak."""
    rows = STATUS.read_text().splitlines()
    return next(int(row.split()[1]) for row in rows if row.startswith(f"{name}:"))


def agreement(ours: NDArray[np.bool_], theirs: NDArray[np.bool_]) -> tuple[float, float, float]:
    """Recall at IoU 0.9 of theirs by ours and of ours by theirs, and the mean IoU of matches."""
    if not len(ours) or not len(theirs):
        same = float(len(ours) == len(theirs))
        return same, same, same
    one, other = ours.astype(np.float32), theirs.astype(np.float32)
    shared = one @ other.T
    iou = shared / (one.sum(1)[:, None] + other.sum(1) - shared)
    best = iou.max(0)
    matched = best[best >= 0.9]
    mean = float(matched.mean()) if len(matched) else 0.0
    return float((best >= 0.9).mean()), float((iou.max(1) >= 0.9).mean()), mean


def picture(path: Path) -> Pixels:
    """A picture file as (H, W, 3), scaled down if it is larger than `LONGEST_PX`."""
    with Image.open(path) as opened:
        image = opened.convert("RGB")
    image.thumbnail((LONGEST_PX, LONGEST_PX))
    return np.asarray(image)


def main(
    pictures: Annotated[list[Path], typer.Argument(help="picture files")],
    model: Annotated[str, typer.Option(help="embedded, vit_b, vit_l or vit_h")] = "embedded",
    points: Annotated[int, typer.Option(help="points a side")] = 16,
) -> None:
    """Upstream's automatic masks against ours, picture by picture."""
    settings = replace(settings_of(model), points_per_side=points)
    print(
        f"{'picture':24} {'masks':>9} {'stock s':>8} {'ours s':>8} {'':>7} {'stock MB':>9} "
        f"{'ours MB':>8} {'recall both ways':>17} {'IoU':>7}"
    )
    # A forked child would inherit this process's peak of memory.
    context: Any = multiprocessing.get_context("spawn")
    for path in pictures:
        pixels = picture(path)
        runs = []
        for side in ("ours", "stock"):
            with context.Pool(1) as pool:
                runs.append(pool.apply(measure, (side, model, pixels, settings)))
        (our_s, our_mb, ours), (their_s, their_mb, theirs) = runs
        found, known, mean = agreement(ours, theirs)
        print(
            f"{path.name[:24]:24} {len(ours):4}/{len(theirs):4} {their_s:8.2f} {our_s:8.2f} "
            f"{their_s / our_s:6.2f}x {their_mb:9.0f} {our_mb:8.0f} {found:8.3f} {known:8.3f} "
            f"{mean:7.4f}",
            flush=True,
        )


if __name__ == "__main__":
    typer.run(main)
