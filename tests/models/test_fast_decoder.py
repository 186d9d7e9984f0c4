"""The fast mask decoder against segment_anything's own, with random weights."""

from __future__ import annotations

import pytest
import torch
from segment_anything.modeling import MaskDecoder
from torch import Tensor

from segsearch.models.segment.fast_decoder import decoder as fast
from segsearch.models.segment.fast_decoder.decoder import ExactDecoder
from segsearch.models.segment.fast_decoder.parts import is_known_decoder
from tests.support.small_sam import BlobDecoder, small_decoder

Picture = tuple[Tensor, Tensor, Tensor]

SHAPES = [  # channels, perceptron, heads, grid
    (64, 96, 8, (16, 16)),
    (128, 512, 4, (20, 20)),
    (128, 64, 8, (12, 20)),
    (32, 64, 2, (1, 7)),
    (256, 512, 8, (12, 9)),
]


def picture(dim: int, grid: tuple[int, int]) -> Picture:
    return torch.randn(1, dim, *grid), torch.randn(1, dim, *grid), torch.randn(1, dim)


def stock(module: MaskDecoder, image: Picture, prompts: Tensor) -> tuple[Tensor, Tensor]:
    """Logits (3 B, h, w) and predicted IoU (3 B,) of the upstream module."""
    embedding, place, no_mask = image
    logits, predicted_iou = module(
        image_embeddings=embedding,
        image_pe=place,
        sparse_prompt_embeddings=prompts,
        dense_prompt_embeddings=no_mask[..., None, None].expand_as(embedding),
        multimask_output=True,
    )
    return logits.flatten(0, 1), predicted_iou.flatten()


@pytest.mark.parametrize(("dim", "mlp_dim", "heads", "grid"), SHAPES)
@pytest.mark.parametrize("seed", [0, 1])
@torch.no_grad()
def test_logits_equal_those_of_the_upstream_module(
    dim: int, mlp_dim: int, heads: int, grid: tuple[int, int], seed: int
) -> None:
    module = small_decoder(dim, mlp_dim, heads, seed)
    image, prompts = picture(dim, grid), torch.randn(5, 2, dim)
    expected, expected_iou = stock(module, image, prompts)
    decoder = ExactDecoder(module)
    logits, predicted_iou = decoder.decode(decoder.prepare(*image), prompts, -torch.inf)
    assert (logits - expected).abs().max() < 2e-5 * expected.abs().max()
    torch.testing.assert_close(predicted_iou, expected_iou, rtol=0, atol=2e-6)


@torch.no_grad()
def test_only_masks_above_the_predicted_iou_come_back() -> None:
    module = small_decoder()
    image, prompts = picture(64, (8, 8)), torch.randn(9, 2, 64)
    expected, expected_iou = stock(module, image, prompts)
    decoder = ExactDecoder(module)
    shared = decoder.prepare(*image)
    for threshold in (*expected_iou.quantile(torch.tensor([0.1, 0.5, 0.9])).tolist(), 9.0):
        logits, predicted_iou = decoder.decode(shared, prompts, threshold)
        passing = expected_iou > threshold
        torch.testing.assert_close(predicted_iou, expected_iou[passing], rtol=0, atol=2e-6)
        torch.testing.assert_close(logits, expected[passing], rtol=0, atol=2e-3)


@torch.no_grad()
def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    module = small_decoder()
    image, prompts = picture(64, (8, 8)), torch.randn(7, 2, 64)
    decoder = ExactDecoder(module)
    shared = decoder.prepare(*image)
    together, _ = decoder.decode(shared, prompts, 0.9)
    monkeypatch.setattr(fast, "ATTENTION_BYTES", {"cpu": 1})
    monkeypatch.setattr(fast, "UPSCALING_BYTES", {"cpu": 4096 * 11})
    one_by_one, _ = decoder.decode(shared, prompts, 0.9)
    torch.testing.assert_close(one_by_one, together, rtol=0, atol=2e-3)


def test_only_decoders_of_a_known_build_are_taken_over() -> None:
    assert is_known_decoder(small_decoder())
    assert not is_known_decoder(BlobDecoder())
