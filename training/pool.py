"""Keeps scenes composed ahead of time, so that the training step never waits for the painter.

`python -m training.pool --parts 16` writes parts of 500 scenes each; finished parts are kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from training.compose import compose_leaves, compose_scene
from training.fetch import parser
from training.render import Drawings, load_drawings
from training.scene import Scene

SIDE_PX = 384
SCENES_A_PART = 500
MOST_REGIONS = 128
LEAVES_SHARE = 0.6
NO_PARENT = -1
_SEED = 20_240_001


@dataclass(frozen=True)
class Part:
    """Scenes on disk: pixels (n, S, S, 3), labels (n, S, S), parents (n, 128), -1 for none."""

    pixels: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    parents: NDArray[np.int16]


def finished_parts(cache: Path) -> list[Path]:
    """Folders of the parts that are complete, oldest first."""
    return sorted(path.parent for path in (cache / "pool").glob("part-*/done"))


def open_part(folder: Path) -> Part:
    """Map one part into memory."""
    names = ("pixels", "labels", "parents")
    return Part(*(np.load(folder / f"{name}.npy", mmap_mode="r") for name in names))


def write_part(cache: Path, drawings: Drawings, number: int) -> None:
    """Compose one part; its seed is its number, so it comes out the same on every machine."""
    folder = cache / "pool" / f"part-{number:03d}"
    if (folder / "done").is_file():
        return
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng([_SEED, number])
    shape = (SCENES_A_PART, SIDE_PX, SIDE_PX)
    pixels = _writable(folder / "pixels.npy", np.uint8, (*shape, 3))
    labels = _writable(folder / "labels.npy", np.uint8, shape)
    parents = _writable(folder / "parents.npy", np.int16, (SCENES_A_PART, MOST_REGIONS))
    for row in range(SCENES_A_PART):
        scene = _scene(rng, drawings)
        pixels[row], labels[row], parents[row] = scene.pixels, scene.labels, _parents(scene)
    for table in (pixels, labels, parents):
        table.flush()
    (folder / "done").touch()


def _scene(rng: np.random.Generator, drawings: Drawings) -> Scene:
    size = (SIDE_PX, SIDE_PX)
    while True:
        if rng.random() < LEAVES_SHARE:
            scene = compose_leaves(rng, drawings, size=size)
        else:
            scene = compose_scene(rng, drawings, size=size)
        if len(scene.regions) <= MOST_REGIONS:
            return scene


def _parents(scene: Scene) -> NDArray[np.int16]:
    row = np.full(MOST_REGIONS, NO_PARENT, np.int16)
    for label, region in enumerate(scene.regions):
        if region.parent is not None:
            row[label] = region.parent
    return row


def _writable(path: Path, kind: type, shape: tuple[int, ...]) -> np.memmap[Any, Any]:
    return np.lib.format.open_memmap(path, mode="w+", dtype=kind, shape=shape)


def main() -> None:
    """Command line."""
    options = parser(__doc__)
    options.add_argument("--parts", type=int, default=16)
    options.add_argument("--first", type=int, default=0)
    chosen = options.parse_args()
    cv2.setNumThreads(1)
    drawings = load_drawings(chosen.cache)
    for number in range(chosen.first, chosen.first + chosen.parts):
        write_part(chosen.cache, drawings, number)
        print(f"part {number} is complete", flush=True)


if __name__ == "__main__":
    main()
