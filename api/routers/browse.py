"""The library without a query: pages of pictures, what tells them apart, near-duplicates, and what
is done to many pictures at once."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query

from segsearch.core.browsing import BrowseQuery
from segsearch.core.names import check_tag
from segsearch.core.query import MAX_LIMIT
from segsearch.core.types import MAX_ID, Image
from segsearch.export.documents import ImageDocument
from segsearch.library import SegSearch
from segsearch_api.deps import LibraryDep, SharedDep
from segsearch_api.openapi import (
    BAD_QUERY,
    BAD_TAG,
    BODY_TOO_LARGE,
    INVALID,
    MALFORMED,
    NO_COLLECTION,
    NOT_FOUND,
    OVERLOADED,
    READ_ONLY,
    refusals,
)
from segsearch_api.routers.images import ImageId
from segsearch_api.routers.maps import NO_MAP_TO_FILTER
from segsearch_api.schemas.browse import (
    BrowseAnswer,
    BrowsedImage,
    DuplicatesPage,
    FacetsDocument,
    ImageList,
    ManyTags,
    RemovedImages,
)
from segsearch_api.schemas.library import Changed, ImageIds

router = APIRouter(prefix="/v1")
MAX_GROUPS = 100


@router.post(
    "/browse",
    tags=["images"],
    response_model=BrowseAnswer,
    responses=refusals(
        MALFORMED, NO_COLLECTION, BODY_TOO_LARGE, INVALID, BAD_QUERY, NO_MAP_TO_FILTER, OVERLOADED
    ),
)
async def browse(body: BrowseQuery, shared: SharedDep) -> dict[str, Any]:
    """The pictures that are done, in an order, a page at a time; filters as those of a search.

    A filter on regions asks for pictures with one such region at least.
    """
    page = await shared.searches.run(lambda: shared.library.browser.page(body))
    return {
        "images": [BrowsedImage.row(browsed) for browsed in page.pictures],
        "total": page.total,
        "next_cursor": page.next_cursor,
    }


@router.get(
    "/facets", tags=["library"], response_model=FacetsDocument, responses=refusals(OVERLOADED)
)
async def facets(shared: SharedDep) -> FacetsDocument:
    """Albums, tags, cameras, collections, formats and months, and how many pictures are of each."""
    return FacetsDocument.of(await shared.counts.run(shared.library.browser.facets))


@router.post(
    "/images/tags",
    tags=["images"],
    response_model=Changed,
    responses=refusals(INVALID, BAD_TAG, BODY_TOO_LARGE, READ_ONLY),
)
def tag_images(body: ManyTags, library: LibraryDep) -> dict[str, int]:
    """Give tags to images and take some away, in one step; images that are unknown are passed by.

    `changed` counts the images that have other tags now.
    """
    add, remove = map(check_tag, body.add), map(check_tag, body.remove)
    _, changed = library.catalog.change_tags(body.image_ids, add=[*add], remove=[*remove])
    return {"changed": changed}


@router.post(
    "/images/remove",
    tags=["images"],
    response_model=RemovedImages,
    responses=refusals(INVALID, BODY_TOO_LARGE, READ_ONLY),
)
def remove_images(body: ImageIds, library: LibraryDep) -> dict[str, int]:
    """Forget images with their segments, in one step; those that are unknown are passed by.

    Files that were uploaded are deleted, others are never touched.
    """
    return {"removed": library.uploads.remove_images(body.image_ids)}


@router.get(
    "/images/{image_id}/near-duplicates",
    tags=["images"],
    response_model=ImageList,
    responses=refusals(NOT_FOUND, INVALID),
)
def near_duplicates(image_id: ImageId, library: LibraryDep) -> dict[str, Any]:
    """The images that look almost the same as one, the nearest first, at most 1,000."""
    return {"images": _documents(library, library.catalog.image(image_id).near_duplicates)}


@router.get(
    "/duplicates", tags=["images"], response_model=DuplicatesPage, responses=refusals(INVALID)
)
def duplicates(
    library: LibraryDep,
    after: Annotated[int, Query(ge=0, le=MAX_ID, description="The last page's next_after.")] = 0,
    limit: Annotated[int, Query(ge=1, le=MAX_GROUPS, description="How many groups at most.")] = 20,
) -> dict[str, Any]:
    """Groups of pictures that look almost the same: each is a near-duplicate of another one.

    The picture with the most pixels stands first in its group. At most 1,000 of a group are
    given; `total` says how many it has.
    """
    groups, following = library.catalog.alike(after, limit)
    shown = (
        {"images": _documents(library, group, by_size=True), "total": len(group)}
        for group in groups
    )
    return {"groups": [group for group in shown if group["images"]], "next_after": following}


def _documents(
    library: SegSearch, image_ids: list[int] | tuple[int, ...], *, by_size: bool = False
) -> list[ImageDocument]:
    chosen = image_ids[:MAX_LIMIT]
    images = {image.id: image for image in library.catalog.images(ids=chosen, limit=len(chosen))}
    found = [images[number] for number in chosen if number in images]
    return [ImageDocument.of(image) for image in (sorted(found, key=_size) if by_size else found)]


def _size(image: Image) -> tuple[int, int, int]:
    """Sorts the picture with the most pixels first, then that with the most bytes."""
    size_bytes = image.info.size_bytes if image.info else 0
    return -image.width * image.height, -size_bytes, image.id
