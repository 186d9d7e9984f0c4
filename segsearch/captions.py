"""What the catalog promises about captions: kept with their origin, found by their words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from segsearch.domain import Caption, Origin


class Captions(Protocol):
    """What vision models said of segments; every method is one transaction."""

    def add_caption(self, segment_id: int, text: str, origin: Origin) -> bool:
        """Keep a caption, in place of what the same model said to the same prompt before.

        False, with nothing kept, when there is no such segment any more.
        """

    def captions(self, segment_ids: Sequence[int]) -> dict[int, tuple[Caption, ...]]:
        """The captions of those of these segments that have some, newest first."""

    def captioned(self, segment_ids: Sequence[int], origin: Origin) -> set[int]:
        """Which of these segments the model of an origin has captioned to its prompt."""

    def search_captions(self, words: str, k: int) -> tuple[list[float], list[int]]:
        """Scores and ids of the `k` segments whose captions hold most of the words, best first.

        A score is the share, in (0, 1], of the weight of the words that a caption holds; rare
        words weigh more. Any text may be asked for; one without words finds nothing.
        """
