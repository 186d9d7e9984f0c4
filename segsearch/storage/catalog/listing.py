"""The order that a library is browsed in: a row for each picture that is done, kept by triggers.

A page is looked up where it begins in an index. With filters, the pictures that pass are found and
put in order once (`listed_ids`), and a page is a piece of that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import sqlalchemy as sa

from segsearch.core.arrays import Ids
from segsearch.core.browsing import BrowseOrder, Listed
from segsearch.core.filters import Filters
from segsearch.core.types import MAX_ID, State
from segsearch.storage.catalog.counters import tallies
from segsearch.storage.catalog.database import Database
from segsearch.storage.catalog.filtering import UPLOADED, get_ready, of_pictures
from segsearch.storage.catalog.portable import (
    AMONG_IDS,
    glob,
    ids_parameter,
    padded_times,
    page_digits,
    utc_text,
)
from segsearch.storage.catalog.rows import without_number, without_times
from segsearch.storage.catalog.tables import IMAGE, INGEST, LISTING, SEGMENT, SOURCE

Place = tuple[str, int]  # what a picture is sorted by, and its id
ROWS_AT_ONCE = 10_000
_ROW = (LISTING.c.image_id, LISTING.c.date, LISTING.c.date_from, LISTING.c.name)
_LISTED = sa.select(*_ROW).where(LISTING.c.recipe_id == sa.bindparam("recipe_id"))
_LISTED_OF = _LISTED.where(LISTING.c.image_id.in_(AMONG_IDS))
_COUNTED = (
    sa.select(SEGMENT.c.image_id, sa.func.count())
    .where(SEGMENT.c.recipe_id == sa.bindparam("recipe_id"), SEGMENT.c.image_id.in_(AMONG_IDS))
    .group_by(SEGMENT.c.image_id)
)
KEYS: dict[BrowseOrder, sa.Column[Any] | None] = {
    BrowseOrder.NEWEST: LISTING.c.date,
    BrowseOrder.OLDEST: LISTING.c.date,
    BrowseOrder.ADDED: None,  # the id alone: ids only ever grow
    BrowseOrder.NAME: LISTING.c.name,
}
FALLING = frozenset({BrowseOrder.NEWEST, BrowseOrder.ADDED})
LAST_TEXT = "\U0010ffff"  # above every date


def place_of(listed: Listed, order: BrowseOrder) -> Place:
    """Where a picture stands in an order."""
    if KEYS[order] is None:
        return "", listed.image_id
    text = listed.name if order is BrowseOrder.NAME else _stored(listed.date)
    return text, listed.image_id


def _page_of(order: BrowseOrder) -> sa.Select[Any]:
    """The rows behind a place, the next ones first."""
    key, falling = KEYS[order], order in FALLING
    place: Any = LISTING.c.image_id
    other: Any = sa.bindparam("image_id")
    columns: list[sa.Column[Any]] = [LISTING.c.image_id]
    if key is not None:
        place, other = sa.tuple_(key, place), sa.tuple_(sa.bindparam("key"), other)
        columns.insert(0, key)
    behind = place < other if falling else place > other
    ordered = [column.desc() if falling else column for column in columns]
    page = _LISTED.where(behind).order_by(*ordered)
    return page.limit(sa.bindparam("most")).offset(sa.bindparam("passed"))


# Built once: a page would take longer to build them than SQLite takes to answer.
_PAGES = {order: _page_of(order) for order in BrowseOrder}


class ListingMixin(Database):
    """The part of the catalog that puts pictures in an order."""

    def listed(
        self, recipe_id: int, order: BrowseOrder, after: Place | None, limit: int, offset: int = 0
    ) -> list[Listed]:
        """Pictures that are done under a recipe, in order, those behind a place but for the first
        `offset` of them."""
        start = (LAST_TEXT, MAX_ID) if order in FALLING else ("", 0)
        key, image_id = after or start
        given: dict[str, Any] = {"recipe_id": recipe_id, "image_id": image_id}
        given |= {"most": limit, "passed": offset}
        if KEYS[order] is not None:
            given["key"] = key
        with self._reading() as db:
            return [_listed(row) for row in db.execute(_PAGES[order], given)]

    def listed_among(self, recipe_id: int, image_ids: Sequence[int]) -> dict[int, Listed]:
        """How those of these pictures that are done under a recipe are sorted, by id."""
        given = {"recipe_id": recipe_id, **ids_parameter(image_ids)}
        with self._reading() as db:
            return {row.image_id: _listed(row) for row in db.execute(_LISTED_OF, given)}

    def listed_ids(
        self, recipe_id: int, order: BrowseOrder, filters: Filters, on_map: Ids | None = None
    ) -> Ids:
        """Ids (n,) of the pictures that are done under a recipe and pass filters, in rising order
        of what they are sorted by; NotFoundError for a collection that does not exist.

        `on_map` are the ids (m,) of the regions that lie where filters that ask for a map say.
        """
        key = KEYS[order]
        columns = [LISTING.c.image_id] if key is None else [key, LISTING.c.image_id]
        query = sa.select(LISTING.c.image_id).join(IMAGE, IMAGE.c.id == LISTING.c.image_id)
        query = query.where(LISTING.c.recipe_id == recipe_id, *of_pictures(recipe_id, filters))
        found: list[int] = []
        with self._reading() as db:
            get_ready(db, filters)
            given = ids_parameter(on_map.tolist()) if on_map is not None else {}
            answer: Any = db.execute(query.order_by(*columns), given)
            cursor = answer.cursor  # the driver's: plain tuples
            while rows := cursor.fetchmany(ROWS_AT_ONCE):
                found += (image_id for (image_id,) in rows)
        return np.array(found, np.int64)

    def done_count(self, recipe_id: int) -> int:
        """How many pictures are done under a recipe."""
        with self._reading() as db:
            return tallies(db, recipe_id).get("state", Counter())[State.DONE]

    def segment_counts(self, recipe_id: int, image_ids: Sequence[int]) -> dict[int, int]:
        """How many segments pictures have under a recipe; those without any are left out."""
        given = {"recipe_id": recipe_id, **ids_parameter(image_ids)}
        with self._reading() as db:
            rows = db.execute(_COUNTED, given).all()
        return {image_id: count for image_id, count in rows}  # noqa: C416  rows are no pairs to mypy


def _listed(row: Any) -> Listed:
    return Listed(row.image_id, row.date.replace(" ", "T"), row.date_from, row.name)


def _stored(date: str) -> str:
    return date.replace("T", " ")


def _is_upload() -> sa.ColumnElement[bool]:
    pattern = UPLOADED[0].removesuffix(".*") + "[./]*"
    return glob(SOURCE.c.folded, pattern)


def _padded(name: sa.ColumnElement[str]) -> sa.ColumnElement[str]:
    """A name as names are sorted: of a page of a PDF the number has seven digits, so that page 10
    comes behind page 2; of a shot of a video the time at which it begins has ten characters.
    `migrations/` has it as text."""
    bare = without_number(name)
    number = page_digits(sa.func.substr(name, sa.func.length(bare) + 1))
    video = without_times(name)
    times = padded_times(sa.func.substr(name, sa.func.length(video) + 1))
    return sa.case(
        (glob(bare, "*.pdf#page="), bare.op("||")(number)),
        (glob(video, "*#t="), video.op("||")(times)),
        else_=name,
    )


def right_rows() -> sa.Select[Any]:
    """The rows as they should be, found out from the other tables; `migrations/` has it as text."""
    of_image = SOURCE.c.image_id == IMAGE.c.id
    own = (of_image, SOURCE.c.mtime_ns > 0, ~_is_upload())
    seconds = sa.func.min(SOURCE.c.mtime_ns).op("/")(1_000_000_000)  # of whole numbers
    file = sa.select(utc_text(seconds)).where(*own).scalar_subquery()
    taken = sa.func.substr(sa.cast(IMAGE.c.taken_at, sa.Text), 1, 19)
    added = utc_text(IMAGE.c.added_at)
    folder = sa.func.rtrim(SOURCE.c.folded, sa.func.replace(SOURCE.c.folded, "/", ""))
    own_name = sa.func.substr(SOURCE.c.folded, sa.func.length(folder) + 1)
    name = sa.select(_padded(own_name)).where(of_image)
    name = name.order_by(_is_upload(), SOURCE.c.path).limit(1)
    date_from = sa.case((taken.is_not(None), "camera"), (file.is_not(None), "file"), else_="added")
    return (
        sa.select(
            INGEST.c.recipe_id,
            INGEST.c.image_id,
            sa.func.coalesce(taken, file, added),
            date_from,
            sa.func.coalesce(name.scalar_subquery(), ""),
        )
        .join(IMAGE, IMAGE.c.id == INGEST.c.image_id)
        .where(INGEST.c.state == State.DONE)
    )


def listing_problems(db: sa.Connection) -> list[str]:
    """A sentence for each picture that is not listed as the other tables say; reads them whole."""
    kept, right = sa.select(LISTING), right_rows()
    differences = (sa.except_(right, kept), sa.except_(kept, right))
    wrong = {row[1] for difference in differences for row in db.execute(difference)}
    return [f"Image {number} is not listed as it should be." for number in sorted(wrong)]


def list_again(db: sa.Connection) -> None:
    """Find the whole listing out from the other tables."""
    db.execute(sa.delete(LISTING))
    names = [column.name for column in LISTING.columns]
    db.execute(sa.insert(LISTING).from_select(names, right_rows()))
