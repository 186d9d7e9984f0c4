"""Makes the grounds that drawings are pasted on: plain, shaded, noisy, striped, dead leaves."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from torch import Tensor
from torch.nn import functional

POOL_PX = 192
POOL = 900
Pixels = NDArray[np.float32]


class Backgrounds:
    """A pool of grounds made once from a seed; `sample` cuts random squares out of it.

    `patches` (n, 3, 192, 192) f32 in 0..1 join the pool.
    """

    def __init__(self, seed: int, count: int = POOL, *, patches: Tensor | None = None) -> None:
        draw = np.random.default_rng(seed)
        makers = (_plain, _plain, _shaded, _cloudy, _striped, _leaves, _leaves)
        made = [makers[index % len(makers)](draw) for index in range(count)]
        stacked = np.stack(made).clip(0, 1) * 255
        self.pool = torch.from_numpy(stacked.astype(np.uint8)).permute(0, 3, 1, 2).contiguous()
        if patches is not None:
            self.pool = torch.cat([self.pool, (patches * 255).to(torch.uint8)])

    def sample(self, count: int, side: int, random: torch.Generator) -> Tensor:
        """Squares (count, 3, side, side) f32 in 0..1 cut at random places and scales."""
        rows = torch.randint(len(self.pool), (count,), generator=random)
        scale = torch.rand(count, generator=random) * 0.6 + 0.35
        shift = (torch.rand(count, 2, generator=random) * 2 - 1) * (1 - scale)[:, None]
        matrix = torch.diag_embed(scale[:, None].expand(-1, 2))
        affine = torch.cat([matrix, shift[:, :, None]], 2)
        grid = functional.affine_grid(affine, [count, 3, side, side], align_corners=False)
        return functional.grid_sample(self.pool[rows].float() / 255, grid, align_corners=False)


def _colour(draw: np.random.Generator) -> Pixels:
    """A colour: often pale or grey, sometimes strong."""
    base = draw.random(3)
    mix = draw.random()
    if draw.random() < 0.4:
        return np.asarray(1 - (1 - base) * 0.3, np.float32)
    return np.asarray(base * mix + base.mean() * (1 - mix), np.float32)


def _plain(draw: np.random.Generator) -> Pixels:
    ground = np.ones((POOL_PX, POOL_PX, 3), np.float32) * _colour(draw)
    return ground if draw.random() < 0.7 else np.ones_like(ground)


def _shaded(draw: np.random.Generator) -> Pixels:
    angle = draw.random() * 2 * np.pi
    line = np.linspace(-1, 1, POOL_PX, dtype=np.float32)
    ramp = (np.cos(angle) * line[None] + np.sin(angle) * line[:, None]) / 3 + 0.5
    return np.asarray(ramp[..., None] * _colour(draw) + (1 - ramp[..., None]) * _colour(draw))


def _cloudy(draw: np.random.Generator) -> Pixels:
    """Noise whose power falls with frequency, as natural pictures' does, between two colours."""
    frequency = np.hypot(np.fft.fftfreq(POOL_PX)[:, None], np.fft.fftfreq(POOL_PX)[None])
    spectrum = np.fft.fft2(draw.standard_normal((POOL_PX, POOL_PX)))
    cloud = np.fft.ifft2(
        spectrum / np.maximum(frequency, 1 / POOL_PX) ** draw.uniform(0.6, 1.8)
    ).real
    cloud = (cloud - cloud.mean()) / cloud.std() / 5 + 0.5
    level = cloud.clip(0, 1)[..., None].astype(np.float32)
    return np.asarray(level * _colour(draw) + (1 - level) * _colour(draw))


def _striped(draw: np.random.Generator) -> Pixels:
    angle, pitch = draw.random() * np.pi, draw.uniform(0.05, 0.5)
    y, x = np.mgrid[:POOL_PX, :POOL_PX]
    wave = np.sin((x * np.cos(angle) + y * np.sin(angle)) * pitch)
    if draw.random() < 0.4:
        wave = wave * np.sin((y * np.cos(angle) - x * np.sin(angle)) * pitch)
    level = (wave * draw.uniform(1, 6)).clip(-1, 1)[..., None].astype(np.float32) / 2 + 0.5
    return np.asarray(level * _colour(draw) + (1 - level) * _colour(draw))


def _leaves(draw: np.random.Generator) -> Pixels:
    """Discs, boxes and polygons laid over each other (dead leaves, Baradad et al. 2021), shaded."""
    sheet = Image.new("RGB", (POOL_PX, POOL_PX))
    pen = ImageDraw.Draw(sheet)
    for _ in range(int(draw.integers(8, 90))):
        colour = tuple(int(value * 255) for value in _colour(draw))
        x, y = draw.random(2) * POOL_PX
        reach = 6 / (draw.random() + 0.06)
        corners = int(draw.integers(3, 9))
        angles = np.sort(draw.random(corners)) * 2 * np.pi
        if corners > 6:
            pen.ellipse((x - reach, y - reach, x + reach, y + reach * 0.7), fill=colour)
        else:
            points = [(x + reach * np.cos(a), y + reach * np.sin(a)) for a in angles]
            pen.polygon(points, fill=colour)
    leaves = np.asarray(sheet, np.float32) / 255
    shade = _cloudy(draw).mean(-1, keepdims=True) - 0.5
    return np.asarray(leaves + shade * draw.uniform(0, 0.6))
