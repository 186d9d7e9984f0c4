"""Perceptual hashes: pictures that look almost the same get hashes that differ in few bits.

The hash is the difference hash (dHash, Krawetz 2013) in both directions: the picture is shrunk to
9 x 9 grey values, and each of 64 neighbours to the right and 64 below gives one bit. Re-encoding,
resizing and small retouches change few of them. Written here because it is ten lines over Pillow.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from segsearch.ports import Pixels

SIDE = 9
HASH_BITS = 128
NEAR_BITS = 7  # two hashes that differ in more are of different pictures
BANDS = 8  # of 16 bits: 7 different bits leave at least one of 8 bands equal
FLAT_LEVELS = 4.0  # grey values that vary less than this say nothing about a picture


def perceptual_hash(pixels: Pixels) -> str | None:
    """128 bits as 32 hex digits, of upright pixels (H, W, 3) u8; None for a nearly plain picture,
    whose bits would be chance."""
    picture = Image.fromarray(pixels)
    if min(picture.size) > 4 * SIDE:
        picture = picture.reduce(min(picture.size) // (2 * SIDE))
    small = picture.convert("L").resize((SIDE, SIDE), Image.Resampling.BOX)
    values = np.asarray(small, dtype=np.int16)  # (9, 9)
    if float(values.std()) < FLAT_LEVELS:
        return None
    right = values[:-1, 1:] > values[:-1, :-1]  # (8, 8)
    below = values[1:, :-1] > values[:-1, :-1]
    return np.packbits(np.concatenate((right.ravel(), below.ravel()))).tobytes().hex()


def distance(first: str, second: str) -> int:
    """In how many of 128 bits two hashes differ."""
    return (int(first, 16) ^ int(second, 16)).bit_count()


def bands(value: str) -> list[int]:
    """The eight 16-bit parts of a hash, first to last."""
    width = HASH_BITS // BANDS // 4
    return [int(value[at : at + width], 16) for at in range(0, len(value), width)]
