"""The shapes of requests about images, and of lists of them and their segments, with an example
each; OpenAPI is made from them. `export/documents.py` describes what the lists hold."""

from __future__ import annotations

from pydantic import BaseModel, Field

from segsearch.core.fields import strict
from segsearch.export.documents import (
    EXAMPLE_IMAGE,
    EXAMPLE_SEGMENT,
    ImageDocument,
    SegmentDocument,
)


class TagsRequest(BaseModel):
    """Tags to give to an image, and tags to take away."""

    model_config = strict({"add": ["holiday"], "remove": ["unsorted"]})

    add: list[str] = Field([], max_length=100, description="Tags of 1 to 100 characters.")
    remove: list[str] = Field([], max_length=100, description="Tags the image may not have.")


class ImagePage(BaseModel):
    """Images by ascending id."""

    model_config = strict({"images": [EXAMPLE_IMAGE], "next_after": 31})

    images: list[ImageDocument]
    next_after: int | None = Field(description="`after` of the next page; null at the end.")


class SegmentList(BaseModel):
    """All segments of one image by ascending id."""

    model_config = strict({"segments": [EXAMPLE_SEGMENT]})

    segments: list[SegmentDocument]
