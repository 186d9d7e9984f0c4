"""What can be asked, and what an answer holds; values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from segsearch.core.filters import Filters
from segsearch.core.types import Hit, Image, Mask

# The best region must be this unlikely to be a chance find. Chosen on benchmarks/regions/choose,
# measured by benchmarks/absence.py: see docs/lab-notes.md ("Nothing matches").
MIN_RELEVANCE = 0.15
NOT_WEIGHT = -0.5  # what "not WORDS" counts against the other terms
MAX_LIMIT = 1000
MAX_TERMS = 32
MAX_TEXT_CHARACTERS = 1000


@dataclass(frozen=True, slots=True)
class TextTerm:
    """Words to look for; a negative weight steers away from them."""

    text: str
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class PictureTerm:
    """The bytes of a picture file to look like; a negative weight steers away from it."""

    data: bytes = field(repr=False)
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class SegmentTerm:
    """A stored segment to look like; a negative weight steers away from it."""

    segment_id: int
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class ImageTerm:
    """A stored image as a whole to look like; a negative weight steers away from it."""

    image_id: int
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class VectorTerm:
    """A vector of the library's embedder, of any length but 0; its direction is what counts."""

    values: tuple[float, ...] = field(repr=False)
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class RegionTerm:
    """A region of a picture to look like: of a stored image, or of an uploaded file's bytes.

    It is pointed at by `points` (x, y in pixels of the upright picture) with `labels` (1 of the
    thing, 0 not of it; all 1 without), or by a `box` (x0, y0, x1, y1), or both; or it is given as
    a `mask`. `candidate` picks one of the segmenter's masks, best first; None takes the best. With
    `stored` the stored region that one point means is taken instead of a fresh mask.
    """

    image: int | bytes = field(repr=False)
    points: tuple[tuple[float, float], ...] = ()
    labels: tuple[int, ...] | None = None
    box: tuple[float, float, float, float] | None = None
    mask: Mask | None = None
    candidate: int | None = None
    weight: float = 1.0
    stored: bool = False


CaptionUse = Literal["off", "join", "only"]
Term = TextTerm | PictureTerm | SegmentTerm | ImageTerm | VectorTerm | RegionTerm


class Prefer(StrEnum):
    """Which of regions that lie in each other is the answer, where both fit about as well."""

    ANY = "any"
    WHOLE = "whole"
    PART = "part"


@dataclass(frozen=True, slots=True)
class Query:
    """A weighted sum of terms over the regions that pass the filters.

    `limit` counts regions, or pictures when `by_picture`; `per_image` bounds the regions of one
    picture. `like` and `unlike` are ids of segments that were judged right and wrong. When the
    best region's relevance is below `min_relevance`, the answer is that nothing matches; 0 lets
    everything through, as do stored segments and images alone, which are there, when no filter may
    leave them out. `cursor` is the `next_cursor` of the page before.
    `captions` says what the words of captions count: nothing, as much as the vectors, or all; with
    them there is no relevance.
    """

    terms: tuple[Term, ...]
    limit: int = 10
    per_image: int = 3
    filters: Filters = field(default_factory=Filters)
    prefer: Prefer = Prefer.ANY
    by_picture: bool = False
    like: tuple[int, ...] = ()
    unlike: tuple[int, ...] = ()
    min_relevance: float = MIN_RELEVANCE
    cursor: str | None = None
    captions: CaptionUse = "off"


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
    """One page of hits, best first; with `by_picture` the hits of a picture stand together.

    `relevance` is the best region's, None where the library is too small to tell, or holds
    nothing; it is the same on later pages. `message` says in a sentence why there are no hits.
    `pointed` has an entry for each region term. `next_cursor` is None at the end.
    """

    hits: tuple[Hit, ...]
    relevance: float | None = None
    message: str | None = None
    pointed: tuple[Pointed, ...] = ()
    next_cursor: str | None = None


@dataclass(frozen=True, slots=True)
class Slot:
    """One thing: what it is, which regions may be it, and whether it must not be there.

    Regions count from `min_score` (a cosine) on; without it from a score that stands out from the
    query's background.
    """

    name: str
    terms: tuple[Term, ...]
    filters: Filters = field(default_factory=Filters)
    absent: bool = False
    min_score: float | None = None


@dataclass(frozen=True, slots=True)
class Link:
    """How one slot's region lies to another's: `relation` is one of `scenes.LINKS`.

    Where one of the two is absent, only a thing that lies so must not be there.
    """

    one: str
    relation: str
    other: str


@dataclass(frozen=True, slots=True)
class SceneQuery:
    """Pictures in which regions can fill the slots as linked; `filters` hold for every slot."""

    slots: tuple[Slot, ...]
    links: tuple[Link, ...] = ()
    filters: Filters = field(default_factory=Filters)
    limit: int = 10
    min_relevance: float = MIN_RELEVANCE


@dataclass(frozen=True, slots=True)
class SceneHit:
    """A picture with the region that fills each slot, by the slot's name.

    `fit` is the mean over the slots of how far the region's score stands above its slot's
    background, in lower spreads; of the cosines where the library is too small for a background.
    """

    rank: int
    fit: float
    image: Image
    regions: Mapping[str, Hit]


@dataclass(frozen=True, slots=True)
class SceneAnswer:
    """Scenes, best first; `message` says in a sentence why there are none. `relevance` is of each
    slot's best region in the library, None where it is too small to tell."""

    hits: tuple[SceneHit, ...]
    relevance: Mapping[str, float | None]
    message: str | None = None
