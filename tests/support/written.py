"""Gives stored pictures texts, as reading does, for tests of what finds them by their words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from segsearch.core.arrays import PictureText, PlacedLine
from segsearch.core.text import Line, RegionKind
from segsearch.storage.catalog.sql_catalog import Catalog

READER = "pen@1"
# A line, and the numbers of the region that it belongs to and, maybe, of its element.
Placed = tuple[str, int | None] | tuple[str, int | None, int | None]


def line_of(text: str, position: int) -> Line:
    """A line of ten pixels below the one before."""
    y = 10.0 * position
    return Line(((1.0, y), (50.0, y), (50.0, y + 8), (1.0, y + 8)), text, 0.9)


def text_of(lines: Sequence[Placed], regions: int) -> PictureText:
    """What reading gives of a picture with so many regions; lines belong to these."""
    placed = [
        PlacedLine(line_of(text, position), *regions)
        for position, (text, *regions) in enumerate(lines)
    ]
    kinds: list[RegionKind] = ["thing"] * regions
    return PictureText(READER, tuple(placed), (), tuple(kinds), (None,) * regions)


def write(catalog: Catalog, texts: Mapping[int, Sequence[Placed]], reader: str = READER) -> None:
    """Store these lines of images, by their ids; every other image of the library has none."""
    active = catalog.active_recipe()
    assert active is not None
    catalog.queue_reading(active[0], reader)
    while claim := catalog.claim(active[0], "pen", 60, "read"):
        text = text_of(texts.get(claim.image_id, ()), len(claim.regions))
        assert catalog.commit_text(claim, text)
