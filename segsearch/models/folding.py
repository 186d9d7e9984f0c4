"""Folds batch norms into the convolutions before them: the same sums in one pass over the cells.

In `timm`'s EfficientNets, the backbones of the embedded models, every norm stands right behind its
convolution. Done once, after the weights are loaded; a folded model cannot be trained.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from timm.layers.norm_act import BatchNormAct2d
from timm.models import EfficientNet
from timm.models.efficientnet import EfficientNetFeatures
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_weights


def fold_norms(model: nn.Module) -> None:
    """Fold the batch norms of every EfficientNet in a model, which is in eval mode, in place.

    Results differ by the rounding of float32 sums. Where there is one, convolutions keep their
    channels innermost from here, which CPUs do fastest.
    """
    nets = [net for net in model.modules() if isinstance(net, EfficientNet | EfficientNetFeatures)]
    for net in nets:
        for parent in net.modules():
            _fold_children(parent)
    if nets:
        model.to(memory_format=torch.channels_last)


def _fold_children(parent: nn.Module) -> None:
    children = list(parent.named_children())
    for (_, conv), (name, norm) in pairwise(children):
        if not (isinstance(conv, nn.Conv2d) and isinstance(norm, BatchNormAct2d)):
            continue
        if norm.running_mean is None or norm.running_var is None:
            continue
        conv.weight, conv.bias = fuse_conv_bn_weights(
            conv.weight, conv.bias, norm.running_mean, norm.running_var, norm.eps,
            norm.weight, norm.bias,
        )  # fmt: skip
        setattr(parent, name, norm.act)
