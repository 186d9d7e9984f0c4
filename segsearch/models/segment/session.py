"""Opens a picture once for pointing at: the encoder runs once, answers come from a cache after."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from cachetools import LRUCache
from numpy.typing import NDArray

from segsearch.core.arrays import Pixels
from segsearch.core.errors import ModelError
from segsearch.core.types import Box
from segsearch.masks.crops import cut
from segsearch.models.protocols import Encoded, Promptable, PromptedMasks, Segmenter
from segsearch.models.segment.prompts import Coordinates, check_logits, check_prompts


@dataclass(frozen=True, slots=True)
class OpenPicture:
    """A picture that can be pointed at; stays usable when the cache has dropped it.

    `read` gives its pixels (H, W, 3), `crop` opens a window of it as a picture of its own, encoded
    when first asked for.
    """

    segmenter: Promptable
    encoded: Encoded
    read: Callable[[], Pixels]
    crop: Callable[[Box], OpenPicture]

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) in pixels."""
        return self.encoded.size

    def segment(
        self,
        points: Coordinates | None = None,
        labels: Sequence[int] | NDArray[np.integer] | None = None,
        boxes: Coordinates | None = None,
        mask_input: NDArray[np.float32] | None = None,
        *,
        multimask: bool = True,
    ) -> PromptedMasks:
        """Masks of what is pointed at.

        `points` (n, 2) are x, y in pixels of the upright picture with `labels` (n,) 1 for the
        thing (so without labels) and 0 for what is not it. `boxes` (b, 4) are x0, y0, x1, y1, each
        one thing. `mask_input` (h, w) float32 are logits of an earlier answer. With `multimask`
        a thing has three masks, best for a single point; else one. InputError for what
        `check_prompts` or `check_logits` refuses.
        """
        logits = check_logits(mask_input, self.encoded.mask_size)
        prompts = check_prompts(self.size, points, labels, boxes, logits)
        return self.segmenter.answer(self.encoded, replace(prompts, multimask=multimask))


class PixelCache:
    """Keeps the pixels of pictures that were pointed at, the latest used, within `max_bytes`: a
    further click on one reads, hashes and decodes nothing. Thread-safe."""

    def __init__(self, max_bytes: int) -> None:
        self._kept: LRUCache[Hashable, Pixels] = LRUCache(max_bytes, lambda kept: kept.nbytes)
        self._lock = threading.Lock()

    def read(self, key: Hashable, load: Callable[[], Pixels]) -> Pixels:
        """The pixels (H, W, 3) of a key; `load` gives those that are not kept."""
        with self._lock:
            pixels = self._kept.get(key)
        if pixels is None:
            pixels = load()
            with self._lock, suppress(ValueError):  # larger than the whole cache
                self._kept[key] = pixels
        return pixels


class EncodingCache:
    """Keeps encoded pictures on the model's device, the latest used, within `max_bytes`.

    Thread-safe. Two callers that open the same picture at once wait for one encoding; the
    encoder runs for one picture at a time.
    """

    def __init__(self, max_bytes: int) -> None:
        self._kept: LRUCache[Hashable, Encoded] = LRUCache(max_bytes, lambda kept: kept.nbytes)
        self._lock = threading.Lock()
        self._encoding = threading.Lock()

    @property
    def nbytes(self) -> int:
        """What the kept encodings take."""
        with self._lock:
            return int(self._kept.currsize)

    def open(self, segmenter: Promptable, key: Hashable, read: Callable[[], Pixels]) -> OpenPicture:
        """The picture of a key for a segmenter; `read` gives its pixels (H, W, 3) when it is not
        kept.

        `read` is called once at most, also for the picture's crops.
        """
        read = cache(read)
        kept_as = (segmenter.identity, key)
        encoded = self._recent(kept_as)
        if encoded is None:
            with self._encoding:
                encoded = self._recent(kept_as)
                if encoded is None:
                    encoded = segmenter.encode(read())
                    self._keep(kept_as, encoded)

        def crop(window: Box) -> OpenPicture:
            return self.open(segmenter, (key, window), lambda: cut(read(), window))

        return OpenPicture(segmenter, encoded, read, crop)

    def _recent(self, key: Hashable) -> Encoded | None:
        with self._lock:
            return self._kept.get(key)

    def _keep(self, key: Hashable, encoded: Encoded) -> None:
        with self._lock, suppress(ValueError):  # larger than the whole cache
            self._kept[key] = encoded


def promptable(segmenter: Segmenter) -> Promptable:
    """The segmenter as one that can be pointed with; ModelError when it takes no prompts."""
    if not isinstance(segmenter, Promptable):
        raise ModelError(f"{segmenter.identity[:40]} takes no points or boxes.")
    return segmenter
