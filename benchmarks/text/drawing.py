"""Draws lines of text flat, curved and in perspective, and keeps where each one stands.

A sheet is a flat picture with lines on it. It is drawn at twice its size, bent, and laid into a
picture by a homography; corners go the same way.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from segsearch.core.arrays import Pixels
from segsearch.core.text import Corners

Colour = tuple[int, int, int]
Points = NDArray[np.float64]  # (4, 2) of x, y
OVERSAMPLED = 2


@dataclass(frozen=True, slots=True)
class DrawnLine:
    """A line as it was drawn. `corners` enclose its ink tightly, in pixels of the picture, the
    first above the beginning; `letter_px` is the height of its capitals there."""

    corners: Corners
    text: str
    script: str
    letter_px: float


@dataclass(frozen=True, slots=True)
class Sheet:
    """A flat sheet (H, W, 4), its alpha where something is drawn, and the lines on it."""

    pixels: NDArray[np.uint8]
    lines: tuple[DrawnLine, ...]


@dataclass(frozen=True, slots=True)
class Lettering:
    """How a line is written: font, colours, and an outline of so many pixels."""

    font: ImageFont.FreeTypeFont
    colour: Colour
    outline_px: int = 0
    outline: Colour = (0, 0, 0)


def capital_px(font: ImageFont.FreeTypeFont) -> float:
    """The height of a font's capitals."""
    _, top, _, bottom = font.getbbox("H", anchor="ls")
    return float(bottom - top)


class SheetMaker:
    """A sheet in the making; sizes are those of the finished sheet, fonts twice as large."""

    def __init__(self, width: int, height: int, ground: Colour, *, is_clear: bool = False) -> None:
        size = width * OVERSAMPLED, height * OVERSAMPLED
        # A clear ground still has a colour: the edges of letters blend with it.
        self._image = Image.new("RGBA", size, (*ground, 0 if is_clear else 255))
        self._draw = ImageDraw.Draw(self._image)
        self._lines: list[DrawnLine] = []

    def write(self, at: tuple[float, float], text: str, script: str, style: Lettering) -> None:
        """A line whose ink begins at x and whose base line is at y."""
        x, y = (value * OVERSAMPLED for value in at)
        left = self._draw.textbbox((0, 0), text, font=style.font, anchor="ls")[0]
        options: dict[str, Any] = {
            "font": style.font, "anchor": "ls", "stroke_width": style.outline_px * OVERSAMPLED,
        }  # fmt: skip
        self._draw.text(
            (x - left, y), text, fill=(*style.colour, 255), stroke_fill=(*style.outline, 255),
            **options,
        )  # fmt: skip
        box = self._draw.textbbox((x - left, y), text, font=style.font, anchor="ls")
        x0, y0, x1, y1 = (value / OVERSAMPLED for value in box)
        letter_px = capital_px(style.font) / OVERSAMPLED
        corners = ((x0, y0), (x1, y0), (x1, y1), (x0, y1))
        self._lines.append(DrawnLine(corners, text, script, letter_px))

    def sheet(self, bend_px: float = 0.0) -> Sheet:
        """The sheet, its middle pushed down by so many pixels, its sides staying."""
        pixels = np.asarray(self._image).copy()
        if bend_px:
            width = pixels.shape[1]
            steps = np.round(OVERSAMPLED * _bend(np.arange(width) / width, bend_px)).astype(int)
            for x, step in enumerate(steps):
                pixels[:, x] = np.roll(pixels[:, x], step, axis=0)
        width = pixels.shape[1] / OVERSAMPLED
        lines = tuple(replace(line, corners=_bent(line.corners, width, bend_px)) for line in
                      self._lines)  # fmt: skip
        return Sheet(pixels, lines)


def _bend(places: Any, bend_px: float) -> Any:
    return bend_px * np.sin(np.pi * places)


def _bent(corners: Corners, width: float, bend_px: float) -> Corners:
    (a, b, c, d) = (
        (x, y + float(_bend(x / width, bend_px))) for x, y in corners
    )  # fmt: skip
    return a, b, c, d


def homography(source: Points, target: Points) -> NDArray[np.float64]:
    """The 3 x 3 matrix that takes four points to four others."""
    rows, values = [], []
    for (x, y), (u, v) in zip(source, target, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        values += [u, v]
    solved = np.linalg.solve(np.array(rows, float), np.array(values, float))
    return np.append(solved, 1.0).reshape(3, 3)


def moved(points: Points, matrix: NDArray[np.float64]) -> Points:
    """Points (n, 2) under a homography."""
    long = np.c_[points, np.ones(len(points))] @ matrix.T
    return np.asarray(long[:, :2] / long[:, 2:], np.float64)


def lay(picture: Image.Image, sheet: Sheet, target: Points) -> list[DrawnLine]:
    """Lay a sheet into an RGB picture with its corners at `target`; its lines as they lie there."""
    height, width = (side / OVERSAMPLED for side in sheet.pixels.shape[:2])
    flat = np.array([[0, 0], [width, 0], [width, height], [0, height]], float)
    back = homography(target, flat * OVERSAMPLED)
    # At twice the picture's size, then halved: no jagged letters.
    twice = back @ np.diag([0.5, 0.5, 1.0])
    laid = Image.fromarray(sheet.pixels).transform(
        (picture.width * 2, picture.height * 2),
        Image.Transform.PERSPECTIVE,
        tuple((twice / twice[2, 2]).ravel()[:8]),
        Image.Resampling.BICUBIC,
    )
    laid = laid.resize(picture.size, Image.Resampling.LANCZOS)
    picture.paste(laid.convert("RGB"), (0, 0), laid.getchannel("A"))
    forth = homography(flat, target)
    lines = []
    for line in sheet.lines:
        before = np.array(line.corners, float)
        after = moved(before, forth)
        factor = np.linalg.norm(after[3] - after[0]) / np.linalg.norm(before[3] - before[0])
        a, b, c, d = ((float(x), float(y)) for x, y in after)
        lines.append(replace(line, corners=(a, b, c, d), letter_px=float(line.letter_px * factor)))
    return lines


def worn(
    picture: Image.Image, rng: np.random.Generator, *, blur_px: float, noise: float, quality: int
) -> Pixels:
    """A picture out of focus, with noise of a standard deviation in grey levels, as a JPEG."""
    if blur_px:
        picture = picture.filter(ImageFilter.GaussianBlur(blur_px))
    values = np.asarray(picture, np.float64)
    if noise:
        values = values + rng.normal(0, noise, values.shape)
    file = io.BytesIO()
    Image.fromarray(values.clip(0, 255).astype(np.uint8)).save(file, "JPEG", quality=quality)
    with Image.open(file) as opened:
        return np.asarray(opened.convert("RGB"))


def shaken(width: float, height: float, rng: np.random.Generator, share: float) -> Points:
    """The corners of a rectangle, each moved by up to a share of its shorter side."""
    flat = np.array([[0, 0], [width, 0], [width, height], [0, height]], float)
    return flat + rng.uniform(-1, 1, (4, 2)) * share * min(width, height)


def turned(points: Sequence[Sequence[float]] | Points, degrees: float) -> Points:
    """Points turned clockwise, as one sees them, about their middle."""
    points = np.asarray(points, float)
    angle = np.deg2rad(degrees)
    matrix = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    middle = points.mean(axis=0)
    return np.asarray((points - middle) @ matrix.T + middle, np.float64)
