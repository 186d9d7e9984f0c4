"""Turns photographs into endless patches, on which the image tower must forget nothing.

Hard augmentation of a handful of pictures is enough to carry a classifier's knowledge from a
teacher to a student (Asano and Saeed 2021, "Extrapolating from a Single Image to a Thousand
Classes using Distillation"); what a patch shows need not be known.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from training.data import named_photographs
from training.data.photographs import folder

SMALLEST_AREA = 0.04  # of the photograph
GREY_WEIGHTS = (0.299, 0.587, 0.114)


class Patches:
    """The photographs in the cache, and the random patches cut out of them."""

    def __init__(self, cache: Path) -> None:
        files = sorted(folder(cache).glob("*.png"))
        if not files:
            raise FileNotFoundError("expected photographs: run python -m training.data.photographs")
        files += [one.path for one in named_photographs.listed(cache)]
        self.pictures = [opened(file) for file in files]

    def sample(self, count: int, side: int, random: torch.Generator) -> Tensor:
        """Patches (count, 3, side, side) f32 in 0..1: cut, turned, mirrored, recoloured."""
        chosen = torch.randint(len(self.pictures), (count,), generator=random).tolist()
        parts = [cut(self.pictures[index], side, SMALLEST_AREA, random) for index in chosen]
        return recoloured(turned(torch.cat(parts), random), random)

    def mixed(self, count: int, side: int, random: torch.Generator) -> Tensor:
        """Patches of which a third hold a box of another and a third shimmer through another."""
        patches = self.sample(count, side, random)
        others = patches.roll(1, 0)
        kind = torch.rand(count, 1, 1, 1, generator=random)
        reach = torch.rand(count, 2, generator=random) * 0.35 + 0.15
        centre = torch.rand(count, 2, generator=random)
        line = (torch.arange(side) + 0.5) / side
        inside = (line[None, None] - centre[:, :, None]).abs() < reach[:, :, None]
        box = (inside[:, 0, :, None] & inside[:, 1, None, :])[:, None]
        share = torch.rand(count, 1, 1, 1, generator=random) * 0.5
        faint = patches.lerp(others, share)
        boxed = torch.where(box, others, patches)
        return torch.where(kind < 1 / 3, boxed, torch.where(kind < 2 / 3, faint, patches))


def opened(file: Path) -> Tensor:
    """A picture's pixels (3, H, W) u8."""
    with Image.open(file) as picture:
        return torch.from_numpy(np.array(picture.convert("RGB"))).permute(2, 0, 1).contiguous()


def cut(picture: Tensor, side: int, least: float, random: torch.Generator) -> Tensor:
    """A rectangle of `least` to all of a picture's area, resized to (1, 3, side, side) f32."""
    height, width = picture.shape[1:]
    draws = torch.rand(4, generator=random).tolist()
    area = math.exp(math.log(least) * draws[0]) * height * width
    shape = math.exp((draws[1] * 2 - 1) * math.log(4 / 3))
    high = min(height, max(8, round(math.sqrt(area / shape))))
    wide = min(width, max(8, round(math.sqrt(area * shape))))
    top, left = int(draws[2] * (height - high + 1)), int(draws[3] * (width - wide + 1))
    part = picture[None, :, top : top + high, left : left + wide].float() / 255
    smaller = max(high, wide) > side
    return functional.interpolate(part, size=(side, side), mode="bilinear", antialias=smaller)


def turned(patches: Tensor, random: torch.Generator) -> Tensor:
    """Half of them mirrored, a third turned by up to 30 degrees and cut closer."""
    count = len(patches)
    flip = torch.where(torch.rand(count, generator=random) < 0.5, -1.0, 1.0)
    some = (torch.rand(count, generator=random) < 1 / 3).float()
    angle = (torch.rand(count, generator=random) * 2 - 1) * (math.pi / 6) * some
    cos, sin = angle.cos(), angle.sin()
    close = 1 / (cos + sin.abs())  # no corner looks out of the patch
    rows = torch.stack([cos * flip, -sin * flip, sin, cos], 1).view(-1, 2, 2) * close[:, None, None]
    affine = torch.cat([rows, torch.zeros(count, 2, 1)], 2)
    grid = functional.affine_grid(affine, list(patches.shape), align_corners=False)
    return functional.grid_sample(patches, grid, padding_mode="border", align_corners=False)


def recoloured(patches: Tensor, random: torch.Generator) -> Tensor:
    """Other light, contrast, saturation and tint."""
    count = len(patches)
    gain, lift, strength = (
        torch.rand(count, 1, 1, 1, generator=random) * span + low
        for low, span in ((0.7, 0.6), (-0.1, 0.2), (0.4, 1.0))
    )
    tint = torch.rand(count, 3, 1, 1, generator=random) * 0.16 + 0.92
    grey = (patches * torch.tensor(GREY_WEIGHTS).view(1, 3, 1, 1)).sum(1, keepdim=True)
    coloured = grey + (patches - grey) * strength
    return ((coloured - 0.5) * gain * tint + 0.5 + lift).clamp(0, 1)
