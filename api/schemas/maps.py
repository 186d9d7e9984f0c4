"""The shapes of a map of regions, and of lists of regions without a query, with an example each."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Self

from pydantic import BaseModel, Field

from segsearch.core.fields import strict
from segsearch.core.filters import Filters
from segsearch.core.names import NAME
from segsearch.core.query import MAX_LIMIT, FiltersOrNull
from segsearch.core.types import MAX_ID
from segsearch.export.documents import EXAMPLE_LISTED, ListedRegionDocument
from segsearch.search.region_map.maps import MapState, State
from segsearch.search.region_page import RegionPage

CLUSTER: dict[str, Any] = {
    "cluster": 7, "words": ["boat", "beach"], "regions": 214, "x": -0.31252, "y": 0.67044,
    "examples": [812, 20344, 1187, 977],
}  # fmt: skip
MAP: dict[str, Any] = {
    "state": "ready",
    "stale": False,
    "progress": None,
    "step": None,
    "message": None,
    "method": "umap",
    "regions": 22022,
    "made_at": "2026-01-31T12:00:00+00:00",
    "clusters": [CLUSTER],
}


class MapClusterDocument(BaseModel):
    """Regions that lie together on the map and look alike."""

    model_config = strict(CLUSTER)

    cluster: int = Field(description="Its number, as the points and the filter have it.")
    words: list[str] = Field(
        description="Everyday words that fit its regions better than regions in general, the most "
        "fitting first; none where the library's models are not here."
    )
    regions: int = Field(description="How many belong to it.")
    x: float = Field(description="The median of its regions, in [-1, 1].")
    y: float = Field(description="The median of its regions, in [-1, 1].")
    examples: list[int] = Field(
        description="Segments nearest to its middle, from up to four pictures; some may be gone "
        "where the map is stale."
    )


class MapDocument(BaseModel):
    """How a map stands, and the newest whole one, which is shown while another is being made."""

    model_config = strict(MAP)

    state: State = Field(description="Whether there is one, and what is being done about it.")
    stale: bool = Field(description="Whether regions have come or gone since it was made.")
    progress: float | None = Field(description="While one is being made: 0 to 1.")
    step: str | None = Field(description="While one is being made: what is being done.")
    message: str | None = Field(description="Why making it failed.")
    method: str | None = Field(
        description="`umap`, or `pca`: the first two principal components, where UMAP is not "
        "installed or the regions are fewer than 50."
    )
    regions: int = Field(description="How many points it has.")
    made_at: str | None = Field(description="When it was begun.")
    clusters: list[MapClusterDocument] = Field(description="By number.")

    @classmethod
    def of(cls, state: MapState) -> Self:
        """The document of how a map stands."""
        made = state.made
        return cls(
            state=state.state,
            stale=state.stale,
            progress=state.progress,
            step=state.step,
            message=state.message,
            method=made.method if made else None,
            regions=len(made.points) if made else 0,
            made_at=made.made_at if made else None,
            clusters=[
                MapClusterDocument(**asdict(cluster)) for cluster in (made.clusters if made else ())
            ],
        )


class MapRequest(BaseModel):
    """Of what a map is to be made."""

    model_config = strict({"collection": None})

    collection: str | None = Field(
        None, pattern=NAME, description="A collection's name; without it, the whole library."
    )


class RegionsRequest(BaseModel):
    """Which regions to list."""

    model_config = strict({"filters": {"map_cluster": 7}, "cursor": None, "limit": 100})

    filters: FiltersOrNull = Field(default_factory=Filters)
    cursor: str | None = Field(
        None, max_length=len(str(MAX_ID)), description="`next_cursor` of the page before."
    )
    limit: int = Field(100, ge=1, le=MAX_LIMIT, description="How many at most.")


class RegionList(BaseModel):
    """Regions by ascending id."""

    model_config = strict({"regions": [EXAMPLE_LISTED], "total": 214, "next_cursor": "812"})

    regions: list[ListedRegionDocument]
    total: int = Field(description="How many pass, on all pages together.")
    next_cursor: str | None = Field(
        description="Send it as `cursor` with the same filters for the next page; null at the end."
    )

    @classmethod
    def of(cls, page: RegionPage) -> Self:
        """The document of a page."""
        regions = [ListedRegionDocument.of(*region) for region in page.regions]
        return cls(regions=regions, total=page.total, next_cursor=page.next_cursor)
