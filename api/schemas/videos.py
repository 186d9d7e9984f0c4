"""The shapes of answers about videos, with an example each; `export/video_documents.py` describes
what they hold."""

from __future__ import annotations

from pydantic import BaseModel, Field

from segsearch.core.fields import strict
from segsearch.export.documents import EXAMPLE_SEGMENT, SegmentDocument
from segsearch.export.video_documents import (
    EXAMPLE_KEY_MASK,
    EXAMPLE_LIFE,
    EXAMPLE_VIDEO,
    KeyMaskDocument,
    VideoDocument,
)

EXAMPLE_SEEN = {
    "seconds": 15.0,
    "segments": [
        {"segment": {**EXAMPLE_SEGMENT, "life": EXAMPLE_LIFE}, "at": EXAMPLE_KEY_MASK}
    ],
}  # fmt: skip


class VideoPage(BaseModel):
    """Videos by ascending id."""

    model_config = strict({"videos": [EXAMPLE_VIDEO], "next_after": None})

    videos: list[VideoDocument]
    next_after: int | None = Field(description="`after` of the next page; null at the end.")


class SeenSegment(BaseModel):
    """A region of a video that is there at the moment asked for."""

    model_config = strict()

    segment: SegmentDocument = Field(description="Its mask is that of its best moment.")
    at: KeyMaskDocument = Field(description="Its mask at the keyframe nearest to the moment.")


class SeenSegments(BaseModel):
    """The regions of a video that are there at a moment, by ascending id."""

    model_config = strict(EXAMPLE_SEEN)

    seconds: float = Field(description="The moment that was asked for.")
    segments: list[SeenSegment]
