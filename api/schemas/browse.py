"""The shapes of what a library is browsed by, with an example each; `core.browsing` has the
request."""

from __future__ import annotations

from typing import Any, Self

from pydantic import BaseModel, Field

from segsearch.core.browsing import Browsed, Facets
from segsearch.core.fields import Id, strict
from segsearch.export.documents import EXAMPLE_IMAGE, ImageDocument
from segsearch_api.schemas.library import MAX_IDS

BROWSED: dict[str, Any] = {
    **EXAMPLE_IMAGE, "date": "2024-07-14T12:31:05", "date_from": "camera", "segments": 17,
}  # fmt: skip


class BrowsedImage(ImageDocument):
    """A picture, and how it is sorted."""

    model_config = strict(BROWSED)

    date: str = Field(
        description="What it is sorted by: the camera's local time, else UTC of the file, else of "
        "when it came into the library. ISO 8601 without a zone."
    )
    date_from: str = Field(description="camera, file or added.")
    segments: int = Field(description="How many regions it has.")

    @classmethod
    def row(cls, browsed: Browsed) -> Self:
        """The document of a picture of a page."""
        listed = browsed.listed
        return cls(
            **ImageDocument.of(browsed.image).model_dump(),
            date=listed.date,
            date_from=listed.date_from,
            segments=browsed.segments,
        )


class BrowseAnswer(BaseModel):
    """Pictures that are done, in the order that was asked for."""

    model_config = strict({"images": [BROWSED], "total": 48, "next_cursor": None})

    images: list[BrowsedImage]
    total: int = Field(description="How many pass the filters, of all pages.")
    next_cursor: str | None = Field(
        description="Send it as `cursor` with the same query for the next page; null at the end."
    )


class NameFacet(BaseModel):
    """A name, and how many pictures it is of."""

    model_config = strict()

    name: str
    images: int


class MonthFacet(BaseModel):
    """A month, and how many pictures are of it, by the `date` that they are sorted by."""

    model_config = strict()

    month: str = Field(description="YYYY-MM")
    images: int


class FacetsDocument(BaseModel):
    """By what the pictures that are done can be told apart; at most 1,000 of each kind."""

    model_config = strict(
        {
            "albums": [{"name": "beach", "images": 31}],
            "tags": [{"name": "holiday", "images": 12}],
            "cameras": [{"name": "ACME Pocket 3", "images": 40}],
            "collections": [{"name": "holidays", "images": 12}],
            "formats": [{"name": "JPEG", "images": 41}],
            "months": [{"month": "2024-07", "images": 31}],
            "with_text": 9,
        }
    )

    albums: list[NameFacet] = Field(description="Those of most pictures first.")
    tags: list[NameFacet] = Field(description="Those of most pictures first.")
    cameras: list[NameFacet] = Field(description="Those of most pictures first.")
    collections: list[NameFacet] = Field(description="Those of most pictures first.")
    formats: list[NameFacet] = Field(description="Those of most pictures first.")
    months: list[MonthFacet] = Field(description="The newest first.")
    with_text: int = Field(description="Pictures in which text was read: `has_text` finds them.")

    @classmethod
    def of(cls, facets: Facets) -> Self:
        """The document of facets."""
        kinds = ("albums", "tags", "cameras", "collections", "formats")
        named: dict[str, Any] = {
            kind: [NameFacet(name=name, images=count) for name, count in getattr(facets, kind)]
            for kind in kinds
        }
        months = [MonthFacet(month=name, images=count) for name, count in facets.months]
        return cls(**named, months=months, with_text=facets.with_text)


class ManyTags(BaseModel):
    """Tags to give to images, and tags to take away from them."""

    model_config = strict({"image_ids": [31, 32], "add": ["holiday"], "remove": ["unsorted"]})

    image_ids: list[Id] = Field(min_length=1, max_length=MAX_IDS)
    add: list[str] = Field([], max_length=100, description="Tags of 1 to 100 characters.")
    remove: list[str] = Field([], max_length=100, description="Tags that none of them may have.")


class RemovedImages(BaseModel):
    """How many images were in the library, and no longer are."""

    model_config = strict({"removed": 2})

    removed: int


class ImageList(BaseModel):
    """Some images."""

    model_config = strict({"images": [EXAMPLE_IMAGE]})

    images: list[ImageDocument]


class DuplicateGroup(BaseModel):
    """Images that look almost the same, and how many there are of them."""

    model_config = strict({"images": [EXAMPLE_IMAGE], "total": 2})

    images: list[ImageDocument] = Field(description="At most 1,000.")
    total: int = Field(description="All of the group; counted to 20,000.")


class DuplicatesPage(BaseModel):
    """Groups of pictures that look almost the same, in each the one of most pixels first."""

    model_config = strict({"groups": [{"images": [EXAMPLE_IMAGE], "total": 2}], "next_after": None})

    groups: list[DuplicateGroup]
    next_after: int | None = Field(
        description="`after` of the next page, though this one holds fewer groups than were asked "
        "for, or none; null at the end."
    )
