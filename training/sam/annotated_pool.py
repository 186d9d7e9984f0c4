"""Keeps annotated photographs decoded, with their masks as bits, for the SAM to learn from.

`python -m training.sam.annotated_pool --photographs DIR` writes the masks that people drew.
With `--weak` it writes those that a SAM draws into boxes that people drew, where they fill the box.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from segsearch.core.types import Box, Mask
from segsearch.masks.rle import decode
from segsearch.models.segment.multilook import find_masks
from segsearch.models.segment.sam_lite import IMAGE_SIZE
from segsearch.models.segment.session import EncodingCache
from training.data.annotated import (
    EVERYTHING,
    SOME,
    THINGS,
    AnnotatedPhotograph,
    annotated,
    with_folder,
)
from training.data.fetch import parser
from training.sam.box_looks import box_iou, by_looks
from training.sam.evaluate import KEPT_BYTES, as_used, load

SIDE_PX = 448
TRUTH, WEAK = "truth", "weak"
COMPLETE = (SOME, THINGS, EVERYTHING)
LEAST_BOX_IOU, LEAST_AGREED = 0.8, 0.8  # of a mask drawn into a box: fills it, other looks agree
LEAST_BOX_SIDE_PX = 24
MOST_BOXES = 10  # of a photograph, the largest: each costs looks of its own
Outlined = tuple[AnnotatedPhotograph, NDArray[np.uint8], list[Mask]]


@dataclass(frozen=True)
class AnnotatedPart:
    """Photographs on disk, n of them with m masks.

    `pixels` (n, S, S, 3) uint8, zeros right of and below the picture; `sizes` (n, 2) H, W;
    `complete` (n,) index into COMPLETE; `masks` (m, S, S / 8) uint8, bits of a row; `starts`
    (n + 1,) where the masks of each photograph begin.
    """

    pixels: NDArray[np.uint8]
    sizes: NDArray[np.int64]
    complete: NDArray[np.int64]
    masks: NDArray[np.uint8]
    starts: NDArray[np.int64]

    def masks_of(self, row: int) -> NDArray[np.bool_]:
        """(k, S, S): the masks of one photograph."""
        packed = self.masks[self.starts[row] : self.starts[row + 1]]
        return np.unpackbits(packed, axis=2).view(np.bool_)


def open_annotated(cache: Path, name: str) -> AnnotatedPart | None:
    """Map a part into memory; None while it is not finished."""
    folder = cache / "annotated" / name
    if not (folder / "done").is_file():
        return None
    names = ("pixels", "sizes", "complete", "masks", "starts")
    return AnnotatedPart(*(np.load(folder / f"{table}.npy", mmap_mode="r") for table in names))


def save_annotated(cache: Path, name: str, made: Iterable[Outlined]) -> None:
    """Write a part: photographs with their pixels (H, W, 3), none above SIDE_PX, and masks."""
    folder = cache / "annotated" / name
    folder.mkdir(parents=True, exist_ok=True)
    pixels, sizes, complete, masks, starts = [], [], [], [], [0]
    for photograph, picture, outlines in made:
        square = np.zeros((SIDE_PX, SIDE_PX, 3), np.uint8)
        square[: picture.shape[0], : picture.shape[1]] = picture
        pixels.append(square)
        sizes.append(picture.shape[:2])
        complete.append(COMPLETE.index(photograph.complete))
        masks += [_packed(mask) for mask in outlines]
        starts.append(len(masks))
    tables = {
        "pixels": np.stack(pixels), "sizes": np.array(sizes), "complete": np.array(complete),
        "masks": np.stack(masks), "starts": np.array(starts),
    }  # fmt: skip
    for table, values in tables.items():
        np.save(folder / f"{table}.npy", values)
    (folder / "done").touch()
    print(f"{name}: {len(pixels)} photographs, {len(masks)} masks", flush=True)


def _packed(mask: Mask) -> NDArray[np.uint8]:
    square = np.zeros((SIDE_PX, SIDE_PX), np.bool_)
    square[: mask.height, : mask.width] = decode(mask)
    return np.packbits(square, axis=1)


def read_pixels(photograph: AnnotatedPhotograph) -> NDArray[np.uint8]:
    """(H, W, 3) RGB."""
    with Image.open(photograph.path) as opened:
        return np.asarray(opened.convert("RGB"))


def truth(photographs: list[AnnotatedPhotograph]) -> Iterable[Outlined]:
    """Those with masks by people."""
    for photograph in photographs:
        if photograph.masks:
            yield photograph, read_pixels(photograph), photograph.masks


def weak(
    photographs: list[AnnotatedPhotograph],
    draw: Callable[[int, NDArray[np.uint8], Box], tuple[Mask, float] | None],
) -> Iterable[Outlined]:
    """Those with boxes that some mask fills; masks by people stay beside these.

    `draw` takes the photograph's number, its pixels and a box; it answers a mask and how much its
    looks agree on that.
    """
    for number, photograph in enumerate(photographs):
        boxes = [row.box for row in photograph.annotations if row.mask is None and not row.crowd]
        boxes = [box for box in boxes if _least_side(box) >= LEAST_BOX_SIDE_PX]
        boxes = sorted(boxes, key=_least_side, reverse=True)[:MOST_BOXES]
        if not boxes:
            continue
        pixels = read_pixels(photograph)
        drawn = [(box, draw(number, pixels, _whole_pixels(box))) for box in boxes]
        filled = [
            answer[0]
            for box, answer in drawn
            if answer
            and answer[1] >= LEAST_AGREED
            and box_iou(answer[0].box.as_tuple(), box) >= LEAST_BOX_IOU
        ]
        if filled:
            yield photograph, pixels, photograph.masks + filled


def _least_side(box: tuple[float, ...]) -> float:
    return min(box[2] - box[0], box[3] - box[1])


def _whole_pixels(box: tuple[float, float, float, float]) -> Box:
    return Box(*(round(edge) for edge in box))


def by_model(checkpoint: Path | None) -> Callable[..., tuple[Mask, float] | None]:
    """What draws masks into boxes: a checkpoint's averaged weights, or those that ship."""
    segmenter = as_used(load(checkpoint, IMAGE_SIZE))

    def draw(number: int, pixels: NDArray[np.uint8], box: Box) -> tuple[Mask, float] | None:
        picture = EncodingCache(KEPT_BYTES).open(segmenter, number, partial(np.asarray, pixels))
        answers = find_masks(picture, box=box.as_tuple(), multimask=False)
        return (answers[0].mask, answers[0].predicted_iou) if answers else None

    return draw


def main() -> None:
    """Command line."""
    options = parser(__doc__)
    with_folder(options)
    options.add_argument("--weak", action="store_true", help="masks drawn into boxes")
    options.add_argument("--checkpoint", type=Path, help="that draws; what ships otherwise")
    options.add_argument("--threads", type=int, default=1)
    chosen = options.parse_args()
    torch.set_num_threads(chosen.threads)
    cv2.setNumThreads(1)
    photographs = annotated(chosen.photographs, validation=False)
    if chosen.weak:
        segmenter = as_used(load(chosen.checkpoint, IMAGE_SIZE))
        save_annotated(chosen.cache, WEAK, weak(photographs, by_looks(segmenter)))
    else:
        save_annotated(chosen.cache, TRUTH, truth(photographs))


if __name__ == "__main__":
    main()
