"""The fast mask decoder against transformers' own of SAM 2.1, with random weights."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from segsearch.models.segment.fast_decoder import decoder as fast
from segsearch.models.segment.fast_decoder.decoder import ExactDecoder
from segsearch.models.segment.fast_decoder.parts import is_known_decoder

# Told by name: the package is not needed to use SAM 1.
sam2 = pytest.importorskip("transformers.models.sam2.modeling_sam2")

Picture = tuple[Tensor, Tensor, Tensor, tuple[Tensor, Tensor]]


def decoder(dim: int = 64, heads: int = 8, layers: int = 2, seed: int = 0) -> Any:
    """A mask decoder of SAM 2.1's build whose biases and norms are random too."""
    torch.manual_seed(seed)
    config = sam2.Sam2MaskDecoderConfig(
        hidden_size=dim,
        mlp_dim=96,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        iou_head_hidden_dim=dim,
    )
    config._attn_implementation = "eager"
    module = sam2.Sam2MaskDecoder(config).eval().requires_grad_(requires_grad=False)
    for parameter in module.parameters():
        if parameter.dim() == 1:
            parameter += 0.1 * torch.randn_like(parameter)
    return module


def picture(dim: int, grid: tuple[int, int]) -> Picture:
    rows, columns = grid
    details = (
        torch.randn(1, dim // 8, 4 * rows, 4 * columns),
        torch.randn(1, dim // 4, 2 * rows, 2 * columns),
    )
    return torch.randn(1, dim, *grid), torch.randn(1, dim, *grid), torch.randn(1, dim), details


def stock(module: Any, image: Picture, prompts: Tensor) -> tuple[Tensor, Tensor]:
    """Logits (3 B, h, w) and predicted IoU (3 B,) of the module of transformers."""
    embedding, place, no_mask, details = image
    logits, predicted_iou, _, _ = module(
        image_embeddings=embedding,
        image_positional_embeddings=place,
        sparse_prompt_embeddings=prompts[None],
        dense_prompt_embeddings=no_mask[..., None, None].expand_as(embedding),
        multimask_output=True,
        high_resolution_features=list(details),
    )
    return logits[0].flatten(0, 1), predicted_iou[0].flatten()


@pytest.mark.parametrize(
    ("dim", "heads", "grid"), [(64, 8, (16, 16)), (64, 4, (6, 11)), (256, 8, (9, 5))]
)
@torch.no_grad()
def test_logits_equal_those_of_the_ordinary_module(
    dim: int, heads: int, grid: tuple[int, int]
) -> None:
    module = decoder(dim, heads)
    image, prompts = picture(dim, grid), torch.randn(7, 2, dim)
    expected, expected_iou = stock(module, image, prompts)
    exact = ExactDecoder(module)
    shared = exact.prepare(*image[:3], details=image[3])
    logits, predicted_iou = exact.decode(shared, prompts, -torch.inf)
    assert (logits - expected).abs().max() < 2e-5 * expected.abs().max()
    torch.testing.assert_close(predicted_iou, expected_iou, rtol=0, atol=2e-6)


@torch.no_grad()
def test_early_exit_and_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    module = decoder()
    image, prompts = picture(64, (8, 8)), torch.randn(9, 2, 64)
    expected, expected_iou = stock(module, image, prompts)
    exact = ExactDecoder(module)
    shared = exact.prepare(*image[:3], details=image[3])
    monkeypatch.setattr(fast, "ATTENTION_BYTES", {"cpu": 1})
    monkeypatch.setattr(fast, "UPSCALING_BYTES", {"cpu": 4096 * 11})
    threshold = float(expected_iou.sort().values[12:14].mean())  # of 27, so none is equal to it
    logits, predicted_iou = exact.decode(shared, prompts, threshold)
    passing = expected_iou > threshold
    assert 0 < passing.sum() < len(passing)
    torch.testing.assert_close(predicted_iou, expected_iou[passing], rtol=0, atol=2e-6)
    torch.testing.assert_close(logits, expected[passing], rtol=0, atol=2e-5)


def test_the_build_is_known_by_its_two_layers() -> None:
    assert is_known_decoder(decoder())
    assert not is_known_decoder(decoder(layers=3))
