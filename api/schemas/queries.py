"""The shapes of what queries are made from: saved searches, with an example each."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from segsearch.core.fields import strict
from segsearch.storage.catalog.saved_searches import MAX_ADDRESS_CHARACTERS

SEARCH: dict[str, Any] = {
    "name": "umbrellas", "address": "?q=red+umbrella", "saved_at": "2026-01-31T12:00:00+00:00",
}  # fmt: skip
KEPT_PICTURE: dict[str, Any] = {
    "picture_id": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "width": 640,
    "height": 480,
    "image_id": None,
    "near": [31],
}


class KeptPictureDocument(BaseModel):
    """A picture that queries can name."""

    model_config = ConfigDict(**strict(KEPT_PICTURE), from_attributes=True)

    picture_id: str = Field(description="The sha256 of its bytes, as hex.")
    width: int = Field(description="Of the upright picture, in pixels.")
    height: int = Field(description="Of the upright picture, in pixels.")
    image_id: int | None = Field(description="The stored image with the same bytes.")
    near: list[int] = Field(
        description="Other stored images that look almost the same (at most 7 bits of the "
        "perceptual hash apart), the nearest first; 50 at most."
    )


class SavedSearchRequest(BaseModel):
    """What to keep under a name."""

    model_config = strict({"address": SEARCH["address"]})

    address: str = Field(
        pattern=r"^\?",
        max_length=MAX_ADDRESS_CHARACTERS,
        description="The page's address from its question mark on.",
    )


class SavedSearchDocument(BaseModel):
    """A search that was kept."""

    model_config = strict(SEARCH)

    name: str
    address: str = Field(description="The page's address from its question mark on.")
    saved_at: str = Field(description="ISO 8601, UTC.")


class SavedSearchList(BaseModel):
    """All saved searches by name."""

    model_config = strict({"searches": [SEARCH]})

    searches: list[SavedSearchDocument]
