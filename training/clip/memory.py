"""Keeps patches of photographs together with what the start answered on them, to be shown again.

Cutting a patch and asking the start at a higher resolution cost as much as learning from it. With
`--fresh-every` some steps make new ones; the others draw from all that were made, at random.
"""

from __future__ import annotations

import torch
from torch import Tensor

FIRST_ROWS = 1_000  # made anew before anything is shown twice


class Memory:
    """The latest `capacity` patches (3, side, side) u8 with the start's pooled features (width)."""

    def __init__(self, capacity: int, side: int, width: int) -> None:
        self.pixels = torch.zeros(capacity, 3, side, side, dtype=torch.uint8)
        self.pooled = torch.zeros(capacity, width, dtype=torch.float16)
        self.made = 0

    @property
    def held(self) -> int:
        """How many there are."""
        return min(self.made, len(self.pixels))

    def add(self, pixels: Tensor, pooled: Tensor) -> None:
        """Keep patches (n, 3, side, side) in 0..1 and features (n, width), over the oldest."""
        rows = (self.made + torch.arange(len(pixels))) % len(self.pixels)
        self.pixels[rows] = (pixels.cpu() * 255).round().clamp(0, 255).to(torch.uint8)
        self.pooled[rows] = pooled.cpu().half()
        self.made += len(pixels)

    def sample(self, count: int, random: torch.Generator) -> tuple[Tensor, Tensor]:
        """Patches (count, 3, side, side) f32 in 0..1 and their features (count, width) f32."""
        rows = torch.randint(self.held, (count,), generator=random)
        return self.pixels[rows].float() / 255, self.pooled[rows].float()
