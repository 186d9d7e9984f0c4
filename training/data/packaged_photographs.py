"""Photographs that installable packages ship, with their truth and the words to look for.

They are read from the installed packages, never copied into the project and never trained on.
Packages: scikit-image, scikit-learn, matplotlib, gradio, imgaug, mahotas.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from PIL import Image

TABLE = Path(__file__).with_suffix(".json")


@dataclass(frozen=True, slots=True)
class Photograph:
    """One photograph: where it lies on this machine and what can be seen in it."""

    name: str
    path: Path
    licence: str
    truth: tuple[str, ...]

    def open(self) -> Image.Image:
        """The picture in RGB."""
        return Image.open(self.path).convert("RGB")


def photographs() -> list[Photograph]:
    """The photographs whose packages are installed here, in the table's order."""
    rows = json.loads(TABLE.read_text("utf-8"))["photographs"]
    found = [(row, _inside(row["package"], row["file"])) for row in rows]
    return [
        Photograph(row["name"], path, row["licence"], tuple(row["truth"]))
        for row, path in found
        if path is not None
    ]


def queries() -> dict[str, list[str]]:
    """Words -> the names of the photographs that show them."""
    return dict(json.loads(TABLE.read_text("utf-8"))["queries"])


def absent() -> list[str]:
    """Words that none of the photographs shows."""
    return list(json.loads(TABLE.read_text("utf-8"))["absent"])


def _inside(package: str, file: str) -> Path | None:
    """A file of an installed package, found without importing the package."""
    spec = find_spec(package)
    for folder in (spec.submodule_search_locations or []) if spec else []:
        if (Path(folder) / file).is_file():
            return Path(folder) / file
    return None
