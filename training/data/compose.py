"""Composes scenes with known masks: drawings over backgrounds, or textured shapes all over.

`compose_scene` gives named things; `compose_leaves` layered "dead leaves" (Baradad et al. 2021).
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from training.data import shapes
from training.data.fetch import FILLED_STYLES
from training.data.render import Drawings
from training.data.scene import (
    GROUND,
    Canvas,
    Layer,
    Region,
    Scene,
    blurred,
    finished,
    lit,
    shadow_of,
)
from training.data.textures import Size, Surface, texture

SMALLEST, LARGEST = 0.03, 0.6  # a thing's side as a share of the picture's longer side


def compose_scene(  # noqa: PLR0913  what a scene is made of; all but two by keyword
    rng: np.random.Generator,
    drawings: Drawings,
    *,
    size: Size,
    styles: Sequence[str] = FILLED_STYLES,
    count: int | None = None,
    names: Sequence[str] | None = None,
    sides: tuple[float, float] = (SMALLEST, LARGEST),
    ground: Surface | None = None,
) -> Scene:
    """1-12 things in random places, one over another, on a background.

    `names` says which things, in that order; otherwise they are drawn at random. `ground` (H, W, 3)
    is a background from elsewhere; one is made where there is none.
    """
    canvas = background(rng, size) if ground is None else Canvas.over(ground.copy())
    total = len(names) if names else count or int(rng.integers(1, 13))
    for index in range(total):
        style = str(rng.choice(list(styles)))
        known = drawings.rows[style]
        name = names[index] if names else drawings.names(style)[int(rng.integers(len(known)))]
        layer = place(rng, drawings, name, style, size=size, sides=sides)
        put_down(rng, canvas, layer, Region(name, style))
    return finished(rng, canvas)


def place(  # noqa: PLR0913  what is placed, and where it may lie
    rng: np.random.Generator,
    drawings: Drawings,
    name: str,
    style: str,
    *,
    size: Size,
    sides: tuple[float, float] = (SMALLEST, LARGEST),
) -> Layer:
    """A drawing, scaled, turned and mirrored, its middle somewhere on the canvas."""
    even = rng.random() < 0.5  # even in side half of the time, else even in its logarithm
    share = rng.uniform(*sides) if even else np.exp(rng.uniform(*np.log(sides)))
    side_px = max(size) * float(share)
    turn = rng.normal(0, 12) if rng.random() < 0.8 else rng.uniform(-180, 180)
    picture = np.asarray(drawings.picture(name, style), np.float32) / 255
    alpha = picture[..., 3:]
    flat = np.concatenate([picture[..., :3] * alpha, alpha], axis=2)
    turned = _turned(flat, side_px, float(turn), mirrored=bool(rng.random() < 0.5))
    coverage = turned[..., 3]
    surface = turned[..., :3] / np.maximum(coverage, 1e-3)[..., None]
    height, width = coverage.shape
    margin = 0.35  # of the thing's side may lie outside the picture
    room = [(1 - 2 * margin) * extent for extent in (height, width)]
    top = rng.uniform(-margin * height, max(size[0] - room[0] - margin * height, 0))
    left = rng.uniform(-margin * width, max(size[1] - room[1] - margin * width, 0))
    return Layer(np.clip(surface, 0, 1), np.clip(coverage, 0, 1), int(top), int(left))


def put_down(rng: np.random.Generator, canvas: Canvas, layer: Layer, region: Region) -> int:
    """Paint a layer, often with a shadow under it and light on it; returns its label."""
    if rng.random() < 0.4:
        canvas.shade(shadow_of(rng, layer), rng.uniform(0.2, 0.7))
    return canvas.paint(lit(rng, layer) if rng.random() < 0.4 else layer, region)


def compose_leaves(
    rng: np.random.Generator,
    drawings: Drawings,
    *,
    size: Size,
    styles: Sequence[str] = FILLED_STYLES,
    drawn_share: float = 0.15,
) -> Scene:
    """Textured shapes, large ones first; some carry parts, some are drawings themselves."""
    canvas = background(rng, size)
    for side in np.sort(_leaf_sides(rng, max(size)))[::-1]:
        if rng.random() < drawn_share:
            _put_drawing(rng, canvas, drawings, styles, float(side))
        else:
            _put_leaf(rng, canvas, drawings, float(side))
        if rng.random() < 0.04:  # what lies further away is out of focus
            canvas.surface = blurred(canvas.surface, rng.uniform(0.8, 2.5))
    return finished(rng, canvas)


def _leaf_sides(rng: np.random.Generator, longest: int) -> np.ndarray:
    """Sides in pixels; their density falls with a power of the size, as in photographs."""
    count = int(np.exp(rng.uniform(np.log(4), np.log(36))))
    low, high = rng.uniform(0.04, 0.12), rng.uniform(0.35, 0.9)
    return np.asarray(longest * np.exp(rng.uniform(np.log(low), np.log(high), count)))


def _put_drawing(
    rng: np.random.Generator,
    canvas: Canvas,
    drawings: Drawings,
    styles: Sequence[str],
    side_px: float,
) -> None:
    style = str(rng.choice(list(styles)))
    name = drawings.names(style)[int(rng.integers(len(drawings.rows[style])))]
    share = min(side_px / max(canvas.size), LARGEST)
    layer = place(rng, drawings, name, style, size=canvas.size, sides=(share, share))
    put_down(rng, canvas, layer, Region(name, style))


def _put_leaf(rng: np.random.Generator, canvas: Canvas, drawings: Drawings, side_px: float) -> None:
    outline = shapes.outline(rng, drawings, max(int(side_px), 6))
    height, width = outline.shape
    top = int(rng.uniform(-0.4 * height, canvas.size[0] - 0.6 * height))
    left = int(rng.uniform(-0.4 * width, canvas.size[1] - 0.6 * width))
    layer = Layer(texture(rng, outline.shape), outline, top, left)
    label = put_down(rng, canvas, layer, Region(GROUND, "leaf"))
    if side_px > 0.15 * max(canvas.size) and rng.random() < 0.3:
        for _ in range(int(rng.integers(1, 4))):
            _put_part(rng, canvas, drawings, layer, label)


def _put_part(
    rng: np.random.Generator, canvas: Canvas, drawings: Drawings, whole: Layer, label: int
) -> None:
    """A smaller shape on a leaf, cut off at the leaf's edge."""
    height, width = whole.alpha.shape
    side = max(int(rng.uniform(0.2, 0.6) * min(height, width)), 6)
    outline = shapes.outline(rng, drawings, side)
    top, left = (int(rng.uniform(0, max(extent - side, 1))) for extent in (height, width))
    inside = whole.alpha[top : top + side, left : left + side]
    rows, columns = (min(a, b) for a, b in zip(inside.shape, outline.shape, strict=True))
    alpha = outline[:rows, :columns] * (inside[:rows, :columns] > 0.5)
    part = Layer(texture(rng, alpha.shape), alpha, whole.top + top, whole.left + left)
    canvas.paint(part, Region(GROUND, "part", parent=label))


def background(rng: np.random.Generator, size: Size) -> Canvas:
    """One surface, or a few that meet in lines: a wall and a floor, sky and land."""
    canvas = Canvas.over(texture(rng, size, plain=0.3).copy())
    for _ in range(int(rng.choice([0, 1, 2], p=[0.55, 0.35, 0.1]))):
        layer = Layer(texture(rng, size), shapes.half_plane(rng, size), 0, 0)
        canvas.paint(layer, Region(GROUND, "ground"))
    if rng.random() < 0.2:
        canvas.surface = blurred(canvas.surface, rng.uniform(0.8, 3.5))
    return canvas


def _turned(flat: np.ndarray, side_px: float, degrees: float, *, mirrored: bool) -> np.ndarray:
    """(h, w, 4) premultiplied -> the same scaled, turned, mirrored and cut to what is covered."""
    scale = max(side_px, 4.0) / flat.shape[0]
    if scale < 0.6:  # bilinear warping alone would skip pixels
        reduced = max(round(flat.shape[0] * scale * 1.2), 4)
        flat = cv2.resize(flat, (reduced, reduced), interpolation=cv2.INTER_AREA)
        scale = max(side_px, 4.0) / reduced
    if mirrored:
        flat = flat[:, ::-1]
    middle = (flat.shape[0] - 1) / 2
    extent = int(np.ceil(side_px * 1.42)) + 2
    matrix = cv2.getRotationMatrix2D((middle, middle), degrees, scale)
    matrix[:, 2] += (extent - 1) / 2 - middle
    warped = cv2.warpAffine(np.ascontiguousarray(flat), matrix, (extent, extent))
    rows = np.flatnonzero(warped[..., 3].max(1) > 0.02)
    columns = np.flatnonzero(warped[..., 3].max(0) > 0.02)
    if not len(rows):
        return warped[:1, :1]
    return np.asarray(warped[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])
