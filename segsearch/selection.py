"""Says which regions a command is about: those that answer words, those below paths, or all."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from segsearch.core.errors import QueryError
from segsearch.core.query import MIN_RELEVANCE, Query, TextTerm
from segsearch.core.types import Hit
from segsearch.export.packs import Sources
from segsearch.library import SegSearch

USUAL_LIMIT = 100  # regions that answer words, when nobody says how many


@dataclass(frozen=True, slots=True)
class Selection:
    """Words, or paths; with neither it is everything. `limit` None: 100 of words, else all."""

    text: str | None = None
    below: Sequence[str | Path] = ()
    limit: int | None = None
    per_image: int = 10
    min_relevance: float = MIN_RELEVANCE

    def hits(
        self, service: SegSearch, say: Callable[[str], object] = lambda _: None
    ) -> Iterable[Hit]:
        """The regions: best first of words, else by image and id. Raises what a search raises.

        `say` hears why words have found nothing.
        """
        if self.limit is not None and self.limit < 1:
            raise QueryError(f"The limit is {self.limit}, expected 1 or more.")
        if self.text is None:
            return itertools.islice(service.everything(self.below), self.limit)
        if self.below:
            raise QueryError("Give words or --under, not both.")
        limit = self.limit or USUAL_LIMIT
        query = Query(
            (TextTerm(self.text),), limit, self.per_image, min_relevance=self.min_relevance
        )
        answer = service.ask(query)
        if answer.message:
            say(answer.message)
        return answer.hits


def sources(service: SegSearch) -> Sources:
    """Pixels and segments of a library's pictures, the latest two kept: regions of one picture
    follow each other."""
    return Sources(lru_cache(2)(service.picture), lru_cache(2)(service.segments))
