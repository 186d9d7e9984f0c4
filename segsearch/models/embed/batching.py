"""Embeds crops of several pictures in one go: what waits while a batch is under way is the next."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from segsearch.core.arrays import Pixels, Vectors
from segsearch.models.protocols import Embedder

Waiting = tuple[Sequence[Pixels], "Future[Vectors]"]


class BatchingEmbedder:
    """An embedder whose one thread owns the model; callers from other threads share its batches.

    Nobody waits for others to come: the crops that came while the model was busy go through it
    together. For accelerators; on a CPU larger batches only leave the cache. Thread-safe.
    """

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._lock = threading.Lock()
        self._waiting: list[Waiting] = []
        self._thread = ThreadPoolExecutor(1, "embedder")

    @property
    def identity(self) -> str:
        return self._embedder.identity

    @property
    def dimension(self) -> int:
        return self._embedder.dimension

    @property
    def preprocessing(self) -> dict[str, Any]:
        return self._embedder.preprocessing

    def embed_texts(self, texts: Sequence[str]) -> Vectors:
        """(n, d) unit rows for n texts, in order."""
        return self._thread.submit(self._embedder.embed_texts, texts).result()

    def embed_pictures(self, pictures: Sequence[Pixels]) -> Vectors:
        """(n, d) unit rows for n pictures, in order; raises what the embedder raises over them."""
        future: Future[Vectors] = Future()
        with self._lock:
            self._waiting.append((pictures, future))
        self._thread.submit(self._serve)
        return future.result()

    def _serve(self) -> None:
        """Everything that waits by now; nothing when an earlier call has taken it."""
        with self._lock:
            group, self._waiting = self._waiting, []
        if not group:
            return
        try:
            rows = self._embedder.embed_pictures([crop for crops, _ in group for crop in crops])
        except Exception:  # noqa: BLE001  whose fault it is shows one by one
            for pictures, future in group:
                self._serve_alone(pictures, future)
            return
        start = 0
        for pictures, future in group:
            future.set_result(rows[start : start + len(pictures)])
            start += len(pictures)

    def _serve_alone(self, pictures: Sequence[Pixels], future: Future[Vectors]) -> None:
        try:
            future.set_result(self._embedder.embed_pictures(pictures))
        except Exception as problem:  # noqa: BLE001  raised again where it was asked for
            future.set_exception(problem)
