"""The map of all regions in two dimensions, and regions listed without a query."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response

from segsearch.core.errors import NotFoundError, OverloadError, QueryError
from segsearch.core.names import NAME
from segsearch_api.deps import LibraryDep, SharedDep
from segsearch_api.drawings import DrawerDep, tag_of
from segsearch_api.errors import problem_of
from segsearch_api.openapi import (
    EMPTY,
    INVALID,
    NO_COLLECTION,
    OVERLOADED,
    READ_ONLY,
    drawing,
    picture,
    refusals,
)
from segsearch_api.schemas.maps import MapDocument, MapRequest, RegionList, RegionsRequest

router = APIRouter(prefix="/v1", tags=["maps"])
POINTS = "application/octet-stream"
NO_MAP = problem_of(
    NotFoundError("There is no map of the library yet: POST /v1/map or `segsearch map` makes one.")
)
ANOTHER = problem_of(
    OverloadError("Another map of this library is being made: try again when it is ready.")
)
NO_MAP_TO_FILTER = problem_of(
    QueryError(
        "The filters ask for a map. There is no map of the library yet: POST /v1/map or "
        "`segsearch map` makes one."
    )
)
Of = Annotated[
    str | None, Query(pattern=NAME, description="A collection; without it, the whole library.")
]


@router.get("/map", response_model=MapDocument, responses=refusals(NO_COLLECTION, INVALID))
def read_map(library: LibraryDep, collection: Of = None) -> MapDocument:
    """How the map stands: its clusters with their words, whether the library has changed since,
    and how far the next one is."""
    return MapDocument.of(library.maps.state(collection))


@router.post(
    "/map",
    status_code=202,
    response_model=MapDocument,
    responses=refusals(NO_COLLECTION, INVALID, ANOTHER, EMPTY, READ_ONLY),
)
def make_map(body: MapRequest, library: LibraryDep) -> MapDocument:
    """Begin to make a map in a process beside the server, which lets everything else go first.

    `GET /v1/map` says how far it is. One map is made at a time; where this one is being made
    already, nothing new is begun.
    """
    return MapDocument.of(library.maps.start(body.collection))


@router.get(
    "/map/points",
    response_class=Response,
    responses=drawing(
        picture(
            POINTS,
            "Little-endian. Six uint32: the letters SSM1, the number n of points, and at which "
            "byte each block begins: x and y (n float32 each, in [-1, 1]), cluster (n uint16), "
            "segment id (n int64, ascending).",
        ),
        NO_MAP,
    ),
)
async def read_points(library: LibraryDep, drawer: DrawerDep, collection: Of = None) -> Response:
    """Every region's place on the newest map, as blocks that typed arrays can be made of."""
    made = await run_in_threadpool(library.maps.newest, collection)
    tag = tag_of("map", made.digest)
    return await drawer.of_what_changes().answer(tag, POINTS, made.points.to_bytes)


@router.post(
    "/regions",
    response_model=RegionList,
    responses=refusals(NO_COLLECTION, INVALID, NO_MAP_TO_FILTER, EMPTY, OVERLOADED),
)
async def list_regions(body: RegionsRequest, shared: SharedDep) -> RegionList:
    """Regions that pass filters, without a query, by ascending id: what lies in an area or a
    cluster of a map, for example."""
    library = shared.library
    page = await shared.searches.run(
        lambda: library.regions(body.filters, cursor=body.cursor, limit=body.limit)
    )
    return RegionList.of(page)
