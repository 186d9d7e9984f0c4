"""Turns samples of any depth and kind of number into 8 bits, with the contrast that they have.

Cameras and scanners put 10, 12 or 14 bits into 16; measured heights and temperatures have any
range, and mark what was not measured by a number far away from all others.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

USUAL_BITS = (8, 10, 12, 14, 16)
# What programs write where nothing was measured, if it is the smallest value of all.
USUAL_MISSING = (-999, -9999, -99999, -32767, -32768, -(2**31))
NO_MEASURE = 1e30  # the ends of float32 among them: GDAL, ESRI, NetCDF's fill value
APART = 1 / 16  # of the span of all others
FAR = 10.0  # a value this many spans away from all others is no measure, whatever it is
ENDS_LOOKED_AT = 4
PIECE = 1 << 22  # samples that are turned into floats at once


def to_8_bits(
    values: NDArray[Any],
    *,
    most: int | None = None,
    hidden: NDArray[np.bool_] | None = None,
    is_colour: bool = False,
) -> NDArray[np.uint8]:
    """Samples (H, W) or (H, W, C) as u8 of the same shape.

    `most` is the value of full brightness; without it whole numbers from 0 on have the smallest
    usual depth that holds them, floats from 0 to 1 are shares, and all others are stretched from
    the lowest to the highest; of colours (`is_colour`) from 0, so that none shifts. `hidden`
    (H, W) are samples that do not count. They are black, and so is what is no number.
    """
    whole = values.dtype.kind in "ui"
    low, high = _span(values, hidden)
    if most is not None:
        low, high = 0.0, float(most)
    elif low >= 0 and whole and high <= 0xFFFF:
        low, high = 0.0, float(2 ** next(n for n in USUAL_BITS if high < 2**n) - 1)
    elif low >= 0 and high <= 1 and not whole:
        low, high = 0.0, 1.0
    elif low >= 0 and (is_colour or values.dtype.kind == "u"):
        low = 0.0
    if values.dtype.kind == "u" and values.dtype.itemsize <= 2:
        shown: NDArray[np.uint8] = _scaled(np.arange(0x10000), low, high)[values]
    else:
        shown = _scaled(values, low, high)
    if hidden is not None:
        shown[hidden] = 0
    return shown


def _span(values: NDArray[Any], hidden: NDArray[np.bool_] | None) -> tuple[float, float]:
    """Lowest and highest value that is a measure; 0 and 0 when there is none."""
    if hidden is not None:
        values = values[~hidden]
    if values.dtype.kind == "f":
        values = values[np.isfinite(values)]
    for _ in range(ENDS_LOOKED_AT):
        if values.size == 0:
            return 0.0, 0.0
        low, high = float(values.min()), float(values.max())
        if values.dtype.kind == "u":
            return low, high
        inner = values[(values > values.min()) & (values < values.max())]
        if low <= -NO_MEASURE or _is_missing(low, inner) or _is_far(low, inner):
            values = values[values > values.min()]
        elif high >= NO_MEASURE or _is_far(high, inner):
            values = values[values < values.max()]
        else:
            break
    return (float(values.min()), float(values.max())) if values.size else (low, low)


def _is_missing(low: float, inner: NDArray[Any]) -> bool:
    """Whether the lowest value is one that programs write for nothing, and lies apart."""
    if low not in USUAL_MISSING or inner.size < 2:
        return low in USUAL_MISSING and inner.size > 0
    return float(inner.min()) - low > APART * (float(inner.max()) - float(inner.min()))


def _is_far(end: float, inner: NDArray[Any]) -> bool:
    """Whether an end lies many spans away from all that lies between the ends."""
    if inner.size < 2:
        return False
    low, high = float(inner.min()), float(inner.max())
    gap = max(low / FAR - end / FAR, end / FAR - high / FAR)  # a tenth: no difference overflows
    return high > low and gap > high - low


def _scaled(values: NDArray[Any], low: float, high: float) -> NDArray[np.uint8]:
    """`low` to `high` as 0 to 255, clipped; no number is 0."""
    shown = np.empty(values.shape, np.uint8)
    flat, out = values.reshape(-1), shown.reshape(-1)
    # Halves: the span itself may be larger than a float holds.
    half = max(high / 2 - low / 2, 1e-300)
    for start in range(0, flat.size, PIECE):
        part = flat[start : start + PIECE].astype(np.float64)
        part = np.nan_to_num(part, nan=low, posinf=high, neginf=low)
        share = (np.clip(part, low, high) / 2 - low / 2) / half
        out[start : start + PIECE] = (share * 255 + 0.5).astype(np.uint8)
    return shown
