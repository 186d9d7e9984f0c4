"""Goes through every segment of the catalog."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from segsearch.core.errors import NotFoundError
from segsearch.core.query import MAX_LIMIT
from segsearch.core.types import Hit
from segsearch.media.sources.paths import normal
from segsearch.storage.catalog.sql_catalog import Catalog


def everything(catalog: Catalog, below: Sequence[str | Path] = ()) -> Iterator[Hit]:
    """Every segment by image and id, as hits with score 0.

    With `below`, of pictures at these paths or below them; NotFoundError when there is none.
    """
    chosen = set(catalog.find_images([normal(path) for path in below]))
    if below and not chosen:
        raise NotFoundError(f"The library holds no image at {', '.join(map(str, below))}.")
    rank, after = 0, 0
    while page := catalog.images(after=after, limit=MAX_LIMIT):
        for image in page:
            if below and image.id not in chosen:
                continue
            segments = catalog.segments_of(image.id)
            said = catalog.captions([one.id for one in segments])
            for segment in segments:
                rank += 1
                yield Hit(rank, 0.0, segment, image, captions=said.get(segment.id, ()))
        after = page[-1].id
