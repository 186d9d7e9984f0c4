"""What can be asked; values only. `core.answers` has what comes back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, field
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, FiniteFloat

from segsearch.core.errors import QueryError
from segsearch.core.fields import Id, Name, Quad, Share, about, value
from segsearch.core.filters import Filters
from segsearch.core.text_query import taken_apart
from segsearch.core.types import Mask

# The best region must be this unlikely to be a chance find. Chosen on benchmarks/regions/choose,
# measured by benchmarks/absence.py: see docs/lab-notes.md ("Nothing matches").
MIN_RELEVANCE = 0.15
NOT_WEIGHT = -0.5  # what "not WORDS" counts against the other terms
MAX_LIMIT = 1000
MAX_TERMS = 32
MAX_TEXT_CHARACTERS = 1000
MAX_POINTS = 64
RERANK_SECONDS = 60.0  # that putting an answer in order by a vision model may take


@value("term's")
class TextTerm:
    """Words to look for; a negative weight steers away from them."""

    text: str
    weight: FiniteFloat = 1.0


@value("term's")
class WrittenTerm:
    """Words that stand in the picture, in the language of `core.text_query`; with a negative
    weight, that must not stand there. Of the weight only the sign counts."""

    text: str
    weight: FiniteFloat = 1.0


@value("term's")
class PictureTerm:
    """The bytes of a picture file to look like; a negative weight steers away from it."""

    data: bytes = field(repr=False)
    weight: FiniteFloat = 1.0


@value("term's")
class KeptPictureTerm:
    """A picture that was kept for queries, to look like; a negative weight steers away from it."""

    picture_id: str
    weight: FiniteFloat = 1.0


@value("term's")
class SegmentTerm:
    """A stored segment to look like; a negative weight steers away from it."""

    segment_id: int
    weight: FiniteFloat = 1.0


@value("term's")
class ImageTerm:
    """A stored image as a whole to look like; a negative weight steers away from it."""

    image_id: int
    weight: FiniteFloat = 1.0


@value("term's")
class VectorTerm:
    """A vector of the library's embedder, of any length but 0; its direction is what counts."""

    values: tuple[float, ...] = field(repr=False)
    weight: FiniteFloat = 1.0


Points = Annotated[
    tuple[tuple[FiniteFloat, FiniteFloat], ...],
    about("x, y in pixels of the upright picture.", max_length=MAX_POINTS),
]


@value("region's")
class RegionPrompt:
    """What, besides points, says which region of a picture is meant."""

    _: KW_ONLY
    labels: Annotated[
        tuple[int, ...] | None,
        about("1 for a point of the thing (so without), 0 for not it.", max_length=MAX_POINTS),
    ] = None
    box: Annotated[Quad | None, about("x0, y0, x1, y1 in pixels.")] = None
    candidate: Annotated[
        int | None, about("Which of the masks, best first; without it the best.", ge=0, le=63)
    ] = None
    stored: Annotated[
        bool, about("The stored region that one point means, instead of a mask cut out afresh.")
    ] = False


@value("region's")
class RegionTerm(RegionPrompt):
    """A region of a picture to look like: of a stored image by its id, of an uploaded file's
    bytes, or of a picture that was kept for queries, by its id as text.

    It is pointed at by points, by a box, or by both; or it is given as a `mask`.
    """

    image: int | bytes | str = field(repr=False)
    points: Points = ()
    _: KW_ONLY
    mask: Mask | None = None
    weight: FiniteFloat = 1.0


CaptionUse = Literal["off", "join", "only"]
WrittenUse = Literal["off", "join", "only"]
SeenTerm = (
    TextTerm | PictureTerm | KeptPictureTerm | SegmentTerm | ImageTerm | VectorTerm | RegionTerm
)  # what a region looks like
Term = SeenTerm | WrittenTerm


def terms_of_words(typed: str, weight: float = 1.0) -> tuple[TextTerm | WrittenTerm, ...]:
    """The terms of words as a person types them: `text:exit` and `text:"24 hours"` among them ask
    for words that stand in the picture, `-text:exit` for those that do not; what is left, for what
    regions look like. With a negative weight all of them are steered away from."""
    words, asked = taken_apart(typed)
    seen = [TextTerm(words, weight)] if words or not asked else []
    away = -abs(weight)
    return (*seen, *(WrittenTerm(text, weight if is_there else away) for text, is_there in asked))


def seen_terms(terms: Sequence[Term]) -> tuple[SeenTerm, ...]:
    """The terms that say what a region looks like."""
    return tuple(term for term in terms if not isinstance(term, WrittenTerm))


class Prefer(StrEnum):
    """Which of regions that lie in each other is the answer, where both fit about as well.

    THING: whole things, as far as the models' preset has learnt to tell them, and no part of what
    is shown already. ANY: whatever fits best. WHOLE: of two the outer one. PART: of two the inner
    one.
    """

    THING = "thing"
    ANY = "any"
    WHOLE = "whole"
    PART = "part"


class AnswerOrder(StrEnum):
    """In which order regions are shown.

    RELEVANCE: the best first. FIRST: of each video by when they are there first, the video with the
    best region first. LONGEST: those that are there the longest first. What is of a picture has no
    time, and stands behind what is of videos, the best first.
    """

    RELEVANCE = "relevance"
    FIRST = "first"
    LONGEST = "longest"


def _empty_for_null(filters: Any) -> Any:
    return Filters() if filters is None else filters


FiltersOrNull = Annotated[
    Filters, BeforeValidator(_empty_for_null, json_schema_input_type=Filters | None)
]


@value()
class SearchOptions:
    """Which of the regions that fit the terms of a search are shown, and how."""

    _: KW_ONLY
    limit: Annotated[int, about("How many regions, or pictures, at most.", ge=1, le=MAX_LIMIT)] = 10
    per_image: Annotated[
        int, about("How many regions of one picture at most.", ge=1, le=MAX_LIMIT)
    ] = 3
    per_video: Annotated[
        int | None,
        about(
            "How many regions of one video at most, of all its shots together; null for any "
            "number.",
            ge=1,
            le=MAX_LIMIT,
        ),
    ] = 3
    filters: FiltersOrNull = field(default_factory=Filters)
    prefer: Annotated[
        Prefer,
        about(
            "Of regions that lie in each other: the likeliest thing and nothing inside or around "
            "it, the whole, the part, or any."
        ),
    ] = Prefer.THING
    near_duplicates: Annotated[
        bool,
        about(
            "Show pictures, too, that look almost the same as one already shown; without words "
            "they always are. And regions of a video that show the same thing right before or "
            "after one already shown."
        ),
    ] = False
    by_picture: Annotated[
        bool, about("Keep the regions of a picture together; rank counts pictures.")
    ] = False
    by_video: Annotated[
        bool,
        about(
            "Keep the regions of a video together, and of a picture; rank counts videos and "
            "pictures."
        ),
    ] = False
    order: Annotated[
        AnswerOrder,
        about(
            "Best first; or, among the regions that are relevant, those of videos by when they are "
            "there first, or for the longest, before those of pictures, as one page."
        ),
    ] = AnswerOrder.RELEVANCE
    elsewhere: Annotated[
        bool,
        about("Leave out the shots of videos that stored segments among the terms are of."),
    ] = False
    like: Annotated[tuple[Id, ...], about("Segments that were right.", max_length=MAX_TERMS)] = ()
    unlike: Annotated[
        tuple[Id, ...], about("Segments that were wrong; they are left out.", max_length=MAX_TERMS)
    ] = ()
    min_relevance: Annotated[
        Share,
        about(
            "Relevance the best region must reach, else nothing matches; 0 shows all. "
            "It counts for nothing where only stored images and regions are asked for, or pictures "
            "that are stored or look almost like one that is, unfiltered."
        ),
    ] = MIN_RELEVANCE
    cursor: Annotated[
        str | None, about("next_cursor of the page before, of the same query.", max_length=50_000)
    ] = None
    captions: Annotated[
        CaptionUse,
        about(
            "What the words of captions count: nothing; joined with the vectors by "
            "reciprocal rank fusion; or they alone are searched. With them there is no relevance."
        ),
    ] = "off"
    written: Annotated[
        WrittenUse,
        about(
            "Whether words are also looked for in what stands in pictures: not at all; joined, "
            "where a picture shows all of them; or there alone. `text:WORD` always is."
        ),
    ] = "join"


@value()
class Query(SearchOptions):
    """A weighted sum of terms over the regions that pass the filters.

    QueryError for too many terms, with those of `like` and `unlike`, for one that weighs nothing,
    where there is nothing to look for but only something to steer away from, and for two ways of
    grouping at once.
    """

    terms: tuple[Term, ...]

    def __post_init__(self) -> None:
        judged = len(self.like) + len(self.unlike)
        _check_terms(self.terms, judged, liked=bool(self.like))
        if self.by_picture and self.by_video:
            raise QueryError("An answer is grouped by picture or by video: ask for one of them.")


def _check_terms(terms: tuple[Term, ...], judged: int = 0, *, liked: bool = False) -> None:
    count = len(terms) + judged
    if count > MAX_TERMS:
        raise QueryError(f"The query has {count} terms, expected at most {MAX_TERMS}.")
    if any(term.weight == 0 for term in terms):
        raise QueryError("A term has weight 0, expected a number other than 0.")
    if not liked and not any(term.weight > 0 for term in terms):
        if any(isinstance(term, WrittenTerm) for term in terms):
            raise QueryError(
                "What must not stand in pictures only leaves out of what is found: give words, a "
                "picture or a segment to look for, too."
            )
        raise QueryError("The query is empty: give words, a picture or a segment to look for.")


@value("slot's")
class SlotOptions:
    """What a slot of a scene is besides its terms."""

    name: Name
    _: KW_ONLY
    filters: FiltersOrNull = field(default_factory=Filters)
    absent: Annotated[bool, about("It must not be there.")] = False
    min_score: Annotated[
        FiniteFloat | None,
        about(
            "Cosine from which on a region counts; without it, one that stands out "
            "from the query's background."
        ),
    ] = None


@value("slot's")
class Slot(SlotOptions):
    """One thing of a scene, and the terms that its region answers; QueryError as of a query."""

    terms: tuple[Term, ...]

    def __post_init__(self) -> None:
        _check_terms(self.terms)
        if len(seen_terms(self.terms)) < len(self.terms):
            raise QueryError(
                "A thing of a scene is told by what it looks like: ask for words that stand in "
                "pictures (text:) in a search."
            )


@dataclass(frozen=True, slots=True)
class Link:
    """How one slot's region lies to another's: `relation` is one of `scene_assignment.LINKS`.

    Where one of the two is absent, only a thing that lies so must not be there.
    """

    one: str
    relation: str
    other: str


@value()
class SceneOptions:
    """Which of the pictures that hold a scene are shown."""

    _: KW_ONLY
    filters: FiltersOrNull = field(default_factory=Filters)
    limit: Annotated[int, about("How many pictures at most.", ge=1, le=MAX_LIMIT)] = 10
    per_video: Annotated[
        int | None,
        about("How many shots of one video at most; null for any number.", ge=1, le=MAX_LIMIT),
    ] = 3
    min_relevance: Annotated[Share, about("Relevance that each slot's best region must reach.")] = (
        MIN_RELEVANCE
    )


@value()
class SceneQuery(SceneOptions):
    """Pictures in which regions can fill the slots as linked; `filters` hold for every slot."""

    slots: tuple[Slot, ...]
    links: tuple[Link, ...] = ()
