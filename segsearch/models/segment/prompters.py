"""Keeps one prompter a preset: what is pointed at is cut out by the library's own segmenter."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable

from segsearch.core.errors import ModelError
from segsearch.core.types import Recipe
from segsearch.models.loading import PresetModels
from segsearch.models.protocols import Promptable
from segsearch.models.segment.session import Prompter


def picture_key(data: bytes) -> str:
    """The same key for the bytes of a file as for the stored image of that file."""
    return hashlib.sha256(data).hexdigest()


class Prompters:
    """Prompters by preset, made when first asked for. Thread-safe."""

    def __init__(
        self, models: Callable[[str | None], PresetModels], usual: str | None, max_bytes: int
    ) -> None:
        self._models = models
        self._usual = usual  # the preset for a library without a recipe
        self._max_bytes = max_bytes  # of kept encodings, a prompter
        self._made: dict[str, Prompter] = {}
        self._lock = threading.Lock()

    def of(self, recipe: Recipe | None) -> Prompter:
        """The prompter of a recipe's preset; ModelError when it takes no prompts."""
        models = self._models(recipe.preset if recipe else self._usual)
        name = models.recipe.preset
        with self._lock:
            if name not in self._made:
                segmenter = models.pipeline().segmenter
                if not isinstance(segmenter, Promptable):
                    raise ModelError(f"{segmenter.identity[:40]} takes no points or boxes.")
                self._made[name] = Prompter(segmenter, self._max_bytes)
            return self._made[name]
