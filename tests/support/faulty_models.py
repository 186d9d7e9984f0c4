"""Small models that say where they were loaded, and fail as an accelerator does; none is needed."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

from segsearch.core.arrays import Pixels
from segsearch.core.types import Proposal
from segsearch.models.pipeline import Pipeline
from tests.support.ingest_driver import CYAN, PURPLE
from tests.support.small_models import (
    ColourEmbedder,
    ColourSegmenter,
    SmallModels,
    nearest_colours,
)

ILLEGAL = "CUDA error: an illegal memory access was encountered\nCompile with `TORCH_USE_CUDA_DSA`."
TOGETHER_SECONDS = 60


class PoisonedSegmenter(ColourSegmenter):
    """Cuts like `ColourSegmenter`. After a picture that is mostly purple, and after one that is
    mostly cyan unless it is the first, every call raises what CUDA raises then. With `together`,
    so many pictures wait for each other."""

    def __init__(self, together: int = 1) -> None:
        self._is_poisoned = False
        self._pictures = 0
        self._meeting = threading.Barrier(together)

    def propose(self, pixels: Pixels) -> list[Proposal]:
        self._pictures += 1
        self._meeting.wait(TOGETHER_SECONDS)
        purple, cyan = ((nearest_colours(pixels) == c).mean() > 0.5 for c in (PURPLE, CYAN))
        self._is_poisoned |= bool(purple or (cyan and self._pictures > 1))
        if self._is_poisoned:
            raise RuntimeError(ILLEGAL)
        return super().propose(pixels)


def logged_pipeline(log: Path, device: str, together: int) -> Pipeline:
    """The small models; writes a line with the number of the process that loads them."""
    with log.open("a") as file:
        file.write(f"{os.getpid()}\n")
    return Pipeline(PoisonedSegmenter(together), ColourEmbedder(), SmallModels.crop, device)


class LoggedModels(SmallModels):
    """Small models of the same recipe; `loads` are the processes that have loaded them."""

    def __init__(self, log: Path, *, device: str = "cpu", together: int = 1) -> None:
        self._log = log
        self._build = partial(logged_pipeline, log, device, together)
        self._here: Pipeline | None = None

    @property
    def loads(self) -> list[int]:
        return [int(line) for line in self._log.read_text().split()] if self._log.exists() else []

    def pipeline(self) -> Pipeline:
        self._here = self._here or self._build()
        return self._here

    def builder(self) -> Callable[[], Pipeline]:
        return self._build


class DeadSegmenter(ColourSegmenter):
    """Raises what CUDA raises at every call."""

    def propose(self, pixels: Pixels) -> list[Proposal]:
        raise RuntimeError(f"{ILLEGAL} ({pixels.size})")


def dead_pipeline(device: str) -> Pipeline:
    """The small models on a device that does nothing."""
    return Pipeline(DeadSegmenter(), ColourEmbedder(), SmallModels.crop, device)


class DeadModels(SmallModels):
    """Small models of the same recipe whose device fails over every picture."""

    def __init__(self, device: str) -> None:
        self._build = partial(dead_pipeline, device)

    def pipeline(self) -> Pipeline:
        return self._build()

    def builder(self) -> Callable[[], Pipeline]:
        return self._build
