"""A library page by page without a query: in an order, with filters, from where a cursor says."""

from __future__ import annotations

import base64
import binascii
import bisect
import hashlib
import json
from dataclasses import asdict

from segsearch.core.arrays import Ids
from segsearch.core.browsing import Browsed, BrowseOrder, BrowsePage, BrowseQuery, Facets, Listed
from segsearch.core.errors import QueryError
from segsearch.core.filters import Filters
from segsearch.core.types import MAX_ID
from segsearch.search.region_map.maps import RegionMaps, ids_within
from segsearch.search.vectors import Active
from segsearch.storage.catalog.listing import FALLING, LAST_TEXT, Place, place_of
from segsearch.storage.catalog.recent import Recent
from segsearch.storage.catalog.sql_catalog import Catalog
from segsearch.storage.region_maps import RegionMap

KEPT_LISTS = 16
CURSOR_TEXT = 300  # characters of a name in a cursor, which takes 5,000 of its own
LOOKED_AT = 200  # pictures at once, for one that is not gone
KEPT_IDS = 4_000_000  # of all lists together: 32 MB
UNREADABLE = (ValueError, TypeError, binascii.Error, RecursionError)


class Browser:
    """Pages of a catalog. Thread-safe.

    Without filters a page is read where it begins in an index. With filters the ids that pass are
    found and ordered once, and remembered as `Recent` does, so a run that fills the library makes
    no page find them again.
    """

    def __init__(self, catalog: Catalog, maps: RegionMaps | None = None) -> None:
        self._catalog = catalog
        self._maps = maps
        self._kept: Recent[Ids] = Recent(
            catalog.mark, most=KEPT_LISTS, size=lambda ids: ids.size, largest=KEPT_IDS
        )

    def page(self, query: BrowseQuery) -> BrowsePage:
        """One page, of an empty library an empty one; QueryError for a cursor that is none or of
        another query, and for filters that ask for a map where there is none, NotFoundError for a
        collection that does not exist."""
        question = _question_of(query)
        after = None if query.cursor is None else _read(query.cursor, question)
        active = self._catalog.active_recipe()
        if active is None:
            return BrowsePage((), 0, None)
        recipe_id, order, more = active[0], query.order, query.limit + 1
        if after is not None and len(after[0]) == CURSOR_TEXT:
            after = self._whole(recipe_id, order, after)
        if query.filters.is_empty:
            total = self._catalog.done_count(recipe_id)
            rows = self._catalog.listed(recipe_id, order, after, more, query.offset)
        else:
            ids = self._ids(active, order, query.filters)
            start = self._start(recipe_id, order, ids, after)
            start += -query.offset if order in FALLING else query.offset
            start = min(max(start, 0), len(ids))
            total, rows = len(ids), self._rows(recipe_id, order, ids, start, more)
        shown = rows[: query.limit]
        following = None
        if len(rows) > query.limit:
            following = _write(place_of(shown[-1], order), question)
        return BrowsePage(self._pictures(recipe_id, shown), total, following)

    def facets(self) -> Facets:
        """By what the pictures can be told apart, counted; none of an empty library."""
        active = self._catalog.active_recipe()
        return Facets() if active is None else self._catalog.facets(active[0])

    def _whole(self, recipe_id: int, order: BrowseOrder, place: Place) -> Place:
        """A place whose text a cursor holds in part; where its picture is gone, what begins alike
        comes again."""
        listed = self._catalog.listed_among(recipe_id, [place[1]]).get(place[1])
        now = place if listed is None else place_of(listed, order)
        return now if now[0].startswith(place[0]) else place

    def _rows(
        self, recipe_id: int, order: BrowseOrder, ids: Ids, start: int, most: int
    ) -> list[Listed]:
        falling = order in FALLING
        found: list[Listed] = []
        while len(found) < most:
            need = most - len(found)
            piece = ids[max(0, start - need) : start][::-1] if falling else ids[start:][:need]
            if piece.size == 0:
                break
            start += -piece.size if falling else piece.size
            listed = self._catalog.listed_among(recipe_id, piece.tolist())
            # What went since the ids were found is passed by.
            found += (listed[number] for number in piece.tolist() if number in listed)
        return found

    def _start(self, recipe_id: int, order: BrowseOrder, ids: Ids, after: Place | None) -> int:
        """Which of the ids, rising, a page starts at, or ends before where the order falls."""
        if after is None:
            return ids.size if order in FALLING else 0

        def place(at: int) -> Place:
            # Of what is gone nobody knows where it stood: before the next one that is there.
            count = 1
            while at < ids.size:
                piece = ids[at : at + count].tolist()
                listed = self._catalog.listed_among(recipe_id, piece)
                for number in piece:
                    if number in listed:
                        return place_of(listed[number], order)
                at, count = at + count, LOOKED_AT
            return LAST_TEXT, MAX_ID

        find = bisect.bisect_left if order in FALLING else bisect.bisect_right
        return find(range(ids.size), after, key=place)

    def _ids(self, recipe: Active, order: BrowseOrder, filters: Filters) -> Ids:
        if order is BrowseOrder.OLDEST:
            order = BrowseOrder.NEWEST  # the same ids, read from the other end
        made: RegionMap | None = None
        if filters.asks_map:
            if self._maps is None:
                raise QueryError("The filters ask for a map, and none are kept here.")
            made = self._maps.asked(recipe, filters)

        def read() -> Ids:
            on_map = None if made is None else ids_within(made, filters)
            ids = self._catalog.listed_ids(recipe[0], order, filters, on_map)
            ids.flags.writeable = False
            return ids

        # A map changes without a commit.
        digest = "" if made is None else made.digest
        return self._kept.value((recipe[0], order, filters, digest), read)

    def _pictures(self, recipe_id: int, rows: list[Listed]) -> tuple[Browsed, ...]:
        ids = [listed.image_id for listed in rows]
        images = {image.id: image for image in self._catalog.images(ids=ids, limit=len(ids))}
        counts = self._catalog.segment_counts(recipe_id, ids)
        return tuple(
            Browsed(images[listed.image_id], listed, counts.get(listed.image_id, 0))
            for listed in rows
            if listed.image_id in images
        )


def _question_of(query: BrowseQuery) -> str:
    """What makes two queries the same but for their page: a short hash."""
    said = {name: value for name, value in asdict(query.filters).items() if value not in (None, ())}
    text = json.dumps([query.order, said], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _write(place: Place, question: str) -> str:
    text = json.dumps([question, place[0][:CURSOR_TEXT], place[1]], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode()


def _read(cursor: str, question: str) -> Place:
    try:
        asked, key, image_id = json.loads(base64.urlsafe_b64decode(cursor.encode("ascii")))
        if type(image_id) is not int or not 0 <= image_id <= MAX_ID or not isinstance(key, str):
            raise ValueError("no place")
        place = key, image_id
        place[0].encode()  # what cannot be stored is no name
    except UNREADABLE as problem:
        raise QueryError("The cursor is none: hand back next_cursor as it was.") from problem
    if asked != question:
        raise QueryError("The cursor belongs to another query: browse again without it.")
    return place
