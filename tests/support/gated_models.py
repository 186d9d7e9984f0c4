"""Small models whose work a test holds up, or breaks, by files in a folder: they run in a process
of their own, as a server's do.

Each such process imports this module: it imports no server, and no browser.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from segsearch.core.arrays import Pixels
from segsearch.core.types import Proposal
from segsearch.models.pipeline import Pipeline
from tests.support.small_models import ColourEmbedder, ColourSegmenter, SmallModels

LOOK_SECONDS = 0.02
BROKEN = "The test has broken the models."


class Gate:
    """What holds models up: each switch is a file in `folder`.

    `loading` keeps them from being loaded, `pictures` each picture from being looked at; `broken`
    lets each picture fail.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def shut(self, switch: str) -> None:
        (self.folder / switch).touch()

    def open(self, switch: str) -> None:
        (self.folder / switch).unlink(missing_ok=True)

    def is_shut(self, switch: str) -> bool:
        return (self.folder / switch).exists()

    def wait(self, switch: str) -> None:
        while self.is_shut(switch):
            time.sleep(LOOK_SECONDS)

    def reset(self) -> None:
        for file in self.folder.iterdir():
            file.unlink()


class GatedSegmenter(ColourSegmenter):
    """Cuts like `ColourSegmenter`, as soon as the gate lets it."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    def propose(self, pixels: Pixels) -> list[Proposal]:
        self._gate.wait("pictures")
        if self._gate.is_shut("broken"):
            raise ValueError(BROKEN)
        return super().propose(pixels)


def gated_pipeline(folder: Path) -> Pipeline:
    """The small models behind a gate; a model process takes it by name."""
    gate = Gate(folder)
    gate.wait("loading")
    return Pipeline(GatedSegmenter(gate), ColourEmbedder(), SmallModels.crop)


class GatedModels(SmallModels):
    """Small models of the same recipe behind the gate of a folder."""

    def __init__(self, folder: Path) -> None:
        self.gate = Gate(folder)
        self._build = partial(gated_pipeline, folder)

    def pipeline(self) -> Pipeline:
        return self._build()

    def builder(self) -> Callable[[], Pipeline]:
        return self._build
