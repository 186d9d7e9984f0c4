"""Turns pixels into the eleven basic colours that words name."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from training.text.words import COLOURS

PALETTE = {
    "red": [(215, 30, 40), (160, 20, 30)],
    "orange": [(245, 140, 30), (255, 165, 60)],
    "yellow": [(250, 215, 60), (240, 235, 110)],
    "green": [(60, 160, 60), (20, 100, 40), (140, 200, 80)],
    "blue": [(40, 110, 210), (20, 50, 130), (110, 190, 245)],
    "purple": [(130, 60, 170), (90, 50, 140)],
    "pink": [(240, 120, 170), (250, 180, 200)],
    "brown": [(125, 75, 40), (90, 55, 35), (165, 110, 70)],
    "black": [(20, 20, 22), (45, 45, 48)],
    "white": [(250, 250, 250), (235, 238, 240)],
    "grey": [(130, 135, 140), (185, 190, 195), (85, 90, 95)],
}
LEAST_SHARE = 0.22


def colour_shares(premultiplied: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Icons (n, 4, h, w) u8 premultiplied -> (n, 11) f32 unit rows of the colours that dominate."""
    samples = [rgb for name in COLOURS for rgb in PALETTE[name]]
    owner = np.array([index for index, name in enumerate(COLOURS) for _ in PALETTE[name]])
    palette = _perceived(np.array(samples, np.float32))
    rows = np.zeros((len(premultiplied), len(COLOURS)), np.float32)
    for row, icon in enumerate(premultiplied):
        small = icon[:, ::4, ::4].reshape(4, -1).T.astype(np.float32)
        solid = small[small[:, 3] > 200][:, :3]
        if len(solid):
            nearest = owner[((_perceived(solid)[:, None] - palette) ** 2).sum(-1).argmin(1)]
            rows[row] = np.bincount(nearest, minlength=len(COLOURS)) / len(solid)
    rows[rows < LEAST_SHARE] = 0
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(lengths, 1e-6), np.float32)


def _perceived(rgb: NDArray[np.float32]) -> NDArray[np.float32]:
    """RGB in 0..255 -> OKLab-like coordinates with hue weighted over lightness.

    Matrices from Ottosson, "A perceptual color space for image processing" (2020).
    """
    scaled = (rgb / 255) ** 2.2
    cones = scaled @ np.array(
        [[0.4122, 0.2119, 0.0883], [0.5363, 0.6807, 0.2817], [0.0514, 0.1074, 0.6300]], np.float32
    )
    lab = np.cbrt(cones) @ np.array(
        [[0.2105, 1.9780, 0.0259], [0.7936, -2.4286, 0.7828], [-0.0041, 0.4506, -0.8087]],
        np.float32,
    )
    return np.asarray(lab * np.array([0.7, 2.0, 2.0], np.float32), np.float32)
