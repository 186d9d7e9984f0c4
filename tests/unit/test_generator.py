"""The mask generator against segment_anything's own."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest
import torch
from segment_anything import SamAutomaticMaskGenerator
from segment_anything.modeling import Sam
from segment_anything.utils import amg

from segsearch import masks
from segsearch.domain import Box, Proposal
from segsearch.errors import InputError
from segsearch.ports import BoolArray, Pixels
from segsearch.segmenters.generator import GeneratorSettings, crop_boxes, point_grid
from segsearch.segmenters.sam import SamSegmenter, fit_into_square
from tests.unit.small_sam import patchwork, small_sam

SETTINGS = GeneratorSettings(
    points_per_side=10, pred_iou_thresh=0.8, stability_score_thresh=0.7, box_nms_thresh=0.6
)
OURS_ONLY = ("one_mask_per_thing", "overlap_thresh")


def upstream(model: Sam, pixels: Pixels, settings: GeneratorSettings) -> list[dict[str, Any]]:
    options = {key: value for key, value in asdict(settings).items() if key not in OURS_ONLY}
    found = SamAutomaticMaskGenerator(model, **options).generate(pixels)
    return sorted(found, key=lambda one: (-one["predicted_iou"], -one["stability_score"]))


def ours(model: Sam, pixels: Pixels, settings: GeneratorSettings) -> list[Proposal]:
    return SamSegmenter(model, identity="small@0", settings=settings).propose(pixels)


def iou(one: BoolArray, other: BoolArray) -> float:
    return float((one & other).sum() / (one | other).sum())


@pytest.mark.parametrize(
    ("size", "changes"),
    [
        ((150, 203), {}),
        ((203, 150), {"points_per_batch": 7}),
        ((64, 64), {"stability_score_offset": 0.5}),
        ((60, 300), {"pred_iou_thresh": 0.0, "stability_score_thresh": 0.0}),
        ((150, 203), {"crop_n_layers": 1, "crop_n_points_downscale_factor": 2}),
        ((131, 90), {"crop_n_layers": 2, "points_per_side": 5, "crop_nms_thresh": 0.5}),
    ],
)
def test_every_mask_is_one_that_upstream_makes(
    size: tuple[int, int], changes: dict[str, Any]
) -> None:
    model, pixels = small_sam(blobs=True), patchwork(*size)
    settings = replace(SETTINGS, **changes)
    expected, found = upstream(model, pixels, settings), ours(model, pixels, settings)
    assert len(found) == len(expected) > 5
    for one, other in zip(found, expected, strict=True):
        assert one.predicted_iou == pytest.approx(other["predicted_iou"], abs=1e-5)
        assert one.stability == pytest.approx(other["stability_score"], abs=1e-2)
        assert iou(masks.decode(one.mask), other["segmentation"]) > 0.99
