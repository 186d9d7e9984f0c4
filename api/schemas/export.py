"""The shape of a request for a file of regions."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, Field, model_validator

from segsearch.core.fields import Id, Share, strict
from segsearch.core.query import MAX_LIMIT, MAX_TEXT_CHARACTERS, MIN_RELEVANCE
from segsearch.search.schema import SearchRequest
from segsearch_api.schemas.library import MAX_IDS

MAX_CUTOUTS = 10_000
MAX_FRAMES = 10_000
Some = Annotated[list[Id], Field(max_length=MAX_IDS)]


class ExportRequest(BaseModel):
    """Which regions to write, and how: those of words, of a segment or of a query; of a collection;
    of some images, and some segments. Without any of these all, by image and id."""

    model_config = strict({"format": "coco", "text": "a red umbrella", "limit": 100})

    format: Literal["coco", "jsonl", "parquet", "caption-pack", "cutouts", "ytvis"] = "coco"
    text: str | None = Field(None, max_length=MAX_TEXT_CHARACTERS, description="Words.")
    segment_id: Id | None = Field(None, description="More like this one.")
    query: SearchRequest | None = Field(
        None,
        description="A whole query, as of `/v1/search`; its `limit`, `cursor` and `by_picture` "
        "count for nothing, and `per_image` and `min_relevance` stand in it.",
    )
    collection: str | None = Field(None, description="Only its images.")
    image_ids: Some | None = Field(
        None, description="All regions of these images; those that are unknown are passed by."
    )
    segment_ids: Some | None = Field(
        None,
        description="These regions, with those of `image_ids` if both are given: then at most "
        f"{MAX_IDS:,} ids together.",
    )
    limit: Id | None = Field(
        None,
        description="How many regions at most; without a value all that are chosen. Words, a "
        "segment, a query and packs give at most 1,000, cutouts 10,000, and that many without a "
        "value.",
    )
    relative_to: str | None = Field(
        None,
        max_length=MAX_TEXT_CHARACTERS,
        description="For coco and ytvis: the folder on the server that pictures are named below; "
        "without it what all have in common.",
    )
    frames: bool = Field(
        False,
        description="For ytvis: a zip with the frames as JPEG, those of the shots that have no "
        f"more than {MAX_FRAMES:,} together, instead of the file alone.",
    )
    polygons: bool = Field(False, description="For coco: polygons instead of run lengths.")
    per_image: int = Field(
        10, ge=1, le=MAX_LIMIT, description="Of one picture, for words and a segment."
    )
    min_relevance: Share = Field(
        MIN_RELEVANCE,
        description="Relevance the best region must reach, or nothing is written; for words and a "
        "segment.",
    )

    @model_validator(mode="after")
    def _check_ids(self) -> Self:
        together = len(self.image_ids or ()) + len(self.segment_ids or ())
        if together > MAX_IDS:
            raise ValueError(
                f"{together:,} ids of images and segments are too many: at most {MAX_IDS:,} "
                "together"
            )
        return self
