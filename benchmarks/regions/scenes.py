"""Composes the benchmark's pictures and their truth: `python -m benchmarks.regions.scenes`.

Needs the `training` extra and npm (the drawings come from the held-out icon set). The same seeds
give the same scenes; they share none with training, validation or the demo.
"""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from training.data.compose import SMALLEST, background, place, put_down
from training.data.fetch import HELD_OUT, fetch, parser
from training.data.make_demo import annotation
from training.data.render import Drawings, load_drawings
from training.data.scene import Region, finished
from training.data.textures import Size

SEED = 52_000
SCENES, CHOOSING = 300, 60  # measured on, and chosen with: other seeds
MOST_THINGS = 12
LARGEST = 0.6  # a thing's side as a share of the picture's longer side
SIZES: tuple[Size, ...] = ((480, 640), (640, 480), (512, 512), (600, 800), (360, 640))
VISIBLE_SHARE = 0.35  # of a thing that must be seen for it to be asked for
SMALLEST_AREA = 0.0015  # of the picture
QUALITY = 88
Painted = tuple[Any, list[tuple[str, Any]]]


def compose(cache: Path, folder: Path, *, count: int, seed: int) -> Path:
    """Write `images/NNNN.jpg` and `annotations.json` (COCO instances); returns the latter."""
    drawings = load_drawings(cache, styles=(HELD_OUT,))
    names = np.random.default_rng(seed).permutation(drawings.names(HELD_OUT)).tolist()
    waiting = (names[index % len(names)] for index in range(count * MOST_THINGS))
    numbers = {name: number for number, name in enumerate(sorted(names), 1)}
    document: dict[str, list[Any]] = {"images": [], "annotations": [], "categories": []}
    (folder / "images").mkdir(parents=True, exist_ok=True)
    for index in range(count):
        rng = np.random.default_rng([seed, index])
        chosen = list(islice(waiting, int(rng.integers(1, MOST_THINGS + 1))))
        pixels, things = paint(rng, drawings, chosen, SIZES[index % len(SIZES)])
        file = f"{index:04d}.jpg"
        Image.fromarray(pixels).save(folder / "images" / file, quality=QUALITY)
        height, width = pixels.shape[:2]
        image = {"id": index + 1, "file_name": file, "width": width, "height": height}
        document["images"].append(image)
        for name, mask in things:
            row = {"id": len(document["annotations"]) + 1, "image_id": index + 1, "iscrowd": 0}
            row |= {"category_id": numbers[name]} | annotation(mask)
            document["annotations"].append(row)
    document["categories"] = [{"id": number, "name": name} for name, number in numbers.items()]
    target = folder / "annotations.json"
    target.write_text(json.dumps(document, separators=(",", ":")) + "\n", "utf-8")
    return target


def paint(rng: np.random.Generator, drawings: Drawings, names: list[str], size: Size) -> Painted:
    """Pixels (H, W, 3) u8, and (name, mask) of every thing that can be seen well enough."""
    canvas = background(rng, size)
    full = {}
    for name in names:
        layer = place(rng, drawings, name, HELD_OUT, size=size, sides=(SMALLEST, LARGEST))
        label = put_down(rng, canvas, layer, Region(name, HELD_OUT))
        full[label] = (name, int((layer.alpha > 0.5).sum()))
    scene = finished(rng, canvas)
    seen = []
    for label, (name, area) in full.items():
        mask = scene.labels == label
        if mask.sum() >= VISIBLE_SHARE * area and mask.mean() >= SMALLEST_AREA:
            seen.append((name, mask))
    return scene.pixels, seen


def main() -> None:
    """Command line."""
    options = parser(__doc__)
    options.add_argument("--into", type=Path, default=Path(".benchmarks/regions"))
    chosen = options.parse_args()
    cv2.setNumThreads(1)
    fetch(chosen.cache)
    for name, count, seed in (("test", SCENES, SEED), ("choose", CHOOSING, SEED + 1)):
        print(compose(chosen.cache, chosen.into / name, count=count, seed=seed))


if __name__ == "__main__":
    main()
