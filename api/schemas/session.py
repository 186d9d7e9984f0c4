"""The shapes of what a browser's session takes and gives, with an example each."""

from __future__ import annotations

from pydantic import BaseModel, Field

from segsearch.core.fields import strict
from segsearch.storage.api_keys import Scope


class SessionRequest(BaseModel):
    """A key that somebody typed."""

    model_config = strict({"key": "segsearch_5f0c21ab_(43 characters)"})

    key: str = Field(max_length=1000, description="The text of an API key.")


class SessionDocument(BaseModel):
    """What the caller may do."""

    model_config = strict(
        {"needs_key": True, "scope": "read", "key": "laptop", "library": "8c1f0e2b9a7d4c63"}
    )

    needs_key: bool = Field(description="Whether the server asks for an API key.")
    scope: Scope | None = Field(description="Each allows what stands before it; null for nothing.")
    key: str | None = Field(description="The name of the key that was shown.")
    library: str | None = Field(
        description="Stands for the library: pictures that are asked for with it are kept by the "
        "browser. Null for who may not read."
    )
