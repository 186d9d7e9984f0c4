"""Retrieval and mask measures over a collection whose truth is known.

Queries are category names. Picture recall at k by object size: over all pairs of a name and a
picture that shows it, the share where fewer than k pictures without that thing score higher (the
"filtered" rank of Bordes et al. 2013, so that several right pictures do not crowd each other out).
Region mAP and mask recall (AR) are COCO's, computed by pycocotools; mAP over an answer's regions
(`ANSWERS`, `PER_PICTURE`), so things that are more than those in number stay far below 1.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from segsearch.core.arrays import Vectors
from segsearch.core.judged_order import judged_order
from segsearch.core.types import Mask, Segment
from segsearch.masks.rle import iou, to_coco
from segsearch.search.evaluation.methods import Regions
from segsearch.search.evaluation.truth import TruePicture
from segsearch.search.ranking import Ranked, Rules, rank

SMALL, LARGE = 0.05, 0.15  # shares of the picture's area where medium begins and ends
SIZES = ("small", "medium", "large")
DEPTHS = (1, 5, 10)
RIGHT_IOU = 0.5
ANSWERS, PER_PICTURE = 30, 3  # regions a query that the region measures look at, and of a picture
AR_LIMITS = (100, 1000)
# A name and the regions that answer it, best first -> how surely each shows it, None where nobody
# says. A segment's `image_id` is the place of its picture.
Rerank = Callable[[str, Sequence[Segment]], Sequence[float | None]]
PROMINENT, REACHED_IOU = 0.01, 0.7  # share of the picture's area; IoU of the closest mask


@dataclass(frozen=True, slots=True)
class Row:
    """The measures of one method; shares in [0, 1], nan where nothing could be measured."""

    method: str
    picture_recall: dict[str, dict[int, float]]
    first_right: float
    map_50: float
    map_75: float
    right_iou: float
    recall_100: float
    recall_1000: float
    reached: float  # of the things over PROMINENT, those that some mask meets at REACHED_IOU
    regions: float
    seconds: float


def size_of(share: float) -> str:
    """small, medium or large by the share of the picture's area."""
    return SIZES[0] if share < SMALL else SIZES[1] if share < LARGE else SIZES[2]


def picture_recall(
    pictures: Sequence[TruePicture], names: Sequence[str], scores: NDArray[np.float32]
) -> dict[str, dict[int, float]]:
    """Size -> k -> recall, from scores (names, pictures)."""
    shows = np.array([[any(t.name == n for t in p.things) for p in pictures] for n in names])
    ranks: dict[str, list[int]] = {size: [] for size in SIZES}
    for row, name in enumerate(names):
        wrong = scores[row][~shows[row]]
        for column in np.flatnonzero(shows[row]).tolist():
            share = max(t.share for t in pictures[column].things if t.name == name)
            ranks[size_of(share)].append(int((wrong >= scores[row, column]).sum()))
    return {
        size: {
            k: float(np.mean(np.array(positions) < k)) if positions else float("nan")
            for k in DEPTHS
        }
        for size, positions in ranks.items()
    }


def measure(  # noqa: PLR0913  what is measured, on what, by which truth and whose judgement
    method: str,
    pictures: Sequence[TruePicture],
    regions: Sequence[Regions],
    quality: Sequence[Sequence[float]],
    queries: tuple[Sequence[str], Vectors],
    rerank: Rerank | None = None,
) -> Row:
    """All measures of one method, with its answers in the order of a judge where one is given.

    `regions` and `quality` go with `pictures`; `queries` are names and their vectors (names, d).
    """
    names, asked = queries
    vectors = np.concatenate([part.vectors for part in regions])
    owner = np.repeat(np.arange(len(regions)), [len(part.masks) for part in regions])
    scores = asked @ vectors.T  # (names, regions)
    best = np.full((len(names), len(pictures)), -np.inf, np.float32)
    for column in range(len(pictures)):
        own = scores[:, owner == column]
        if own.shape[1]:
            best[:, column] = own.max(axis=1)
    flat = [mask for part in regions for mask in part.masks]
    answers = [_answers(row, flat, owner) for row in scores]
    if rerank is not None:
        for row, (name, answer) in enumerate(zip(names, answers, strict=True)):
            answers[row] = _reranked(answer, rerank(name, [segment for _, segment in answer]))
            _move_pictures(best[row], answer, answers[row])
    overlaps = [_first_overlap(pictures, *pair) for pair in zip(names, answers, strict=True)]
    right = [overlap for overlap in overlaps if overlap >= RIGHT_IOU]
    truth = _coco_truth(pictures, names)
    at_50, at_75 = _mean_precision(truth, answers)
    recalls = _mask_recall(truth, regions, quality)
    return Row(
        method,
        picture_recall(pictures, names, best),
        len(right) / len(names),
        at_50,
        at_75,
        float(np.mean(right)) if right else float("nan"),
        *recalls,
        reached(pictures, [part.masks for part in regions]),
        len(flat) / len(pictures),
        sum(part.seconds for part in regions) / len(pictures),
    )


def _answers(scores: NDArray[np.float32], masks: list[Mask], owner: NDArray[Any]) -> list[Ranked]:
    """The regions that answer one query, best first, repeats removed as the product does."""
    order = np.argsort(-scores, kind="stable")

    def nearest(k: int) -> tuple[list[float], list[int]]:
        return scores[order[:k]].tolist(), order[:k].tolist()

    def fetch(ids: list[int]) -> dict[int, Segment]:
        return {
            number: Segment(number, int(owner[number]), masks[number], 0.0, 0.0) for number in ids
        }

    return rank(nearest, fetch, ANSWERS, Rules(PER_PICTURE, whole_things=True))[0]


def _reranked(answer: list[Ranked], judged: Sequence[float | None]) -> list[Ranked]:
    """An answer in its new order; the best place keeps the best score."""
    scores = [score for score, _ in answer]
    moved = [answer[entry][1] for entry in judged_order(judged)]
    return list(zip(scores, moved, strict=True))


def _move_pictures(
    best: NDArray[np.float32], before: Sequence[Ranked], after: Sequence[Ranked]
) -> None:
    """Let the pictures of an answer share out their scores (pictures,) anew, as its regions did."""
    old, new = (
        list(dict.fromkeys(segment.image_id for _, segment in answer)) for answer in (before, after)
    )
    best[new] = best[old]


def _first_overlap(pictures: Sequence[TruePicture], name: str, answers: list[Ranked]) -> float:
    """IoU of the best answer with the thing it covers best; 0 when it covers none."""
    if not answers:
        return 0.0
    segment = answers[0][1]
    things = pictures[segment.image_id].things
    return max((iou(segment.mask, t.mask) for t in things if t.name == name), default=0.0)


def _coco_truth(pictures: Sequence[TruePicture], names: Sequence[str]) -> COCO:
    """The truth as pycocotools holds it; images and categories are numbered from 1."""
    number = {name: index for index, name in enumerate(names, 1)}
    images = [
        {"id": index, "width": picture.width, "height": picture.height}
        for index, picture in enumerate(pictures, 1)
    ]
    rows = [
        {
            "image_id": index,
            "category_id": number[thing.name],
            "segmentation": to_coco(thing.mask),
            "area": thing.mask.area,
            "bbox": _xywh(thing.mask),
            "iscrowd": 0,
        }
        for index, picture in enumerate(pictures, 1)
        for thing in picture.things
    ]
    categories = [{"id": index, "name": name} for name, index in number.items()]
    truth = COCO()
    truth.dataset = {
        "info": {},
        "images": images,
        "categories": categories,
        "annotations": [{"id": index, **row} for index, row in enumerate(rows, 1)],
    }
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
    return truth


def mean_precision(
    pictures: Sequence[TruePicture], names: Sequence[str], answers: Sequence[list[Ranked]]
) -> tuple[float, float]:
    """mAP over names at IoU 0.5 and 0.75 of the regions that answer each name, best first.

    A segment's `image_id` is the place of its picture in `pictures`.
    """
    return _mean_precision(_coco_truth(pictures, names), answers)


def _mean_precision(truth: COCO, answers: Sequence[list[Ranked]]) -> tuple[float, float]:
    """mAP over names at IoU 0.5 and 0.75 of the regions that answer each name."""
    rows = [
        {
            "image_id": segment.image_id + 1,
            "category_id": number,
            "segmentation": to_coco(segment.mask),
            "score": score,
        }
        for number, answer in enumerate(answers, 1)
        for score, segment in answer
    ]
    judged = _judged(truth, rows, limits=[ANSWERS], overlaps=[0.5, 0.75], by_name=True)
    if judged is None:
        return 0.0, 0.0
    precision = judged["precision"][:, :, :, 0, 0]  # (IoU, recall, name)
    at = [float(part[part > -1].mean()) for part in precision]
    return at[0], at[1]


def reached(pictures: Sequence[TruePicture], masks: Sequence[Sequence[Mask]]) -> float:
    """The share of things over 1 % of their picture that some mask of it meets at IoU 0.7."""
    best = [
        max((iou(mask, thing.mask) for mask in own), default=0.0)
        for picture, own in zip(pictures, masks, strict=True)
        for thing in picture.things
        if thing.share > PROMINENT
    ]
    return float(np.mean(np.array(best) >= REACHED_IOU)) if best else float("nan")


def mask_recall(
    pictures: Sequence[TruePicture],
    masks: Sequence[tuple[Mask, ...]],
    quality: Sequence[Sequence[float]],
) -> tuple[float, float]:
    """AR at 100 and 1000 masks a picture over IoU 0.5 to 0.95, best quality first."""
    names = sorted({thing.name for picture in pictures for thing in picture.things})
    nothing = np.empty((0, 0), dtype=np.float32)
    regions = [Regions(part, nothing, 0.0) for part in masks]
    return _mask_recall(_coco_truth(pictures, names), regions, quality)


def _mask_recall(
    truth: COCO, regions: Sequence[Regions], quality: Sequence[Sequence[float]]
) -> tuple[float, float]:
    """AR at 100 and 1000 regions a picture over IoU 0.5 to 0.95, whatever the name."""
    rows = [
        {"image_id": index, "category_id": 1, "segmentation": to_coco(mask), "score": float(score)}
        for index, (part, scores) in enumerate(zip(regions, quality, strict=True), 1)
        for mask, score in zip(part.masks, scores, strict=True)
    ]
    overlaps = np.linspace(0.5, 0.95, 10).tolist()
    judged = _judged(truth, rows, limits=list(AR_LIMITS), overlaps=overlaps, by_name=False)
    if judged is None:
        return 0.0, 0.0
    recall = judged["recall"][:, 0, 0]  # (IoU, limit)
    at = [float(recall[:, index].mean()) for index in range(len(AR_LIMITS))]
    return at[0], at[1]


def _judged(
    truth: COCO,
    rows: list[dict[str, Any]],
    *,
    limits: list[int],
    overlaps: list[float],
    by_name: bool,
) -> dict[str, Any] | None:
    """COCOeval's arrays for these detections; None when there are none."""
    if not rows:
        return None
    with contextlib.redirect_stdout(io.StringIO()):
        judge = COCOeval(truth, truth.loadRes(rows), "segm")
        judge.params.maxDets = limits
        judge.params.iouThrs = np.array(overlaps)
        judge.params.useCats = int(by_name)
        judge.params.areaRng = [[0, 1e10]]
        judge.params.areaRngLbl = ["all"]
        judge.evaluate()
        judge.accumulate()
    result: dict[str, Any] = judge.eval
    return result


def _xywh(mask: Mask) -> list[int]:
    box = mask.box
    return [box.x0, box.y0, box.width, box.height]
