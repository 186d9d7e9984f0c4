"""Perceptual hashes: pictures that look almost the same get hashes that differ in few bits.

The hash is the difference hash (dHash, Krawetz 2013) in both directions: the picture is shrunk to
9 x 9 grey values, and each of 64 neighbours to the right and 64 below gives one bit: brighter, or
not. Re-encoding, resizing and small retouches change few of them. On the demo pictures, copies at
a third to all of the size and JPEG quality 40 to 85 were at most 6 bits apart, different pictures
at least 19. Written here because it is ten lines over Pillow.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from segsearch.core.arrays import Pixels

SIDE = 9
HASH_BITS = 128
NEAR_BITS = 7  # two hashes that differ in more are of different pictures
BANDS = 8  # of 16 bits: 7 different bits leave at least one of 8 bands equal
STEP_LEVELS = 3  # a neighbour is brighter from here on: less is what JPEG leaves of flat areas
LEAST_BITS = 2 * NEAR_BITS + 2  # a hash of fewer is near to any other of so few


def perceptual_hash(pixels: Pixels) -> str | None:
    """128 bits as 32 hex digits, of upright pixels (H, W, 3) u8; None for a picture too plain to
    tell from others."""
    small = Image.fromarray(pixels).convert("L").resize((SIDE, SIDE), Image.Resampling.BOX)
    values = np.asarray(small, dtype=np.int16)  # (9, 9)
    right = values[:-1, 1:] - values[:-1, :-1] >= STEP_LEVELS  # (8, 8)
    below = values[1:, :-1] - values[:-1, :-1] >= STEP_LEVELS
    bits = np.concatenate((right.ravel(), below.ravel()))
    if np.count_nonzero(bits) < LEAST_BITS:
        return None
    return np.packbits(bits).tobytes().hex()


def distance(first: str, second: str) -> int:
    """In how many of 128 bits two hashes differ."""
    return (int(first, 16) ^ int(second, 16)).bit_count()


def bands(value: str) -> list[int]:
    """The eight 16-bit parts of a hash, first to last."""
    width = HASH_BITS // BANDS // 4
    return [int(value[at : at + width], 16) for at in range(0, len(value), width)]
