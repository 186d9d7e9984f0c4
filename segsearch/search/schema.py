"""Searches and scenes as JSON documents, for HTTP bodies and files alike; checked, then queries."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    FiniteFloat,
    model_validator,
)

from segsearch.core.errors import QueryError
from segsearch.core.filters import MIN_BOX_OVERLAP, Filters
from segsearch.core.query import (
    MAX_LIMIT,
    MAX_TERMS,
    MAX_TEXT_CHARACTERS,
    MIN_RELEVANCE,
    NOT_WEIGHT,
    CaptionUse,
    ImageTerm,
    Link,
    PictureTerm,
    Prefer,
    Query,
    RegionTerm,
    SceneQuery,
    SegmentTerm,
    Slot,
    Term,
    TextTerm,
    VectorTerm,
)
from segsearch.core.types import MAX_ID
from segsearch.masks.rle import from_coco
from segsearch.search.scene_assignment import LINKS, MAX_LINKS, MAX_SLOTS

MAX_NUMBERS = 8_192  # of a vector


def moment(value: Any) -> datetime:
    """A day or time in ISO 8601, as on the command line; pydantic alone takes the year "2024" for
    seconds since 1970. ValueError for anything else."""
    try:
        return datetime.fromisoformat(value)
    except (TypeError, ValueError) as problem:
        raise ValueError("expected a date such as 2024-07-14 or 2024-07-14T12:00") from problem


Id = Annotated[int, Field(ge=1, le=MAX_ID)]
Pixels = Annotated[int, Field(ge=0, le=MAX_ID)]
Share = Annotated[float, Field(ge=0, le=1)]
Words = Annotated[str, Field(max_length=MAX_TEXT_CHARACTERS * 4)]
Name = Annotated[str, Field(min_length=1, max_length=1_000)]
Names = Annotated[list[Name], Field(max_length=50)]
Moment = Annotated[datetime, BeforeValidator(moment)]
Quad = tuple[FiniteFloat, FiniteFloat, FiniteFloat, FiniteFloat]


def strict(example: dict[str, Any] | None = None) -> ConfigDict:
    """Unknown fields are an error; an example for OpenAPI."""
    extra: Any = {"examples": [example]} if example else None
    return ConfigDict(extra="forbid", json_schema_extra=extra)


class FilterRequest(BaseModel):
    """Conditions before ranking: all must hold; of a list, any one value will do."""

    model_config = strict({"paths": ["holiday/*"], "min_area": 0.05, "places": ["top left"]})

    image_ids: list[Id] | None = Field(None, max_length=1_000)
    segment_ids: list[Id] | None = Field(None, max_length=1_000)
    paths: Names = Field([], description="Globs; one that starts with neither / nor * may begin "
                         "in any folder, and * crosses folders.")  # fmt: skip
    albums: Names = Field([], description="Names of the folder a picture lies in.")
    collections: Names = Field([], description="Names of collections a picture is in.")
    min_width: Pixels | None = Field(None, description="Of the upright picture, in pixels.")
    max_width: Pixels | None = None
    min_height: Pixels | None = None
    max_height: Pixels | None = None
    taken_after: Moment | None = Field(None, description="Inclusive; the camera's local time.")
    taken_before: Moment | None = Field(None, description="Exclusive.")
    cameras: Names = Field([], description="In any case.")
    tags: Names = Field([], description="Any one of these.")
    all_tags: Names = Field([], description="Each of these.")
    no_tags: Names = Field([], description="None of these.")
    gps_box: Quad | None = Field(
        None, description="South, west, north, east in degrees; west > east crosses the date line."
    )
    near: tuple[FiniteFloat, FiniteFloat, FiniteFloat] | None = Field(
        None, description="Latitude and longitude in degrees, and kilometres."
    )
    min_area: Share | None = Field(None, description="Share of the picture's area.")
    max_area: Share | None = None
    box: Quad | None = Field(None, description="x0, y0, x1, y1 as shares of the sides.")
    min_box_overlap: Share = Field(
        MIN_BOX_OVERLAP, description="Share of the region's box that must lie in `box`."
    )
    places: Names = Field(
        [], description="Thirds that the middle of the region's box lies in: left, top right ..."
    )
    min_predicted_iou: FiniteFloat | None = None
    min_stability: FiniteFloat | None = None

    def filters(self) -> Filters:
        """The conditions as values."""
        given = {name: getattr(self, name) for name in type(self).model_fields}
        for name in ("taken_after", "taken_before"):
            if given[name] is not None:  # cameras tell local time without saying where
                given[name] = given[name].replace(tzinfo=None)
        plain: dict[str, Any] = {
            name: tuple(v) if isinstance(v, list) else v for name, v in given.items()
        }
        return Filters(**plain)


class MaskRequest(BaseModel):
    """COCO's run lengths over the whole upright picture, compressed or not."""

    model_config = strict({"size": [480, 640], "counts": "Zd81k>6L2N2N2N2N2N2N"})

    size: tuple[int, int] = Field(description="H, W")
    counts: str | list[int]


class RegionRequest(BaseModel):
    """A thing in a picture: by points, by a box, by both, or by its mask."""

    model_config = strict({"image_id": 31, "points": [[320, 200]]})

    image_id: Id | None = Field(
        None, description="A stored image; without it, the picture of the upload."
    )
    points: list[tuple[FiniteFloat, FiniteFloat]] = Field(
        [], max_length=64, description="x, y in pixels of the upright picture."
    )
    labels: list[int] | None = Field(
        None, max_length=64, description="1 for a point of the thing (so without), 0 for not it."
    )
    box: Quad | None = Field(None, description="x0, y0, x1, y1 in pixels.")
    mask: MaskRequest | None = None
    candidate: int | None = Field(
        None, ge=0, le=63, description="Which of the masks, best first; without it the best."
    )
    stored: bool = Field(
        False,
        description="The stored region that one point means, instead of a mask cut out afresh.",
    )

    def term(self, image: int | bytes, weight: float = 1.0) -> RegionTerm:
        """The term over a stored image or a file's bytes; InputError for a wrong mask."""
        mask = None if self.mask is None else from_coco(self.mask.model_dump())
        labels = None if self.labels is None else tuple(self.labels)
        points = tuple(self.points)
        return RegionTerm(
            image, points, labels, self.box, mask, self.candidate, weight, self.stored
        )


class TermRequest(BaseModel):
    """One thing to look for, or with a negative weight, to steer away from."""

    model_config = strict({"text": "a red umbrella", "weight": 1.0})

    text: Words | None = None
    segment_id: Id | None = Field(None, description="A stored segment.")
    image_id: Id | None = Field(None, description="A stored image as a whole.")
    vector: list[FiniteFloat] | None = Field(
        None, max_length=MAX_NUMBERS, description="Of the library's embedder."
    )
    region: RegionRequest | None = Field(None, description="A thing in a stored image.")
    weight: FiniteFloat = 1.0

    @model_validator(mode="after")
    def _is_one_thing(self) -> TermRequest:
        kinds = ("text", "segment_id", "image_id", "vector", "region")
        given = [name for name in kinds if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"a term is one of {', '.join(kinds)}; {len(given)} are given")
        if self.region is not None and self.region.image_id is None:
            raise ValueError("a region among the terms needs an image_id")
        return self

    def term(self) -> Term:
        """The term as a value."""
        if self.text is not None:
            return TextTerm(self.text, self.weight)
        if self.segment_id is not None:
            return SegmentTerm(self.segment_id, self.weight)
        if self.image_id is not None:
            return ImageTerm(self.image_id, self.weight)
        if self.vector is not None:
            return VectorTerm(tuple(self.vector), self.weight)
        region = self.region or RegionRequest()
        return region.term(region.image_id or 0, self.weight)


class SearchRequest(BaseModel):
    """What to look for. All terms given add up by weight: each becomes a unit vector, their sum is
    what regions are compared with; `not_text` is taken away at half weight. A `region` without
    `image_id` is one of the uploaded picture, and stands for it."""

    model_config = strict({"text": "a red umbrella", "not_text": "people", "limit": 5})

    text: Words | None = Field(None, description="Words to look for.")
    not_text: Words | None = Field(None, description="Words to steer away from.")
    segment_id: Id | None = Field(None, description="A stored segment to look like.")
    image_id: Id | None = Field(None, description="A stored image to look like as a whole.")
    region: RegionRequest | None = Field(None, description="A thing in a picture to look like.")
    picture_weight: FiniteFloat = Field(1.0, description="Of the uploaded picture.")
    terms: list[TermRequest] = Field([], max_length=MAX_TERMS, description="More terms.")
    like: list[Id] = Field([], max_length=MAX_TERMS, description="Segments that were right.")
    unlike: list[Id] = Field(
        [], max_length=MAX_TERMS, description="Segments that were wrong; they are left out."
    )
    filters: FilterRequest | None = None
    limit: int = Field(
        10, ge=1, le=MAX_LIMIT, description="How many regions, or pictures, at most."
    )
    per_image: int = Field(
        3, ge=1, le=MAX_LIMIT, description="How many regions of one picture at most."
    )
    by_picture: bool = Field(
        False, description="Keep the regions of a picture together; rank counts pictures."
    )
    prefer: Prefer = Field(
        Prefer.ANY, description="Of regions that lie in each other: wholes, parts, or any."
    )
    min_relevance: Share = Field(
        MIN_RELEVANCE,
        description="Relevance the best region must reach, else nothing matches; 0 shows all. "
        "It counts for nothing where only stored images and regions are asked for, unfiltered.",
    )
    captions: CaptionUse = Field(
        "off",
        description="What the words of captions count: nothing; joined with the vectors by "
        "reciprocal rank fusion; or they alone are searched. With them there is no relevance.",
    )
    cursor: str | None = Field(
        None, max_length=50_000, description="next_cursor of the page before, of the same query."
    )

    def query(self, picture: bytes | None) -> Query:
        """The query, with the uploaded picture if there is one; InputError for a wrong mask,
        QueryError for a region of no picture."""
        return Query(
            terms=tuple(self._terms(picture)),
            limit=self.limit,
            per_image=self.per_image,
            filters=self.filters.filters() if self.filters else Filters(),
            prefer=self.prefer,
            by_picture=self.by_picture,
            like=tuple(self.like),
            unlike=tuple(self.unlike),
            min_relevance=self.min_relevance,
            cursor=self.cursor,
            captions=self.captions,
        )

    def _terms(self, picture: bytes | None) -> list[Term]:
        found: list[Term] = []
        if self.text is not None:
            found.append(TextTerm(self.text))
        if self.region is not None:
            image = self.region.image_id or picture
            if image is None:
                raise QueryError("The region is of no picture: give its image_id, or upload one.")
            found.append(self.region.term(image))
        if picture is not None and (self.region is None or self.region.image_id):
            found.append(PictureTerm(picture, self.picture_weight))
        if self.segment_id is not None:
            found.append(SegmentTerm(self.segment_id))
        if self.image_id is not None:
            found.append(ImageTerm(self.image_id))
        found += [one.term() for one in self.terms]
        if self.not_text is not None:
            found.append(TextTerm(self.not_text, NOT_WEIGHT))
        return found


class SlotRequest(BaseModel):
    """One thing of a scene; without words or terms its name is the words."""

    model_config = strict({"name": "dog", "text": "a dog", "filters": {"min_area": 0.05}})

    name: Name
    text: Words | None = Field(None, description="Words for it.")
    terms: list[TermRequest] = Field([], max_length=MAX_TERMS, description="More terms.")
    filters: FilterRequest | None = None
    absent: bool = Field(False, description="It must not be there.")
    min_score: FiniteFloat | None = Field(
        None, description="Cosine from which on a region counts; without it, one that stands out."
    )

    def slot(self) -> Slot:
        """The slot as a value."""
        words = self.text if self.text is not None or self.terms else self.name
        first: tuple[Term, ...] = () if words is None else (TextTerm(words),)
        terms = (*first, *(one.term() for one in self.terms))
        filters = self.filters.filters() if self.filters else Filters()
        return Slot(self.name, terms, filters, self.absent, self.min_score)


class SceneRequest(BaseModel):
    """Things in one picture, how they lie to each other, and things that must not be there."""

    model_config = strict(
        {
            "slots": [
                {"name": "dog", "text": "a dog", "filters": {"min_area": 0.05}},
                {"name": "frisbee"},
                {"name": "person", "absent": True},
            ],
            "relations": [["dog", "left of", "frisbee"]],
        }
    )

    slots: list[SlotRequest] = Field(min_length=1, max_length=MAX_SLOTS)
    relations: list[tuple[Name, Name, Name]] = Field(
        [], max_length=MAX_LINKS, description=f"SLOT, one of {', '.join(LINKS)}, SLOT."
    )
    filters: FilterRequest | None = None
    limit: int = Field(10, ge=1, le=MAX_LIMIT, description="How many pictures at most.")
    min_relevance: Share = Field(
        MIN_RELEVANCE, description="Relevance that each slot's best region must reach."
    )

    def query(self) -> SceneQuery:
        """The scene as a value; InputError for a wrong mask."""
        links = (
            Link(one, " ".join(relation.replace("_", " ").split()), other)
            for one, relation, other in self.relations
        )
        filters = self.filters.filters() if self.filters else Filters()
        slots = tuple(slot.slot() for slot in self.slots)
        return SceneQuery(slots, tuple(links), filters, self.limit, self.min_relevance)
