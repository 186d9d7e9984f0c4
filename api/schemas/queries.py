"""The shapes of what queries are made from: saved searches, with an example each."""

from __future__ import annotations

from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from segsearch.core.fields import strict
from segsearch.search.naming import MAX_NAMES
from segsearch.search.schema import RegionRequest
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
WORD: dict[str, Any] = {"text": "umbrella", "score": 0.412345, "relevance": 0.97}
WORDS_SHOWN = 6


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


class WordsRequest(BaseModel):
    """A thing that is pointed at, and how many words are wanted for it."""

    model_config = strict({"region": {"image_id": 31, "points": [[320, 200]]}, "limit": 3})

    region: RegionRequest = Field(description="In a stored or kept picture.")
    limit: int = Field(WORDS_SHOWN, ge=1, le=MAX_NAMES, description="How many words at most.")

    @model_validator(mode="after")
    def _is_of_a_picture(self) -> Self:
        if self.region.picture is None:
            raise ValueError("the region needs an image_id or a picture_id")
        return self


class WordDocument(BaseModel):
    """An everyday word that fits a region."""

    model_config = strict(WORD)

    text: str
    score: float = Field(description="The cosine of word and region.")
    relevance: float | None = Field(
        description="How unlikely it is that any region of the library fits the word so well by "
        "chance, in [0, 1]: low where nothing is really meant. Null where the library is too small "
        "to tell."
    )


class WordList(BaseModel):
    """The words that fit best, the best first."""

    model_config = strict({"words": [WORD]})

    words: list[WordDocument]


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
