"""Keeps the vectors of words asked for lately: the same words again cost no model call."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import numpy as np

from segsearch.core.arrays import Pixels, Vector, Vectors
from segsearch.models.protocols import Embedder

TEXTS_KEPT = 4096  # 8 MB of vectors of 512 numbers


class CachedTextEmbedder:
    """An embedder that answers words from memory; pictures go through. Thread-safe."""

    def __init__(self, embedder: Embedder, texts_kept: int = TEXTS_KEPT) -> None:
        self._embedder = embedder
        self._texts_kept = texts_kept
        self._known: OrderedDict[str, Vector] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def identity(self) -> str:
        return self._embedder.identity

    @property
    def dimension(self) -> int:
        return self._embedder.dimension

    @property
    def preprocessing(self) -> dict[str, Any]:
        return self._embedder.preprocessing

    def embed_pictures(self, pictures: Sequence[Pixels]) -> Vectors:
        """(n, d) unit rows for n pictures."""
        return self._embedder.embed_pictures(pictures)

    def embed_texts(self, texts: Sequence[str]) -> Vectors:
        """(n, d) unit rows for n texts, in order; only unknown ones go through the model."""
        with self._lock:
            found = {text: self._known[text] for text in texts if text in self._known}
        missing = list(dict.fromkeys(text for text in texts if text not in found))
        if missing or not texts:
            made = self._embedder.embed_texts(missing)
            if not texts:
                return made
            # A copy: a row of `made` would keep all of it in memory.
            found |= {text: row.copy() for text, row in zip(missing, made, strict=True)}
        with self._lock:
            for text in texts:
                self._known[text] = found[text]
                self._known.move_to_end(text)
            while len(self._known) > self._texts_kept:
                self._known.popitem(last=False)
        return np.stack([found[text] for text in texts])
