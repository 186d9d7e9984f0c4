"""What is written of the text in pictures as JSON, each described once: lines of a hit, and all
lines and elements of a picture."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import BaseModel, Field

from segsearch.core.fields import strict
from segsearch.core.picture_text import ReadPicture
from segsearch.core.text import RegionKind, TextLine
from segsearch.core.types import Hit

CORNERS = [[52.0, 80.5], [190.0, 78.0], [190.5, 101.0], [52.5, 103.5]]
EXAMPLE_LINE: dict[str, Any] = {
    "text": "open 24 hours", "corners": CORNERS, "score": 0.981, "position": 1,
}  # fmt: skip
EXAMPLE_HIT_LINE: dict[str, Any] = {**EXAMPLE_LINE, "found": False}
EXAMPLE_TEXT: dict[str, Any] = {
    "image_id": 31,
    "reader": "pp-ocr@5d3f",
    "text": "open 24 hours",
    "lines": [{**EXAMPLE_LINE, "segment_id": 812, "element_id": 812}],
    "elements": [
        {
            "segment_id": 812,
            "kind": "heading",
            "reading_order": 1,
            "box": [37, 60, 211, 302],
            "text": "open 24 hours",
        }
    ],
}
Corner = Annotated[list[float], Field(min_length=2, max_length=2)]


class TextLineDocument(BaseModel):
    """A line of text in a picture."""

    text: str
    corners: list[Corner] = Field(
        description="x, y in pixels of the upright image, clockwise in the sense of the writing: "
        "the first is above the beginning of the line.",
        min_length=4,
        max_length=4,
    )
    score: float = Field(description="How sure the reader is, in [0, 1].")
    position: int = Field(description="Among the lines of the picture as they are read, from 1.")


class HitLineDocument(TextLineDocument):
    """A line that belongs to a region of an answer."""

    model_config = strict(EXAMPLE_HIT_LINE)

    found: bool = Field(description="Whether it holds words that were asked for.")


class PictureLineDocument(TextLineDocument):
    """A line among those of its picture."""

    model_config = strict({**EXAMPLE_LINE, "segment_id": 812, "element_id": 812})

    segment_id: int | None = Field(
        description="The smallest region that covers it; null where that was removed."
    )
    element_id: int | None = Field(
        description="The region that is its element of a page; null where that is none."
    )


class ElementDocument(BaseModel):
    """An element of a page: a heading, a paragraph, a cell of a table, a figure."""

    model_config = strict(EXAMPLE_TEXT["elements"][0])

    segment_id: int
    kind: RegionKind
    reading_order: int = Field(description="Among the elements as they are read, from 1.")
    box: list[int] = Field(
        description="x0, y0, x1, y1 in pixels of the upright image, half-open.",
        min_length=4,
        max_length=4,
    )
    text: str = Field(description="Its lines, one below the other; empty where it holds none.")


class PictureTextDocument(BaseModel):
    """The text of a picture."""

    model_config = strict(EXAMPLE_TEXT)

    image_id: int
    reader: str | None = Field(description="What read it; null where it was not read.")
    text: str = Field(description="All lines, one below the other.")
    lines: list[PictureLineDocument] = Field(description="As they are read.")
    elements: list[ElementDocument] = Field(
        description="What a page is made of, as it is read; empty for a photograph."
    )

    @classmethod
    def of(cls, read: ReadPicture) -> Self:
        """The document of what was read of a picture."""
        return cls(
            image_id=read.image_id,
            reader=read.reader,
            text=read.text,
            lines=[
                PictureLineDocument(
                    **line_fields(line), segment_id=line.segment_id, element_id=line.element_id
                )
                for line in read.lines
            ],
            elements=[
                ElementDocument(
                    segment_id=element.id,
                    kind=element.kind,
                    reading_order=element.reading_order or number,
                    box=list(element.mask.box.as_tuple()),
                    text=read.text_of(element),
                )
                for number, element in enumerate(read.elements, start=1)
            ],
        )


def hit_lines(hit: Hit) -> list[HitLineDocument]:
    """The documents of a hit's lines."""
    found = set(hit.found_lines)
    return [HitLineDocument(**line_fields(line), found=line.id in found) for line in hit.lines]


def line_fields(line: TextLine) -> dict[str, Any]:
    """What is said of any line."""
    return {
        "text": line.line.text,
        "corners": [list(corner) for corner in line.line.corners],
        "score": round(line.line.score, 4),
        "position": line.position,
    }
