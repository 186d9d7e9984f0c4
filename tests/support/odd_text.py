"""Pictures in which reading may stumble: writing that stands, hangs or is mirrored, pens, screens,
codes, noise, and next to nothing.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from segsearch.core.arrays import Pixels
from tests.support.drawn_text import INK, PAPER, drawn, font_of, strip

SAYS = "Harbour office 24"
QUIET_PX = 40  # around a code
CELL_PX = 8


def grey(values: NDArray[np.generic]) -> Pixels:
    """(H, W) in [0, 255] as a picture."""
    return np.repeat(np.clip(values, 0, 255).astype(np.uint8)[..., None], 3, axis=2)


def noise(*size: int, seed: int = 0) -> Pixels:
    """Every pixel any colour, (H, W)."""
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)


def code() -> Pixels:
    """What a QR code of version 4 looks like: its three marks and their borders, the lines that
    count modules, the small mark, and modules at random."""
    modules = np.random.default_rng(1).random((33, 33)) < 0.5
    modules[6, :] = modules[:, 6] = np.arange(33) % 2 == 0
    mark = np.pad(np.pad(np.ones((3, 3), bool), 1), 1, constant_values=True)
    for y, x in ((0, 0), (0, 26), (26, 0)):
        modules[max(0, y - 1) : y + 8, max(0, x - 1) : x + 8] = False
        modules[y : y + 7, x : x + 7] = mark
    small = np.pad(np.pad(np.ones((1, 1), bool), 1), 1, constant_values=True)
    modules[24:29, 24:29] = small
    dark = np.kron(modules, np.ones((CELL_PX, CELL_PX), bool))
    return grey(np.pad(np.where(dark, 0, 255), QUIET_PX, constant_values=255))


def pen_strokes() -> Pixels:
    """Loops that a pen draws along three lines, as joined-up writing has them; they say nothing."""
    picture = Image.new("RGB", (900, 360), PAPER)
    rng, draw = np.random.default_rng(7), ImageDraw.Draw(picture)
    for row in range(3):
        t = np.linspace(0, 26 * np.pi, 1_600)
        tall = np.interp(t, np.linspace(0, t[-1], 40), rng.uniform(6, 34, 40))
        x = 40 + t * 9.6 + 13 * np.sin(t + 0.6)
        y = 80 + 105 * row - tall * np.cos(t)
        points = list(zip(x.tolist(), y.tolist(), strict=True))
        draw.line(points, INK, 3, joint="curve")
    return np.asarray(picture)


def script() -> Pixels:
    """A line in the strokes of Hershey's script letters."""
    picture = np.full((140, 900, 3), PAPER, np.uint8)
    place, font = (30, 90), cv2.FONT_HERSHEY_SCRIPT_COMPLEX
    cv2.putText(picture, SAYS, place, font, 2.0, INK, 2, cv2.LINE_AA)
    return picture


def stacked() -> Pixels:
    """Upright letters, one below the other."""
    picture = Image.new("RGB", (90, 620), PAPER)
    draw, font = ImageDraw.Draw(picture), font_of(24)
    for number, sign in enumerate("PARKING"):
        draw.text((45, 60 + 80 * number), sign, INK, font, anchor="mm")
    return np.asarray(picture)


def halftone(picture: Pixels, pitch_px: int = 6) -> Pixels:
    """A picture as dots of ink, the larger the darker, as newspapers print it."""
    light = picture.mean(axis=2) / 255
    y, x = np.mgrid[: light.shape[0], : light.shape[1]] * (2 * np.pi / pitch_px)
    return grey(np.where(0.5 + (np.cos(x) + np.cos(y)) / 4 < light, 255, 0))


def moire(picture: Pixels) -> Pixels:
    """A picture taken off a screen: two gratings of nearly the same pitch."""
    y, x = np.mgrid[: picture.shape[0], : picture.shape[1]]
    first, second = np.sin(2 * np.pi * x / 3.1), np.sin(2 * np.pi * (x + y / 7) / 3.4)
    return grey(picture.mean(axis=2) * (0.75 + 0.12 * first + 0.12 * second))


def odd_pictures() -> dict[str, Pixels]:
    """By a name: pictures (H, W, 3)."""
    plain, _ = drawn([SAYS], 26, (120, 760))
    speckled = plain.astype(np.int64) + np.random.default_rng(3).normal(0, 110, plain.shape)
    return {
        "plain": plain,
        "rising": np.ascontiguousarray(np.rot90(plain)),
        "falling": np.ascontiguousarray(np.rot90(plain, 3)),
        "upside-down": np.ascontiguousarray(np.rot90(plain, 2)),
        "mirrored": np.ascontiguousarray(plain[:, ::-1]),
        "stacked": stacked(),
        "20-high": strip([SAYS], 11, (20, 260), 1),
        "20-wide": np.ascontiguousarray(np.rot90(strip([SAYS], 11, (20, 260), 1))),
        "20000-wide": strip([SAYS, SAYS, SAYS], 12, (24, 20_000), 9_000),
        "dot": np.full((1, 1, 3), 255, np.uint8),
        "pixel-high": noise(1, 2_000),
        "pixel-wide": noise(2_000, 1),
        "white": np.full((480, 640, 3), 255, np.uint8),
        "black": np.zeros((480, 640, 3), np.uint8),
        "noise": noise(400, 500),
        "noisy-line": grey(speckled.mean(axis=2)),
        "code": code(),
        "pen": pen_strokes(),
        "script": script(),
        "halftone": halftone(plain),
        "moire": moire(plain),
    }


NO_WORDS = (
    "dot", "pixel-high", "pixel-wide", "white", "black", "noise", "code",
)  # fmt: skip
READABLE = ("plain", "rising", "falling", "upside-down", "20-high", "20-wide", "20000-wide")
