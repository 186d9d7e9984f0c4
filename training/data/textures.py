"""Draws natural-looking surfaces: 1/f noise, stripes, spots, wood, marble, tiles, gradients.

After Baradad et al., "Learning to see by looking at noise" (2021): what matters for transfer to
photographs is the statistics of such surfaces, not their meaning.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

Size = tuple[int, int]  # height, width
Field = NDArray[np.float32]  # (H, W), about 0..1
Surface = NDArray[np.float32]  # (H, W, 3), 0..1


def texture(rng: np.random.Generator, size: Size, *, plain: float = 0.15) -> Surface:
    """A surface of a random kind; a share `plain` of them is one colour with hardly any change."""
    if rng.random() < plain:
        return np.full((*size, 3), colour(rng), np.float32)
    kind = FIELDS[int(rng.choice(len(FIELDS), p=_SHARES))]
    surface = _coloured(rng, kind(rng, size))
    if rng.random() < 0.35:
        strength = rng.uniform(0.03, 0.25)
        surface = surface + (noise(rng, size, rng.uniform(0.3, 1.2))[..., None] - 0.5) * strength
    return np.clip(surface, 0, 1)


def colour(rng: np.random.Generator) -> NDArray[np.float32]:
    """(3,) RGB in 0..1; dull colours are commoner than bright ones, as outdoors."""
    hue, value = rng.random() * 360, rng.beta(1.6, 1.4)
    saturation = rng.beta(1.2, 2.0)
    pixel = np.array([[[hue, saturation, value]]], np.float32)
    return np.asarray(cv2.cvtColor(pixel, cv2.COLOR_HSV2RGB)[0, 0])


def noise(rng: np.random.Generator, size: Size, roughness: float = 0.6) -> Field:
    """Value noise over octaves: each doubling of frequency is weaker by `2 ** -roughness`-ish."""
    height, width = size
    total = np.zeros(size, np.float32)
    cells, weight = int(rng.integers(1, 5)), 1.0
    while cells < max(size):
        grid = rng.random((cells * height // width + 2, cells + 2), np.float32)
        total += weight * cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
        cells, weight = cells * 3, weight * 3.0**-roughness * 0.8
    return _stretched(total)


def gradient(rng: np.random.Generator, size: Size) -> Field:
    """A straight or a round ramp from 0 to 1."""
    across, down = _coordinates(rng, size)
    if rng.random() < 0.6:
        return _stretched(across)
    return _stretched(np.hypot(across - rng.uniform(-0.6, 0.6), down - rng.uniform(-0.6, 0.6)))


def stripes(rng: np.random.Generator, size: Size) -> Field:
    """Parallel bands, straight or wavy, soft or sharp."""
    across, _ = _coordinates(rng, size)
    bend = rng.choice([0, 0, 0.05, 0.2]) * noise(rng, size, 1.2)
    wave = np.sin((across + bend) * rng.uniform(6, 60) + rng.uniform(0, 6))
    return _sharpened(rng, wave)


def tiles(rng: np.random.Generator, size: Size) -> Field:
    """Checks, bricks or a grid of lines."""
    across, down = _coordinates(rng, size)
    count = rng.uniform(2, 14)
    row = np.floor(down * count)
    column = across * count * rng.uniform(0.5, 1.0) + 0.5 * (row % 2) * (rng.random() < 0.5)
    if rng.random() < 0.4:
        checks: Field = ((np.floor(column) + row) % 2).astype(np.float32)
        return checks
    joint = rng.uniform(0.04, 0.2)
    lines = ((column % 1) < joint) | ((down * count) % 1 < joint)
    tint = np.sin(np.floor(column) * 12.9898 + row * 78.233) * rng.uniform(0, 0.3)
    return np.where(lines, 0.0, 0.7 + tint).astype(np.float32)


def spots(rng: np.random.Generator, size: Size) -> Field:
    """Blobs of one scale on a ground of another."""
    cells = int(rng.integers(5, 40))
    height, width = size
    grid = rng.random((cells * height // width + 2, cells), np.float32)
    smooth = cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
    return _sharpened(rng, (smooth - rng.uniform(0.4, 0.75)) * 4)


def wood(rng: np.random.Generator, size: Size) -> Field:
    """Rings seen along the grain."""
    across, down = _coordinates(rng, size)
    bent = across + 0.15 * noise(rng, size, 1.3) + 0.03 * down
    return _stretched(np.sin(bent * rng.uniform(15, 60)) + 0.5 * np.sin(bent * 97))


def marble(rng: np.random.Generator, size: Size) -> Field:
    """Veins: the absolute value of noise, warped by noise."""
    veins = np.abs(noise(rng, size, 0.9) - 0.5) + 0.3 * noise(rng, size, 0.7)
    return np.sqrt(_stretched(veins))


def fur(rng: np.random.Generator, size: Size) -> Field:
    """Fine noise drawn out in one direction: hair, grass, brushed metal."""
    height, width = size
    fine, length = rng.random(size, np.float32), int(rng.integers(5, 25))
    kernel = np.zeros((length, length), np.float32)
    angle = rng.uniform(0, np.pi)
    reach = (length - 1) / 2
    ends = [(round(reach + s * reach * np.cos(angle)), round(reach + s * reach * np.sin(angle)))
            for s in (-1, 1)]  # fmt: skip
    cv2.line(kernel, ends[0], ends[1], 1.0)
    drawn = _stretched(cv2.filter2D(fine, -1, kernel / kernel.sum()).astype(np.float32))
    return _stretched(drawn + rng.uniform(0.2, 1.0) * noise(rng, (height, width), 1.2))


FIELDS: tuple[Callable[[np.random.Generator, Size], Field], ...] = (
    noise, gradient, stripes, tiles, spots, wood, marble, fur,
)  # fmt: skip
_SHARES = np.array([0.30, 0.20, 0.08, 0.07, 0.07, 0.06, 0.10, 0.12])


def _coordinates(rng: np.random.Generator, size: Size) -> tuple[Field, Field]:
    """Two axes at right angles, turned at random, about -1..1."""
    height, width = size
    scale = 2.0 / max(size)
    x = ((np.arange(width, dtype=np.float32) - width / 2) * scale)[None]
    y = ((np.arange(height, dtype=np.float32) - height / 2) * scale)[:, None]
    angle = rng.choice([0, np.pi / 2, rng.uniform(0, np.pi)])
    cosine, sine = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    return x * cosine + y * sine, y * cosine - x * sine


def _stretched(field: Field) -> Field:
    low, high = float(field.min()), float(field.max())
    return (field - low) / max(high - low, 1e-6)


def _sharpened(rng: np.random.Generator, field: Field) -> Field:
    hardness = rng.choice([1.0, 3.0, 20.0])
    return np.asarray(np.clip(field * hardness * 0.5 + 0.5, 0, 1), np.float32)


def _coloured(rng: np.random.Generator, field: Field) -> Surface:
    """Map 0..1 onto a path through two to four colours that are not too far apart."""
    stops = np.stack([colour(rng) for _ in range(int(rng.integers(2, 5)))])
    stops = stops[0] + (stops - stops[0]) * rng.uniform(0.08, 0.75)
    table = cv2.resize(stops[None], (256, 1), interpolation=cv2.INTER_LINEAR)[0]
    return np.asarray(table[np.clip(field * 255, 0, 255).astype(np.uint8)], np.float32)
