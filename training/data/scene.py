"""The scene being built: layers painted one over another, every pixel's owner known."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from training.data.textures import Field, Size, Surface, noise

BoolArray = NDArray[np.bool_]
GROUND = ""  # the name of regions that are no thing: backgrounds, textured shapes


@dataclass(frozen=True)
class Region:
    """Who owns some pixels; `parent` is the label of the region that it is a part of."""

    name: str
    style: str
    parent: int | None = None


@dataclass(frozen=True)
class Instance:
    """A named thing and its visible mask (H, W)."""

    name: str
    style: str
    mask: BoolArray


@dataclass(frozen=True)
class Scene:
    """`pixels` (H, W, 3) uint8 RGB; `labels` (H, W) uint8 index into `regions`."""

    pixels: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    regions: tuple[Region, ...]

    def mask(self, label: int) -> BoolArray:
        """(H, W): the visible pixels of a region and of its parts."""
        visible: BoolArray = self.labels == label
        for part, region in enumerate(self.regions):
            if region.parent == label:
                visible |= self.labels == part
        return visible

    @property
    def instances(self) -> list[Instance]:
        """The named things that can be seen, in the order in which they were painted."""
        named = [(label, region) for label, region in enumerate(self.regions) if region.name]
        found = [Instance(r.name, r.style, self.mask(label)) for label, r in named]
        return [instance for instance in found if instance.mask.any()]


@dataclass
class Canvas:
    """A scene in the making; colours are float 0..1 until `finished`."""

    surface: Surface
    labels: NDArray[np.uint8]
    regions: list[Region] = field(default_factory=lambda: [Region(GROUND, GROUND)])

    @classmethod
    def over(cls, surface: Surface) -> Canvas:
        """A canvas whose only region, label 0, is the background."""
        return cls(surface, np.zeros(surface.shape[:2], np.uint8))

    @property
    def size(self) -> Size:
        """Height and width in pixels."""
        return self.labels.shape[0], self.labels.shape[1]

    def paint(self, layer: Layer, region: Region) -> int:
        """Put a layer on top; returns its label."""
        part, window = clipped(layer, self.size)
        self.regions.append(region)
        label = len(self.regions) - 1
        if part.alpha.size:
            over = part.alpha[..., None]
            below = self.surface[window]
            self.surface[window] = below * (1 - over) + part.surface * over
            self.labels[window][part.alpha > 0.5] = label
        return label

    def shade(self, layer: Layer, strength: float) -> None:
        """Darken by a layer's alpha: its shadow."""
        part, window = clipped(layer, self.size)
        if part.alpha.size:
            self.surface[window] *= 1 - strength * part.alpha[..., None]


@dataclass(frozen=True)
class Layer:
    """A patch of colour with its coverage (h, w) 0..1, its corner at (top, left) of the canvas."""

    surface: Surface
    alpha: Field
    top: int
    left: int


def clipped(layer: Layer, size: Size) -> tuple[Layer, tuple[slice, slice]]:
    """The part of a layer that lies on the canvas, and where it lies there."""
    height, width = layer.alpha.shape
    y0, x0 = max(layer.top, 0), max(layer.left, 0)
    y1 = max(min(layer.top + height, size[0]), y0)
    x1 = max(min(layer.left + width, size[1]), x0)
    inner = slice(y0 - layer.top, y1 - layer.top), slice(x0 - layer.left, x1 - layer.left)
    cut = Layer(layer.surface[inner], layer.alpha[inner], y0, x0)
    return cut, (slice(y0, y1), slice(x0, x1))


def shadow_of(rng: np.random.Generator, layer: Layer) -> Layer:
    """The layer's outline, blurred and moved away from the light."""
    height, width = layer.alpha.shape
    spread = max(1.0, rng.uniform(0.01, 0.08) * max(height, width))
    margin = int(spread * 2)
    alpha = cv2.copyMakeBorder(layer.alpha, margin, margin, margin, margin, cv2.BORDER_CONSTANT)
    blurred = cv2.blur(cv2.blur(alpha, (margin, margin)), (margin, margin)).astype(np.float32)
    angle, reach = rng.uniform(0, 2 * np.pi), spread * rng.uniform(0, 1.5)
    top = layer.top - margin + int(reach * np.sin(angle))
    left = layer.left - margin + int(reach * np.cos(angle))
    return Layer(np.zeros((*blurred.shape, 3), np.float32), blurred, top, left)


def lit(rng: np.random.Generator, layer: Layer) -> Layer:
    """The layer under uneven light: a ramp across it, or a bulge lit from one side."""
    height, width = layer.alpha.shape
    x = np.linspace(-1, 1, width, dtype=np.float32)[None]
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    angle = rng.uniform(0, 2 * np.pi)
    ramp = x * np.float32(np.cos(angle)) + y * np.float32(np.sin(angle))
    if rng.random() < 0.4:
        edge = max(3, int(max(height, width) * rng.uniform(0.1, 0.4)) | 1)
        ramp = ramp * 0.5 + 2 * (cv2.blur(layer.alpha, (edge, edge)) - 0.7)
    light = 1 + rng.uniform(0.05, 0.45) * ramp
    return Layer(
        np.clip(layer.surface * light[..., None], 0, 1), layer.alpha, layer.top, layer.left
    )


def finished(rng: np.random.Generator, canvas: Canvas) -> Scene:
    """Camera effects over everything: light, blur, noise, JPEG."""
    surface = canvas.surface
    if rng.random() < 0.3:
        light = 1 + rng.uniform(0.1, 0.6) * (noise(rng, canvas.size, 2.0) - 0.5)
        surface = surface * light[..., None]
    if rng.random() < 0.3:
        surface = blurred(surface, rng.uniform(0.4, 1.3))
    if rng.random() < 0.4:
        grain = rng.standard_normal(surface.shape, np.float32)
        surface = surface + grain * rng.uniform(0.005, 0.05)
    if rng.random() < 0.25:
        surface = np.clip(surface, 0, 1) ** rng.uniform(0.7, 1.4)
    pixels = (np.clip(surface, 0, 1) * 255 + 0.5).astype(np.uint8)
    if rng.random() < 0.4:
        pixels = _through_jpeg(pixels, int(rng.integers(35, 95)))
    return Scene(pixels, canvas.labels, tuple(canvas.regions))


def blurred(surface: Surface, radius_px: float) -> Surface:
    """The surface out of focus."""
    return np.asarray(cv2.GaussianBlur(surface, (0, 0), radius_px), np.float32)


def _through_jpeg(pixels: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    _, encoded = cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded = np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR), np.uint8)
    return np.ascontiguousarray(decoded[..., ::-1])
