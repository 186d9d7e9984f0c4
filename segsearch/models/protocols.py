"""What the program asks of models: regions, masks of what is pointed at, vectors, and
lines of text.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from segsearch.core.arrays import Pixels, Vectors
from segsearch.core.text import Line
from segsearch.core.types import Mask, Proposal
from segsearch.models.segment.prompts import Prompts


class Segmenter(Protocol):
    """Cuts a picture into regions."""

    @property
    def identity(self) -> str:
        """`name@sha256-of-weights`."""

    @property
    def settings(self) -> dict[str, Any]:
        """The generator settings that change a mask, as plain JSON values."""

    def propose(self, pixels: Pixels) -> list[Proposal]:
        """Regions of one picture (H, W, 3), best first; empty when nothing stands out."""


@dataclass(frozen=True, slots=True)
class PromptedMasks:
    """What a promptable segmenter says of B things with k masks each.

    `masks` (B, k, H, W) bool at the picture's size, `predicted_iou` (B, k) float32, `logits`
    (B, k, h, w) float32 as the model made them: one of them may be the next `mask_input`.
    """

    masks: NDArray[np.bool_]
    predicted_iou: NDArray[np.float32]
    logits: NDArray[np.float32]


class Encoded(Protocol):
    """A picture after the image encoder, on the model's device."""

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of the picture."""

    @property
    def mask_size(self) -> tuple[int, int]:
        """(h, w) of the model's logits."""

    @property
    def nbytes(self) -> int:
        """What it takes in memory."""


@runtime_checkable
class Promptable(Protocol):
    """Cuts out what is pointed at."""

    @property
    def identity(self) -> str:
        """`name@sha256-of-weights`."""

    @property
    def looks_closer(self) -> bool:
        """Whether it sees pictures coarsely: a click is worth several encodings, of crops around
        it, and outlines are worth moving to edges."""

    def encode(self, pixels: Pixels) -> Encoded:
        """The slow half, once a picture (H, W, 3)."""

    def answer(self, picture: Any, prompts: Prompts) -> PromptedMasks:
        """The fast half; `picture` is what `encode` gave."""


class Follower(Protocol):
    """Follows masks of a keyframe through the frames that come after it."""

    def step(self, pixels: Pixels) -> None:
        """Go on to the next frame (H, W, 3), of the same picture in whatever size."""

    def moved(self) -> list[Mask | None]:
        """Each mask where it is now, in the keyframe's size; None where that is not known."""


Follow = Callable[[Pixels, Sequence[Mask]], Follower]  # a keyframe, and masks of its size


@runtime_checkable
class Propagates(Protocol):
    """A segmenter that may carry masks through a video itself."""

    @property
    def has_video(self) -> bool:
        """Whether its weights can."""

    def follow(self, pixels: Pixels, masks: Sequence[Mask]) -> Follower:
        """Begin with a keyframe (H, W, 3) and masks of its size."""


class Reader(Protocol):
    """Reads the text that stands in a picture. Thread-safe."""

    @property
    def identity(self) -> str:
        """`name@sha256-of-weights`."""

    def read(self, pixels: Pixels) -> list[Line]:
        """The lines of a picture (H, W, 3), as they are read; empty where there is no text."""


class Embedder(Protocol):
    """Puts pictures and words into one space of unit vectors."""

    @property
    def identity(self) -> str:
        """`name@sha256-of-weights`."""

    @property
    def dimension(self) -> int:
        """Length d of every vector."""

    @property
    def preprocessing(self) -> dict[str, Any]:
        """What is done to a crop before the model sees it, as plain JSON values."""

    def embed_pictures(self, pictures: Sequence[Pixels]) -> Vectors:
        """(n, d) unit rows for n pictures of any sizes, in order; (0, d) for none."""

    def embed_texts(self, texts: Sequence[str]) -> Vectors:
        """(n, d) unit rows for n texts, in order; (0, d) for none."""


@runtime_checkable
class KeepsTexts(Protocol):
    """An embedder that keeps what the program itself asks for, from process to process."""

    def embed_lasting_texts(self, texts: Sequence[str]) -> Vectors:
        """`embed_texts` for n >= 1 texts that are the same for every library."""
