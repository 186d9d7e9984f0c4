"""Draws masks into the boxes that people drew, so that named boxes can be cut out as regions are.

`python -m training.clip.region_masks --photographs DIR --checkpoint FILE` writes one JSON file into
the cache: for each photograph the run lengths of the masks of its annotations, null where the SAM
draws none that fits its box.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from segsearch.core.types import Box, Mask
from segsearch.masks.rle import read_coco, to_coco
from training.data.annotated import AnnotatedPhotograph, Annotation, annotated, with_folder
from training.data.fetch import parser
from training.sam.annotated_pool import by_model, read_pixels
from training.sam.box_looks import box_iou

FILE = "box-masks.json"
LEAST_SIDE_PX = 12
LEAST_BOX_IOU, LEAST_QUALITY = 0.7, 0.4
Draw = Callable[[int, NDArray[np.uint8], Box], tuple[Mask, float] | None]


def drawn(photographs: Sequence[AnnotatedPhotograph], draw: Draw) -> dict[str, list[Any]]:
    """COCO run lengths by file name, one for each annotation; null where a mask exists or fails."""
    made = {}
    for number, photograph in enumerate(photographs):
        within = partial(draw, number, read_pixels(photograph))
        made[photograph.path.name] = [_mask(row, within) for row in photograph.annotations]
    return made


def with_masks(
    photographs: Sequence[AnnotatedPhotograph], cache: Path
) -> list[AnnotatedPhotograph]:
    """The photographs with the drawn masks where people drew none; FileNotFoundError without the
    file."""
    known = json.loads((cache / "annotated" / FILE).read_text("utf-8"))
    return [
        replace(
            photograph,
            annotations=tuple(
                replace(row, mask=read_coco(mask)) if mask and row.mask is None else row
                for row, mask in zip(
                    photograph.annotations, known[photograph.path.name], strict=True
                )
            ),
        )
        for photograph in photographs
    ]


def _mask(row: Annotation, draw: Callable[[Box], tuple[Mask, float] | None]) -> Any:
    x0, y0, x1, y1 = row.box
    if row.mask is not None or row.crowd or min(x1 - x0, y1 - y0) < LEAST_SIDE_PX:
        return None
    answer = draw(Box(*(round(edge) for edge in row.box)))
    if answer is None or answer[1] < LEAST_QUALITY:
        return None
    fits = box_iou(answer[0].box.as_tuple(), row.box) >= LEAST_BOX_IOU
    return to_coco(answer[0]) if fits else None


def main() -> None:
    """Command line."""
    options = parser(__doc__)
    with_folder(options)
    options.add_argument("--checkpoint", type=Path, help="that draws; what ships otherwise")
    options.add_argument("--threads", type=int, default=1)
    chosen = options.parse_args()
    torch.set_num_threads(chosen.threads)
    cv2.setNumThreads(1)
    photographs = annotated(chosen.photographs, validation=False)
    photographs += annotated(chosen.photographs, validation=True)
    masks = drawn(photographs, by_model(chosen.checkpoint))
    path = chosen.cache / "annotated" / FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(masks), "utf-8")
    every = [mask for rows in masks.values() for mask in rows]
    print(f"{len(every)} annotations, {sum(mask is not None for mask in every)} masks drawn")


if __name__ == "__main__":
    main()
