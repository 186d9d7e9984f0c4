"""What every SAM does around its model: propose regions, and do with less memory where it must."""

from __future__ import annotations

import copy
import threading
from abc import abstractmethod
from typing import Any, Self

from segsearch.core.arrays import Pixels
from segsearch.core.types import Proposal
from segsearch.models.device import CPU, Placement, with_less_memory
from segsearch.models.segment.automatic import GeneratorSettings, View, generate


class BaseSegmenter:
    """A `Segmenter` over a model; `look` is what differs from one SAM to the next."""

    def __init__(
        self, model: Any, *, identity: str, settings: GeneratorSettings, place: Placement = CPU
    ) -> None:
        self._model = model.to(place.device).eval().requires_grad_(requires_grad=False)
        self._place = place
        self._identity = identity
        self._settings = settings
        self._spare: Self | None = None
        self._lock = threading.Lock()

    @property
    def identity(self) -> str:
        return self._identity

    @property
    def settings(self) -> dict[str, Any]:
        return self._settings.document

    @property
    def looks_closer(self) -> bool:
        """Whether clicks are worth a look at crops: only measured for small inputs."""
        return False

    @abstractmethod
    def look(self, pixels: Pixels, grid: tuple[int, int] | None = None) -> View:
        """Encode a picture or crop (H, W, 3) uint8 RGB; the view has the pixels of a `grid` (h, w)
        over it, its own without one."""

    def propose(self, pixels: Pixels) -> list[Proposal]:
        """Regions of one picture (H, W, 3), best first; empty when nothing stands out."""
        spare = None if self._place.device == "cpu" else lambda: self._on_cpu().propose(pixels)
        return with_less_memory(
            lambda batch: generate(pixels, self.look, self._settings.with_batch(batch)),
            self._settings.points_per_batch,
            spare,
            what="segmenting a picture",
        )

    def _on_cpu(self) -> Self:
        """The same on the CPU, made once; the other keeps its device for other pictures."""
        with self._lock:
            if self._spare is None:
                model = copy.deepcopy(self._model).cpu()
                self._spare = type(self)(model, identity=self._identity, settings=self._settings)
            return self._spare
