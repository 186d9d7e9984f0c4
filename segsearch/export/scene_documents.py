"""What is written of pictures that hold a scene as JSON, for HTTP and `scene --json`."""

from __future__ import annotations

from typing import Any, Self

from pydantic import Field

from segsearch.core.answers import SceneHit
from segsearch.core.fields import strict
from segsearch.core.types import Hit
from segsearch.export.documents import (
    EXAMPLE_REGION,
    PictureFields,
    RankField,
    RegionDocument,
    ScoreFields,
    picture_fields,
    region_fields,
    score_fields,
)
from segsearch.export.text_documents import EXAMPLE_HIT_LINE, HitLineDocument, hit_lines

EXAMPLE_FILLING: dict[str, Any] = {
    "segment_id": 812, "score": 0.412345, "relevance": 0.97, **EXAMPLE_REGION,
    "lines": [EXAMPLE_HIT_LINE],
}  # fmt: skip
EXAMPLE_SCENE: dict[str, Any] = {
    "rank": 1,
    "fit": 4.21,
    "relevance": 0.97,
    "image_id": 31,
    "path": "/pictures/park/dog.jpg",
    "width": 640,
    "height": 480,
    "shot": None,
    "seconds": None,
    "regions": {"dog": EXAMPLE_FILLING},
}


class SceneRegion(RegionDocument, ScoreFields):
    """The region that fills a slot."""

    model_config = strict(EXAMPLE_FILLING)

    lines: list[HitLineDocument] = Field(
        description="The lines of text that belong to the region, as they are read."
    )

    @classmethod
    def of(cls, hit: Hit) -> Self:
        """The document of a hit without what belongs to its picture."""
        return cls(**score_fields(hit), **region_fields(hit.segment), lines=hit_lines(hit))


class SceneDocument(PictureFields, RankField):
    """A picture that holds the scene."""

    model_config = strict(EXAMPLE_SCENE)

    fit: float = Field(
        description="Mean over the slots of how far the region's score stands above the slot's "
        "background; comparable within one answer."
    )
    relevance: float | None = Field(
        description="That of the least relevant of its regions; null where one has none. It need "
        "not fall with the fit."
    )
    seconds: float | None = Field(
        description="Of a video, the moment at which the regions lie so, with their masks then."
    )
    regions: dict[str, SceneRegion] = Field(description="By the slot's name.")

    @classmethod
    def of(cls, hit: SceneHit) -> Self:
        """The document of a picture that holds a scene."""
        return cls(
            rank=hit.rank,
            fit=round(hit.fit, 4),
            relevance=None if hit.relevance is None else round(hit.relevance, 4),
            **picture_fields(hit.image),
            seconds=None if hit.seconds is None else round(hit.seconds, 3),
            regions={name: SceneRegion.of(region) for name, region in hit.regions.items()},
        )
