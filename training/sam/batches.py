"""Cuts crops from the pool and draws prompts on them, with every mask that answers a prompt."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.sam.pool import NO_PARENT, UNKNOWN, Part, finished_parts, open_part

PROMPTS = 8  # an image
SMALLEST_REGION_PX = 16
GROUND_SHARE = 0.3  # how often the ground is asked for, against any other region
BOX_SHARE, CLICKS_SHARE = 0.1, 0.15
SMALLEST_WINDOW = 0.55  # of a scene's side
MASK_STRIDE = 2  # px of the input a cell of the low-resolution masks


@dataclass(frozen=True)
class Prompted:
    """One image and its prompts.

    `pixels` (3, S, S) float 0..255, zeros mean padding only after normalising; `valid` (2,) the
    height and width that are picture. `points` (P, K, 2) x, y and `kinds` (P, K) 1 inside,
    0 outside, -1 none; or `boxes` (P, 4). `part` and `whole` (P, S / 2, S / 2) bool are the
    smallest and the largest region that answer, empty where nothing does; `cells` (S / 8, S / 8)
    the owner of each cell. `rated` is what the predicted IoU counts here.
    """

    pixels: Tensor
    valid: tuple[int, int]
    points: Tensor | None
    kinds: Tensor | None
    boxes: Tensor | None
    part: Tensor
    whole: Tensor
    cells: Tensor
    rated: float = 1.0

    def to(self, device: str) -> Prompted:
        """The same on another device."""
        values = {part.name: getattr(self, part.name) for part in fields(self)}
        moved: dict[str, Any] = {
            name: value.to(device) for name, value in values.items() if isinstance(value, Tensor)
        }
        return replace(self, **moved)


@dataclass
class Sampler:
    """Endless prompted crops from whatever parts of the pool are complete by now."""

    cache: Path
    side_px: int
    rng: np.random.Generator
    parts: list[Part] = field(default_factory=list)

    def prompted(self) -> Prompted | None:
        """One crop with PROMPTS prompts; None while no part is complete."""
        folders = finished_parts(self.cache)
        self.parts += [open_part(folder) for folder in folders[len(self.parts) :]]
        while self.parts:
            part = self.parts[int(self.rng.integers(len(self.parts)))]
            row = int(self.rng.integers(len(part.pixels)))
            crop = self._crop(part.pixels[row], part.labels[row])
            made = prompted(self.rng, *crop, part.parents[row], self.side_px)
            if made is not None:
                return made
        return None

    def _crop(
        self, pixels: NDArray[np.uint8], labels: NDArray[np.uint8]
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """A random window, its longer side scaled to the input's, mirrored, its colours moved."""
        full = pixels.shape[0]
        height = width = int(full * self.rng.uniform(SMALLEST_WINDOW, 1.0))
        if self.rng.random() < 0.4:
            shorter = int(height * self.rng.uniform(0.5, 0.95))
            height, width = (shorter, width) if self.rng.random() < 0.5 else (height, shorter)
        top = int(self.rng.integers(full - height + 1))
        left = int(self.rng.integers(full - width + 1))
        window = slice(top, top + height), slice(left, left + width)
        scale = self.side_px / max(height, width)
        size = max(round(width * scale), 8), max(round(height * scale), 8)
        method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        picture = cv2.resize(np.ascontiguousarray(pixels[window]), size, interpolation=method)
        owner = cv2.resize(
            np.ascontiguousarray(labels[window]), size, interpolation=cv2.INTER_NEAREST
        )
        if self.rng.random() < 0.5:
            picture, owner = picture[:, ::-1], owner[:, ::-1]
        if self.rng.random() < 0.3:
            picture = picture[..., self.rng.permutation(3)]
        return np.ascontiguousarray(picture), np.ascontiguousarray(owner)


def prompted(
    rng: np.random.Generator,
    picture: NDArray[np.uint8],
    owner: NDArray[np.uint8],
    parents: NDArray[np.int16],
    side_px: int,
) -> Prompted | None:
    """Prompts on one crop; None when no region is large enough."""
    chosen = _regions(rng, owner)
    if chosen is None:
        return None
    wholes = [_whole(owner, parents, int(label)) for label in chosen]
    parts = [_with_parts(owner, parents, int(label)) for label in chosen]
    points = kinds = boxes = None
    form = rng.random()
    if form < BOX_SHARE:
        boxes = torch.from_numpy(np.stack([loose_box(rng, mask) for mask in parts]))
    else:
        clicks = 1 if form > BOX_SHARE + CLICKS_SHARE else int(rng.integers(2, 4))
        drawn = [
            several_clicks(rng, owner == label, part, clicks)
            for label, part in zip(chosen, parts, strict=True)
        ]
        points = torch.from_numpy(np.stack([places for places, _ in drawn]))
        kinds = torch.from_numpy(np.stack([sides for _, sides in drawn]))
    padded = np.full((side_px, side_px), UNKNOWN, np.uint8)
    padded[: owner.shape[0], : owner.shape[1]] = owner
    return Prompted(
        pixels=padded_pixels(picture, side_px),
        valid=(owner.shape[0], owner.shape[1]),
        points=points,
        kinds=kinds,
        boxes=boxes,
        part=reduced(parts, side_px),
        whole=reduced(wholes, side_px),
        cells=torch.from_numpy(padded[4::8, 4::8].astype(np.int64)),
    )


def padded_pixels(picture: NDArray[np.uint8], side_px: int) -> Tensor:
    """(3, S, S) float: a crop (h, w, 3) in the upper left corner of the input."""
    full = np.zeros((side_px, side_px, 3), np.uint8)
    full[: picture.shape[0], : picture.shape[1]] = picture
    return torch.from_numpy(full).permute(2, 0, 1).float()


def _regions(rng: np.random.Generator, owner: NDArray[np.uint8]) -> NDArray[np.int64] | None:
    """(P,) labels to ask for; small and large regions alike, the ground less often."""
    areas = np.bincount(owner.ravel(), minlength=256)[:UNKNOWN]
    labels = np.flatnonzero(areas >= SMALLEST_REGION_PX)
    if not len(labels):
        return None
    shares = np.where(labels == 0, GROUND_SHARE, 1.0) * areas[labels] ** 0.2
    return rng.choice(labels, PROMPTS, p=shares / shares.sum())


def _with_parts(
    owner: NDArray[np.uint8], parents: NDArray[np.int16], label: int
) -> NDArray[np.bool_]:
    return np.isin(owner, [label, *np.flatnonzero(parents == label)])


def _whole(owner: NDArray[np.uint8], parents: NDArray[np.int16], label: int) -> NDArray[np.bool_]:
    parent = int(parents[label]) if label < len(parents) else NO_PARENT
    return _with_parts(owner, parents, label if parent == NO_PARENT else parent)


def several_clicks(
    rng: np.random.Generator, own: NDArray[np.bool_], part: NDArray[np.bool_], count: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Points (K, 2) as x, y: one on the region itself, the others inside or close outside."""
    places, kinds = [_pixel(rng, own)], [1]
    grown = cv2.dilate(part.astype(np.uint8), np.ones((31, 31), np.uint8)) > 0
    for _ in range(count - 1):
        inside = bool(rng.random() < 0.5) or not (grown & ~part).any()
        places.append(_pixel(rng, part if inside else grown & ~part))
        kinds.append(int(inside))
    return np.asarray(places, np.float32), np.asarray(kinds, np.int64)


def _pixel(rng: np.random.Generator, mask: NDArray[np.bool_]) -> tuple[float, float]:
    found = np.flatnonzero(mask.ravel())
    row, column = divmod(int(found[int(rng.integers(len(found)))]), mask.shape[1])
    return column + 0.5, row + 0.5


def loose_box(rng: np.random.Generator, mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """(4,) x0, y0, x1, y1 around the mask, each side off by up to a tenth of the extent."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    box = np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], np.float32)
    extent = np.array([box[2] - box[0], box[3] - box[1]] * 2, np.float32)
    return np.asarray(box + rng.uniform(-0.1, 0.1, 4) * extent, np.float32)


def reduced(masks: list[NDArray[np.bool_]], side_px: int) -> Tensor:
    """(P, S / 2, S / 2) bool: the masks at the decoder's resolution, padded like the picture."""
    full = np.zeros((len(masks), side_px, side_px), np.bool_)
    for row, mask in enumerate(masks):
        full[row, : mask.shape[0], : mask.shape[1]] = mask
    counted = full.reshape(len(masks), side_px // 2, 2, side_px // 2, 2).sum((2, 4), dtype=np.uint8)
    return torch.from_numpy(counted >= 2)
