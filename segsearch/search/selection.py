"""Which regions a command is about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from segsearch.core.query import MIN_RELEVANCE


@dataclass(frozen=True, slots=True)
class RegionSelection:
    """Regions that a command is about: those that answer words, those at or below paths, or all.

    `limit` None: 100 of words, else all. `min_relevance` counts for words.
    """

    text: str | None = None
    below: Sequence[str | Path] = ()
    limit: int | None = None
    per_image: int = 10
    min_relevance: float = MIN_RELEVANCE


ALL_REGIONS = RegionSelection()
