"""Adds photographs to the pool, outlined by the SAM that ships: what it must not forget.

`python -m training.sam.photograph_pool --parts 2`, after `training.sam.pool`. Nobody outlined these
photographs. The masks are those of the `demo` preset, which looks at the picture and at four crops
of it and moves masks to edges; a model that sees the picture once learns to answer as these looks
do (after "Data Distillation", Radosavovic et al. 2018).
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from segsearch.core.types import Proposal
from segsearch.masks.rle import decode
from segsearch.models.segment.sam_lite import IMAGE_SIZE
from training.data import named_photographs
from training.data.fetch import parser
from training.data.photographs import folder
from training.sam.evaluate import as_used, load
from training.sam.nesting import consistent
from training.sam.pool import (
    MOST_REGIONS,
    NO_PARENT,
    SCENES_A_PART,
    SIDE_PX,
    UNKNOWN,
    Outlined,
    save_part,
)

FIRST_PART = 500  # parts of `training.sam.pool` have smaller numbers
LEAST_IOU = 0.4  # predicted; masks trusted less teach nothing


def outlined(pixels: NDArray[np.uint8], propose: Callable[..., list[Proposal]]) -> Outlined:
    """The picture (S, S, 3), its labels (S, S) and parents (128,) as the pool keeps them."""
    found = [one for one in propose(pixels) if one.predicted_iou >= LEAST_IOU]
    kept, parents = consistent([one.mask for one in found], MOST_REGIONS - 1)
    labels = np.full(pixels.shape[:2], UNKNOWN, np.uint8)
    row = np.full(MOST_REGIONS, NO_PARENT, np.int16)
    # The ground has label 0, which no photograph here has.
    for index in sorted(range(len(kept)), key=lambda index: -kept[index].area):
        labels[decode(kept[index])] = index + 1
        parent = parents[index]
        row[index + 1] = NO_PARENT if parent is None else parent + 1
    return pixels, labels, row


def window(path: Path, rng: np.random.Generator) -> NDArray[np.uint8]:
    """A random square of a photograph, (SIDE_PX, SIDE_PX, 3), half of its shorter side at least."""
    with Image.open(path) as opened:
        picture = opened.convert("RGB")
    side = round(min(picture.size) * rng.uniform(0.5, 1.0))
    left, top = (int(rng.integers(whole - side + 1)) for whole in picture.size)
    part = picture.crop((left, top, left + side, top + side))
    return np.asarray(part.resize((SIDE_PX, SIDE_PX), Image.Resampling.LANCZOS))


def write_part(cache: Path, number: int) -> None:
    """Outline one part; its seed is its number."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    paths = sorted(folder(cache).glob("*.png"))
    paths += [one.path for one in named_photographs.listed(cache)]
    rng = np.random.default_rng([FIRST_PART, number])
    segmenter = as_used(load(None, IMAGE_SIZE))
    order = rng.permutation(len(paths))[:SCENES_A_PART]
    made = (outlined(window(paths[index], rng), segmenter.propose) for index in order)
    save_part(cache, FIRST_PART + number, len(order), made)
    print(f"part {FIRST_PART + number} is complete", flush=True)


def main() -> None:
    """Command line."""
    options = parser(__doc__)
    options.add_argument("--parts", type=int, default=2)
    options.add_argument("--processes", type=int, default=2)
    chosen = options.parse_args()
    with ProcessPoolExecutor(chosen.processes) as pool:
        for done in [pool.submit(write_part, chosen.cache, n) for n in range(chosen.parts)]:
            done.result()


if __name__ == "__main__":
    main()
