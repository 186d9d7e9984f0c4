"""Reads what people say of whole photographs: captions in sentences, and names on labels."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from training.clip.patches import cut, opened, recoloured, turned
from training.data.named_photographs import NamedFile
from training.text.corpus import texts_vectors
from training.text.teacher import TEACHER_DIM, Space

LEAST_AREA = 0.6  # of a photograph: a sentence tells of most of it


@dataclass(frozen=True)
class Told:
    """A batch: `pixels` (n, 3, s, s) f32 in 0..1, `meanings` (n, 384) unit rows of a caption of
    each, `pictures` (n,) which photograph it is."""

    pixels: Tensor
    meanings: Tensor
    pictures: Tensor

    def to(self, device: str) -> Told:
        """The same on another device."""
        return Told(self.pixels.to(device), self.meanings.to(device), self.pictures.to(device))


class CaptionedPhotographs:
    """Photographs and the meanings of their captions."""

    def __init__(self, captions: dict[Path, list[str]], cache: Path, space: Space) -> None:
        self.pictures = [opened(path) for path in captions]
        texts = list(dict.fromkeys(text for own in captions.values() for text in own))
        number = {text: row for row, text in enumerate(texts)}
        self.own = [[number[text] for text in texts] for texts in captions.values()]
        rows = texts_vectors(cache, space, texts)[:, :TEACHER_DIM]
        self.meanings = torch.from_numpy(np.ascontiguousarray(rows))

    def sample(self, count: int, side: int, random: torch.Generator) -> Told:
        """Large parts of photographs, turned, mirrored and recoloured, with one caption each."""
        rows = torch.randperm(len(self.pictures), generator=random)[:count]
        parts = [cut(self.pictures[row], side, LEAST_AREA, random) for row in rows.tolist()]
        draws = torch.rand(len(rows), generator=random).tolist()
        said = [
            self.own[row][int(draw * len(self.own[row]))]
            for row, draw in zip(rows.tolist(), draws, strict=True)
        ]
        pixels = recoloured(turned(torch.cat(parts), random), random)
        return Told(pixels, self.meanings[said], rows)


def captions_of(folder: Path, without: AbstractSet[str]) -> dict[Path, list[str]]:
    """The captions of each photograph of a folder, but for the files `without`."""
    made: dict[Path, list[str]] = {}
    for file, caption in _rows(folder / "captions.tsv", without):
        made.setdefault(folder / "images" / file, []).append(caption.strip().rstrip("."))
    return made


def labelled(folder: Path, without: AbstractSet[str]) -> list[NamedFile]:
    """The photographs of a folder with names on labels, but for the files `without`."""
    return [
        NamedFile(folder / "images" / file, tuple(name.strip() for name in names.split(";")))
        for file, names in _rows(folder / "labels.tsv", without)
        if names.strip()
    ]


def _rows(path: Path, without: AbstractSet[str]) -> Sequence[tuple[str, str]]:
    with path.open(encoding="utf-8", newline="") as opened_file:
        rows = csv.reader(opened_file, delimiter="\t", quoting=csv.QUOTE_NONE)
        next(rows)
        return [(row[0], row[1]) for row in rows if row[0] not in without]
