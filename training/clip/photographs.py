"""Turns named photographs into what the image tower learns from: large parts of them, and names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from training.clip.patches import GREY_WEIGHTS, cut, opened, recoloured, turned
from training.data.named_photographs import NamedFile

LEAST_AREA = 0.4  # of a photograph: what a name means must still be in it
GREY_SHARE = 0.25
FIRST_SHARE = 0.6  # how often the most prominent of several names is the one asked for
HELD_OUT_EVERY = 10


@dataclass(frozen=True)
class Parts:
    """A batch: `pixels` (n, 3, s, s) f32 in 0..1, `things` (n,) the name each is asked for, `shown`
    (n, names) bool all that it shows."""

    pixels: Tensor
    things: Tensor
    shown: Tensor

    def to(self, device: str) -> Parts:
        """The same on another device."""
        return Parts(self.pixels.to(device), self.things.to(device), self.shown.to(device))


class NamedPhotographs:
    """Photographs and the row numbers of their names among `names`."""

    def __init__(self, files: Sequence[NamedFile], names: Sequence[str]) -> None:
        number = {name: index for index, name in enumerate(names)}
        self.pictures = [opened(one.path) for one in files]
        self.labels = [[number[name] for name in one.names] for one in files]
        self.shown = torch.zeros(len(files), len(names), dtype=torch.bool)
        for row, own in zip(self.shown, self.labels, strict=True):
            row[own] = True
        counts = Counter(own[0] for own in self.labels)
        # Of ninety women and one temple the temple is asked for oftener than one time in ninety.
        self.chances = torch.tensor([counts[own[0]] ** -0.5 for own in self.labels])

    def sample(self, count: int, side: int, random: torch.Generator) -> Parts:
        """Parts of photographs: turned, mirrored, recoloured, a quarter without colour."""
        rows = torch.multinomial(self.chances, count, generator=random)
        parts = [cut(self.pictures[row], side, LEAST_AREA, random) for row in rows.tolist()]
        pixels = recoloured(turned(torch.cat(parts), random), random)
        grey = (pixels * torch.tensor(GREY_WEIGHTS).view(1, 3, 1, 1)).sum(1, keepdim=True)
        faded = torch.rand(count, 1, 1, 1, generator=random) < GREY_SHARE
        asked = [self._asked(row, random) for row in rows.tolist()]
        pixels = torch.where(faded, grey.expand_as(pixels), pixels)
        return Parts(pixels, torch.tensor(asked), self.shown[rows])

    def _asked(self, row: int, random: torch.Generator) -> int:
        own = self.labels[row]
        if len(own) == 1 or torch.rand(1, generator=random).item() < FIRST_SHARE:
            return own[0]
        return own[1 + int(torch.randint(len(own) - 1, (1,), generator=random))]

    def middles(self, side: int) -> Tensor:
        """The largest square in the middle of each (n, 3, side, side) f32, for evaluation."""
        squares = []
        for picture in self.pictures:
            height, width = picture.shape[1:]
            least = min(height, width)
            top, left = (height - least) // 2, (width - least) // 2
            square = picture[None, :, top : top + least, left : left + least].float() / 255
            squares.append(
                torch.nn.functional.interpolate(
                    square, size=(side, side), mode="bilinear", antialias=True
                )
            )
        return torch.cat(squares)


def split(files: Sequence[NamedFile]) -> tuple[list[NamedFile], list[NamedFile]]:
    """Those whose names are taught and, one in ten, those whose names are held out."""
    held_out = list(files[::HELD_OUT_EVERY])
    return [one for one in files if one not in held_out], held_out
