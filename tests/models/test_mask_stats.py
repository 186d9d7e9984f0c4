"""Areas, boxes and cuts from small logits against enlarging everything as upstream does."""

from __future__ import annotations

import pytest
import torch
from segment_anything.utils import amg
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - the name torch's own documentation uses

from segsearch.models.segment.mask_stats import measure
from segsearch.models.segment.upsampling import Upsampling

# the decoder's (h, w), the model's square, the picture in it (h, w), the picture (H, W)
CASES = [
    ((64, 64), 128, (95, 128), (150, 203)),
    ((64, 64), 128, (128, 57), (300, 133)),
    ((48, 48), 96, (96, 96), (31, 31)),
    ((40, 40), 80, (1, 80), (1, 2000)),
    ((40, 40), 80, (80, 80), (1, 1)),
    ((64, 64), 256, (256, 200), (512, 400)),
]


def enlarged(logits: Tensor, square: int, inside: tuple[int, int], size: tuple[int, int]) -> Tensor:
    options = {"mode": "bilinear", "align_corners": False}
    whole = F.interpolate(logits[None], (square, square), **options)  # type: ignore[arg-type]  # a dict of mixed types
    return F.interpolate(whole[..., : inside[0], : inside[1]], size, **options)[0]  # type: ignore[arg-type]  # see above


def smooth(count: int, low: tuple[int, int]) -> Tensor:
    """Logits (count, h, w) from empty to full, with boundaries of any shape."""
    torch.manual_seed(0)
    coarse = F.interpolate(torch.randn(1, count, 6, 6), low, mode="bicubic")[0]
    return 8 * coarse + torch.linspace(-30, 30, count)[:, None, None]


@pytest.mark.parametrize(("low", "square", "inside", "size"), CASES)
@pytest.mark.parametrize("threshold", [0.0, 1.5])
def test_measures_equal_those_of_the_enlarged_masks(
    low: tuple[int, int],
    square: int,
    inside: tuple[int, int],
    size: tuple[int, int],
    threshold: float,
) -> None:
    logits = smooth(25, low)
    upsampling = Upsampling.through_square(low, square, inside, size)
    full = enlarged(logits, square, inside, size)
    measures = measure(upsampling, logits, threshold, offset=1.0)
    for areas, at in (
        (measures.area, threshold),
        (measures.stable_area, threshold + 1),
        (measures.wide_area, threshold - 1),
    ):
        assert areas.tolist() == (full > at).flatten(1).sum(1).tolist()
    boxes = amg.batched_mask_to_box(full > threshold)
    half_open = boxes + torch.tensor([0, 0, 1, 1]) * (measures.area > 0)[:, None]
    assert measures.boxes.tolist() == half_open.tolist()


@pytest.mark.parametrize(("low", "square", "inside", "size"), CASES)
def test_a_cut_is_the_part_of_the_enlarged_mask_inside_its_box(
    low: tuple[int, int], square: int, inside: tuple[int, int], size: tuple[int, int]
) -> None:
    logits = smooth(9, low)
    upsampling = Upsampling.through_square(low, square, inside, size)
    full = enlarged(logits, square, inside, size) > 0.0
    for small, whole, box in zip(logits, full, measure(upsampling, logits, 0.0).boxes, strict=True):
        x0, y0, x1, y1 = box.tolist()
        if x1 > x0:
            assert torch.equal(upsampling.cut(small, (x0, y0, x1, y1), 0.0), whole[y0:y1, x0:x1])


def test_no_masks_have_no_measures() -> None:
    upsampling = Upsampling.through_square((8, 8), 16, (16, 12), (32, 24))
    assert measure(upsampling, torch.empty(0, 8, 8), 0.0).boxes.shape == (0, 4)
