"""Keeps the vectors of words asked for lately: the same words again cost no model call."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from cachetools import LRUCache

from segsearch.core.arrays import Pixels, Vector, Vectors
from segsearch.models.embed.kept_rows import kept_rows
from segsearch.models.protocols import Embedder

TEXTS_KEPT = 4096  # 8 MB of vectors of 512 numbers


class CachedTextEmbedder:
    """An embedder that answers words from memory; pictures go through. Thread-safe.

    What every library is asked for is kept in a `folder`, too, from process to process.
    """

    def __init__(
        self, embedder: Embedder, texts_kept: int = TEXTS_KEPT, folder: Path | None = None
    ) -> None:
        self._embedder = embedder
        self._folder = folder
        self._known: LRUCache[str, Vector] = LRUCache(texts_kept)
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
        if not texts:
            return self._embedder.embed_texts(texts)
        with self._lock:
            rows = {text: self._known[text] for text in texts if text in self._known}
        missing = list(dict.fromkeys(text for text in texts if text not in rows))
        if missing:
            vectors = self._embedder.embed_texts(missing)
            # A copy: a row of `vectors` would keep all of it in memory.
            rows |= {text: row.copy() for text, row in zip(missing, vectors, strict=True)}
        with self._lock:
            self._known.update((text, rows[text]) for text in texts)
        return np.stack([rows[text] for text in texts])

    def embed_lasting_texts(self, texts: Sequence[str]) -> Vectors:
        """`embed_texts` for n >= 1 texts that are the same for every library, kept on disk."""
        if self._folder is None:
            return self.embed_texts(texts)
        return kept_rows(self._folder, self.identity, texts, self._embedder.embed_texts)
