"""What holds for decoder and generator whatever the shapes and logits: random and hostile ones."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - the name torch's own documentation uses

from segsearch.core.arrays import BoolArray, Pixels
from segsearch.masks import rle
from segsearch.masks.rle import iou
from segsearch.models.segment.automatic import GeneratorSettings, generate, point_grid
from segsearch.models.segment.fast_decoder.decoder import ExactDecoder
from segsearch.models.segment.mask_stats import measure
from segsearch.models.segment.postprocess import tidy
from segsearch.models.segment.sam import SamSegmenter
from segsearch.models.segment.upsampling import Upsampling
from tests.support.small_sam import patchwork, small_decoder, small_sam

few = settings(max_examples=25, deadline=None)
SQUARE = 64  # px, the side of the model's input
LOW = 16  # logits a side
CERTAIN = torch.full((1, LOW, LOW), 5.0)  # one mask over everything
sides = st.integers(1, 90)
EVERYTHING = GeneratorSettings(
    points_per_side=2, pred_iou_thresh=0.0, stability_score_thresh=0.0, box_nms_thresh=1.0
)


def upsampling_of(height: int, width: int) -> Upsampling:
    scale = SQUARE / max(height, width)
    inside = (max(1, round(height * scale)), max(1, round(width * scale)))
    return Upsampling.through_square((LOW, LOW), SQUARE, inside, (height, width))


def enlarged(logits: Tensor, height: int, width: int) -> Tensor:
    """The whole way that upstream goes, (k, H, W)."""
    scale = SQUARE / max(height, width)
    inside = (max(1, round(height * scale)), max(1, round(width * scale)))
    whole = F.interpolate(logits[None], (SQUARE, SQUARE), mode="bilinear", align_corners=False)
    cut = whole[..., : inside[0], : inside[1]]
    return F.interpolate(cut, (height, width), mode="bilinear", align_corners=False)[0]


@dataclass(frozen=True)
class Fixed:
    """A view whose every point answers with the same logits (k, h, w) and predicted IoU (k,)."""

    logits: Tensor
    predicted_iou: Tensor
    upsampling: Upsampling
    threshold: float = 0.0

    def answer(self, points: NDArray[np.float64], min_iou: float) -> tuple[Tensor, Tensor]:
        keep = self.predicted_iou > min_iou
        times = len(points)
        return self.logits[keep].repeat(times, 1, 1), self.predicted_iou[keep].repeat(times)


@given(
    grid=st.tuples(st.integers(1, 7), st.integers(1, 7)),
    prompts=st.integers(1, 6),
    heads=st.sampled_from([1, 2, 4]),
    scale=st.sampled_from([0.0, 1e-3, 1.0, 30.0]),
    seed=st.integers(0, 99),
)
@few
@torch.no_grad()
def test_the_decoder_equals_upstreams_at_any_shape_and_scale(
    grid: tuple[int, int], prompts: int, heads: int, scale: float, seed: int
) -> None:
    module = small_decoder(32, 48, heads, seed % 3)
    torch.manual_seed(seed)
    embedding, place = (scale * torch.randn(1, 32, *grid) for _ in range(2))
    no_mask, points = torch.randn(1, 32), torch.randn(prompts, 2, 32)
    expected, expected_iou = module(
        image_embeddings=embedding,
        image_pe=place,
        sparse_prompt_embeddings=points,
        dense_prompt_embeddings=no_mask[..., None, None].expand_as(embedding),
        multimask_output=True,
    )
    exact = ExactDecoder(module)
    logits, predicted_iou = exact.decode(exact.prepare(embedding, place, no_mask), points, -9e9)
    assert torch.isfinite(logits).all()
    assert (logits - expected.flatten(0, 1)).abs().max() <= 1e-3 * expected.abs().max()
    torch.testing.assert_close(predicted_iou, expected_iou.flatten(), rtol=0, atol=1e-4)


@torch.no_grad()
def test_two_passes_of_a_whole_sam_end_when_the_first_leaves_no_point() -> None:
    """A first pass whose masks cover the grid used to end in an error of torch's."""
    chosen = replace(EVERYTHING, coarse_points_per_side=4, settled_area_share=1.0)
    segmenter = SamSegmenter(small_sam(), identity="small@0", settings=chosen)
    pixels = patchwork(40, 60)
    once = replace(chosen, points_per_side=4, coarse_points_per_side=0)
    alone = SamSegmenter(small_sam(), identity="small@0", settings=once)
    assert segmenter.propose(pixels) == alone.propose(pixels) != []


@torch.no_grad()
def test_no_prompts_have_no_masks() -> None:
    module = small_decoder(32, 48, 2)
    exact = ExactDecoder(module)
    shared = exact.prepare(torch.randn(1, 32, 4, 4), torch.randn(1, 32, 4, 4), torch.randn(1, 32))
    logits, predicted_iou = exact.decode(shared, torch.empty(0, 2, 32), 0.0)
    assert logits.shape == (0, 16, 16)
    assert predicted_iou.shape == (0,)


@given(
    height=sides,
    width=sides,
    scale=st.sampled_from([1e-30, 1.0, 1e4, 1e30]),
    seed=st.integers(0, 999),
)
@few
def test_every_mask_is_the_enlarged_one_whatever_the_logits(
    height: int, width: int, scale: float, seed: int
) -> None:
    """Constant, noisy, tiny and huge logits; a mask comes back unless it has no pixel."""
    torch.manual_seed(seed)
    noise = torch.randn(2, LOW, LOW)
    logits = scale * torch.cat([noise, torch.ones(1, LOW, LOW), -torch.ones(1, LOW, LOW)])
    view = Fixed(logits, torch.tensor([0.9, 0.8, 0.7, 0.6]), upsampling_of(height, width))
    proposals = generate(
        np.zeros((height, width, 3), np.uint8), lambda _pixels, _grid: view, EVERYTHING
    )
    full = enlarged(logits, height, width) > 0
    assert {round(proposal.predicted_iou, 1) for proposal in proposals} == {
        score for score, mask in zip((0.9, 0.8, 0.7, 0.6), full, strict=True) if mask.any()
    }
    for proposal in proposals:
        same = full[round(9 - 10 * proposal.predicted_iou)].numpy()
        # Where both ways round a value near zero to another side, a pixel may differ.
        assert (rle.decode(proposal.mask) != same).mean() <= 0.01
        assert proposal.mask.area == rle.decode(proposal.mask).sum()


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (50, 1)])
@pytest.mark.parametrize("changes", [{}, {"coarse_points_per_side": 1}, {"crop_n_layers": 2}])
def test_pictures_of_a_pixel_or_a_line_are_covered(
    size: tuple[int, int], changes: dict[str, Any]
) -> None:
    def look(_pixels: Pixels, grid: tuple[int, int]) -> Fixed:
        return Fixed(CERTAIN, torch.tensor([0.9]), upsampling_of(*grid))

    chosen = GeneratorSettings(points_per_side=1, box_nms_thresh=0.7, **changes)
    proposals = generate(np.zeros((*size, 3), np.uint8), look, chosen)
    assert any(proposal.mask.area == size[0] * size[1] for proposal in proposals)


def test_a_grid_of_no_points_left_asks_for_nothing_more() -> None:
    """The first pass covers every point of the second."""
    view = Fixed(CERTAIN, torch.tensor([0.9]), upsampling_of(30, 40))
    chosen = GeneratorSettings(points_per_side=8, coarse_points_per_side=1, settled_area_share=1.0)
    asked: list[int] = []

    @dataclass(frozen=True)
    class Counted(Fixed):
        def answer(self, points: NDArray[np.float64], min_iou: float) -> tuple[Tensor, Tensor]:
            asked.append(len(points))
            return super().answer(points, min_iou)

    counted = Counted(view.logits, view.predicted_iou, view.upsampling)
    proposals = generate(np.zeros((30, 40, 3), np.uint8), lambda _pixels, _grid: counted, chosen)
    assert len(proposals) == 1
    assert sum(asked) == 1
    assert point_grid(8).shape == (64, 2)


@given(height=sides, width=sides, offset=st.sampled_from([0.0, 0.3, 1e9]), seed=st.integers(0, 999))
@few
def test_measures_bound_each_other(height: int, width: int, offset: float, seed: int) -> None:
    torch.manual_seed(seed)
    logits = torch.randn(3, LOW, LOW)
    measures = measure(upsampling_of(height, width), logits, 0.0, offset)
    assert (measures.stable_area <= measures.area).all()
    assert (measures.area <= measures.wide_area).all()
    assert (measures.wide_area <= height * width).all()
    x0, y0, x1, y1 = measures.boxes.unbind(1)
    assert ((x1 - x0) * (y1 - y0) >= measures.area).all()
    assert ((x0 >= 0) & (x1 <= width) & (y0 >= 0) & (y1 <= height)).all()


@st.composite
def pixel_masks(draw: st.DrawFn) -> BoolArray:
    """(H, W) bool: noise at any density, so islands and holes of every size, edges included."""
    height, width = draw(st.integers(1, 24)), draw(st.integers(1, 24))
    random = np.random.default_rng(draw(st.integers(0, 9999)))
    return random.random((height, width)) < draw(st.sampled_from([0.05, 0.3, 0.6, 0.95]))


@given(pixels=pixel_masks(), least=st.integers(1, 30))
@few
def test_tidying_twice_changes_nothing_more(pixels: BoolArray, least: int) -> None:
    mask = rle.encode(pixels)
    if mask is None:
        return
    once = tidy(mask, least)
    assert once.area > 0
    assert iou(tidy(once, least), once) == 1.0
