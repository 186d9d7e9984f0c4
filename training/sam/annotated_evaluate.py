"""Measures a SAM on the annotated photographs that it never learned from.

`python -m training.sam.annotated_evaluate --photographs DIR` judges the weights that ship as the
`demo` preset uses them; `--checkpoint FILE` judges a training checkpoint or packed weights. With
`--table` the automatic masks are made with low thresholds, and a row is printed for each of a grid;
`--scenes` has scenes of the held-out style beside them.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from segment_anything.modeling import Sam

from segsearch.core.types import Proposal
from segsearch.masks.rle import decode
from segsearch.models.presets import DEMO
from segsearch.models.segment.automatic import GeneratorSettings
from segsearch.models.segment.multilook import all_looks, find_masks
from segsearch.models.segment.prompts import check_prompts
from segsearch.models.segment.sam import SamSegmenter
from segsearch.models.segment.sam_lite import IMAGE_SIZE
from segsearch.models.segment.session import EncodingCache
from training.data.annotated import AnnotatedPhotograph, annotated, with_folder
from training.data.fetch import parser
from training.data.scene import Scene
from training.sam.annotated_pool import read_pixels
from training.sam.box_looks import box_iou
from training.sam.evaluate import AUTO_SMALLEST, KEPT_BYTES, deepest, held_out_scenes, iou, load

LARGE = 0.01  # of the picture: things above it are clicked on, and counted apart
MOST = 100  # automatic masks of a picture, for the average recall
RECALL_IOUS = np.linspace(0.5, 0.95, 10)
KNOWN = 0.5  # of an automatic mask lies in masks by people: then its true IoU is known
INSIDE = 0.85  # of an automatic mask lies in a thing: then it is the thing or a part of it
Picture = tuple[NDArray[np.uint8], list[NDArray[np.bool_]]]  # pixels (H, W, 3), true masks (H, W)
QUALITIES = (0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6)
STABILITIES = (0.2, 0.3, 0.4, 0.5)


@dataclass(frozen=True)
class Judged:
    """k automatic masks of one picture against m masks by people.

    `quality` and `stability` (k,) as the model has them; `overlap` (k, m) IoU; `inside` (k, m) the
    share of the automatic mask in the other; `known` (k,) the share of it in any; `areas` (m,)
    shares of the picture.
    """

    quality: NDArray[np.float64]
    stability: NDArray[np.float64]
    overlap: NDArray[np.float64]
    inside: NDArray[np.float64]
    known: NDArray[np.float64]
    areas: NDArray[np.float64]

    def above(self, quality: float, stability: float) -> Judged:
        """Those that pass both thresholds."""
        keep = (self.quality >= quality) & (self.stability >= stability)
        return replace(
            self, quality=self.quality[keep], stability=self.stability[keep],
            overlap=self.overlap[keep], inside=self.inside[keep], known=self.known[keep],
        )  # fmt: skip


def judged(proposals: list[Proposal], truths: list[NDArray[np.bool_]]) -> Judged:
    """Compare a picture's automatic masks with its true masks (H, W), one at least."""
    size = truths[0].size
    truth = np.stack([mask.ravel() for mask in truths]).astype(np.float32)
    made = [decode(proposal.mask).ravel() for proposal in proposals]
    masks = np.stack(made).astype(np.float32) if made else np.zeros((0, size), np.float32)
    shared = masks @ truth.T
    areas, own = truth.sum(1), masks.sum(1)
    return Judged(
        quality=np.array([proposal.predicted_iou for proposal in proposals]),
        stability=np.array([proposal.stability for proposal in proposals]),
        overlap=shared / np.maximum(own[:, None] + areas - shared, 1),
        inside=shared / np.maximum(own[:, None], 1),
        known=masks @ truth.max(0) / np.maximum(own, 1),
        areas=areas / size,
    )


def automatic_scores(pictures: list[Judged]) -> dict[str, float]:
    """How many things some mask finds, how many masks that takes, and what their quality tells."""
    best = np.concatenate([_best(picture) for picture in pictures])
    large = np.concatenate([picture.areas for picture in pictures]) > LARGE
    ranked = np.concatenate([_best(picture, MOST) for picture in pictures])
    firsts = [first for picture in pictures for first in _first_inside(picture)]
    scores = {
        "things": float(len(best)),
        "recall_0.5": float((best >= 0.5).mean()),
        "recall_0.7": float((best >= 0.7).mean()),
        "large_recall_0.5": float((best[large] >= 0.5).mean()),
        "large_recall_0.7": float((best[large] >= 0.7).mean()),
        "mean_best_iou": float(best.mean()),
        "average_recall_100": float((ranked[:, None] >= RECALL_IOUS).mean()),
        "whole_ranked_first": float(np.mean(firsts)),
        "masks_a_photograph": float(np.mean([len(picture.quality) for picture in pictures])),
    }
    return scores | quality_scores(pictures)


def quality_scores(pictures: list[Judged]) -> dict[str, float]:
    """What predicted IoU says about true IoU, of masks that lie where people outlined things."""
    sure = [picture.known >= KNOWN for picture in pictures]
    quality = np.concatenate([p.quality[keep] for p, keep in zip(pictures, sure, strict=True)])
    true = np.concatenate(
        [p.overlap[keep].max(1, initial=0.0) for p, keep in zip(pictures, sure, strict=True)]
    )
    return {
        "quality_correlation": float(np.corrcoef(quality, true)[0, 1]),
        "quality_error": float(np.abs(np.clip(quality, 0, 1) - true).mean()),
        "quality_auc_0.5": area_under_curve(quality, true >= 0.5),
        "known_masks": float(len(true)),
    }


def area_under_curve(values: NDArray[np.float64], right: NDArray[np.bool_]) -> float:
    """How often a right one has the higher value than a wrong one; NaN where a side is empty."""
    above = values[right][:, None] - values[~right]
    if not above.size:
        return float("nan")
    return float(((above > 0) + 0.5 * (above == 0)).mean())


def _best(picture: Judged, most: int | None = None) -> NDArray[np.float64]:
    """(m,) the best IoU for each thing, of all masks or those of the highest quality."""
    order = np.argsort(-picture.quality, kind="stable")[:most]
    return np.asarray(picture.overlap[order].max(0, initial=0.0))


def _first_inside(picture: Judged) -> Iterator[bool]:
    """For each large thing: whether the best-rated mask in it is all of it (IoU 0.5)."""
    for thing in np.flatnonzero(picture.areas > LARGE):
        inside = np.flatnonzero(
            (picture.inside[:, thing] >= INSIDE) | (picture.overlap[:, thing] >= 0.5)
        )
        first = inside[np.argmax(picture.quality[inside])] if len(inside) else None
        yield first is not None and bool(picture.overlap[first, thing] >= 0.5)


def click_scores(
    segmenter: SamSegmenter, photographs: list[AnnotatedPhotograph]
) -> dict[str, float]:
    """What one click on the deepest point of every large thing gives, as the product does it, and
    how often any mask of any look is right: what a better choice among them could reach."""
    rows = []
    for number, photograph in enumerate(photographs):
        pixels = read_pixels(photograph)
        picture = EncodingCache(KEPT_BYTES).open(segmenter, number, partial(np.asarray, pixels))
        for mask in photograph.masks:
            if mask.area > LARGE * mask.height * mask.width:
                truth = decode(mask)
                x, y = deepest(truth)
                offered = find_masks(picture, [(x + 0.5, y + 0.5)])
                found = [iou(truth, decode(offer.mask)) for offer in offered] or [0.0]
                looks = all_looks(picture, check_prompts(picture.size, [(x + 0.5, y + 0.5)]))
                every = [
                    iou(truth, decode(one.candidate.mask)) for look in looks for one in look
                ] or [0.0]
                rows.append((found[0], found[0] >= 0.5, max(found), max(every) >= 0.5))
    names = ("click_first", "click_first_0.5", "click_best_of_3", "click_any_look_0.5")
    return dict(zip(names, np.mean(rows, axis=0).tolist(), strict=True))


def box_scores(segmenter: SamSegmenter, photographs: list[AnnotatedPhotograph]) -> dict[str, float]:
    """How well some automatic mask's box meets each large box that people drew without a mask."""
    best: list[float] = []
    for photograph in photographs:
        whole = photograph.height * photograph.width
        boxes = [row.box for row in photograph.annotations if row.mask is None and not row.crowd]
        large = [box for box in boxes if (box[2] - box[0]) * (box[3] - box[1]) > LARGE * whole]
        if large:
            made = segmenter.propose(read_pixels(photograph))
            found = [proposal.mask.box.as_tuple() for proposal in made]
            best += [max((box_iou(one, box) for one in found), default=0.0) for box in large]
    reached = np.array(best)
    return {
        "boxes": float(len(reached)),
        "box_0.65": float((reached >= 0.65).mean()),
        "box_0.75": float((reached >= 0.75).mean()),
        "box_mean": float(reached.mean()),
    }


def pictures_of(photographs: list[AnnotatedPhotograph]) -> Iterator[Picture]:
    """Photographs and their masks by people."""
    for photograph in photographs:
        yield read_pixels(photograph), [decode(mask) for mask in photograph.masks]


def pictures_in(scenes: list[Scene]) -> Iterator[Picture]:
    """Scenes and their things of more than 1 % of the picture, as `evaluate.py` has it."""
    for scene in scenes:
        masks = [item.mask for item in scene.instances if item.mask.mean() > AUTO_SMALLEST]
        if masks:
            yield scene.pixels, masks


def evaluate(
    sam: Sam, pictures: Iterable[Picture], settings: GeneratorSettings
) -> tuple[list[Judged], float]:
    """Every picture's automatic masks, judged, and the seconds that one took to make."""
    segmenter = SamSegmenter(sam, identity="evaluated", settings=settings)
    rows, seconds = [], 0.0
    for pixels, truths in pictures:
        began = time.monotonic()
        proposals = segmenter.propose(pixels)
        seconds += time.monotonic() - began
        rows.append(judged(proposals, truths))
    return rows, seconds / len(rows)


def main() -> None:
    """Command line."""
    options = parser(__doc__)
    with_folder(options)
    options.add_argument("--checkpoint", type=Path)
    options.add_argument("--threads", type=int, default=1)
    options.add_argument("--no-clicks", action="store_true")
    options.add_argument("--boxes", action="store_true", help="judge by boxes without masks alone")
    options.add_argument("--table", action="store_true", help="try thresholds")
    options.add_argument("--scenes", type=int, default=0, help="in a second table")
    chosen = options.parse_args()
    torch.set_num_threads(chosen.threads)
    cv2.setNumThreads(1)
    held_out = annotated(chosen.photographs, validation=True)
    photographs = [one for one in held_out if one.masks]
    sam = load(chosen.checkpoint, IMAGE_SIZE)
    settings = GeneratorSettings(**DEMO.generator)
    if chosen.boxes:
        _print(box_scores(SamSegmenter(sam, identity="evaluated", settings=settings), held_out))
        return
    if chosen.table:
        loose = replace(
            settings, pred_iou_thresh=min(QUALITIES), stability_score_thresh=min(STABILITIES)
        )
        _print_table(evaluate(sam, pictures_of(photographs), loose)[0])
        if chosen.scenes:
            scenes = held_out_scenes(chosen.cache, chosen.scenes)
            _print_table(evaluate(sam, pictures_in(scenes), loose)[0])
        return
    pictures, seconds = evaluate(sam, pictures_of(photographs), settings)
    scores = automatic_scores(pictures) | {"seconds_a_photograph": seconds}
    if not chosen.no_clicks:
        segmenter = SamSegmenter(sam, identity="evaluated", settings=settings)
        scores |= click_scores(segmenter, photographs)
    _print(scores)


def _print(scores: dict[str, float]) -> None:
    for name, value in scores.items():
        print(f"{name} {value:.3f}")


def _print_table(pictures: list[Judged]) -> None:
    """One row for each pair of thresholds, applied after duplicates are gone."""
    names = ("recall_0.5", "recall_0.7", "average_recall_100", "whole_ranked_first",
             "masks_a_photograph")  # fmt: skip
    print("quality stability", *names, flush=True)
    for quality, stability in product(QUALITIES, STABILITIES):
        scores = automatic_scores([picture.above(quality, stability) for picture in pictures])
        print(f"{quality:.2f} {stability:.2f}", *(f"{scores[name]:.3f}" for name in names))


if __name__ == "__main__":
    main()
