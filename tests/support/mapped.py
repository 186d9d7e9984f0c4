"""A library of painted pictures, enough of them for a map: three colours, each in a picture's
corners of its own."""

from __future__ import annotations

from pathlib import Path

from segsearch.library import SegSearch
from segsearch.storage.region_maps import RegionMap
from tests.support.small_models import Shape, open_small_service, paint

COLOURS = ("red", "green", "blue")
PICTURES = 24  # of one region of each colour
FEW = 16  # ... of which UMAP makes no map


def paint_pictures(folder: Path, count: int = PICTURES) -> Path:
    """Pictures of three things each, no two of the same size."""
    for number in range(count):
        shapes = [
            Shape(colour, (4 + 40 * place, 5, 20 + 40 * place + number % 12, 30 + 2 * number))
            for place, colour in enumerate(COLOURS)
        ]
        paint(folder / f"{number}.png", shapes, size=(130, 100))
    return folder


def mapped_library(folder: Path, count: int = PICTURES) -> SegSearch:
    """A library of these pictures without a map; close it."""
    service = open_small_service(folder / "library")
    report = service.index([paint_pictures(folder / "pictures", count)])
    assert report.segments == 3 * count
    return service


def make(service: SegSearch, collection: str | None = None) -> RegionMap:
    """Make the map in this process."""
    return service.maps.make(collection, lambda _step, _done: None)


def colours_of(service: SegSearch) -> dict[int, str]:
    """The colour of each segment, by its place in the picture."""
    return {
        segment.id: COLOURS[(segment.mask.box.x0 - 4) // 40]
        for segment in service.catalog.segments()
    }
