"""API keys over HTTP, for those whose key may do that; the same as `segsearch keys`."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path

from segsearch.core.errors import NotFoundError
from segsearch_api.deps import SharedDep
from segsearch_api.errors import problem_of
from segsearch_api.openapi import INVALID, READ_ONLY, TAKEN, refusals
from segsearch_api.schemas.library import KeyDocument, KeyList, KeyRequest, MadeKey

router = APIRouter(prefix="/v1/keys", tags=["keys"])
NO_KEY = problem_of(NotFoundError("There is no key '5f0c21ab' that still works."))


@router.get("", response_model=KeyList, responses=refusals())
def list_keys(shared: SharedDep) -> dict[str, Any]:
    """Every key that was made, without what opens."""
    return {"keys": [key.document for key in shared.keys.all()]}


@router.post(
    "", status_code=201, response_model=MadeKey, responses=refusals(INVALID, TAKEN, READ_ONLY)
)
def create_key(body: KeyRequest, shared: SharedDep) -> dict[str, Any]:
    """Make a key. Its text is in this answer and nowhere else."""
    key, text = shared.keys.create(body.name, body.scope)
    return {**key.document, "key": text}


@router.delete(
    "/{key_id}", response_model=KeyDocument, responses=refusals(NO_KEY, INVALID, READ_ONLY)
)
def revoke_key(
    key_id: Annotated[str, Path(pattern="^[0-9a-f]{8}$", examples=["5f0c21ab"])], shared: SharedDep
) -> dict[str, Any]:
    """End a key at once."""
    return shared.keys.revoke(key_id).document
