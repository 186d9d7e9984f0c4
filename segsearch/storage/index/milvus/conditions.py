"""Filters as conditions of Milvus: numbers beside each row, and expressions over them.

An expression is made of names in this file and of numbers, and of nothing else: what a person wrote
never becomes part of one. Names of cameras are compared by their hashes; paths, albums, tags,
collections, text and kinds of regions change while a row stays, and are left to the catalog, as
is what filters ask of videos.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from segsearch.core.arrays import Ids
from segsearch.core.filters import ACROSS, DOWN, Filters, parse_place
from segsearch.core.names import folded
from segsearch.storage.catalog.filtering import EARTH_KM
from segsearch.storage.catalog.followers import SegmentFacts
from segsearch.storage.index.allowed import Allowed

WHOLE = ("image", "width", "height", "taken", "camera", "across", "down")  # INT64
REAL = (
    "share", "iou", "stability", "latitude", "longitude", "x0", "y0", "x1", "y1",
)  # DOUBLE; the last four are shares of the picture's sides  # fmt: skip
UNKNOWN_TIME = -(2**62)
UNKNOWN_DEGREES = 1_000.0  # Milvus 2.3 knows no missing values
EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - a camera's clock has no zone
SLACK = 1e-9
MOST_IDS = 16_384  # in one expression


@dataclass(frozen=True, slots=True)
class Condition:
    """An expression that all rows pass that may answer ("" for every row); `is_whole`, where all
    that pass may."""

    text: str
    is_whole: bool

    def within(self, low: int, high: int) -> str:
        """The expression for ids from `low` up to, but not with, `high`."""
        span = f"id >= {low} and id < {high}"
        return f"({self.text}) and {span}" if self.text else span


def among(ids: Ids) -> str:
    """The expression for these ids (n,) alone."""
    return f"id in [{','.join(map(str, ids.tolist()))}]"


def condition_of(allowed: Allowed) -> Condition:
    """What an expression can say of those that may answer."""
    parts: list[str] = []
    is_whole = True
    for filters in allowed.filters:
        parts += _of_picture(filters)
        parts += _of_region(filters)
        is_whole = is_whole and not _leaves_to_catalog(filters)
    if allowed.only is not None:
        if allowed.only.size <= MOST_IDS:
            parts.append(among(allowed.only))
        else:
            is_whole = False
    if allowed.never is not None and allowed.never.size:
        if allowed.never.size <= MOST_IDS:
            parts.append(f"not ({among(allowed.never)})")
        else:
            is_whole = False
    return Condition(" and ".join(f"({part})" for part in parts), is_whole)


def _leaves_to_catalog(filters: Filters) -> bool:
    """Whether some of what filters ask stands in no row, or not to the last digit."""
    return bool(
        filters.paths
        or filters.albums
        or filters.collections
        or filters.cameras
        or filters.tags
        or filters.all_tags
        or filters.no_tags
        or filters.kinds
        or filters.has_text is not None
        or filters.near is not None
        or filters.box is not None
        or filters.is_video is not None
        or filters.videos is not None
        or filters.min_duration is not None
        or filters.max_duration is not None
        or filters.between is not None
        or filters.asks_map
    )


def _of_picture(filters: Filters) -> Iterator[str]:
    if filters.image_ids is not None:
        yield _one_of("image", filters.image_ids)
    yield from _between("width", filters.min_width, filters.max_width)
    yield from _between("height", filters.min_height, filters.max_height)
    if filters.taken_after is not None:
        yield f"taken >= {_microseconds(filters.taken_after)}"
    if filters.taken_before is not None:
        until = _microseconds(filters.taken_before)
        yield f"taken > {UNKNOWN_TIME} and taken < {until}"
    if filters.cameras:
        yield _one_of("camera", sorted({_hash(folded(name)) for name in filters.cameras}))
    if filters.gps_box is not None:
        south, west, north, east = map(_number, filters.gps_box)
        yield f"latitude >= {south} and latitude <= {north}"
        is_plain = filters.gps_box[1] <= filters.gps_box[3]
        join = "and" if is_plain else "or"
        yield f"(longitude >= {west} {join} longitude <= {east}) and longitude < 999.0"
    if filters.near is not None:
        latitude, _, radius = filters.near
        reach = math.degrees(radius / EARTH_KM) + SLACK
        yield f"latitude >= {_number(latitude - reach)} and latitude <= {_number(latitude + reach)}"


def _of_region(filters: Filters) -> Iterator[str]:
    if filters.segment_ids is not None:
        yield _one_of("id", filters.segment_ids)
    yield from _between("share", filters.min_area, filters.max_area)
    if filters.box is not None:  # what does not touch it passes in no case
        x0, y0, x1, y1 = filters.box
        yield f"x1 > {_number(x0 - SLACK)} and x0 < {_number(x1 + SLACK)}"
        yield f"y1 > {_number(y0 - SLACK)} and y0 < {_number(y1 + SLACK)}"
    if filters.places:
        yield " or ".join(f"({_in_place(name)})" for name in filters.places)
    yield from _between("iou", filters.min_predicted_iou, None)
    yield from _between("stability", filters.min_stability, None)


def _in_place(name: str) -> str:
    across, down = parse_place(name)
    parts = []
    if across is not None:
        parts.append(f"across == {ACROSS.index(across)}")
    if down is not None:
        parts.append(f"down == {DOWN.index(down)}")
    return " and ".join(parts)


def _between(field: str, least: float | None, most: float | None) -> Iterator[str]:
    if least is not None:
        yield f"{field} >= {_number(least)}"
    if most is not None:
        yield f"{field} <= {_number(most)}"


def _one_of(field: str, values: Iterable[int]) -> str:
    """Milvus 2.3 takes an empty list, Milvus Lite does not."""
    listed = ",".join(str(int(value)) for value in values)
    return f"{field} in [{listed}]" if listed else "id < 0"


def _number(value: float) -> str:
    """A number to its last digit, in digits alone: neither takes 1e-09 everywhere."""
    if isinstance(value, int):
        return str(value)
    return np.format_float_positional(np.float64(value), trim="0")


def _microseconds(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(microseconds=1)


def _hash(text: str) -> int:
    """63 bits of a name: a number in an expression says what a name in one might not."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest()) >> 1


def scalars_of(facts: SegmentFacts) -> dict[str, list[Any]]:
    """What stands beside the rows of segments, by `WHOLE` and `REAL`, as the catalog computes it:
    both compare the same doubles."""
    names = ("x0", "y0", "x1", "y1", "area", "width", "height")
    x0, y0, x1, y1, area, width, height = (
        np.array(facts.columns[name], np.int64) for name in names
    )
    width, height = np.maximum(width, 1), np.maximum(height, 1)
    columns: dict[str, list[Any]] = {
        "image": facts.columns["image_id"],
        "width": facts.columns["width"],
        "height": facts.columns["height"],
        "taken": [_taken(moment) for moment in facts.columns["taken_at"]],
        "camera": [_camera(name) for name in facts.columns["camera"]],
        "across": (3 * (x0 + x1) // (2 * width)).tolist(),
        "down": (3 * (y0 + y1) // (2 * height)).tolist(),
        "share": (area * 1.0 / (width * height)).tolist(),
        "iou": facts.columns["predicted_iou"],
        "stability": facts.columns["stability"],
        "latitude": _degrees(facts.columns["latitude"]),
        "longitude": _degrees(facts.columns["longitude"]),
        "x0": (x0 / width).tolist(),
        "y0": (y0 / height).tolist(),
        "x1": (x1 / width).tolist(),
        "y1": (y1 / height).tolist(),
    }
    return columns


def _taken(moment: Any) -> int:
    return UNKNOWN_TIME if moment is None else _microseconds(moment)


def _camera(name: Any) -> int:
    return -1 if name is None else _hash(folded(name))


def _degrees(values: Sequence[Any]) -> list[float]:
    return [UNKNOWN_DEGREES if value is None else value for value in values]
