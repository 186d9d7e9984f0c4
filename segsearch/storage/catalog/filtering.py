"""Filters as SQL: which segments of a recipe pass, before anything is ranked."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import sqlalchemy as sa
from sqlalchemy.sql.visitors import iterate

from segsearch.core.arrays import Ids
from segsearch.core.filters import ACROSS, DOWN, Filters, parse_place
from segsearch.core.names import VIDEO_FILE, folded
from segsearch.storage.catalog.collections import refuse_unknown
from segsearch.storage.catalog.database import Database
from segsearch.storage.catalog.portable import (
    AMONG_IDS,
    glob,
    joined_ids,
    larger,
    smaller,
    values_of,
)
from segsearch.storage.catalog.rows import without_number, without_times
from segsearch.storage.catalog.tables import (
    COLLECTION,
    COLLECTION_IMAGE,
    IMAGE,
    IMAGE_TAG,
    SEGMENT,
    SHOT,
    SOURCE,
    TEXT_LINE,
    TRACK,
    VIDEO,
)  # fmt: skip

HEX = "[0-9a-f]"
# As `sources.paths.UPLOAD` has it: a file, or the folder of one.
UPLOADED = (f"*/uploads/{HEX * 2}/{HEX * 64}.*", f"*/uploads/{HEX * 2}/{HEX * 64}/")
EARTH_KM = 6371.0088  # mean radius (IUGG)
Condition = sa.ColumnElement[bool]


class FilterMixin(Database):
    """The part of the catalog that says which segments pass."""

    def select_segments(self, recipe_id: int, filters: Filters) -> Ids:
        """Ids (n,) of a recipe's segments that pass the filters, ascending; NotFoundError when
        they name a collection that does not exist."""
        # As one text: a row for each id would take three times as long as finding them.
        query = sa.select(joined_ids(SEGMENT.c.id))
        query = of_segments(query.where(SEGMENT.c.recipe_id == recipe_id), (filters,))
        with self._reading() as db:
            get_ready(db, filters)
            text = db.execute(query).scalar() or ""
            return np.sort(np.fromstring(text, np.int64, sep=","))

    def count_segments(
        self,
        recipe_id: int,
        filters: Sequence[Filters],
        only: Ids | None = None,
        never: Ids | None = None,
    ) -> int:
        """How many of a recipe's segments pass all of some filters: of `only`, where ids (m,) are
        given, and without those of `never`. NotFoundError as for `select_segments`."""
        query = sa.select(sa.func.count()).where(SEGMENT.c.recipe_id == recipe_id)
        query = of_segments(query, filters).where(*among(SEGMENT.c.id, only, never))
        with self._reading() as db:
            for one in filters:
                get_ready(db, one)
            return int(db.execute(query).scalar_one())

    def segments_passing(  # noqa: PLR0913  a place in a list
        self,
        recipe_id: int,
        filters: Sequence[Filters],
        only: Ids | None = None,
        never: Ids | None = None,
        *,
        after: int = 0,
        limit: int | None = None,
    ) -> Ids:
        """Ids (n,) of those that `count_segments` counts, ascending: the first `limit` beyond an
        id. NotFoundError as for `select_segments`."""
        query = sa.select(SEGMENT.c.id).where(SEGMENT.c.recipe_id == recipe_id)
        query = of_segments(query, filters).where(*among(SEGMENT.c.id, only, never))
        query = query.where(SEGMENT.c.id > after).order_by(SEGMENT.c.id).limit(limit)
        with self._reading() as db:
            for one in filters:
                get_ready(db, one)
            return np.array(db.execute(query).scalars().all(), np.int64)


def of_segments(query: sa.Select[Any], filters: Sequence[Filters]) -> sa.Select[Any]:
    """A query over SEGMENT, for those segments that pass all of some filters; none may ask for a
    map. `get_ready` comes before it is sent."""
    of_region = [condition for one in filters for condition in _of_region(one)]
    query = query.select_from(SEGMENT)
    if any(_names_image(condition) for condition in of_region):
        query = query.join(IMAGE, IMAGE.c.id == SEGMENT.c.image_id)
    # Pictures first, then their segments by an index that holds the ids: no row is read.
    of_image = [condition for one in filters for condition in _of_image(one)]
    if of_image:
        query = query.where(SEGMENT.c.image_id.in_(_images().where(*of_image)))
    return query.where(*of_region)


def among(column: sa.Column[Any], only: Ids | None, never: Ids | None) -> Iterator[Condition]:
    """Conditions: an id is one of some (m,), and none of others; as one parameter each."""
    if only is not None:
        yield column.in_(_listed(only))
    if never is not None:
        yield column.not_in(_listed(never))


def _listed(ids: Ids) -> sa.Select[Any]:
    return values_of(json.dumps(ids.tolist()))


def get_ready(db: sa.Connection, filters: Filters) -> None:
    """Give a connection what conditions call; NotFoundError when the filters name a collection that
    does not exist."""
    refuse_unknown(db, filters.collections, folded)
    if db.dialect.name != "sqlite":
        return  # PostgreSQL has them in its schema
    driver: Any = db.connection.driver_connection
    # SQLite knows upper and lower case of ASCII alone, and may have no sine and cosine.
    driver.create_function("folded", 1, _folded, deterministic=True)
    driver.create_function("kilometres", 4, kilometres, deterministic=True)


def of_pictures(recipe_id: int, filters: Filters) -> list[Condition]:
    """Conditions on IMAGE: what the filters say of pictures, and that one region at least passes
    all that they say of regions. Filters that ask for a map take the ids of the regions that lie
    there as `ids_parameter`."""
    conditions = list(_of_image(filters))
    of_region = list(_of_region(filters))
    if filters.asks_map:  # from the regions to their pictures
        there = sa.select(SEGMENT.c.image_id).join(IMAGE, IMAGE.c.id == SEGMENT.c.image_id)
        there = there.where(SEGMENT.c.id.in_(AMONG_IDS), SEGMENT.c.recipe_id == recipe_id)
        conditions.append(IMAGE.c.id.in_(there.where(*of_region).correlate(None)))
    elif of_region:
        own = (SEGMENT.c.image_id == IMAGE.c.id, SEGMENT.c.recipe_id == recipe_id)
        conditions.append(sa.exists().where(*own, *of_region))
    return conditions


def _images() -> sa.Select[tuple[int]]:
    """Ids of all images; those of an outer query are others."""
    return sa.select(IMAGE.c.id).correlate(None)


def _names_image(condition: Condition) -> bool:
    """Whether a condition on a region asks for its picture's size, too."""
    return any(getattr(part, "table", None) is IMAGE for part in iterate(condition))


def _folded(text: str | None) -> str | None:
    return None if text is None else folded(text)


def _among(column: sa.Column[Any], names: tuple[str, ...]) -> Condition:
    """Whether a column holds one of these names, as a person reads them."""
    return sa.Function[str]("folded", column).in_(sorted(set(map(folded, names))))


def sqlite_glob(pattern: str) -> str:
    """A shell's glob as SQLite's GLOB has it, for folded paths; one that starts anywhere may begin
    in any folder."""
    pattern = folded(pattern)
    anywhere = pattern if pattern.startswith(("/", "*")) or "://" in pattern else f"*/{pattern}"
    return re.sub(r"\[!", "[^", anywhere)


def _matches(pattern: str) -> Condition:
    """Whether a path, or the path of a page's PDF or of a shot's video, matches a glob."""
    there = glob(SOURCE.c.folded, pattern)
    if VIDEO_FILE.search(pattern):
        return sa.or_(there, glob(without_times(SOURCE.c.folded), f"{pattern}#t="))
    if not pattern.endswith(".pdf"):
        return there
    return sa.or_(there, glob(without_number(SOURCE.c.folded), f"{pattern}#page="))


def _of_image(filters: Filters) -> Iterator[Condition]:
    if filters.image_ids is not None:
        yield IMAGE.c.id.in_(filters.image_ids)
    if filters.paths:
        yield _has_source(sa.or_(*(_matches(sqlite_glob(one)) for one in filters.paths)))
    if filters.albums:
        yield _has_source(sa.or_(*(_in_album(name) for name in filters.albums)))
    if filters.collections:
        member = COLLECTION_IMAGE.join(COLLECTION)
        named = sa.select(COLLECTION_IMAGE.c.image_id).select_from(member)
        yield IMAGE.c.id.in_(named.where(_among(COLLECTION.c.name, filters.collections)))
    yield from _between(IMAGE.c.width, filters.min_width, filters.max_width)
    yield from _between(IMAGE.c.height, filters.min_height, filters.max_height)
    if filters.taken_after is not None:
        yield IMAGE.c.taken_at >= filters.taken_after
    if filters.taken_before is not None:
        yield IMAGE.c.taken_at < filters.taken_before
    if filters.cameras:
        yield _among(IMAGE.c.camera, filters.cameras)
    yield from _of_tags(filters)
    yield from _of_place(filters)
    yield from _of_video(filters)


def _of_video(filters: Filters) -> Iterator[Condition]:
    """Which shots; a picture passes none but that it is no shot."""
    if filters.is_video is not None:
        is_shot = IMAGE.c.id.in_(sa.select(SHOT.c.image_id))
        yield is_shot if filters.is_video else ~is_shot
    shots = sa.select(SHOT.c.image_id)
    if filters.videos is not None:
        yield IMAGE.c.id.in_(shots.where(SHOT.c.video_id.in_(filters.videos)))
    lasts = list(_between(VIDEO.c.seconds, filters.min_duration, filters.max_duration))
    if lasts:
        yield IMAGE.c.id.in_(shots.join(VIDEO, VIDEO.c.id == SHOT.c.video_id).where(*lasts))
    if filters.between is not None:  # few shots are, and each track then looked up
        yield IMAGE.c.id.in_(shots.where(*_meets(SHOT, filters.between)))


def _meets(table: sa.Table, span: tuple[float, float]) -> tuple[Condition, Condition]:
    """Whether what lasts a while is there at a moment of a span, its ends among it."""
    start, end = span
    return table.c.t_start <= end, table.c.t_end >= start


def _of_tags(filters: Filters) -> Iterator[Condition]:
    if filters.tags:
        yield _is_tagged(filters.tags)
    for name in filters.all_tags:
        yield _is_tagged((name,))
    if filters.no_tags:
        yield ~_is_tagged(filters.no_tags)


def _is_tagged(names: tuple[str, ...]) -> Condition:
    return sa.exists().where(IMAGE_TAG.c.image_id == IMAGE.c.id, _among(IMAGE_TAG.c.tag, names))


def _of_place(filters: Filters) -> Iterator[Condition]:
    """Where on Earth; a picture that does not say passes neither."""
    latitude, longitude = IMAGE.c.latitude, IMAGE.c.longitude
    if filters.gps_box is not None:
        south, west, north, east = filters.gps_box
        yield latitude.between(south, north)
        across = (longitude >= west, longitude <= east)
        yield sa.and_(*across) if west <= east else sa.or_(*across)
    if filters.near is not None:
        *place, radius = filters.near
        middle = map(sa.literal, place)
        yield sa.Function[float]("kilometres", latitude, longitude, *middle) <= radius


def kilometres(
    latitude: float | None, longitude: float | None, other_latitude: float, other_longitude: float
) -> float | None:
    """The great-circle distance of two places in degrees (haversine); None without the first."""
    if latitude is None or longitude is None:
        return None
    north, other_north = math.radians(latitude), math.radians(other_latitude)
    turn = math.radians(other_longitude - longitude)
    haversine = math.sin((other_north - north) / 2) ** 2
    haversine += math.cos(north) * math.cos(other_north) * math.sin(turn / 2) ** 2
    return 2 * EARTH_KM * math.asin(math.sqrt(min(1.0, haversine)))


def _in_album(name: str) -> Condition:
    """In a folder of this name, or in a shard of it, as `sources.paths.album_of` has it."""
    path, name = SOURCE.c.folded, folded(name)
    # Whatever is no slash is cut off the end, which leaves the folder with its slash.
    folder = sa.func.rtrim(path, sa.func.replace(path, "/", ""))
    ends = (f"*/{_literal(name)}/", f"*/{_literal(name)}.tar/")
    named = sa.or_(*(glob(folder, end) for end in ends))
    places = zip((path, folder), UPLOADED, strict=True)
    return sa.and_(named, *(~glob(place, upload) for place, upload in places))


def _has_source(condition: Condition) -> Condition:
    return sa.exists().where(SOURCE.c.image_id == IMAGE.c.id, condition)


def _literal(name: str) -> str:
    """A name with what GLOB would read as a pattern quoted."""
    return re.sub(r"([*?\[])", r"[\1]", name)


def _of_region(filters: Filters) -> Iterator[Condition]:
    segment = SEGMENT.c
    if filters.segment_ids is not None:
        yield segment.id.in_(filters.segment_ids)
    share = segment.area * 1.0 / (IMAGE.c.width * IMAGE.c.height)
    yield from _between(share, filters.min_area, filters.max_area)
    if filters.box is not None:
        x0, y0, x1, y1 = filters.box
        across = _shared(segment.x0, segment.x1, x0 * IMAGE.c.width, x1 * IMAGE.c.width)
        down = _shared(segment.y0, segment.y1, y0 * IMAGE.c.height, y1 * IMAGE.c.height)
        own = (segment.x1 - segment.x0) * (segment.y1 - segment.y0)
        yield across * down >= filters.min_box_overlap * own
        yield across * down > 0
    if filters.places:
        yield sa.or_(*(_in_place(name) for name in filters.places))
    if filters.has_text is not None:
        theirs = (TEXT_LINE.c.segment_id == segment.id) | (TEXT_LINE.c.element_id == segment.id)
        lines = sa.exists().where(theirs).correlate(SEGMENT)
        yield lines if filters.has_text else ~lines
    if filters.kinds:
        yield segment.kind.in_(filters.kinds)
    if filters.between is not None:
        alive = sa.and_(TRACK.c.segment_id == segment.id, *_meets(TRACK, filters.between))
        yield sa.exists().where(alive).correlate(SEGMENT)
    yield from _between(segment.predicted_iou, filters.min_predicted_iou, None)
    yield from _between(segment.stability, filters.min_stability, None)


def _between(value: Any, least: float | None, most: float | None) -> Iterator[Condition]:
    if least is not None:
        yield value >= least
    if most is not None:
        yield value <= most


def _shared(low: Any, high: Any, other_low: Any, other_high: Any) -> Any:
    """The length two spans share."""
    return larger(0.0, smaller(high, other_high) - larger(low, other_low))


def _in_place(name: str) -> Condition:
    across, down = parse_place(name)
    conditions: list[Condition] = []
    if across is not None:
        middle = SEGMENT.c.x0 + SEGMENT.c.x1
        conditions.append(_third(middle, IMAGE.c.width, ACROSS.index(across)))
    if down is not None:
        middle = SEGMENT.c.y0 + SEGMENT.c.y1
        conditions.append(_third(middle, IMAGE.c.height, DOWN.index(down)))
    return sa.and_(*conditions)


def _third(twice_middle: Any, length: Any, number: int) -> Condition:
    """Whether a middle lies in third 0, 1 or 2 of a length; in whole numbers."""
    return sa.and_(
        3 * twice_middle >= 2 * number * length, 3 * twice_middle < 2 * (number + 1) * length
    )
