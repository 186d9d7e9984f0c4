"""Turns segments of the catalog into hits: ranked ones, or every one there is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from segsearch.domain import Hit
from segsearch.errors import NotFoundError
from segsearch.ports import Catalog
from segsearch.ranking import Ranked
from segsearch.search import MAX_LIMIT
from segsearch.sources.names import normal


def hits(catalog: Catalog, ranked: Sequence[Ranked]) -> list[Hit]:
    """Ranked regions with their images and captions; those whose image went meanwhile do not
    come back."""
    numbers = sorted({segment.image_id for _, segment in ranked})
    images = {one.id: one for one in catalog.images(ids=numbers, limit=len(numbers))}
    said = catalog.captions([segment.id for _, segment in ranked])
    return [
        Hit(rank, score, segment, images[segment.image_id], said.get(segment.id, ()))
        for rank, (score, segment) in enumerate(ranked, start=1)
        if segment.image_id in images
    ]


def everything(catalog: Catalog, below: Sequence[Path] = ()) -> Iterator[Hit]:
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
            segments = catalog.segments(image_id=image.id)
            said = catalog.captions([one.id for one in segments])
            for segment in segments:
                rank += 1
                yield Hit(rank, 0.0, segment, image, said.get(segment.id, ()))
        after = page[-1].id
