"""Folded norms say what the model said before, and are gone."""

from __future__ import annotations

import copy

import torch
from timm.layers.norm_act import BatchNormAct2d
from torch import nn

from segsearch.models.folding import fold_norms
from segsearch.models.segment.sam_lite import LiteEncoder


def with_statistics(model: nn.Module) -> nn.Module:
    """The model in eval mode, its norms as training leaves them."""
    for module in model.modules():
        if isinstance(module, BatchNormAct2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2.0)
    return model.eval().requires_grad_(requires_grad=False)


def test_folded_norms_change_nothing_but_rounding() -> None:
    torch.manual_seed(0)
    whole = with_statistics(LiteEncoder(64))
    folded = copy.deepcopy(whole)
    fold_norms(folded)
    assert any(isinstance(module, BatchNormAct2d) for module in whole.modules())
    assert not any(isinstance(module, BatchNormAct2d) for module in folded.modules())
    pixels = torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(folded(pixels), whole(pixels), rtol=1e-4, atol=1e-4)


def test_other_models_are_left_as_they_are() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 1), BatchNormAct2d(4)).eval()
    before = copy.deepcopy(model.state_dict())
    fold_norms(model)
    assert model.state_dict().keys() == before.keys()
