"""The image tower cut in two: stages that stay as ImageNet made them, and stages that learn."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.clip.folding import merge_frozen_norms
from training.clip.pictures import normalised

FROZEN_STAGES = 3


class Tower(nn.Module):
    """Stages up to `FROZEN_STAGES` run in bf16 without gradients, the rest in fp32."""

    def __init__(self, visual: nn.Module) -> None:
        super().__init__()
        self.visual: Any = visual.eval().to(memory_format=torch.channels_last)
        trunk: Any = self.visual.trunk
        for part in (trunk.conv_stem, trunk.bn1, *trunk.blocks[:FROZEN_STAGES]):
            part.requires_grad_(False)
        merge_frozen_norms(trunk)

    @torch.no_grad()
    def early(self, pixels: Tensor) -> Tensor:
        """Pixels (n, 3, s, s) in 0..1 -> features (n, 40, s/8, s/8) f32."""
        trunk: Any = self.visual.trunk
        with torch.autocast(pixels.device.type, torch.bfloat16):
            states = normalised(pixels).contiguous(memory_format=torch.channels_last)
            states = trunk.bn1(trunk.conv_stem(states))
            for stage in trunk.blocks[:FROZEN_STAGES]:
                states = stage(states)
        early: Tensor = states.float()
        return early

    def pooled(self, states: Tensor) -> Tensor:
        """Early features -> the trunk's pooled features (n, 1280)."""
        trunk: Any = self.visual.trunk
        for stage in trunk.blocks[FROZEN_STAGES:]:
            states = stage(states)
        features: Tensor = trunk.forward_head(trunk.bn2(trunk.conv_head(states)))
        return features

    def headed(self, pooled: Tensor) -> Tensor:
        """Pooled features -> unit rows (n, 512)."""
        return functional.normalize(self.visual.head(pooled), dim=-1)

    def late(self, states: Tensor) -> Tensor:
        """Early features -> unit rows (n, 512)."""
        return self.headed(self.pooled(states))
