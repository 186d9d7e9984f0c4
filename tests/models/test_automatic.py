"""The mask generator against segment_anything's own."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from segment_anything import SamAutomaticMaskGenerator
from segment_anything.modeling import Sam
from segment_anything.utils import amg

import segsearch
from segsearch.core.arrays import BoolArray, Pixels
from segsearch.core.errors import InputError, ModelError
from segsearch.core.types import Box, Proposal
from segsearch.masks import rle
from segsearch.masks.enlarge import enlarged
from segsearch.masks.refine import to_edges
from segsearch.models.segment.automatic import (
    GeneratorSettings,
    crop_boxes,
    generate,
    point_grid,
)
from segsearch.models.segment.sam import SamSegmenter, fit_into_square, load_sam
from segsearch.models.segment.sam_lite import build_sam_lite
from segsearch.models.segment.upsampling import Upsampling
from tests.support.small_sam import patchwork, small_sam

SETTINGS = GeneratorSettings(
    points_per_side=10, pred_iou_thresh=0.8, stability_score_thresh=0.7, box_nms_thresh=0.6
)
OURS_ONLY = (
    "one_mask_per_thing", "overlap_thresh", "coarse_points_per_side", "settled_area_share",
    "edges_px", "working_px",
)  # fmt: skip


def upstream(model: Sam, pixels: Pixels, settings: GeneratorSettings) -> list[dict[str, Any]]:
    options = {key: value for key, value in asdict(settings).items() if key not in OURS_ONLY}
    masks = SamAutomaticMaskGenerator(model, **options).generate(pixels)
    return sorted(masks, key=lambda mask: (-mask["predicted_iou"], -mask["stability_score"]))


def ours(model: Sam, pixels: Pixels, settings: GeneratorSettings) -> list[Proposal]:
    return SamSegmenter(model, identity="small@0", settings=settings).propose(pixels)


def iou(mask: BoolArray, other: BoolArray) -> float:
    return float((mask & other).sum() / (mask | other).sum())


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
    expected, proposals = upstream(model, pixels, settings), ours(model, pixels, settings)
    assert len(proposals) == len(expected) > 5
    for proposal, other in zip(proposals, expected, strict=True):
        assert proposal.predicted_iou == pytest.approx(other["predicted_iou"], abs=1e-5)
        assert proposal.stability == pytest.approx(other["stability_score"], abs=1e-2)
        assert iou(rle.decode(proposal.mask), other["segmentation"]) > 0.99


def test_a_whole_random_sam_gives_upstreams_masks() -> None:
    model, pixels = small_sam(), patchwork(90, 120)
    settings = GeneratorSettings(
        points_per_side=6, pred_iou_thresh=0.9, stability_score_thresh=0.5, box_nms_thresh=1.0
    )
    expected = [mask["segmentation"] for mask in upstream(model, pixels, settings)]
    masks = [rle.decode(mask.mask) for mask in ours(model, pixels, settings)]
    assert len(masks) == len(expected) > 9
    assert min(max(iou(mask, other) for other in expected) for mask in masks) > 0.99
    assert min(max(iou(mask, other) for other in masks) for mask in expected) > 0.99


def test_the_embedded_sam_gives_upstreams_masks() -> None:
    package = Path(segsearch.__file__).parent
    model = load_sam(build_sam_lite, package / "models/embedded/sam-lite.safetensors")
    with Image.open(sorted((package / "cli/demo/pictures").glob("*.jpg"))[0]) as opened:
        pixels = np.asarray(opened.convert("RGB").resize((300, 220)))
    settings = GeneratorSettings(points_per_side=6, pred_iou_thresh=0.2, stability_score_thresh=0.2)
    expected = [mask["segmentation"] for mask in upstream(model, pixels, settings)]
    masks = [rle.decode(mask.mask) for mask in ours(model, pixels, settings)]
    assert len(masks) == len(expected) > 2
    assert min(max(iou(mask, other) for other in expected) for mask in masks) > 0.99


def test_proposals_come_best_first_with_tight_boxes() -> None:
    proposals = ours(small_sam(blobs=True), patchwork(150, 203), SETTINGS)
    scores = [(proposal.predicted_iou, proposal.stability) for proposal in proposals]
    assert scores == sorted(scores, reverse=True)
    for proposal in proposals:
        assert proposal.mask == rle.encode(rle.decode(proposal.mask))
    assert proposals == ours(small_sam(blobs=True), patchwork(150, 203), SETTINGS)


def test_one_mask_per_thing_keeps_the_better_of_two_that_overlap() -> None:
    model, pixels = small_sam(blobs=True), patchwork(150, 203)
    settings = replace(SETTINGS, one_mask_per_thing=True, overlap_thresh=0.4)
    everything, few = ours(model, pixels, SETTINGS), ours(model, pixels, settings)
    kept: list[Proposal] = []
    for proposal in everything:
        frame = rle.decode(proposal.mask)
        shares = [
            (frame & rle.decode(other.mask)).sum() / min(proposal.mask.area, other.mask.area)
            for other in kept
        ]
        if max(shares, default=0) <= 0.4:
            kept.append(proposal)
    assert few == kept
    assert 1 < len(few) < len(everything)


def test_a_large_picture_is_cut_on_a_grid_as_it_would_be_at_full_size() -> None:
    model, pixels = small_sam(blobs=True), patchwork(900, 1218)
    settings = replace(SETTINGS, crop_n_layers=1, min_mask_region_area=100)
    full, large = (
        ours(model, pixels, replace(settings, working_px=working)) for working in (0, 406)
    )
    assert all((one.mask.height, one.mask.width) == (900, 1218) for one in large)
    seen = [one.seen for one in large if one.seen is not None]
    assert {(mask.height, mask.width) for mask in seen} == {(300, 406)}
    assert [one.mask for one in large] == [enlarged(mask, 900, 1218) for mask in seen]
    assert len(full) > 5
    for masks, others in ((large, full), (full, large)):
        best = [max(rle.iou(one.mask, other.mask) for other in others) for one in masks]
        assert np.mean(np.array(best) >= 0.9) >= 0.9
    as_they_are = [
        ours(model, patchwork(150, 203), one)
        for one in (replace(SETTINGS, working_px=203), SETTINGS)
    ]
    assert as_they_are[0] == as_they_are[1], "a picture of that size or smaller"


def test_outlines_move_to_edges_where_that_is_set() -> None:
    model, pixels = small_sam(blobs=True), patchwork(150, 203)
    rough, moved = (
        ours(model, pixels, SETTINGS),
        ours(model, pixels, replace(SETTINGS, edges_px=96)),
    )
    assert [proposal.mask for proposal in moved] == [
        to_edges(pixels, proposal.mask, 96) for proposal in rough
    ]
    assert [proposal.mask for proposal in moved] != [proposal.mask for proposal in rough]
    for proposal, other in zip(moved, rough, strict=True):
        assert replace(proposal, mask=other.mask) == other


@pytest.mark.parametrize("size", [(1, 1), (1, 900), (70, 1)])
def test_tiny_and_narrow_pictures_are_cut_too(size: tuple[int, int]) -> None:
    settings = GeneratorSettings(
        points_per_side=2, pred_iou_thresh=0.0, stability_score_thresh=0.0, crop_n_layers=1
    )
    for blobs in (True, False):
        proposals = ours(small_sam(blobs=blobs), patchwork(*size), settings)
        for proposal in proposals:
            assert (proposal.mask.height, proposal.mask.width) == size
        assert len({proposal.mask for proposal in proposals}) == len(proposals)


@pytest.mark.parametrize("crop_n_layers", [0, 1])
@pytest.mark.parametrize("size", [(1, 1), (1, 30), (30, 1)])
def test_masks_one_pixel_wide_do_not_repeat(size: tuple[int, int], crop_n_layers: int) -> None:
    settings = GeneratorSettings(4, 64, 0.0, 0.0, crop_n_layers=crop_n_layers)
    proposals = ours(small_sam(), patchwork(*size), settings)
    assert proposals
    assert len({proposal.mask.box for proposal in proposals}) == len(proposals)


@pytest.mark.parametrize("blobs", [True, False])
def test_a_picture_in_which_nothing_stands_out_has_no_proposals(blobs: bool) -> None:
    settings = replace(SETTINGS, pred_iou_thresh=99.0, min_mask_region_area=9)
    assert ours(small_sam(blobs=blobs), patchwork(40, 60), settings) == []


@pytest.mark.parametrize("size", [(480, 640), (333, 97), (64, 64)])
@pytest.mark.parametrize("ratio", [512 / 1500, 0.1])
def test_crops_are_those_of_upstream(size: tuple[int, int], ratio: float) -> None:
    settings = GeneratorSettings(crop_n_layers=3, crop_overlap_ratio=ratio)
    boxes, layers = amg.generate_crop_boxes(size, 3, ratio)
    crops = list(crop_boxes(Box(0, 0, size[1], size[0]), settings))
    assert [list(box.as_tuple()) for box, _ in crops] == boxes
    assert [layer for _, layer in crops] == layers


@pytest.mark.parametrize("per_side", [1, 2, 7, 32])
def test_the_point_grid_is_that_of_upstream(per_side: int) -> None:
    assert np.array_equal(point_grid(per_side), amg.build_point_grid(per_side))


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((480, 640), (768, 1024)),
        ((1, 20000), (1, 1024)),
        ((3, 2), (1024, 683)),
        ((1, 1), (1024,) * 2),
    ],
)
def test_pictures_fit_the_square_with_at_least_one_pixel(
    size: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert fit_into_square(*size, 1024) == expected


def test_settings_are_json_and_hold_all_that_changes_a_mask() -> None:
    settings = replace(SETTINGS, points_per_batch=5)
    segmenter = SamSegmenter(small_sam(), identity="small@1", settings=settings)
    assert json.loads(json.dumps(segmenter.settings)) == segmenter.settings
    unset = {"points_per_batch", "edges_px", "working_px"}
    assert set(segmenter.settings) == set(asdict(settings)) - unset
    assert segmenter.identity == "small@1"
    assert replace(settings, edges_px=96).document == {**settings.document, "edges_px": 96}
    assert replace(settings, working_px=96).document == {**settings.document, "working_px": 96}


def test_a_grid_without_points_is_refused() -> None:
    with pytest.raises(InputError, match="points_per_side"):
        GeneratorSettings(points_per_side=0)
    with pytest.raises(InputError, match="points_per_batch"):
        GeneratorSettings(points_per_batch=0)


def test_weights_load_only_into_their_own_shape(tmp_path: Path) -> None:
    path, model = tmp_path / "weights.safetensors", small_sam(seed=3)
    save_file({name: value.half() for name, value in model.state_dict().items()}, path)
    loaded = load_sam(small_sam, path)
    for name, value in model.state_dict().items():
        assert np.array_equal(loaded.state_dict()[name], value.half().float())
    with pytest.raises(ModelError, match=r"weights\.safetensors"):
        load_sam(lambda: small_sam(dim=32), path)
    with pytest.raises(ModelError, match="missing"):
        load_sam(small_sam, tmp_path / "missing")


class CountingView:
    """A view that remembers how many points it was asked about."""

    def __init__(self, view: Any, asked: list[int]) -> None:
        self._view, self._asked = view, asked
        self.upsampling, self.threshold = view.upsampling, view.threshold

    def answer(self, points: Any, min_iou: float) -> Any:
        self._asked.append(len(points))
        return self._view.answer(points, min_iou)


def test_two_passes_ask_less_and_leave_out_no_mask_of_the_first() -> None:
    pixels, model = patchwork(150, 203), small_sam()
    fast = replace(SETTINGS, coarse_points_per_side=5, settled_area_share=1.0)
    segmenter = SamSegmenter(model, identity="small@0", settings=fast)
    asked: list[int] = []
    proposals = generate(pixels, lambda *seen: CountingView(segmenter.look(*seen), asked), fast)
    assert asked[0] == 25
    assert sum(asked) < 100
    coarse = ours(model, pixels, replace(SETTINGS, points_per_side=5))
    everything = [rle.decode(proposal.mask) for proposal in proposals]
    for proposal in coarse:
        # A better mask of the second pass may stand for one of the first.
        assert max(iou(rle.decode(proposal.mask), mask) for mask in everything) > 0.5


def test_two_passes_with_nothing_settled_are_both_grids() -> None:
    pixels, model = patchwork(90, 120), small_sam()
    none = replace(SETTINGS, coarse_points_per_side=3, settled_area_share=0.0)
    segmenter = SamSegmenter(model, identity="small@0", settings=none)
    asked: list[int] = []
    generate(pixels, lambda *seen: CountingView(segmenter.look(*seen), asked), none)
    assert sum(asked) == 9 + 100


def test_logits_at_points_are_those_of_the_whole_enlargement() -> None:
    upsampling = Upsampling.through_square((16, 16), 64, (48, 64), (90, 120))
    logits = torch.randn(3, 16, 16, generator=torch.Generator().manual_seed(0))
    points = torch.tensor([[0, 0], [119, 89], [60, 13], [7, 88]])
    whole = upsampling.rows.matrix @ logits @ upsampling.columns.matrix.T
    torch.testing.assert_close(upsampling.at(logits, points), whole[:, points[:, 1], points[:, 0]])
    assert upsampling.size == (90, 120)
