"""SAM 2 behind the Segmenter port: our generator over its modules, every size built."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from segsearch.devices import CPU
from segsearch.errors import ModelError
from segsearch.segmenters.generator import GeneratorSettings, point_grid
from segsearch.segmenters.sam2 import BACKBONES, Sam2Segmenter, build_sam2, decode
from tests.unit.small_sam import patchwork
from tests.unit.small_sam2 import small_sam2

LOOSE = GeneratorSettings(
    points_per_side=6,
    pred_iou_thresh=0.0,
    stability_score_thresh=0.5,
    stability_score_offset=0.02,  # the logits of random weights are flat
    min_mask_region_area=4,
)
PARAMETERS = {  # millions, without the video half
    "hiera-tiny": 32,
    "hiera-small": 39,
    "hiera-base-plus": 74,
    "hiera-large": 217,
}


def segmenter(settings: GeneratorSettings = LOOSE) -> Sam2Segmenter:
    return Sam2Segmenter(small_sam2(), identity="small2@0", settings=settings)


def test_the_generator_s_candidates_are_the_decoder_s_masks_above_the_threshold() -> None:
    pixels = patchwork(90, 130)
    ours = segmenter()
    view = ours.look(pixels)
    points = point_grid(5) * (130, 90)  # more prompts than are decoded at once
    logits, predicted_iou = view.candidates(points, -1.0)
    where = view.picture.scaled(points)[None, :, None]
    prompt = {"input_points": where, "input_labels": torch.ones(1, 25, 1, dtype=torch.int64)}
    all_logits, all_iou = decode(ours._model, view.picture, prompt, CPU)
    assert torch.allclose(logits, all_logits.flatten(0, 1), atol=1e-4)
    assert torch.allclose(predicted_iou, all_iou.flatten(), atol=1e-5)
    middle = float(all_iou.median())
    assert len(view.candidates(points, middle)[1]) == int((all_iou > middle).sum())


@pytest.mark.parametrize("size", [(90, 130), (30, 200), (1, 1)])
def test_proposals_are_masks_of_the_picture_best_first(size: tuple[int, int]) -> None:
    found = segmenter().propose(patchwork(*size))
    assert all((one.mask.height, one.mask.width) == size for one in found)
    scores = [one.predicted_iou for one in found]
    assert scores == sorted(scores, reverse=True)
    assert size != (90, 130) or len(found) >= 1


def test_batches_change_no_mask() -> None:
    pixels = patchwork(90, 130)
    whole = segmenter().propose(pixels)
    assert whole
    assert segmenter(LOOSE.with_batch(5)).propose(pixels) == whole


def test_encoding_is_bounded_and_of_the_input() -> None:
    picture = segmenter().encode(patchwork(90, 130))
    assert picture.mask_size == (32, 32)
    assert picture.nbytes == sum(4 * one.numel() for one in picture.features)
    other = segmenter().encode(patchwork(90, 130, seed=1))
    assert not np.allclose(picture.features[-1], other.features[-1])


@pytest.mark.parametrize("architecture", BACKBONES)
def test_every_size_has_the_published_number_of_parameters(architecture: str) -> None:
    with torch.device("meta"):
        model = build_sam2(architecture)
    count = sum(one.numel() for one in model.parameters()) / 1e6
    assert abs(count - PARAMETERS[architecture]) < 1.5


def test_an_unknown_size_is_refused() -> None:
    with pytest.raises(ModelError, match="hiera-large"):
        build_sam2("hiera-huge")
