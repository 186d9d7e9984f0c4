"""What closer looks add to a click, and to a box: `python -m benchmarks.looks`.

Every thing of the scenes that `benchmarks.regions.scenes` has composed is clicked on once, at the
pixel furthest from its edge, and boxed once, each side off by up to 5 % of its extent. The embedded
segmenter answers by one look at the whole picture, and by several sets of closer looks; IoU is that
of the mask which comes first. `--scenes .benchmarks/regions/choose` is what the defaults were
chosen on.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from segsearch.core.answers import MaskCandidate
from segsearch.core.settings import Settings
from segsearch.core.types import Mask
from segsearch.masks.rle import decode, iou
from segsearch.media.decode import decode as decode_picture
from segsearch.media.decode import read_file
from segsearch.models.loading import build_segmenter
from segsearch.models.presets import DEFAULT_PRESET, preset
from segsearch.models.protocols import Promptable
from segsearch.models.segment import multilook
from segsearch.models.segment.session import EncodingCache, OpenPicture
from segsearch.search.evaluation.run import sampled
from segsearch.search.evaluation.truth import read_truth

LOOKS = (
    (1.0,),
    (1.0, 0.5),
    multilook.LOOKS,
    (1.0, 0.5, 0.35, 0.25),
    (1.0, 0.7, 0.5, 0.35, 0.25),
    (1.0, 0.5, 0.35, 0.25, 0.18),
)
CUT_COSTS = (0.0, 0.2, 0.6)
AGAIN = (0, 1, 3)
EDGES = (64, 96, 192)
ROOMS = (1.3, 2.0, 3.0)
SMALL = 0.01  # share of the picture's area
KEPT_BYTES = 1 << 30
Answer = Callable[[OpenPicture, Mask], list[MaskCandidate]]


def middle(mask: Mask) -> tuple[float, float]:
    """x, y of the centre of the pixel furthest from the mask's edge."""
    depth = distance_transform_edt(np.pad(decode(mask), 1))[1:-1, 1:-1]
    row, column = divmod(int(depth.argmax()), mask.width)
    return column + 0.5, row + 0.5


def click(picture: OpenPicture, mask: Mask) -> list[MaskCandidate]:
    """The candidates of one click in the middle."""
    return multilook.find_masks(picture, [middle(mask)])


def boxed(picture: OpenPicture, mask: Mask) -> list[MaskCandidate]:
    """The candidates of a box around the thing, drawn a little carelessly."""
    box = np.array(mask.box.as_tuple(), np.float64)
    extent = np.array([mask.box.width, mask.box.height] * 2)
    careless = box + np.random.default_rng(mask.area).uniform(-0.05, 0.05, 4) * extent
    limits = (mask.width, mask.height) * 2
    return multilook.find_masks(picture, box=np.clip(careless, 0, limits).tolist())


def answers() -> Iterator[tuple[str, Answer]]:
    """Every way to answer, with its name."""
    for looks in LOOKS:
        yield f"click, looks {' '.join(map(str, looks))}", patched(click, LOOKS=looks)
    for cost in CUT_COSTS:
        yield f"click, cut cost {cost}", patched(click, CUT_COST=cost)
    for count in AGAIN:
        yield f"click, {count} looked at again", patched(click, LOOKED_AT_AGAIN=count)
    for side in EDGES:
        yield f"click, edges at {side} px", patched(click, EDGES_PX=side)
    yield (
        "click, none again, outlines as they are",
        patched(click, LOOKED_AT_AGAIN=0, to_edges=as_it_is),
    )
    yield "box, outlines as they are", patched(boxed, to_edges=as_it_is)
    yield "box, whole picture", patched(boxed, ROOM=1e6)
    for room in (multilook.ROOM, *ROOMS):
        yield f"box, window {room} times as large", patched(boxed, ROOM=room)


def as_it_is(_: object, mask: Mask, __: int) -> Mask:
    """The mask of `to_edges`, not moved."""
    return mask


def patched(answer: Answer, **constants: Any) -> Answer:
    """The same under other constants of `multilook`."""

    def ask(picture: OpenPicture, mask: Mask) -> list[MaskCandidate]:
        with patch.multiple(multilook, **constants):
            return answer(picture, mask)

    return ask


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--scenes", type=Path, default=Path(".benchmarks/regions/test"))
    options.add_argument("--limit", type=int, default=60, help="pictures")
    chosen = options.parse_args()
    segmenter = build_segmenter(preset(DEFAULT_PRESET), Settings())
    if not isinstance(segmenter, Promptable):
        raise SystemExit("The default segmenter takes no points.")
    truth = read_truth(chosen.scenes / "annotations.json", chosen.scenes / "images")
    pictures = sampled(truth, chosen.limit)
    rows: dict[str, list[tuple[float, float]]] = {name: [] for name, _ in answers()}
    seconds = dict.fromkeys(rows, 0.0)
    shares = []
    for number, picture in enumerate(pictures):
        pixels, _ = decode_picture(read_file(picture.path))
        shares += [thing.share for thing in picture.things]
        for name, answer in answers():
            cache = EncodingCache(KEPT_BYTES)
            opened = cache.open(segmenter, number, partial(np.asarray, pixels))
            began = time.process_time()
            for thing in picture.things:
                masks = answer(opened, thing.mask)
                overlaps = [iou(offer.mask, thing.mask) for offer in masks] or [0.0]
                rows[name].append((overlaps[0], max(overlaps)))
            seconds[name] += time.process_time() - began
    print(f"{len(pictures)} pictures, {len(shares)} things")
    print(f"{'':44}{'first':>7}{'small':>7}{'>=0.5':>7}{'>=0.7':>7}{'best':>7}{'ms':>7}")
    for name, pairs in rows.items():
        print(line(name, np.array(pairs), np.array(shares) < SMALL, seconds[name]))


def line(name: str, found: NDArray[np.float64], small: NDArray[np.bool_], seconds: float) -> str:
    first = found[:, 0]
    means = (first, first[small], first >= 0.5, first >= 0.7, found[:, 1])
    told = "".join(f"{np.mean(one):7.3f}" for one in means)
    return f"{name:44}{told}{1000 * seconds / len(found):7.0f}"


if __name__ == "__main__":
    main()
