"""Lists the regions that pass filters, without a query: by id, a page at a time."""

from __future__ import annotations

from dataclasses import dataclass

from segsearch.core.errors import QueryError
from segsearch.core.filters import Filters
from segsearch.core.query import MAX_LIMIT
from segsearch.core.types import MAX_ID, Image, Segment
from segsearch.search.engine import SearchEngine
from segsearch.search.vectors import Active
from segsearch.storage.catalog.sql_catalog import Catalog


@dataclass(frozen=True, slots=True)
class RegionPage:
    """Regions by ascending id, each with its picture; `total` is the number of all that pass,
    `next_cursor` gives the next page, None at the end."""

    regions: tuple[tuple[Segment, Image], ...]
    total: int
    next_cursor: str | None


def page_of(  # noqa: PLR0913  a place in a list
    engine: SearchEngine,
    catalog: Catalog,
    recipe: Active,
    filters: Filters,
    cursor: str | None,
    limit: int,
) -> RegionPage:
    """The regions behind a cursor, the id of the last page's last one; QueryError for a cursor that
    is none, or a limit out of range."""
    if not 1 <= limit <= MAX_LIMIT:
        raise QueryError(f"The limit is {limit}, expected 1 to {MAX_LIMIT}.")
    after = _after(cursor)
    allowed = engine.allowed(recipe, filters)
    if allowed is None:
        total = catalog.segment_tally(recipe[0])[0]
        ids = catalog.segment_ids_after(recipe[0], after, limit + 1)
    else:
        total = allowed.count
        ids = allowed.page(after, limit + 1).tolist()
    page = ids[:limit]
    segments = engine.fetch(page)
    images = engine.images_of(list(segments.values()))
    regions = tuple(
        (segments[number], images[segments[number].image_id])
        for number in page
        if number in segments and segments[number].image_id in images  # others went just now
    )
    return RegionPage(regions, total, str(page[-1]) if len(ids) > limit else None)


def _after(cursor: str | None) -> int:
    if cursor is None:
        return 0
    if not (cursor.isascii() and cursor.isdecimal()) or len(cursor) > len(str(MAX_ID)):
        raise QueryError("The cursor is none that a page of regions gave.")
    return min(int(cursor), MAX_ID)
