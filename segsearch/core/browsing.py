"""How a library is looked through without a query, and what comes of it; values only."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field
from enum import StrEnum
from typing import Annotated

from segsearch.core.fields import about, value
from segsearch.core.filters import Filters
from segsearch.core.query import MAX_LIMIT, FiltersOrNull
from segsearch.core.types import MAX_ID, Image


class BrowseOrder(StrEnum):
    """What pictures are sorted by: `added` has those first that came last."""

    NEWEST = "newest"
    OLDEST = "oldest"
    ADDED = "added"
    NAME = "name"


@value(example={"filters": {"albums": ["beach"]}, "order": "newest", "limit": 100})
class BrowseQuery:
    """One page of the pictures that are done and pass the filters."""

    _: KW_ONLY
    filters: Annotated[
        FiltersOrNull,
        about("Of pictures; what is said of regions has to hold for one region at least."),
    ] = field(default_factory=Filters)
    order: Annotated[
        BrowseOrder,
        about(
            "By `date`, the newest or the oldest first; by when pictures came into the library, "
            "the last first; or by the name of the file, pages of a PDF by their numbers."
        ),
    ] = BrowseOrder.NEWEST
    cursor: Annotated[
        str | None, about("next_cursor of the page before, of the same filters.", max_length=5_000)
    ] = None
    limit: Annotated[int, about("How many pictures at most.", ge=1, le=MAX_LIMIT)] = 100
    offset: Annotated[
        int,
        about(
            "How many pictures to pass over first, from the cursor on; page by cursors, and jump "
            "by this.",
            ge=0,
            le=MAX_ID,
        ),
    ] = 0


@dataclass(frozen=True, slots=True)
class Listed:
    """How a picture is sorted: `date` is ISO 8601 without a zone, of the camera's local time where
    `date_from` is "camera", else UTC of the file ("file") or of its coming ("added"). `name` is
    that of the file, folded; of a page of a PDF with its number as seven digits."""

    image_id: int
    date: str
    date_from: str
    name: str


@dataclass(frozen=True, slots=True)
class Browsed:
    """A picture, how it is sorted, and how many regions it has."""

    image: Image
    listed: Listed
    segments: int


@dataclass(frozen=True, slots=True)
class BrowsePage:
    """A page of pictures; `total` counts all pages together, `next_cursor` is None at the end."""

    pictures: tuple[Browsed, ...]
    total: int
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class Facets:
    """By what the pictures that are done can be told apart: names (months as YYYY-MM) and how many
    pictures each is of; those with the most first, months from the newest. `with_text` counts the
    pictures in which text was read."""

    albums: tuple[tuple[str, int], ...] = ()
    tags: tuple[tuple[str, int], ...] = ()
    cameras: tuple[tuple[str, int], ...] = ()
    collections: tuple[tuple[str, int], ...] = ()
    formats: tuple[tuple[str, int], ...] = ()
    months: tuple[tuple[str, int], ...] = ()
    with_text: int = 0
