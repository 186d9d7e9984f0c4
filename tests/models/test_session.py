"""Pointing: the same masks as upstream's predictors, prompts checked, encodings kept in bounds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from segment_anything import SamPredictor
from transformers import Sam2ImageProcessorFast, Sam2Processor

from segsearch.core.arrays import Pixels
from segsearch.core.errors import InputError
from segsearch.core.types import Box
from segsearch.masks.crops import cut
from segsearch.models.protocols import Encoded, Promptable, PromptedMasks
from segsearch.models.segment.automatic import GeneratorSettings
from segsearch.models.segment.prompts import Prompts
from segsearch.models.segment.sam import SamSegmenter
from segsearch.models.segment.sam2 import Sam2Segmenter
from segsearch.models.segment.session import EncodingCache, OpenPicture
from tests.support.small_sam import patchwork, small_sam
from tests.support.small_sam2 import IMAGE, small_edgetam, small_sam2

SIZES = [(90, 130), (150, 150), (211, 64)]
SETTINGS = GeneratorSettings(points_per_side=4)
PROMPTS: dict[str, dict[str, Any]] = {
    "a point": {"points": [[30.5, 40]]},
    "points, one negative": {"points": [[30, 40], [50, 12], [3, 70]], "labels": [1, 1, 0]},
    "a box": {"boxes": [[10, 5, 60, 44]]},
    "a box and a point": {"boxes": [[10, 5, 60, 44]], "points": [[20, 20]], "labels": [1]},
}


def sam() -> SamSegmenter:
    return SamSegmenter(small_sam(), identity="small@0", settings=SETTINGS)


def sam2() -> Sam2Segmenter:
    return Sam2Segmenter(small_sam2(), identity="small2@0", settings=SETTINGS)


def opened(segmenter: Promptable, pixels: Pixels) -> OpenPicture:
    return EncodingCache(1 << 30).open(segmenter, 1, lambda: pixels)


@pytest.mark.parametrize("multimask", [True, False])
@pytest.mark.parametrize("with_mask", [False, True])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("prompt", PROMPTS.values(), ids=PROMPTS)
def test_sam_answers_as_its_predictor_does(
    prompt: dict[str, Any], size: tuple[int, int], with_mask: bool, multimask: bool
) -> None:
    pixels = patchwork(*size, seed=2)
    predictor = SamPredictor(small_sam())
    predictor.set_image(pixels)
    picture = opened(sam(), pixels)
    mask = None
    if with_mask:
        mask = picture.segment(points=[[40, 30]]).logits[0, 1]
    given = {name: np.array(value) for name, value in prompt.items()}
    masks, predicted_iou, logits = predictor.predict(
        point_coords=given.get("points"),
        point_labels=given.get("labels", np.ones(len(given.get("points", [])))),
        box=given["boxes"][0] if "boxes" in given else None,
        mask_input=None if mask is None else mask[None],
        multimask_output=multimask,
    )
    answer = picture.segment(**prompt, mask_input=mask, multimask=multimask)
    assert np.abs(answer.logits[0] - logits).max() < 1e-3
    assert np.abs(answer.predicted_iou[0] - predicted_iou).max() < 1e-4
    assert (answer.masks[0] == masks).mean() > 0.9999
    assert 0 < answer.masks.mean() < 1


def oracle(
    model: Any, pixels: Pixels, prompt: dict[str, Any], mask: Any, multimask: bool
) -> tuple[Any, Any, Any]:
    """Masks, predicted IoU and logits of transformers' processor and whole forward pass."""
    side = {"height": IMAGE, "width": IMAGE}
    processor = Sam2Processor(Sam2ImageProcessorFast(size=side), target_size=IMAGE)
    points = prompt.get("points")
    inputs = processor(
        images=pixels,
        input_points=[[points]] if points else None,
        input_labels=[[prompt.get("labels", [1] * len(points))]] if points else None,
        input_boxes=[prompt["boxes"]] if "boxes" in prompt else None,
        return_tensors="pt",
    )
    if mask is not None:
        inputs["input_masks"] = torch.from_numpy(mask)[None, None]
    sizes = inputs.pop("original_sizes")
    with torch.no_grad():
        output = model(**inputs, multimask_output=multimask)
    masks = processor.post_process_masks(output.pred_masks, sizes)
    return masks[0].numpy(), output.iou_scores[0].numpy(), output.pred_masks[0].numpy()


@pytest.mark.parametrize("multimask", [True, False])
@pytest.mark.parametrize("with_mask", [False, True])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("prompt", PROMPTS.values(), ids=PROMPTS)
@pytest.mark.parametrize("build", [small_sam2, small_edgetam])
def test_sam2_answers_as_the_whole_model_of_transformers_does(
    build: Callable[[], Any],
    prompt: dict[str, Any],
    size: tuple[int, int],
    with_mask: bool,
    multimask: bool,
) -> None:
    pixels = patchwork(*size, seed=2)
    segmenter = Sam2Segmenter(build(), identity="small2@0", settings=SETTINGS)
    picture = opened(segmenter, pixels)
    mask = picture.segment(points=[[40, 30]]).logits[0, 1] if with_mask else None
    masks, predicted_iou, logits = oracle(build(), pixels, prompt, mask, multimask)
    answer = picture.segment(**prompt, mask_input=mask, multimask=multimask)
    assert np.abs(answer.logits - logits).max() < 1e-3
    assert np.abs(answer.predicted_iou - predicted_iou).max() < 1e-4
    assert (answer.masks == masks).mean() > 0.9999


@pytest.mark.parametrize("build", [sam, sam2])
def test_each_box_is_one_thing(build: Callable[[], Promptable]) -> None:
    picture = opened(build(), patchwork(90, 130))
    boxes = [[10, 5, 60, 44], [70, 20, 128, 80]]
    both = picture.segment(boxes=boxes, multimask=False)
    assert both.masks.shape == (2, 1, 90, 130)
    for row, box in enumerate(boxes):
        alone = picture.segment(boxes=[box], multimask=False)
        assert np.abs(both.logits[row] - alone.logits[0]).max() < 1e-4


@pytest.mark.parametrize("build", [sam, sam2])
def test_a_mask_alone_is_a_prompt(build: Callable[[], Promptable]) -> None:
    picture = opened(build(), patchwork(90, 130))
    first = picture.segment(points=[[40, 30]])
    assert picture.segment(mask_input=first.logits[0, 0]).masks.shape == (1, 3, 90, 130)


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "nothing": ({}, "Nothing is prompted"),
    "right of the picture": ({"points": [[131, 5]]}, "x 131, y 5 is outside the picture of 130"),
    "above": ({"points": [[5, -1]]}, "outside"),
    "not finite": ({"points": [[float("nan"), 5]]}, "not finite"),
    "no numbers": ({"points": [["a", 5]]}, "no numbers"),
    "three coordinates": ({"points": [[1, 2, 3]]}, r"shape \(1, 3\), expected \(n, 2\)"),
    "label 2": ({"points": [[1, 2]], "labels": [2]}, "label is 1"),
    "two labels": ({"points": [[1, 2]], "labels": [1, 0]}, "2 labels for 1 points"),
    "a box without area": ({"boxes": [[5, 5, 5, 9]]}, "x0 < x1"),
    "a box outside": ({"boxes": [[5, 5, 900, 9]]}, "outside"),
    "65 points": ({"points": [[1, 2]] * 65}, "65 points and boxes, expected at most 64"),
    "a mask of another size": ({"mask_input": np.zeros((3, 3))}, r"expected logits of \(64, 64\)"),
    "a mask with infinities": ({"mask_input": np.full((64, 64), np.inf)}, "not all finite"),
}


@pytest.mark.parametrize(("prompt", "reason"), WRONG.values(), ids=WRONG)
def test_a_wrong_prompt_is_refused_with_its_reason(prompt: dict[str, Any], reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        opened(sam(), patchwork(90, 130)).segment(**prompt)


class CountingSegmenter:
    """A real segmenter whose encodings are counted."""

    identity = "counted"

    looks_closer = False

    def __init__(self) -> None:
        self.inner = sam()
        self.encoded = 0

    def encode(self, pixels: Pixels) -> Encoded:
        self.encoded += 1
        return self.inner.encode(pixels)

    def answer(self, picture: Any, prompts: Prompts) -> PromptedMasks:
        return self.inner.answer(picture, prompts)


def test_a_picture_is_encoded_once_and_the_least_used_goes_first() -> None:
    segmenter = CountingSegmenter()
    pixels = patchwork(40, 60)
    size = segmenter.inner.encode(pixels).nbytes
    cache = EncodingCache(2 * size)
    for key in (1, 1, 2, 1):
        cache.open(segmenter, key, lambda: pixels).segment(points=[[5, 5]])
    assert segmenter.encoded == 2
    cache.open(segmenter, 3, lambda: pixels)  # 2 goes
    assert cache.nbytes == 2 * size
    cache.open(segmenter, 1, lambda: pixels)
    assert segmenter.encoded == 3
    still = cache.open(segmenter, 2, lambda: pixels)
    assert segmenter.encoded == 4
    for key in (5, 6, 7):
        cache.open(segmenter, key, lambda: pixels)
    assert still.segment(points=[[5, 5]]).masks.any() in (True, False)  # usable after it went


def test_a_crop_is_a_picture_of_its_own_and_encoded_once() -> None:
    segmenter = CountingSegmenter()
    pixels = patchwork(40, 60)
    reads: list[int] = []

    def read() -> Pixels:
        reads.append(1)
        return pixels

    picture = EncodingCache(1 << 30).open(segmenter, 1, read)
    first, again = (picture.crop(Box(20, 5, 50, 40)) for _ in range(2))
    assert segmenter.encoded == 2
    assert reads == [1]
    assert first.size == (35, 30)
    alone = opened(segmenter, cut(pixels, Box(20, 5, 50, 40))).segment(points=[[7, 9]])
    for crop in (first, again):
        assert (crop.segment(points=[[7, 9]]).logits == alone.logits).all()


def test_a_picture_larger_than_the_cache_is_answered_all_the_same() -> None:
    segmenter = sam()
    cache = EncodingCache(1)
    assert (
        cache.open(segmenter, 1, lambda: patchwork(40, 60)).segment(points=[[5, 5]]).masks.shape[1]
        == 3
    )
    assert cache.nbytes == 0
