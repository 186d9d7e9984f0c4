"""Saved searches: addresses of the page under names, shared by all who use the library."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Path, Response

from segsearch.core.names import NAME
from segsearch_api.deps import LibraryDep
from segsearch_api.openapi import FULL_OF_SEARCHES, INVALID, NO_SEARCH, READ_ONLY, refusals
from segsearch_api.schemas.queries import (
    SavedSearchDocument,
    SavedSearchList,
    SavedSearchRequest,
)

router = APIRouter(prefix="/v1/searches", tags=["search"])
Name = Annotated[str, Path(pattern=NAME, examples=["umbrellas"])]


@router.get("", response_model=SavedSearchList, responses=refusals())
def list_searches(library: LibraryDep) -> dict[str, Any]:
    """All saved searches by name."""
    return {"searches": [asdict(saved) for saved in library.catalog.saved_searches()]}


@router.put(
    "/{name}",
    response_model=SavedSearchDocument,
    responses=refusals(FULL_OF_SEARCHES, INVALID, READ_ONLY),
)
def save_search(name: Name, body: SavedSearchRequest, library: LibraryDep) -> dict[str, Any]:
    """Keep a search under a name, in the place of what had that name before.

    A library holds 1,000 at most.
    """
    return asdict(library.catalog.save_search(name, body.address))


@router.delete(
    "/{name}",
    status_code=204,
    response_class=Response,
    responses=refusals(NO_SEARCH, INVALID, READ_ONLY),
)
def delete_search(name: Name, library: LibraryDep) -> Response:
    """Forget a saved search."""
    library.catalog.delete_saved_search(name)
    return Response(status_code=204)
