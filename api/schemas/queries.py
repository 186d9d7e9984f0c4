"""The shapes of what queries are made from: saved searches, with an example each."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from segsearch.core.fields import strict
from segsearch.storage.catalog.saved_searches import MAX_ADDRESS_CHARACTERS

SEARCH: dict[str, Any] = {
    "name": "umbrellas", "address": "?q=red+umbrella", "saved_at": "2026-01-31T12:00:00+00:00",
}  # fmt: skip


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
