"""What users say of the pictures in a library: tags."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from segsearch.core.errors import NotFoundError, QueryError
from segsearch.core.names import check_tag
from segsearch.media.sources.paths import normal
from segsearch.storage.catalog.sql_catalog import Catalog


def lacking(catalog: Catalog, places: Sequence[Path | str], image_ids: Sequence[int]) -> list[str]:
    """Those of these paths and ids, as they were given, at which a library holds no image."""
    known = {one.id for one in catalog.images(ids=image_ids, limit=len(image_ids))}
    nowhere = [str(place) for place in places if not catalog.find_paths([normal(place)])]
    return [*nowhere, *(str(one) for one in image_ids if one not in known)]


def tag(
    catalog: Catalog,
    places: Sequence[Path | str],
    image_ids: Sequence[int],
    *,
    add: Sequence[str],
    remove: Sequence[str],
) -> list[int]:
    """Add tags to images by id, by path, or below a folder, and take others away; their ids.

    QueryError for a tag that `check_tag` refuses and without any path or id, NotFoundError when
    nothing matches.
    """
    if not places and not image_ids:
        raise QueryError("Name what to tag: paths, or ids of images.")
    added, removed = [check_tag(one) for one in add], [check_tag(one) for one in remove]
    ids = sorted({*image_ids, *catalog.find_images([normal(place) for place in places])})
    known = catalog.tag_images(ids, add=added, remove=removed)
    if not known:
        wanted = ", ".join([*map(str, places), *map(str, image_ids)])
        raise NotFoundError(f"The library holds no image at {wanted}.")
    return known
