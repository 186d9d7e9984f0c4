"""The text of one picture as it was read, and the elements of a page in the order of reading."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from segsearch.core.text import TextLine
from segsearch.core.types import Segment


@dataclass(frozen=True, slots=True)
class ReadPicture:
    """What was read of an image by `reader`, None where it was not read. `lines` stand in the order
    of reading, and so do `elements`: the regions that make up a page, none of a photograph."""

    image_id: int
    reader: str | None
    lines: tuple[TextLine, ...]
    elements: tuple[Segment, ...]

    @property
    def text(self) -> str:
        """The lines, one below the other."""
        return joined_lines(self.lines)

    def text_of(self, element: Segment) -> str:
        """The lines that belong to one element, also those that smaller regions cover."""
        return joined_lines([line for line in self.lines if element.id in line.regions])


def joined_lines(lines: Sequence[TextLine]) -> str:
    """Lines as one text, one below the other."""
    return "\n".join(line.line.text for line in lines)
