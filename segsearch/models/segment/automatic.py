"""Turns a picture into every mask a promptable segmenter believes in, from a grid of points.

The result is that of segment_anything's SamAutomaticMaskGenerator (automatic_mask_generator.py);
the way there differs: masks that fail the predicted IoU are never enlarged, sizes and boxes come
from the small logits, and only masks that survive everything become pixels. Repeats of a mask one
pixel wide are dropped too: upstream's boxes of them have no area, so they overlap nothing there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from itertools import product
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision.ops import nms  # type: ignore[import-untyped]  # it ships no types

from segsearch.core.arrays import BoolArray, Pixels
from segsearch.core.errors import InputError
from segsearch.core.types import Box, Proposal
from segsearch.masks import rle
from segsearch.masks.enlarge import enlarged
from segsearch.masks.levels import shrunk
from segsearch.masks.refine import to_edges
from segsearch.models.segment.mask_stats import measure
from segsearch.models.segment.postprocess import drop_overlaps, tidy
from segsearch.models.segment.upsampling import Upsampling

FINE = 3  # times the working size: encoders and edges are shown this much of a larger picture
EDGE_PX = 20  # masks that end this close to a crop's inner edge were cut by it (utils/amg.py)
COPY_BYTES = 32 << 20  # of masks at a time from the device


@dataclass(frozen=True, slots=True)
class GeneratorSettings:
    """What changes a mask; names and defaults are segment_anything's where they mean the same.

    `points_per_batch` bounds memory and changes no mask. With `one_mask_per_thing`, a mask goes
    when more than `overlap_thresh` of it, or of the better mask it meets, is shared.

    With `coarse_points_per_side` the whole picture is asked in two passes: a coarse grid first,
    then only those points of the grid that no mask of the first pass covers. Masks above
    `settled_area_share` of the picture, mostly backgrounds, do not count. Parts of things that the
    first pass has can be lost; upstream knows nothing of the kind.

    With `edges_px`, outlines move to edges of the picture (`refine.to_edges`), each seen with its
    surroundings' longer side reduced to that many pixels: for segmenters whose outlines are rough.

    With `working_px`, masks of a larger picture are made, measured and compared on a grid with that
    longer side, and enlarged at the end. The encoder and the edges see the picture itself, as far
    as it tells them more, and thresholds in pixels are of the picture: what is found is what
    upstream's rule finds at full size, as 0 has it, but for the rounding to the grid.
    """

    points_per_side: int = 32
    points_per_batch: int = 64
    pred_iou_thresh: float = 0.88
    stability_score_thresh: float = 0.95
    stability_score_offset: float = 1.0
    box_nms_thresh: float = 0.7
    crop_n_layers: int = 0
    crop_nms_thresh: float = 0.7
    crop_overlap_ratio: float = 512 / 1500
    crop_n_points_downscale_factor: int = 1
    min_mask_region_area: int = 0
    one_mask_per_thing: bool = False
    overlap_thresh: float = 0.7
    coarse_points_per_side: int = 0
    settled_area_share: float = 0.15
    edges_px: int = 0
    working_px: int = 0

    def __post_init__(self) -> None:
        if min(self.points_per_side, self.points_per_batch) < 1:
            raise InputError("points_per_side and points_per_batch must be 1 or more.")

    def with_batch(self, points_per_batch: int) -> GeneratorSettings:
        """The same masks in other batches."""
        return replace(self, points_per_batch=points_per_batch)

    @property
    def document(self) -> dict[str, Any]:
        """Everything that changes a mask, as plain JSON values.

        Without later settings where they are off: recipes older than those stay what they are.
        """
        values = asdict(self)
        del values["points_per_batch"]
        for name in ("edges_px", "working_px"):
            if not values[name]:
                del values[name]
        return values


class View(Protocol):
    """One picture, or a crop of one, after the image encoder."""

    @property
    def upsampling(self) -> Upsampling:
        """How this view's logits become its pixels."""

    @property
    def threshold(self) -> float:
        """Logits above it belong to the mask."""

    def answer(self, points: NDArray[np.float64], min_iou: float) -> tuple[Tensor, Tensor]:
        """Logits (k, h, w) and predicted IoU (k,) of the masks above `min_iou`, by prompt.

        `points` (n, 2) are x, y in pixels of this view; each gives up to three masks.
        """


@dataclass(frozen=True, slots=True)
class ScoredMasks:
    """Masks of one view that passed every threshold, in the order of their prompts.

    `logits` (k, h, w) float32, `predicted_iou` and `stability` (k,) float32, `boxes` (k, 4) int64
    half-open in pixels of the view.
    """

    logits: Tensor
    predicted_iou: Tensor
    stability: Tensor
    boxes: Tensor

    def __getitem__(self, keep: Tensor) -> ScoredMasks:
        return ScoredMasks(
            self.logits[keep], self.predicted_iou[keep], self.stability[keep], self.boxes[keep]
        )


@torch.no_grad()
def generate(
    pixels: Pixels, look: Callable[..., View], settings: GeneratorSettings
) -> list[Proposal]:
    """Every mask of a picture (H, W, 3) that passes the settings, best first.

    Best means the highest predicted IoU, then stability. `look` encodes a picture or a crop; its
    view has as many pixels (h, w) as it is told.
    """
    height, width = pixels.shape[:2]
    whole = Box(0, 0, width, height)
    scale = min(1.0, (settings.working_px or math.inf) / max(height, width))
    grid = _scaled(whole, scale, scale)
    fine = pixels if scale == 1 else shrunk(pixels, FINE * settings.working_px)
    steps = fine.shape[1] / width, fine.shape[0] / height
    proposals: list[Proposal] = []
    crop_areas: list[int] = []
    for crop, layer in crop_boxes(whole, settings):
        seen, part = _scaled(crop, grid.width / width, grid.height / height), _scaled(crop, *steps)
        view = look(
            np.ascontiguousarray(fine[part.y0 : part.y1, part.x0 : part.x1]),
            (seen.height, seen.width),
        )
        masks = _masks_of_view(view, seen, grid, (settings, layer), scale)
        proposals += _proposals(masks, view, seen, grid)
        crop_areas += [crop.area] * (len(proposals) - len(crop_areas))
    if settings.crop_n_layers:
        # A smaller crop shows the same thing larger, so its mask is preferred.
        scores = [1 / area for area in crop_areas]
        proposals = _without_duplicates(proposals, scores, settings.crop_nms_thresh)
    if settings.edges_px:
        proposals = [
            replace(proposal, mask=to_edges(fine, proposal.mask, settings.edges_px))
            for proposal in proposals
        ]
    if settings.min_mask_region_area:
        proposals = _tidy_all(proposals, settings, scale)
    proposals.sort(key=_rank)
    if settings.one_mask_per_thing:
        proposals = drop_overlaps(proposals, settings.overlap_thresh)
    if scale == 1:
        return proposals
    return [
        replace(one, mask=enlarged(one.mask, height, width), seen=one.mask) for one in proposals
    ]


def _scaled(box: Box, wide: float, tall: float) -> Box:
    """A box on a frame with other sides; never empty."""
    x0, y0 = int(box.x0 * wide + 0.5), int(box.y0 * tall + 0.5)
    x1, y1 = int(box.x1 * wide + 0.5), int(box.y1 * tall + 0.5)
    return Box(x0, y0, max(x1, x0 + 1), max(y1, y0 + 1))


def crop_boxes(whole: Box, settings: GeneratorSettings) -> Iterator[tuple[Box, int]]:
    """The picture itself as layer 0, then 4 ** n overlapping crops of each layer n.

    Layer n has 2 ** n crops a side, and neighbours share `crop_overlap_ratio` of the picture's
    shorter side, halved from layer to layer (utils/amg.py, generate_crop_boxes).
    """
    yield whole, 0
    for layer in range(1, settings.crop_n_layers + 1):
        count = 2**layer
        shared = int(settings.crop_overlap_ratio * min(whole.width, whole.height) * 2 / count)
        crop_w, crop_h = (
            math.ceil((shared * (count - 1) + side) / count) for side in (whole.width, whole.height)
        )
        for column, row in product(range(count), repeat=2):
            x0, y0 = (crop_w - shared) * column, (crop_h - shared) * row
            crop = Box(x0, y0, min(x0 + crop_w, whole.width), min(y0 + crop_h, whole.height))
            if crop.width > 0 and crop.height > 0:
                yield crop, layer


def point_grid(per_side: int) -> NDArray[np.float64]:
    """(per_side ** 2, 2) x, y in [0, 1]: the centres of equal cells, row by row."""
    margin = 1 / (2 * per_side)
    side = np.linspace(margin, 1 - margin, per_side)
    x, y = np.meshgrid(side, side)
    return np.stack([x.ravel(), y.ravel()], axis=1)


def _masks_of_view(
    view: View, crop: Box, whole: Box, effort: tuple[GeneratorSettings, int], scale: float
) -> ScoredMasks:
    """What the point grid finds in one crop, duplicates removed."""
    settings, layer = effort
    per_side = settings.points_per_side // settings.crop_n_points_downscale_factor**layer
    points = point_grid(max(1, per_side)) * (crop.width, crop.height)
    if settings.coarse_points_per_side and not layer:
        coarse = point_grid(settings.coarse_points_per_side) * (crop.width, crop.height)
        first = _ask(view, coarse, settings)
        uncovered = points[~_covered(view, first, points, settings)]
        masks = _join([first, _ask(view, uncovered, settings)])
    else:
        masks = _ask(view, points, settings)
    masks = masks[~_cut_by_crop(masks.boxes, crop, whole, EDGE_PX * scale)]
    return masks[nms(_with_area(masks.boxes), masks.predicted_iou, settings.box_nms_thresh)]


def _ask(view: View, points: NDArray[np.float64], settings: GeneratorSettings) -> ScoredMasks:
    """The masks of points (n, 2) that pass the thresholds, a batch at a time."""
    starts = range(0, max(1, len(points)), settings.points_per_batch)
    return _join(
        [
            _ask_batch(view, points[start : start + settings.points_per_batch], settings)
            for start in starts
        ]
    )


def _join(parts: list[ScoredMasks]) -> ScoredMasks:
    return ScoredMasks(
        torch.cat([masks.logits for masks in parts]),
        torch.cat([masks.predicted_iou for masks in parts]),
        torch.cat([masks.stability for masks in parts]),
        torch.cat([masks.boxes for masks in parts]),
    )


def _covered(
    view: View, first: ScoredMasks, points: NDArray[np.float64], settings: GeneratorSettings
) -> NDArray[np.bool_]:
    """(n,) bool: points (n, 2) that lie in a mask of the first pass which is no background."""
    height, width = view.upsampling.size
    last = torch.tensor([width - 1, height - 1])
    places = torch.from_numpy(points).long().clamp(min=0).minimum(last)
    inside = view.upsampling.at(first.logits, places.to(first.logits.device)) > view.threshold
    share = measure(view.upsampling, first.logits, view.threshold, 0.0).area / (height * width)
    return np.asarray(inside[share <= settings.settled_area_share].any(0).cpu())


def _ask_batch(view: View, points: NDArray[np.float64], settings: GeneratorSettings) -> ScoredMasks:
    """The masks of one batch of points that pass predicted IoU and stability."""
    min_iou = settings.pred_iou_thresh if settings.pred_iou_thresh > 0 else -math.inf
    logits, predicted_iou = view.answer(points, min_iou)
    stats = measure(view.upsampling, logits, view.threshold, settings.stability_score_offset)
    stability = stats.stability
    keep = stats.area > 0
    if settings.stability_score_thresh > 0:
        keep &= stability >= settings.stability_score_thresh
    return ScoredMasks(logits, predicted_iou, stability, stats.boxes)[keep]


def _cut_by_crop(boxes: Tensor, crop: Box, whole: Box, near_px: float) -> Tensor:
    """(k,) bool: boxes (k, 4) that end near the crop's edge where that is not the picture's."""
    offset = torch.tensor([crop.x0, crop.y0, crop.x0, crop.y0], device=boxes.device)
    edges = _inclusive(boxes + offset)
    inner, outer = (
        torch.tensor(box.as_tuple(), dtype=edges.dtype, device=boxes.device)
        for box in (crop, whole)
    )
    return (((edges - inner).abs() <= near_px) & ((edges - outer).abs() > near_px)).any(1)


def _inclusive(boxes: Tensor) -> Tensor:
    """Boxes (k, 4) as float32 with x1, y1 inside: what upstream gives to NMS and edge tests."""
    last = torch.tensor([0, 0, 1, 1], device=boxes.device)
    return (boxes - last).float()


def _with_area(boxes: Tensor) -> Tensor:
    """Boxes as `_inclusive` gives them, none without width or height."""
    edges = _inclusive(boxes)
    edges[:, 2:] = torch.maximum(edges[:, 2:], edges[:, :2] + 1)
    return edges


def _proposals(masks: ScoredMasks, view: View, crop: Box, whole: Box) -> Iterator[Proposal]:
    """Pixels at last: the surviving masks of a view, as run lengths in the whole picture."""
    boxes = masks.boxes.tolist()
    arrays = _cut_all(masks.logits, boxes, view)
    scores = zip(masks.predicted_iou.tolist(), masks.stability.tolist(), strict=True)
    for array, box, (predicted_iou, stability) in zip(arrays, boxes, scores, strict=True):
        origin = (crop.x0 + box[0], crop.y0 + box[1])
        mask = rle.encode(array, origin=origin, size=(whole.height, whole.width))
        if mask is not None:
            yield Proposal(mask, predicted_iou, stability)


def _cut_all(
    logits: Tensor, boxes: list[tuple[int, int, int, int]], view: View
) -> Iterator[BoolArray]:
    """Each mask inside its box, (y1-y0, x1-x0); copied from the device many at a time."""
    waiting: list[Tensor] = []
    for index, (mask_logits, box) in enumerate(zip(logits, boxes, strict=True), 1):
        waiting.append(view.upsampling.cut(mask_logits, box, view.threshold))
        if index == len(boxes) or sum(cut.numel() for cut in waiting) > COPY_BYTES:
            flat = torch.cat([cut.flatten() for cut in waiting]).cpu().numpy()
            ends = np.cumsum([cut.numel() for cut in waiting])
            parts = np.split(flat, ends[:-1])
            yield from (part.reshape(cut.shape) for part, cut in zip(parts, waiting, strict=True))
            waiting = []


def _without_duplicates(
    proposals: list[Proposal], scores: list[float], threshold: float
) -> list[Proposal]:
    """Box NMS over proposals; among equal scores the earlier one stays."""
    if not proposals:
        return []
    boxes = torch.tensor([proposal.mask.box.as_tuple() for proposal in proposals])
    keep = nms(_with_area(boxes), torch.tensor(scores), threshold)
    return [proposals[index] for index in keep.tolist()]


def _tidy_all(
    proposals: list[Proposal], settings: GeneratorSettings, scale: float
) -> list[Proposal]:
    """Proposals without small holes and islands; untouched masks win over those changed."""
    tidied = [
        replace(proposal, mask=tidy(proposal.mask, settings.min_mask_region_area * scale**2))
        for proposal in proposals
    ]
    unchanged = [float(new.mask == old.mask) for new, old in zip(tidied, proposals, strict=True)]
    threshold = max(settings.box_nms_thresh, settings.crop_nms_thresh)
    return _without_duplicates(tidied, unchanged, threshold)


def _rank(proposal: Proposal) -> tuple[float, float, tuple[int, int, int, int]]:
    return (-proposal.predicted_iou, -proposal.stability, proposal.mask.box.as_tuple())
