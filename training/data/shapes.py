"""Outlines for textured regions: silhouettes of drawings, blobs, polygons, ellipses, strips."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from training.data.fetch import FILLED_STYLES
from training.data.render import Drawings
from training.data.textures import Field, Size, noise

_SHIFT = 4  # OpenCV draws with 4 bits of sub-pixel precision


def outline(rng: np.random.Generator, drawings: Drawings, side_px: int) -> Field:
    """Coverage (h, w) in 0..1 of a random shape whose longer side is about `side_px`."""
    if rng.random() < 0.3:
        return silhouette(rng, drawings, side_px)
    return _DRAWN[int(rng.integers(len(_DRAWN)))](rng, side_px)


def silhouette(rng: np.random.Generator, drawings: Drawings, side_px: int) -> Field:
    """What a drawing covers, turned at random."""
    style = str(rng.choice(list(FILLED_STYLES)))
    row = int(rng.integers(len(drawings.tables[style])))
    alpha = np.asarray(drawings.tables[style][row, ..., 3], np.float32) / 255
    matrix = cv2.getRotationMatrix2D((127.5, 127.5), rng.uniform(0, 360), 0.9)
    turned = cv2.warpAffine(alpha, matrix, (256, 256))
    return np.asarray(cv2.resize(turned, (side_px, side_px), interpolation=cv2.INTER_AREA))


def blob(rng: np.random.Generator, side_px: int) -> Field:
    """A smooth closed curve: a circle whose radius wavers."""
    angles = np.linspace(0, 2 * np.pi, 90, endpoint=False)
    radius = np.ones_like(angles)
    for wave in range(1, int(rng.integers(3, 9))):
        height = rng.uniform(0, 0.5) / wave
        radius += height * np.sin(wave * angles + rng.uniform(0, 2 * np.pi))
    return _filled(rng, np.stack([radius * np.cos(angles), radius * np.sin(angles)], 1), side_px)


def polygon(rng: np.random.Generator, side_px: int) -> Field:
    """Three to eight corners around a middle."""
    angles = np.sort(rng.uniform(0, 2 * np.pi, int(rng.integers(3, 9))))
    radius = rng.uniform(0.5, 1.0, len(angles))
    return _filled(rng, np.stack([radius * np.cos(angles), radius * np.sin(angles)], 1), side_px)


def rectangle(rng: np.random.Generator, side_px: int) -> Field:
    """A box, a plank or a pole, upright or turned."""
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]], np.float64)
    corners[:, 1] *= rng.uniform(0.06, 1.0)
    corners += rng.normal(0, rng.choice([0, 0.05]), corners.shape)
    angle = rng.choice([0, np.pi / 2, rng.uniform(0, np.pi)])
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return _filled(rng, corners @ turn.T, side_px, keep=True)


def ellipse(rng: np.random.Generator, side_px: int) -> Field:
    """A disc or an ellipse, sometimes a ring."""
    angles = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    curve = np.stack([np.cos(angles), rng.uniform(0.3, 1.0) * np.sin(angles)], 1)
    drawn = _filled(rng, curve, side_px)
    if rng.random() < 0.12:
        hole = cv2.resize(drawn, None, fx=0.6, fy=0.6, interpolation=cv2.INTER_AREA)
        top, left = ((a - b) // 2 for a, b in zip(drawn.shape, hole.shape, strict=True))
        drawn[top : top + hole.shape[0], left : left + hole.shape[1]] *= 1 - hole
    return drawn


def noise_patch(rng: np.random.Generator, side_px: int) -> Field:
    """A ragged region: noise over a threshold, inside a disc; foliage, clouds, stains."""
    field = noise(rng, (side_px, side_px), rng.uniform(0.6, 1.5))
    axis = np.linspace(-1, 1, side_px, dtype=np.float32)
    distance = np.hypot(axis[None], axis[:, None])
    covered = ((field + (1 - distance)) > rng.uniform(0.6, 0.9)).astype(np.uint8)
    return _largest_piece(covered)


def half_plane(rng: np.random.Generator, size: Size) -> Field:
    """One side of a line (often level, as a horizon), its edge sometimes uneven."""
    height, width = size
    angle = rng.normal(0, 0.1) if rng.random() < 0.6 else rng.uniform(-np.pi, np.pi)
    x = np.arange(width, dtype=np.float32)[None] - rng.uniform(0.25, 0.75) * width
    y = np.arange(height, dtype=np.float32)[:, None] - rng.uniform(0.25, 0.75) * height
    distance = y * np.float32(np.cos(angle)) + x * np.float32(np.sin(angle))
    if rng.random() < 0.4:
        distance = distance + rng.uniform(0.05, 0.3) * height * (noise(rng, size, 1.0) - 0.5)
    return np.asarray(np.clip(distance + 0.5, 0, 1), np.float32)


_DRAWN: tuple[Callable[[np.random.Generator, int], Field], ...] = (
    blob, blob, polygon, rectangle, ellipse, noise_patch,
)  # fmt: skip


def _filled(
    rng: np.random.Generator, curve: np.ndarray, side_px: int, *, keep: bool = False
) -> Field:
    """Fill a closed curve, scaled so that its longer side is `side_px`; squeezed unless `keep`."""
    if not keep:
        angle, squeeze = rng.uniform(0, np.pi), rng.uniform(0.35, 1.0)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        curve = (curve * np.array([1.0, squeeze])) @ turn.T
    low = curve.min(0)
    scaled = (curve - low) * ((side_px - 1) / max(float((curve.max(0) - low).max()), 1e-6))
    width, height = np.ceil(scaled.max(0)).astype(int) + 1
    canvas = np.zeros((max(height, 2), max(width, 2)), np.uint8)
    points = np.round(scaled * 2**_SHIFT).astype(np.int32)
    cv2.fillPoly(canvas, [points], 255, lineType=cv2.LINE_AA, shift=_SHIFT)
    return np.asarray(canvas, np.float32) / np.float32(255)


def _largest_piece(covered: np.ndarray) -> Field:
    _, pieces, table, _ = cv2.connectedComponentsWithStats(covered, connectivity=4)
    if len(table) < 2:
        return covered.astype(np.float32)
    largest = 1 + int(np.argmax(table[1:, cv2.CC_STAT_AREA]))
    return np.asarray(pieces == largest, np.float32)
