"""What answers a query: hits, scenes, and the masks that were pointed at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from segsearch.core.types import Hit, Image, Mask
from segsearch.core.video import Moment

# The best region must be this unlikely to be a chance find. Chosen on benchmarks/regions/choose,
# measured by benchmarks/absence.py: see docs/lab-notes.md ("Nothing matches").


@dataclass(frozen=True, slots=True)
class MaskCandidate:
    """A mask the segmenter offers for what was pointed at, and its own estimate of its quality."""

    mask: Mask
    predicted_iou: float


@dataclass(frozen=True, slots=True)
class Pointed:
    """What a region term stood for: the masks on offer, best first, and the one that was taken."""

    candidates: tuple[MaskCandidate, ...]
    chosen: int


@dataclass(frozen=True, slots=True)
class SearchAnswer:
    """One page of hits, best first; with `by_picture` the hits of a picture stand together, with
    `by_video` those of a video. `moments` are the parts of videos that they cover, in the order of
    their best hits.

    `relevance` is the best region's, None where the library is too small to tell, or holds
    nothing; it is the same on later pages. `message` says in a sentence why there are no hits.
    `pointed` has an entry for each region term. `next_cursor` is None at the end.
    """

    hits: tuple[Hit, ...]
    relevance: float | None = None
    message: str | None = None
    pointed: tuple[Pointed, ...] = ()
    next_cursor: str | None = None
    moments: tuple[Moment, ...] = ()


@dataclass(frozen=True, slots=True)
class SceneHit:
    """A picture with the region that fills each slot, by the slot's name.

    `fit` is the mean over the slots of how far the region's score stands above its slot's
    background, in lower spreads; of the cosines where the library is too small for a background.
    Of a shot of a video `seconds` is the moment at which the regions lie so, and their masks are of
    that moment.
    """

    rank: int
    fit: float
    image: Image
    regions: Mapping[str, Hit]
    seconds: float | None = None

    @property
    def relevance(self) -> float | None:
        """That of the region that is the least relevant: a scene is as sure as each of its things.
        None where that of any cannot be told."""
        known = [hit.relevance for hit in self.regions.values() if hit.relevance is not None]
        return min(known) if known and len(known) == len(self.regions) else None


@dataclass(frozen=True, slots=True)
class SceneAnswer:
    """Scenes, best first; `message` says in a sentence why there are none. `relevance` is of each
    slot's best region in the library, None where it is too small to tell. `moments` are the parts
    of videos in which all things of a scene are there, in the order of their best scenes."""

    hits: tuple[SceneHit, ...]
    relevance: Mapping[str, float | None]
    message: str | None = None
    moments: tuple[Moment, ...] = ()
