"""Keeps scenes composed ahead of time, so that the training step never waits for the painter.

`python -m training.sam.pool --parts 16` writes parts of 500 scenes each; finished parts are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from training.clip.patches import Patches
from training.data.compose import compose_leaves, compose_scene
from training.data.cutouts import CLIP_ART, STAMPS, with_cutouts
from training.data.fetch import FILLED_STYLES, parser
from training.data.render import Drawings, load_drawings
from training.data.scene import Scene
from training.data.textures import Surface

SIDE_PX = 384
SCENES_A_PART = 500
MOST_REGIONS = 128
LEAVES_SHARE = 0.4
PHOTOGRAPH_SHARE = 0.35  # of the scenes of things, how many lie on a photograph
STYLES = (*FILLED_STYLES, *(CLIP_ART,) * 3, *(STAMPS,) * 4)  # drawn from alike, so these more often
NO_PARENT, UNKNOWN = -1, 255  # `UNKNOWN` owns what nobody outlined: the ground of a photograph
_SEED = 20_240_001
Outlined = tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.int16]]  # one row of a `Part`


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


def write_part(cache: Path, drawings: Drawings, patches: Patches, number: int) -> None:
    """Compose one part; its seed is its number, so it comes out the same on every machine."""
    rng = np.random.default_rng([_SEED, number])
    random = torch.Generator().manual_seed(number)
    scenes = (
        _scene(rng, drawings, lambda: _photographed(patches, random)) for _ in range(SCENES_A_PART)
    )
    made = ((scene.pixels, scene.labels, _parents(scene)) for scene in scenes)
    save_part(cache, number, SCENES_A_PART, made)


def save_part(cache: Path, number: int, count: int, made: Iterable[Outlined]) -> None:
    """Write that many pictures as one part, unless that is finished already."""
    folder = cache / "pool" / f"part-{number:03d}"
    if (folder / "done").is_file():
        return
    folder.mkdir(parents=True, exist_ok=True)
    shape = (count, SIDE_PX, SIDE_PX)
    pixels = _writable(folder / "pixels.npy", np.uint8, (*shape, 3))
    labels = _writable(folder / "labels.npy", np.uint8, shape)
    parents = _writable(folder / "parents.npy", np.int16, (count, MOST_REGIONS))
    for row, one in enumerate(made):
        pixels[row], labels[row], parents[row] = one
    for table in (pixels, labels, parents):
        table.flush()
    (folder / "done").touch()


def _scene(
    rng: np.random.Generator, drawings: Drawings, photographed: Callable[[], Surface]
) -> Scene:
    size = (SIDE_PX, SIDE_PX)
    while True:
        if rng.random() < LEAVES_SHARE:
            scene = compose_leaves(rng, drawings, size=size, styles=STYLES, drawn_share=0.3)
        elif rng.random() < PHOTOGRAPH_SHARE:
            ground = photographed()
            scene = compose_scene(rng, drawings, size=size, styles=STYLES, ground=ground)
            scene.labels[scene.labels == 0] = UNKNOWN
        else:
            scene = compose_scene(rng, drawings, size=size, styles=STYLES)
        if len(scene.regions) <= MOST_REGIONS:
            return scene


def _photographed(patches: Patches, random: torch.Generator) -> Surface:
    """(S, S, 3) in 0..1: a patch of a photograph."""
    patch = patches.sample(1, SIDE_PX, random)[0]
    return np.ascontiguousarray(patch.permute(1, 2, 0).numpy())


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
    drawings = with_cutouts(load_drawings(chosen.cache), chosen.cache)
    patches = Patches(chosen.cache)
    for number in range(chosen.first, chosen.first + chosen.parts):
        write_part(chosen.cache, drawings, patches, number)
        print(f"part {number} is complete", flush=True)


if __name__ == "__main__":
    main()
