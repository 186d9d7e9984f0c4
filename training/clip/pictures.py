"""Turns drawings into the crops that the image tower learns from, a batch at a time, in torch.

A crop shows one thing as the product would cut it: with its surroundings (other things under and
over it, on plain and busy grounds), or alone on the fill colour by an imperfect mask.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional

from training.clip.backgrounds import Backgrounds
from training.clip.colours import colour_shares
from training.data.cutouts import named
from training.data.render import Drawings

ICON_PX = 128
FILL = (124, 116, 104)
MONOCHROME = "fluent-emoji-high-contrast"
BOX_SHARE = 1 / 1.3  # the box's longer side in a crop with a margin of 15 % on each side


@dataclass(frozen=True)
class Icons:
    """Drawings ready to sample: pixels premultiplied by alpha, boxes from alpha, thing numbers.

    `pixels` (n, 4, 128, 128) u8, `boxes` (n, 3) f32 centre x, centre y, half of the longer side in
    units where the drawing spans -1..1, `things` (n,) i64, `colours` (n, 11) f32 unit rows,
    `styles` (n) who drew them.
    """

    pixels: Tensor
    boxes: Tensor
    things: Tensor
    colours: Tensor
    names: list[str]
    styles: list[str]


@dataclass(frozen=True)
class Crops:
    """A batch: `pixels` (n, 3, s, s) f32 in 0..1, `things` (n,) and `colours` (n, 11)."""

    pixels: Tensor
    things: Tensor
    colours: Tensor

    def to(self, device: str) -> Crops:
        """The same on another device."""
        return Crops(self.pixels.to(device), self.things.to(device), self.colours.to(device))


def load_icons(drawings: Drawings, styles: tuple[str, ...], names: list[str], cache: Path) -> Icons:
    """All drawings of these names and styles at 128 px; the shrunken pixels stay in the cache."""
    number = {name: index for index, name in enumerate(names)}
    pixels, things, hands = [], [], []
    for style in styles:
        table = _shrunken(drawings, style, cache)
        for key, row in drawings.rows[style].items():
            if named(key) in number:
                pixels.append(table[row])
                things.append(number[named(key)])
                hands.append(style)
    stacked = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).contiguous()
    boxes = torch.stack([_box(alpha) for alpha in stacked[:, 3]])
    colours = torch.from_numpy(colour_shares(stacked.numpy()))
    return Icons(stacked, boxes, torch.tensor(things), colours, names, hands)


class Composer:
    """Makes batches of crops from icons and backgrounds, reproducibly from one seed."""

    def __init__(self, icons: Icons, backgrounds: Backgrounds, seed: int) -> None:
        self.icons, self.backgrounds = icons, backgrounds
        self.random = torch.Generator().manual_seed(seed)

    def batch(self, chosen: Tensor, side: int, *, masked_share: float = 0.45) -> Crops:
        """Crops (n, 3, side, side) of the icons with these row numbers."""
        count = len(chosen)
        canvas = self.backgrounds.sample(count, side, self.random)
        canvas = self._with_neighbour(canvas, self._some(count, 0.45))[0]
        drawn = self._placed(chosen, side, scale=self._uniform(count, 0.78, 1.15) * BOX_SHARE)
        colours = self.icons.colours[chosen].clone()
        canvas = _over(canvas, drawn)
        visible = drawn[:, 3:]
        canvas, cover = self._with_neighbour(canvas, self._some(count, 0.25))
        visible = visible * (1 - cover)
        masked = self._some(count, masked_share)
        mask = self._imperfect(visible)
        fill = torch.tensor(FILL).view(1, 3, 1, 1) / 255
        alone = canvas * mask + fill * (1 - mask)
        canvas = torch.where(masked.view(-1, 1, 1, 1), alone, canvas)
        return Crops(self.weathered(canvas), self.icons.things[chosen], colours)

    def plain(self, chosen: Tensor, side: int) -> tuple[Tensor, Tensor]:
        """For evaluation: (context, masked) crops of the same scenes with exact masks."""
        count = len(chosen)
        ground = self.backgrounds.sample(count, side, self.random)
        ground = self._with_neighbour(ground, self._some(count, 0.4))[0]
        drawn = self._placed(chosen, side, scale=torch.full((count,), BOX_SHARE), upright=True)
        context = _over(ground, drawn)
        mask = (drawn[:, 3:] > 0.5).float()
        fill = torch.tensor(FILL).view(1, 3, 1, 1) / 255
        return context, context * mask + fill * (1 - mask)

    def _with_neighbour(self, canvas: Tensor, where: Tensor) -> tuple[Tensor, Tensor]:
        """Lay another icon beside the middle where asked; returns the canvas and its cover."""
        count, side = len(canvas), canvas.shape[-1]
        chosen = torch.randint(len(self.icons.things), (count,), generator=self.random)
        angle = self._uniform(count, 0, 2 * np.pi)
        distance = self._uniform(count, 0.75, 1.3)
        shift = torch.stack([angle.cos() * distance, angle.sin() * distance], 1)
        scale = self._uniform(count, 0.25, 0.8)
        drawn = self._placed(chosen, side, scale=scale, shift=shift) * where.view(-1, 1, 1, 1)
        return _over(canvas, drawn), drawn[:, 3:]

    def _placed(
        self,
        chosen: Tensor,
        side: int,
        *,
        scale: Tensor,
        shift: Tensor | None = None,
        upright: bool = False,
    ) -> Tensor:
        """Icons (n, 4, side, side) f32 premultiplied, turned, stretched, moved into a crop."""
        count = len(chosen)
        turn = torch.zeros(count) if upright else self._uniform(count, -0.35, 0.35)
        flip = torch.where(self._some(count, 0.0 if upright else 0.4), -1.0, 1.0)
        stretch = torch.ones(count) if upright else self._uniform(count, 0.88, 1.14)
        if shift is None:
            shift = torch.zeros(count, 2) if upright else self._uniform(count * 2, -0.12, 0.12)
            shift = shift.view(count, 2)
        boxes = self.icons.boxes[chosen]
        half = boxes[:, 2] / scale
        cos, sin = turn.cos() * half, turn.sin() * half
        matrix = torch.stack([cos * flip * stretch, -sin * flip, sin * stretch, cos], 1).view(
            -1, 2, 2
        )
        offset = boxes[:, :2, None] - matrix @ shift[:, :, None]
        affine = torch.cat([matrix, offset], 2)
        grid = functional.affine_grid(affine, [count, 4, side, side], align_corners=False)
        pixels = self.icons.pixels[chosen].float() / 255
        return functional.grid_sample(pixels, grid, align_corners=False)

    def _imperfect(self, visible: Tensor) -> Tensor:
        """Masks (n, 1, s, s) of 0 and 1 as a segmenter would give them: grown, shrunk, cut."""
        mask = (visible > 0.5).float()
        reach = 2 * int(torch.randint(1, 3, (1,), generator=self.random)) + 1
        grown = functional.max_pool2d(mask, reach, 1, reach // 2)
        shrunk = -functional.max_pool2d(-mask, 3, 1, 1)
        kind = torch.rand(len(mask), generator=self.random).view(-1, 1, 1, 1)
        mask = torch.where(kind < 0.3, grown, torch.where(kind > 0.8, shrunk, mask))
        angle = self._uniform(len(mask), 0, 2 * np.pi).view(-1, 1, 1, 1)
        line = torch.linspace(-1, 1, mask.shape[-1])
        height = angle.cos() * line.view(1, 1, 1, -1) + angle.sin() * line.view(1, 1, -1, 1)
        cut = self._uniform(len(mask), 0.35, 2.0).view(-1, 1, 1, 1)
        return mask * (height < cut)

    def weathered(self, canvas: Tensor) -> Tensor:
        """Light, contrast, tint, loss of resolution, noise and JPEG, as pictures suffer them."""
        count, side = len(canvas), canvas.shape[-1]
        gain = self._uniform(count, 0.7, 1.25).view(-1, 1, 1, 1)
        tint = self._uniform(count * 3, 0.93, 1.07).view(-1, 3, 1, 1)
        lift = self._uniform(count, -0.08, 0.08).view(-1, 1, 1, 1)
        canvas = ((canvas - 0.5) * gain * tint + 0.5 + lift).clamp(0, 1)
        parts = []
        for part in canvas.split(max(1, count // 8)):
            small = int(torch.randint(28, int(side * 1.6), (1,), generator=self.random))
            parts.append(_coarsened(part, min(small, side), side))
        canvas = torch.cat(parts)
        strength = self._uniform(count, 0, 0.03).view(-1, 1, 1, 1)
        canvas = canvas + strength * torch.randn(canvas.shape, generator=self.random)
        canvas = canvas.clamp(0, 1)
        for index in self._some(count, 0.2).nonzero().flatten().tolist():
            canvas[index] = _jpeg(canvas[index], 30 + index % 50)
        return canvas

    def _uniform(self, count: int, low: float, high: float) -> Tensor:
        return torch.rand(count, generator=self.random) * (high - low) + low

    def _some(self, count: int, share: float) -> Tensor:
        return torch.rand(count, generator=self.random) < share


def normalised(pixels: Tensor) -> Tensor:
    """0..1 pixels as the backbone expects them."""
    return (pixels - 0.498) / 0.502


def _over(canvas: Tensor, drawn: Tensor) -> Tensor:
    """Premultiplied icons (n, 4, s, s) laid over a canvas (n, 3, s, s)."""
    return canvas * (1 - drawn[:, 3:]) + drawn[:, :3]


def _coarsened(part: Tensor, small: int, side: int) -> Tensor:
    if small >= side:
        return part
    low = functional.interpolate(part, size=(small, small), mode="bilinear", antialias=True)
    return functional.interpolate(low, size=(side, side), mode="bicubic").clamp(0, 1)


def _jpeg(pixels: Tensor, quality: int) -> Tensor:
    array = (pixels.permute(1, 2, 0).numpy() * 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "JPEG", quality=quality)
    back = np.asarray(Image.open(buffer), np.float32) / 255
    return torch.from_numpy(back).permute(2, 0, 1)


def _shrunken(drawings: Drawings, style: str, cache: Path) -> NDArray[np.uint8]:
    """A style's table (n, 128, 128, 4) u8, premultiplied by alpha."""
    path = cache / "clip" / f"{style}-{ICON_PX}.npy"
    source = drawings.tables[style]
    if path.exists() and len(stored := np.load(path)) == len(source):
        return np.asarray(stored)
    made = np.zeros((len(source), ICON_PX, ICON_PX, 4), np.uint8)
    for row, picture in enumerate(source):
        solid = picture.astype(np.float32)
        solid[..., :3] *= solid[..., 3:] / 255
        made[row] = solid.reshape(ICON_PX, 2, ICON_PX, 2, 4).mean((1, 3)).round()
    np.save(path, made)
    return made


def _box(alpha: Tensor) -> Tensor:
    """Centre x, centre y and half of the longer side of what is opaque, in -1..1 units."""
    rows, columns = (alpha > 32).any(1).nonzero().flatten(), (alpha > 32).any(0).nonzero().flatten()
    if not len(rows):
        return torch.tensor([0.0, 0.0, 1.0])
    edges = [columns[0], columns[-1] + 1, rows[0], rows[-1] + 1]
    x0, x1, y0, y1 = (float(edge) / ICON_PX * 2 - 1 for edge in edges)
    return torch.tensor([(x0 + x1) / 2, (y0 + y1) / 2, max(x1 - x0, y1 - y0) / 2])
