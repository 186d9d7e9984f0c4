"""A library of painted things whose captions can be known from their pixels."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from unittest.mock import patch

from segsearch.core.arrays import Pixels
from segsearch.library import SegSearch
from segsearch.storage.pictures import StoredPictures
from tests.support.small_models import COLOURS, Shape, open_small_service, paint

SHOWN = [name for name in COLOURS if name != "white"]
REGIONS = 10


@contextmanager
def painted(folder: Path) -> Iterator[SegSearch]:
    """Five pictures with two things each."""
    for number in range(REGIONS // 2):
        first, second = SHOWN[number % len(SHOWN)], SHOWN[(number + 3) % len(SHOWN)]
        shapes = [Shape(first, (5, 5, 45, 35)), Shape(second, (60, 40 + number, 100, 80), "disc")]
        paint(folder / "pictures" / f"{number}.png", shapes)
    with open_small_service(folder / "library") as made:
        made.index([folder / "pictures"])
        yield made


@dataclass
class DecodedPictures:
    """Which pictures were decoded, and how many of them were in memory when each one was."""

    image_ids: list[int] = field(default_factory=list)
    held: list[int] = field(default_factory=list)
    made: list[weakref.ref[Pixels]] = field(default_factory=list)

    def in_memory(self) -> int:
        """How many are held by anybody now."""
        return sum(pixels() is not None for pixels in self.made)


@contextmanager
def decoded_pictures() -> Iterator[DecodedPictures]:
    """The pictures that libraries decode meanwhile."""
    decoded = DecodedPictures()
    real = StoredPictures.pixels

    def pixels(self: StoredPictures, image_id: int, seconds: float | None = None) -> Pixels:
        decoded.held.append(decoded.in_memory())
        array = real(self, image_id, seconds)
        decoded.image_ids.append(image_id)
        decoded.made.append(weakref.ref(array))
        return array

    with patch.object(StoredPictures, "pixels", pixels):
        yield decoded


def texts(service: SegSearch) -> dict[int, list[str]]:
    return {
        hit.segment.id: [caption.text for caption in hit.captions]
        for hit in service.select()
        if hit.captions
    }


def truth(service: SegSearch) -> dict[int, list[str]]:
    """What the endpoint must say of each region, from the pictures themselves."""
    said = {}
    for hit in service.select():
        box = hit.segment.mask.box
        pixel = service.pictures.pixels(hit.image.id)[
            (box.y0 + box.y1) // 2, (box.x0 + box.x1) // 2
        ]
        colour = next(name for name, rgb in COLOURS.items() if tuple(pixel) == rgb)
        said[hit.segment.id] = [f"A {colour} thing on a white ground"]
    assert len(said) == REGIONS
    return said
