"""Collections: named sets of images."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Path, Response

from segsearch.core.names import NAME
from segsearch.core.types import Collection
from segsearch_api.deps import LibraryDep
from segsearch_api.openapi import (
    INVALID,
    NO_COLLECTION,
    NOT_FOUND,
    READ_ONLY,
    TAKEN,
    refusals,
)
from segsearch_api.schemas.library import (
    Changed,
    CollectionDocument,
    CollectionList,
    CollectionRequest,
    ImageIds,
)

router = APIRouter(prefix="/v1/collections", tags=["collections"])
Name = Annotated[str, Path(pattern=NAME, examples=["holidays"])]


def _document(collection: Collection) -> dict[str, Any]:
    """A collection without the id that only the catalog knows it by."""
    return {name: value for name, value in asdict(collection).items() if name != "id"}


@router.get("", response_model=CollectionList, responses=refusals())
def list_collections(library: LibraryDep) -> dict[str, Any]:
    """All collections by name. `GET /v1/images?collection=NAME` lists what is in one."""
    return {"collections": [_document(row) for row in library.catalog.collections()]}


@router.post(
    "",
    status_code=201,
    response_model=CollectionDocument,
    responses=refusals(INVALID, TAKEN, READ_ONLY),
)
def create_collection(body: CollectionRequest, library: LibraryDep) -> dict[str, Any]:
    """Make an empty collection."""
    return _document(library.catalog.create_collection(body.name))


@router.get(
    "/{name}", response_model=CollectionDocument, responses=refusals(NO_COLLECTION, INVALID)
)
def read_collection(name: Name, library: LibraryDep) -> dict[str, Any]:
    """One collection."""
    return _document(library.catalog.collection(name))


@router.patch(
    "/{name}",
    response_model=CollectionDocument,
    responses=refusals(NO_COLLECTION, INVALID, TAKEN, READ_ONLY),
)
def rename_collection(name: Name, body: CollectionRequest, library: LibraryDep) -> dict[str, Any]:
    """Give a collection another name."""
    return _document(library.catalog.rename_collection(name, body.name))


@router.delete(
    "/{name}",
    status_code=204,
    response_class=Response,
    responses=refusals(NO_COLLECTION, INVALID, READ_ONLY),
)
def delete_collection(name: Name, library: LibraryDep) -> Response:
    """Forget a collection; its images stay in the library."""
    library.catalog.delete_collection(name)
    return Response(status_code=204)


@router.post(
    "/{name}/images",
    response_model=Changed,
    responses=refusals(NO_COLLECTION, NOT_FOUND, INVALID, READ_ONLY),
)
def add_images(name: Name, body: ImageIds, library: LibraryDep) -> dict[str, Any]:
    """Put images into a collection: all of them, or none when one is unknown."""
    return {"changed": library.catalog.add_to_collection(name, body.image_ids)}


@router.post(
    "/{name}/images/remove",
    response_model=Changed,
    responses=refusals(NO_COLLECTION, INVALID, READ_ONLY),
)
def take_images(name: Name, body: ImageIds, library: LibraryDep) -> dict[str, Any]:
    """Take images out of a collection; those that are not in it do no harm."""
    return {"changed": library.catalog.take_from_collection(name, body.image_ids)}
