"""What a region and its picture must be like to be ranked at all; nothing here but the values.

`catalog/selecting.py` turns them into the ids of the segments that pass.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from datetime import datetime

from segsearch.core.errors import QueryError

ACROSS = ("left", "center", "right")
DOWN = ("top", "middle", "bottom")
MIN_BOX_OVERLAP = 0.5
MAX_VALUES = 1_000  # ids in one filter
MAX_NAMES = 50  # globs and names in one filter: each is a condition of its own in SQL
Quad = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Filters:
    """Every condition given must hold; a tuple of values is met by any one of them.

    Of the picture: `paths` are globs (`*`, `?`, `[a-z]`; `*` crosses folders; one that begins with
    neither `/` nor `*` may begin in any folder), `albums` names of the folder a file lies in,
    `collections` names of collections a picture is in (each must exist), `min_width`, `max_width`,
    `min_height` and `max_height` pixels of the upright picture,
    `taken_after` (inclusive) and `taken_before` (exclusive) the camera's local time, `cameras`
    their names in any case, `tags` (any), `all_tags` and `no_tags`, `gps_box` south, west, north,
    east in degrees (west > east crosses the date line), `near` latitude, longitude in degrees and
    a distance in kilometres.

    Of the region: `min_area` and `max_area` are shares of the picture's area, `box` is x0, y0,
    x1, y1 as shares of the picture's sides, in which `min_box_overlap` of the region's box must
    lie, `places` are thirds of the picture ("left", "top right", "center") in which the middle of
    its box must lie, `min_predicted_iou` and `min_stability` are the segmenter's own measures.
    """

    image_ids: tuple[int, ...] | None = None
    segment_ids: tuple[int, ...] | None = None
    paths: tuple[str, ...] = ()
    albums: tuple[str, ...] = ()
    collections: tuple[str, ...] = ()
    min_width: int | None = None
    max_width: int | None = None
    min_height: int | None = None
    max_height: int | None = None
    taken_after: datetime | None = None
    taken_before: datetime | None = None
    cameras: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    all_tags: tuple[str, ...] = ()
    no_tags: tuple[str, ...] = ()
    gps_box: Quad | None = None
    near: tuple[float, float, float] | None = None
    min_area: float | None = None
    max_area: float | None = None
    box: Quad | None = None
    min_box_overlap: float = MIN_BOX_OVERLAP
    places: tuple[str, ...] = ()
    min_predicted_iou: float | None = None
    min_stability: float | None = None

    @property
    def is_empty(self) -> bool:
        """Whether every region passes."""
        ignored = {"min_box_overlap"}
        return all(
            getattr(self, one.name) == one.default
            for one in fields(self)
            if one.name not in ignored
        )


def check_filters(filters: Filters) -> None:
    """QueryError with one sentence for conditions that cannot be meant."""
    for one in fields(filters):
        value = getattr(filters, one.name)
        most = MAX_VALUES if one.name.endswith("_ids") else MAX_NAMES
        if isinstance(value, tuple) and len(value) > most:
            raise QueryError(
                f"The filter {one.name} lists {len(value)} values, expected at most {most}."
            )
        if isinstance(value, tuple) and "" in value:
            raise QueryError(f"The filter {one.name} holds an empty name.")
    _check_numbers(filters)
    for name in filters.places:
        parse_place(name)
    if filters.box is not None:
        x0, y0, x1, y1 = filters.box
        if not (0 <= x0 < x1 <= 1 and 0 <= y0 < y1 <= 1):
            raise QueryError(f"The filter box is {filters.box}, expected shares x0 < x1, y0 < y1.")
    if filters.gps_box is not None:
        south, west, north, east = filters.gps_box
        if not (-90 <= south <= north <= 90 and -180 <= west <= 180 and -180 <= east <= 180):
            raise QueryError(
                f"The filter gps_box is {filters.gps_box}, expected south, west, north, east in "
                "degrees."
            )
    if filters.near is not None:
        latitude, longitude, distance = filters.near
        if not (-90 <= latitude <= 90 and -180 <= longitude <= 180 and 0 < distance < math.inf):
            raise QueryError(
                f"The filter near is {filters.near}, expected latitude, longitude and kilometres."
            )


def _check_numbers(filters: Filters) -> None:
    """QueryError for shares outside 0 to 1, measures that are no number, and empty spans."""
    for name in ("min_area", "max_area", "min_box_overlap"):
        share = getattr(filters, name)
        if share is not None and not 0 <= share <= 1:
            raise QueryError(f"The filter {name} is {share:g}, expected a share from 0 to 1.")
    for name in ("min_predicted_iou", "min_stability"):
        measure = getattr(filters, name)
        if measure is not None and not math.isfinite(measure):
            raise QueryError(f"The filter {name} is {measure:g}, expected a finite number.")
    for name in ("area", "width", "height"):
        least, most = getattr(filters, f"min_{name}"), getattr(filters, f"max_{name}")
        if least is not None and most is not None and least > most:
            raise QueryError(f"The filter min_{name} is {least:g}, more than max_{name}, {most:g}.")


def parse_place(name: str) -> tuple[str | None, str | None]:
    """(across, down) of a place such as "left", "top right", "middle"; None where any will do."""
    words = name.lower().replace("-", " ").split()
    across = [word for word in words if word in ACROSS]
    down = [word for word in words if word in DOWN]
    if not words or len(across) + len(down) != len(words) or len(across) > 1 or len(down) > 1:
        raise QueryError(
            f"There is no place {name!r}: combine one of {', '.join(ACROSS)} with one of "
            f"{', '.join(DOWN)}."
        )
    return (across[0] if across else None, down[0] if down else None)
