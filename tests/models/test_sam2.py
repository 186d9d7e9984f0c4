"""SAM 2 behind the Segmenter port: our generator over its modules, every size built."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from transformers import Sam2ImageProcessorFast, Sam2Processor

from segsearch.core.arrays import BoolArray, Pixels
from segsearch.core.errors import ModelError
from segsearch.masks import rle
from segsearch.models.device import CPU
from segsearch.models.segment.automatic import GeneratorSettings, point_grid
from segsearch.models.segment.sam2 import BACKBONES, Sam2Segmenter, build_sam2, decode
from tests.support.small_sam import patchwork
from tests.support.small_sam2 import IMAGE, small_edgetam, small_sam2

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


Build = Callable[[], Any]


def segmenter(settings: GeneratorSettings = LOOSE, build: Build = small_sam2) -> Sam2Segmenter:
    return Sam2Segmenter(build(), identity="small2@0", settings=settings)


def every_mask_of_transformers(
    build: Build, pixels: Pixels, points: NDArray[np.float64]
) -> list[tuple[float, BoolArray]]:
    """(predicted IoU, mask) of three masks a point that are not empty, best first: the oracle."""
    side = {"height": IMAGE, "width": IMAGE}
    processor = Sam2Processor(Sam2ImageProcessorFast(size=side), target_size=IMAGE)
    prompts = [[[one] for one in points.tolist()]]
    inputs = processor(
        images=pixels,
        input_points=prompts,
        input_labels=[[[1] for _ in points]],
        return_tensors="pt",
    )
    sizes = inputs.pop("original_sizes")
    with torch.no_grad():
        output = build()(**inputs, multimask_output=True)
    answers = processor.post_process_masks(output.pred_masks, sizes)[0].flatten(0, 1).numpy()
    pairs = zip(output.iou_scores.flatten().tolist(), answers, strict=True)
    return sorted((one for one in pairs if one[1].any()), key=lambda one: -one[0])


def iou(mask: BoolArray, other: BoolArray) -> float:
    return float((mask & other).sum() / (mask | other).sum())


def test_the_generator_s_candidates_are_the_decoder_s_masks_above_the_threshold() -> None:
    pixels = patchwork(90, 130)
    ours = segmenter()
    view = ours.look(pixels)
    points = point_grid(5) * (130, 90)
    logits, predicted_iou = view.answer(points, -1.0)
    where = view.picture.scaled(points)[None, :, None]
    prompt = {"input_points": where, "input_labels": torch.ones(1, 25, 1, dtype=torch.int64)}
    all_logits, all_iou = decode(ours._model, view.picture, prompt, CPU)
    assert torch.allclose(logits, all_logits.flatten(0, 1), atol=1e-4)
    assert torch.allclose(predicted_iou, all_iou.flatten(), atol=1e-5)
    middle = float(all_iou.flatten().sort().values[37:39].mean())  # of 75, so none is equal to it
    assert len(view.answer(points, middle)[1]) == int((all_iou > middle).sum())


@pytest.mark.parametrize("build", [small_sam2, small_edgetam])
@pytest.mark.parametrize("size", [(90, 130), (128, 128), (211, 64)])
def test_automatic_masks_are_those_of_the_whole_model_of_transformers(
    size: tuple[int, int], build: Build
) -> None:
    """Every mask of every point, so none may be missing: no threshold, no duplicate removed."""
    pixels = patchwork(*size, seed=3)
    everything = replace(
        LOOSE, stability_score_thresh=0.0, box_nms_thresh=1.0, min_mask_region_area=0
    )
    proposals = segmenter(everything, build).propose(pixels)
    expected = every_mask_of_transformers(build, pixels, point_grid(6) * (size[1], size[0]))
    assert len(proposals) == len(expected) > 40
    for proposal, (predicted_iou, _) in zip(proposals, expected, strict=True):
        assert proposal.predicted_iou == pytest.approx(predicted_iou, abs=1e-5)
        alike = [other for score, other in expected if abs(score - proposal.predicted_iou) < 1e-4]
        assert max(iou(rle.decode(proposal.mask), other) for other in alike) > 0.99


@pytest.mark.parametrize("size", [(90, 130), (30, 200), (1, 1)])
def test_proposals_are_masks_of_the_picture_best_first(size: tuple[int, int]) -> None:
    proposals = segmenter().propose(patchwork(*size))
    assert all((proposal.mask.height, proposal.mask.width) == size for proposal in proposals)
    scores = [proposal.predicted_iou for proposal in proposals]
    assert scores == sorted(scores, reverse=True)
    assert size != (90, 130) or len(proposals) >= 1


def test_batches_change_no_mask() -> None:
    pixels = patchwork(90, 130)
    whole = segmenter().propose(pixels)
    assert whole
    assert segmenter(LOOSE.with_batch(5)).propose(pixels) == whole


def test_encoding_is_bounded_and_of_the_input() -> None:
    picture = segmenter().encode(patchwork(90, 130))
    assert picture.mask_size == (32, 32)
    assert picture.nbytes == sum(4 * tensor.numel() for tensor in picture.features)
    other = segmenter().encode(patchwork(90, 130, seed=1))
    assert not np.allclose(picture.features[-1], other.features[-1])


@pytest.mark.parametrize("architecture", BACKBONES)
def test_every_size_has_the_published_number_of_parameters(architecture: str) -> None:
    with torch.device("meta"):
        model = build_sam2(architecture)
    count = sum(parameter.numel() for parameter in model.parameters()) / 1e6
    assert abs(count - PARAMETERS[architecture]) < 1.5


def test_an_unknown_size_is_refused() -> None:
    with pytest.raises(ModelError, match="hiera-large"):
        build_sam2("hiera-huge")
