"""What a region and its picture must be like to be ranked at all; nothing here but the values.

`storage/catalog/filtering.py` turns them into the ids of the segments that pass.
"""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, FiniteFloat

from segsearch.core.errors import QueryError
from segsearch.core.fields import Id, Name, Quad, Share, SidePx, about, value
from segsearch.core.text import REGION_KINDS, RegionKind

ACROSS = ("left", "center", "right")
DOWN = ("top", "middle", "bottom")
MAX_VALUES = 1_000  # ids in one filter
MAX_CORNERS = 200  # of an area on a map
MAX_NAMES = 50  # globs and names in one filter: each is a condition of its own in SQL


def moment(value: Any) -> datetime:
    """A day or time in ISO 8601, without its zone: cameras tell local time without saying where.

    pydantic alone takes the year "2024" for seconds since 1970. ValueError for anything else.
    """
    try:
        read = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    except (TypeError, ValueError) as problem:
        raise ValueError(
            f"{value!r:.40} is no date such as 2024-07-14 or 2024-07-14T12:00"
        ) from problem
    return read.replace(tzinfo=None)


Triple = tuple[FiniteFloat, FiniteFloat, FiniteFloat]
Moment = Annotated[datetime, BeforeValidator(moment)]
Ids = Annotated[tuple[Id, ...], Field(max_length=MAX_VALUES)]
Area = Annotated[
    tuple[tuple[FiniteFloat, FiniteFloat], ...], Field(min_length=3, max_length=MAX_CORNERS)
]
Cluster = Annotated[int, Field(ge=0, le=65_535)]
Seconds = Annotated[FiniteFloat, Field(ge=0)]
Names = Annotated[tuple[Name, ...], Field(max_length=MAX_NAMES)]


@value("filter", {"paths": ["holiday/*"], "min_area": 0.05, "places": ["top left"]})
class Filters:
    """Conditions before ranking: all must hold; of a list, any one value will do."""

    image_ids: Annotated[Ids | None, about("Of pictures.")] = None
    segment_ids: Annotated[Ids | None, about("Of regions.")] = None
    paths: Annotated[
        Names,
        about(
            "Globs (*, ?, [a-z]) of paths, in any case; one that starts with neither / nor * may "
            "begin in any folder, and * crosses folders."
        ),
    ] = ()
    albums: Annotated[Names, about("Names of the folder a picture lies in, in any case.")] = ()
    collections: Annotated[Names, about("Names of collections that exist, in any case.")] = ()
    min_width: Annotated[SidePx | None, about("Least width of the upright picture, px.")] = None
    max_width: Annotated[SidePx | None, about("Largest width of the upright picture, px.")] = None
    min_height: Annotated[SidePx | None, about("Least height of the upright picture, px.")] = None
    max_height: Annotated[SidePx | None, about("Largest height of the upright picture, px.")] = None
    taken_after: Annotated[Moment | None, about("Day or time, inclusive; local time.")] = None
    taken_before: Annotated[Moment | None, about("Day or time, exclusive; local time.")] = None
    cameras: Annotated[Names, about("Names of cameras, in any case.")] = ()
    tags: Annotated[Names, about("Any one of these tags, in any case.")] = ()
    all_tags: Annotated[Names, about("Each of these tags, in any case.")] = ()
    no_tags: Annotated[Names, about("None of these tags, in any case.")] = ()
    gps_box: Annotated[
        Quad | None,
        about("South, west, north, east in degrees; west > east crosses the date line."),
    ] = None
    near: Annotated[Triple | None, about("Latitude, longitude in degrees; kilometres.")] = None
    min_area: Annotated[Share | None, about("Least share of the picture's area.")] = None
    max_area: Annotated[Share | None, about("Largest share of the picture's area.")] = None
    box: Annotated[Quad | None, about("x0, y0, x1, y1 as shares of the picture's sides.")] = None
    min_box_overlap: Annotated[Share, about("Of the region's box, that must lie in `box`.")] = 0.5
    places: Annotated[
        Names, about('Thirds that the middle of the region lies in: left, "top right", center ...')
    ] = ()
    map_area: Annotated[
        Area | None,
        about(
            "Corners x, y of a polygon on the map of the library, or of the one collection in "
            "`collections`, in which the region lies."
        ),
    ] = None
    map_cluster: Annotated[
        Cluster | None, about("The number of the cluster on that map to which the region belongs.")
    ] = None
    has_text: Annotated[bool | None, about("Whether a line of text belongs to the region.")] = None
    kinds: Annotated[
        tuple[RegionKind, ...],
        about(
            "What the region is: a thing, a text that no thing holds, or an element of a page.",
            max_length=len(REGION_KINDS),
        ),
    ] = ()
    is_video: Annotated[bool | None, about("Whether it is seen in a video, or in a picture.")] = (
        None
    )
    videos: Annotated[Ids | None, about("Of videos.")] = None
    min_duration: Annotated[Seconds | None, about("Least length of the video, seconds.")] = None
    max_duration: Annotated[Seconds | None, about("Largest length of the video, seconds.")] = None
    between: Annotated[
        tuple[Seconds, Seconds] | None,
        about("From and to, seconds of the video: the region is there at some moment of these."),
    ] = None
    min_predicted_iou: Annotated[FiniteFloat | None, about("Least predicted IoU.")] = None
    min_stability: Annotated[FiniteFloat | None, about("Least stability.")] = None

    def __post_init__(self) -> None:
        """QueryError for fields that contradict each other."""
        for name in ("area", "width", "height", "duration"):
            least, most = getattr(self, f"min_{name}"), getattr(self, f"max_{name}")
            if least is not None and most is not None and least > most:
                raise QueryError(
                    f"The filter min_{name} is {least:g}, more than max_{name}, {most:g}."
                )
        for place in self.places:
            parse_place(place)
        start, end = self.between or (0, 0)
        if start > end:
            raise QueryError(f"The filter between is {self.between}, expected from <= to, seconds.")
        x0, y0, x1, y1 = self.box or (0, 0, 1, 1)
        if not (0 <= x0 < x1 <= 1 and 0 <= y0 < y1 <= 1):
            raise QueryError(f"The filter box is {self.box}, expected shares x0 < x1, y0 < y1.")
        south, west, north, east = self.gps_box or (0, 0, 0, 0)
        if not (-90 <= south <= north <= 90 and -180 <= west <= 180 and -180 <= east <= 180):
            raise QueryError(
                f"The filter gps_box is {self.gps_box}, expected south, west, north, east in "
                "degrees."
            )
        latitude, longitude, distance = self.near or (0, 0, 1)
        if not (-90 <= latitude <= 90 and -180 <= longitude <= 180 and distance > 0):
            raise QueryError(
                f"The filter near is {self.near}, expected latitude, longitude and kilometres."
            )

    @property
    def asks_map(self) -> bool:
        """Whether it matters where regions lie on a map."""
        return self.map_area is not None or self.map_cluster is not None

    @property
    def is_empty(self) -> bool:
        """Whether every region passes."""
        return all(
            getattr(self, condition.name) == condition.default
            for condition in fields(self)
            if condition.name != "min_box_overlap"
        )


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
