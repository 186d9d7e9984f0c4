"""Turns frames of high dynamic range or wide gamut into sRGB.

Light is counted in units of diffuse white: 203 nits in PQ and, by the nominal display of 1,000
nits, in HLG (ITU-R BT.2408). What is brighter is compressed, what is below half of it stays.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

WHITE_NITS = 203.0
PEAK_NITS = 1000.0
PQ_NITS = 10_000.0
KNEE = 0.5  # of diffuse white: below it nothing changes
# SMPTE ST 2084
M1, M2 = 2610 / 16384, 2523 / 4096 * 128
C1, C2, C3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
# ARIB STD-B67, and the gamma of a display of 1,000 nits (ITU-R BT.2100)
HLG_A, HLG_B, HLG_C = 0.17883277, 0.28466892, 0.55991073
HLG_GAMMA = 1.2
# Linear light of other primaries (all with white D65) in that of sRGB.
FROM_BT2020 = np.array(
    [[1.660491, -0.587641, -0.072850], [-0.124550, 1.132900, -0.008349],
     [-0.018151, -0.100579, 1.118730]], np.float32,
)  # fmt: skip
FROM_P3 = np.array(
    [[1.224940, -0.224940, 0.0], [-0.042057, 1.042057, 0.0], [-0.019638, -0.078636, 1.098274]],
    np.float32,
)
BT2020_LUMA = np.array([0.2627, 0.6780, 0.0593], np.float32)


def from_pq(signal: Any) -> Floats:
    """Linear light, 1 for diffuse white, of PQ signals in [0, 1]; any shape."""
    power = np.asarray(signal, np.float32) ** np.float32(1 / M2)
    light = (np.maximum(power - C1, 0) / (C2 - C3 * power)) ** (1 / M1)
    return np.asarray(light * (PQ_NITS / WHITE_NITS), np.float32)


def from_hlg(signal: Any) -> Floats:
    """Linear light, 1 for diffuse white, of HLG signals (..., 3) of BT.2020 in [0, 1]."""
    signal = np.asarray(signal, np.float32)
    upper = (np.exp((np.maximum(signal, 0.5) - HLG_C) / HLG_A) + HLG_B) / 12
    scene = np.where(signal <= 0.5, signal**2 / 3, upper).astype(np.float32)
    luma = np.maximum(scene @ BT2020_LUMA, 1e-6)[..., None]
    return np.asarray(scene * luma ** (HLG_GAMMA - 1) * (PEAK_NITS / WHITE_NITS), np.float32)


def from_srgb(signal: Any) -> Floats:
    """Linear light of signals of sRGB in [0, 1]; any shape. Displays show BT.709 the same way."""
    signal = np.asarray(signal, np.float32)
    upper = ((signal + 0.055) / 1.055) ** 2.4
    return np.asarray(np.where(signal <= 0.04045, signal / 12.92, upper), np.float32)


def to_srgb(light: Floats) -> npt.NDArray[np.uint8]:
    """Pixels of sRGB of its linear light; any shape; light beyond [0, 1] is clipped."""
    light = np.clip(light, 0, 1)
    upper = 1.055 * light ** (1 / 2.4) - 0.055
    signal = np.where(light <= 0.0031308, light * 12.92, upper)
    return np.asarray(np.rint(signal * 255), np.uint8)


def compressed(light: Floats) -> Floats:
    """Light (..., 3) of high dynamic range within [0, 1], hue kept: as is up to the knee, then
    along the Möbius curve of FFmpeg's `vf_tonemap.c`, which reaches 1 at the peak."""
    peak = PEAK_NITS / WHITE_NITS
    a = -(KNEE**2) * (peak - 1) / (KNEE**2 - 2 * KNEE + peak)
    b = (KNEE**2 - 2 * KNEE * peak + peak) / (peak - 1)
    scale = (b**2 + 2 * b * KNEE + KNEE**2) / (b - a)
    brightest = light.max(axis=-1, keepdims=True)
    bounded = np.minimum(brightest, peak)
    target = np.where(bounded <= KNEE, bounded, scale * (bounded + a) / (bounded + b))
    return np.asarray(light * (target / np.maximum(brightest, 1e-6)), np.float32)
