"""What a large photograph costs, and what it loses by being cut at the size a segmenter sees.

Each photograph is scaled to several widths, and segmented and embedded at each of them by one
thread, the widths in turn, each in a fresh process: processor seconds and the peak of memory above
what the picture itself takes, both beside those of the 1,024 px version. Decoding is not in it.

Then its masks are compared with upstream's rule, everything at full size (`working_px` 0): the
share of each side's masks that the other has with an IoU of 0.9 or more, on the grid that the
segmenter sees, and once more without moving outlines to edges (`edges_px` 0).
"""

from __future__ import annotations

import multiprocessing
import statistics
import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import torch
import typer
from numpy.typing import NDArray
from PIL import Image

from benchmarks.generator import CLEAR_REFS, agreement, kilobytes
from segsearch.core.arrays import Pixels
from segsearch.core.settings import Settings
from segsearch.core.types import PictureInfo, Proposal
from segsearch.masks import rle
from segsearch.models.loading import build_pipeline
from segsearch.models.pipeline import Pipeline
from segsearch.models.presets import preset
from segsearch.models.segment.automatic import GeneratorSettings
from segsearch.models.segment.sam import SamSegmenter, load_sam
from segsearch.models.segment.sam_lite import IMAGE_SIZE, build_sam_lite

DEMO = Path(__file__).parents[1] / "segsearch/cli/demo/pictures"
EMBEDDED = Path(__file__).parents[1] / "segsearch/models/embedded/sam-lite.safetensors"
BASE_PX = 1024
NO_INFO = PictureInfo(1, 1, "JPEG")


class Cost(NamedTuple):
    """Of one picture: processor seconds to segment it, and to segment and embed it; megabytes."""

    segmenting: float
    seconds: float
    megabytes: float


def scaled(path: Path, width: int) -> Pixels:
    """A photograph as (H, W, 3), so many pixels wide."""
    with Image.open(path) as opened:
        image = opened.convert("RGB")
    height = max(1, round(image.height * width / image.width))
    return np.asarray(image.resize((width, height), Image.Resampling.LANCZOS))


def cost(path: Path, width: int) -> Cost:
    """What one photograph costs at a width; to be called in a fresh process."""
    torch.set_num_threads(1)
    pipeline: Pipeline = build_pipeline(Settings(preset="demo", threads=1, device="cpu"))
    pipeline.describe(scaled(path, 320), NO_INFO)  # what is made once is not the picture's
    pixels = scaled(path, width)
    CLEAR_REFS.write_text("5")  # forget the peak so far (man 5 proc)
    before = kilobytes("VmRSS")
    start = time.process_time()
    pipeline.describe(pixels, NO_INFO)
    seconds, peak = time.process_time() - start, kilobytes("VmHWM") - before
    start = time.process_time()
    pipeline.regions(pixels)
    return Cost(time.process_time() - start, seconds, peak / 1024)


def masks_of(pixels: Pixels, changes: dict[str, Any]) -> list[Proposal]:
    """What the demo preset's segmenter finds, with other settings."""
    settings = replace(GeneratorSettings(**preset("demo").generator), **changes)
    sam = load_sam(build_sam_lite, EMBEDDED)
    return SamSegmenter(sam, identity="sam-lite", settings=settings).propose(pixels)


def on_grid(proposals: list[Proposal]) -> NDArray[np.bool_]:
    """Masks (n, pixels) on the grid that the segmenter sees."""
    frames = []
    for proposal in proposals:
        frame = Image.fromarray(rle.decode(proposal.mask))
        frame.thumbnail((IMAGE_SIZE, IMAGE_SIZE), Image.Resampling.NEAREST)
        frames.append(np.asarray(frame).ravel())
    return np.array(frames, dtype=bool).reshape(len(frames), -1)


def fidelity(path: Path, width: int, changes: dict[str, Any]) -> tuple[int, float, float]:
    """How many masks there are at full size, and recall of them and by them at IoU 0.9."""
    torch.set_num_threads(1)
    pixels = scaled(path, width)
    ours, full = masks_of(pixels, changes), masks_of(pixels, {**changes, "working_px": 0})
    found, known, _ = agreement(on_grid(ours), on_grid(full))
    return len(full), found, known


def apart(context: Any, work: Any, *arguments: Any) -> Any:
    """What a function gives in a process of its own."""
    with context.Pool(1) as pool:
        return pool.apply(work, arguments)


def main(
    photographs: Annotated[Path, typer.Option(help="folder of JPEG files")] = DEMO,
    widths: Annotated[str, typer.Option(help="in pixels, by commas")] = "640,1024,4000,8000",
    rounds: Annotated[int, typer.Option(help="times each is measured")] = 3,
    most: Annotated[int, typer.Option(help="photographs to measure")] = 4,
    fidelity_px: Annotated[int, typer.Option(help="width at which masks are compared")] = 4000,
) -> None:
    """Costs by width, then fidelity."""
    pattern = "photo-*.jpg" if photographs == DEMO else "*.jpg"
    paths = sorted(photographs.glob(pattern))[:most]
    sides = sorted({BASE_PX, *map(int, widths.split(","))})
    context: Any = multiprocessing.get_context("spawn")  # a fork would inherit the peak of memory
    print(
        f"{'photograph':22} {'width':>6} {'segment s':>10} {'all s':>7} {'x':>6} {'MB':>6} "
        f"{'+MB':>6}"
    )
    for path in paths:
        runs: dict[int, list[Cost]] = {width: [] for width in sides}
        for _ in range(rounds):
            for width in sides:
                runs[width].append(apart(context, cost, path, width))
        middle = {w: Cost(*map(statistics.median, zip(*runs[w], strict=True))) for w in sides}
        base = middle[BASE_PX]
        for width, at in middle.items():
            print(
                f"{path.name[:22]:22} {width:6} {at.segmenting:10.2f} {at.seconds:7.2f} "
                f"{at.seconds / base.seconds:6.2f} {at.megabytes:6.0f} "
                f"{at.megabytes - base.megabytes:+6.0f}",
                flush=True,
            )
    if not fidelity_px:
        return
    print(f"\nIoU 0.9 against everything at full size, {fidelity_px} px wide")
    for name, changes in (("as the preset", {}), ("edges_px 0", {"edges_px": 0})):
        rows = []
        for path in paths:
            count, found, known = apart(context, fidelity, path, fidelity_px, changes)
            rows.append((count, found, known))
            print(f"{path.name[:22]:22} {name:16} {count:4} {found:7.3f} {known:7.3f}", flush=True)
        total = sum(count for count, *_ in rows)
        shares = [sum(row[0] * row[i] for row in rows) / max(1, total) for i in (1, 2)]
        print(f"{'all':22} {name:16} {total:4} {shares[0]:7.3f} {shares[1]:7.3f}", flush=True)


if __name__ == "__main__":
    typer.run(main)
