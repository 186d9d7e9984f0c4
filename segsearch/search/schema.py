"""Searches and scenes as JSON documents, for HTTP bodies and files alike; checked, then queries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Annotated, Any, Self

from pydantic import BaseModel, Field, FiniteFloat, model_validator

from segsearch.core.errors import QueryError
from segsearch.core.fields import Id, Name, PictureId, about, strict, value
from segsearch.core.query import (
    MAX_TERMS,
    MAX_TEXT_CHARACTERS,
    NOT_WEIGHT,
    ImageTerm,
    KeptPictureTerm,
    Link,
    PictureTerm,
    Points,
    Query,
    RegionPrompt,
    RegionTerm,
    SceneOptions,
    SceneQuery,
    SearchOptions,
    SegmentTerm,
    Slot,
    SlotOptions,
    Term,
    TextTerm,
    VectorTerm,
    WrittenTerm,
    terms_of_words,
)
from segsearch.masks.rle import from_coco
from segsearch.search.scene_assignment import LINKS, MAX_LINKS, MAX_SLOTS

MAX_NUMBERS = 8_192  # of a vector
KINDS = ("text", "written", "segment_id", "image_id", "picture_id", "vector", "region")  # of terms
Words = Annotated[str, Field(max_length=MAX_TEXT_CHARACTERS * 4)]


def _options(request: Any, kind: type) -> dict[str, Any]:
    """The fields that a request has from the options that it extends."""
    return {option.name: getattr(request, option.name) for option in fields(kind)}


class MaskRequest(BaseModel):
    """COCO's run lengths over the whole upright picture, compressed or not."""

    model_config = strict({"size": [480, 640], "counts": "Zd81k>6L2N2N2N2N2N2N"})

    size: tuple[int, int] = Field(description="H, W")
    counts: str | list[int]


@value("region's", {"image_id": 31, "points": [[320, 200]]})
class RegionRequest(RegionPrompt):
    """A thing in a picture: by points, by a box, by both, or by its mask."""

    image_id: Annotated[
        Id | None, about("A stored image; without one, the picture of the upload.")
    ] = None
    picture_id: Annotated[PictureId | None, about("A kept picture, instead of an image.")] = None
    points: Points = ()
    mask: MaskRequest | None = None

    @model_validator(mode="after")
    def _is_of_one_picture(self) -> Self:
        if self.image_id is not None and self.picture_id is not None:
            raise ValueError("a region lies in one picture: give image_id or picture_id")
        return self

    @property
    def picture(self) -> int | str | None:
        """The id of the stored image, or of the kept picture; None for that of the upload."""
        return self.image_id if self.picture_id is None else self.picture_id

    def term(self, image: int | bytes | str, weight: float = 1.0) -> RegionTerm:
        """The term over a stored image, a file's bytes or a kept picture; InputError for a wrong
        mask."""
        mask = None if self.mask is None else from_coco(self.mask.model_dump())
        prompt = _options(self, RegionPrompt)
        return RegionTerm(image, self.points, mask=mask, weight=weight, **prompt)


@value("term's", {"text": "a red umbrella", "weight": 1.0})
class TermRequest:
    """One thing to look for, or with a negative weight, to steer away from."""

    text: Words | None = None
    written: Annotated[
        Words | None,
        about(
            'Words that stand in the picture: `exit`, `"24 hours"` in this order, `stair*` for how '
            "a word begins; with a negative weight, that must not stand there."
        ),
    ] = None
    segment_id: Annotated[Id | None, about("A stored segment.")] = None
    image_id: Annotated[Id | None, about("A stored image as a whole.")] = None
    picture_id: Annotated[PictureId | None, about("A kept picture.")] = None
    vector: Annotated[
        tuple[FiniteFloat, ...] | None, about("Of the library's embedder.", max_length=MAX_NUMBERS)
    ] = None
    region: Annotated[RegionRequest | None, about("A thing in a stored or kept picture.")] = None
    weight: FiniteFloat = 1.0

    @model_validator(mode="after")
    def _is_one_thing(self) -> Self:
        count = sum(getattr(self, kind) is not None for kind in KINDS)
        if count != 1:
            raise ValueError(f"a term is one of {', '.join(KINDS)}; {count} are given")
        if self.region is not None and self.region.picture is None:
            raise ValueError("a region among the terms needs an image_id or a picture_id")
        return self

    def term(self) -> Term:
        """The term as a value."""
        if self.text is not None:
            return TextTerm(self.text, self.weight)
        if self.written is not None:
            return WrittenTerm(self.written, self.weight)
        if self.segment_id is not None:
            return SegmentTerm(self.segment_id, self.weight)
        if self.image_id is not None:
            return ImageTerm(self.image_id, self.weight)
        if self.picture_id is not None:
            return KeptPictureTerm(self.picture_id, self.weight)
        if self.vector is not None:
            return VectorTerm(self.vector, self.weight)
        region = self.region or RegionRequest()
        return region.term(region.picture or 0, self.weight)


Terms = Annotated[tuple[TermRequest, ...], about("More terms.", max_length=MAX_TERMS)]


def _is_pointing(terms: Sequence[TermRequest]) -> bool:
    return any(term.region is not None for term in terms)


def _names_picture(terms: Sequence[TermRequest]) -> bool:
    return any(term.picture_id is not None for term in terms)


@value(example={"text": "a red umbrella", "not_text": "people", "limit": 5})
class SearchRequest(SearchOptions):
    """What to look for. All terms given add up by weight: each becomes a unit vector, their sum is
    what regions are compared with; `not_text` is taken away at half weight. A `region` without
    `image_id` and `picture_id` is one of the uploaded picture, and stands for it."""

    text: Annotated[
        Words | None,
        about(
            'Words to look for; `text:exit` and `text:"24 hours"` among them must stand in the '
            "picture, `-text:exit` must not."
        ),
    ] = None
    not_text: Annotated[Words | None, about("Words to steer away from.")] = None
    segment_id: Annotated[Id | None, about("A stored segment to look like.")] = None
    image_id: Annotated[Id | None, about("A stored image to look like as a whole.")] = None
    picture_id: Annotated[PictureId | None, about("A kept picture to look like.")] = None
    region: Annotated[RegionRequest | None, about("A thing in a picture to look like.")] = None
    picture_weight: Annotated[FiniteFloat, about("Of the uploaded picture.")] = 1.0
    terms: Terms = ()

    @property
    def is_pointing(self) -> bool:
        """Whether a thing in a picture is looked for, which the segmenter has to cut out."""
        return self.region is not None or _is_pointing(self.terms)

    @property
    def names_picture(self) -> bool:
        """Whether a kept picture is looked for, which may have to be decoded."""
        return self.picture_id is not None or _names_picture(self.terms)

    def query(self, picture: bytes | None) -> Query:
        """The query, with the uploaded picture if there is one; InputError for a wrong mask,
        QueryError for a region of no picture."""
        return Query(tuple(self._terms(picture)), **_options(self, SearchOptions))

    def _terms(self, picture: bytes | None) -> list[Term]:
        terms: list[Term] = []
        if self.text is not None:
            terms += terms_of_words(self.text)
        if self.region is not None:
            image = self.region.picture or picture
            if image is None:
                raise QueryError(
                    "The region is of no picture: give its image_id or picture_id, or upload one."
                )
            terms.append(self.region.term(image))
        if picture is not None and (self.region is None or self.region.picture):
            terms.append(PictureTerm(picture, self.picture_weight))
        if self.segment_id is not None:
            terms.append(SegmentTerm(self.segment_id))
        if self.image_id is not None:
            terms.append(ImageTerm(self.image_id))
        if self.picture_id is not None:
            terms.append(KeptPictureTerm(self.picture_id))
        terms += [request.term() for request in self.terms]
        if self.not_text is not None:
            terms += terms_of_words(self.not_text, NOT_WEIGHT)
        return terms


@value("slot's", {"name": "dog", "text": "a dog", "filters": {"min_area": 0.05}})
class SlotRequest(SlotOptions):
    """One thing of a scene; without words or terms its name is the words."""

    text: Annotated[Words | None, about("Words for it.")] = None
    terms: Terms = ()

    def slot(self) -> Slot:
        """The slot as a value."""
        words = self.text if self.text is not None or self.terms else self.name
        first: tuple[Term, ...] = () if words is None else terms_of_words(words)
        terms = (*first, *(request.term() for request in self.terms))
        return Slot(terms=terms, **_options(self, SlotOptions))


@value(
    example={
        "slots": [
            {"name": "dog", "text": "a dog", "filters": {"min_area": 0.05}},
            {"name": "frisbee"},
            {"name": "person", "absent": True},
        ],
        "relations": [["dog", "left of", "frisbee"]],
    }
)
class SceneRequest(SceneOptions):
    """Things in one picture, how they lie to each other, and things that must not be there."""

    slots: Annotated[tuple[SlotRequest, ...], Field(min_length=1, max_length=MAX_SLOTS)]
    relations: Annotated[
        tuple[tuple[Name, Name, Name], ...],
        about(f"SLOT, one of {', '.join(LINKS)}, SLOT.", max_length=MAX_LINKS),
    ] = ()

    @property
    def is_pointing(self) -> bool:
        """Whether a slot looks for a thing in a picture, which the segmenter has to cut out."""
        return any(_is_pointing(slot.terms) for slot in self.slots)

    @property
    def names_picture(self) -> bool:
        """Whether a slot looks for a kept picture, which may have to be decoded."""
        return any(_names_picture(slot.terms) for slot in self.slots)

    def query(self) -> SceneQuery:
        """The scene as a value; InputError for a wrong mask."""
        links = tuple(
            Link(one, " ".join(relation.replace("_", " ").split()), other)
            for one, relation, other in self.relations
        )
        slots = tuple(request.slot() for request in self.slots)
        return SceneQuery(slots, links, **_options(self, SceneOptions))
