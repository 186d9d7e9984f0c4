"""Batch norms folded into convolutions, as the image tower is trained: nothing else moves."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from training.clip.folding import merge_frozen_norms
from training.clip.model import build

SIDE_PX = 64


@pytest.fixture(scope="module")
def trunk() -> nn.Module:
    torch.manual_seed(0)
    made: nn.Module = build().visual.trunk.eval().double()
    for name, numbers in made.state_dict().items():
        if ".bn" in name and numbers.is_floating_point():  # as after training, not as made
            numbers.add_(torch.rand_like(numbers) * 0.3)
    return made


def test_folding_moves_neither_outputs_nor_gradients(trunk: nn.Module) -> None:
    folded = copy.deepcopy(trunk)
    merge_frozen_norms(folded)
    pixels = torch.randn(2, 3, SIDE_PX, SIDE_PX, dtype=torch.float64)
    plain, other = trunk(pixels), folded(pixels)
    assert torch.allclose(plain, other)
    plain.square().sum().backward()
    other.square().sum().backward()
    for weight, own in zip(trunk.parameters(), folded.parameters(), strict=True):
        assert weight.grad is not None
        assert own.grad is not None
        assert torch.allclose(weight.grad, own.grad)


def test_a_copy_of_a_folded_trunk_runs_on_its_own_weights(trunk: nn.Module) -> None:
    folded = copy.deepcopy(trunk)
    merge_frozen_norms(folded)
    other = copy.deepcopy(folded)
    pixels = torch.rand(1, 3, SIDE_PX, SIDE_PX, dtype=torch.float64)
    with torch.no_grad():
        before = other(pixels)
        for weight in folded.parameters():
            weight.zero_()
        assert torch.equal(other(pixels), before)
    assert other.state_dict().keys() == trunk.state_dict().keys()
