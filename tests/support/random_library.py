"""Libraries at random: pictures with boxes for regions, unit vectors, paths, tags and places.

Stored by the real catalog; what a search should find in them is told from these values alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
from hypothesis import strategies as st

from segsearch.core.arrays import DescribedPicture, DescribedSegment
from segsearch.core.types import Box, FileStamp, PictureInfo, Proposal
from segsearch.masks.rle import encode
from segsearch.storage.catalog.backend import Place
from segsearch.storage.catalog.sql_catalog import Catalog
from tests.support.described import RECIPE, unit

FOLDERS = ("/p/beach", "/p/beach/sub/Beach", "/p/town.tar", "/q/[x]", "/q/x")
CAMERAS = (None, "ACME One", "acme one", "Other 2")
TAGS = ("Dog", "holiday", "a b")
PLACES = (None, (48.1, 11.6), (48.2, 11.5), (-33.9, 151.2), (0.0, 179.9), (0.0, -179.9))
MOMENTS = (None, datetime(2023, 12, 31, 23, 59), datetime(2024, 7, 14, 12), datetime(2024, 7, 15))


@dataclass(frozen=True)
class RandomRegion:
    """A rectangle with its measures."""

    box: tuple[int, int, int, int]
    predicted_iou: float
    stability: float


@dataclass(frozen=True)
class Picture:
    """A picture to store."""

    size: tuple[int, int]  # width, height
    regions: tuple[RandomRegion, ...]
    path: str
    taken_at: datetime | None = None
    camera: str | None = None
    place: tuple[float, float] | None = None
    tags: tuple[str, ...] = ()
    seed: int = 0


@st.composite
def regions(draw: st.DrawFn, width: int, height: int) -> RandomRegion:
    x0 = draw(st.integers(0, width - 1))
    y0 = draw(st.integers(0, height - 1))
    x1 = draw(st.integers(x0 + 1, width))
    y1 = draw(st.integers(y0 + 1, height))
    quality = st.sampled_from((0.25, 0.5, 0.75))
    return RandomRegion((x0, y0, x1, y1), draw(quality), draw(quality))


@st.composite
def pictures(draw: st.DrawFn, number: int = 0) -> Picture:
    width = draw(st.sampled_from((6, 9, 12)))
    height = draw(st.sampled_from((6, 9)))
    place = draw(st.sampled_from(PLACES))
    return Picture(
        (width, height),
        tuple(draw(st.lists(regions(width, height), max_size=5))),
        f"{draw(st.sampled_from(FOLDERS))}/{draw(st.sampled_from('ab'))}{number}.jpg",
        draw(st.sampled_from(MOMENTS)),
        draw(st.sampled_from(CAMERAS)),
        place,
        tuple(sorted(draw(st.sets(st.sampled_from(TAGS))))),
        draw(st.integers(0, 2**16)) * 100 + number,  # no two alike: ties would break either way
    )


@st.composite
def libraries(draw: st.DrawFn, most: int = 6) -> list[Picture]:
    count = draw(st.integers(1, most))
    return [draw(pictures(number)) for number in range(count)]


def described(picture: Picture) -> DescribedPicture:
    """The picture as the models would describe it."""
    rng = np.random.default_rng(picture.seed)
    width, height = picture.size
    place = picture.place or (None, None)
    info = PictureInfo(
        width, height, "JPEG", picture.taken_at, picture.camera,
        latitude=place[0], longitude=place[1],
    )  # fmt: skip
    segments = []
    for region in picture.regions:
        box = Box(*region.box)
        window = np.ones((box.height, box.width), dtype=bool)
        mask = encode(window, origin=(box.x0, box.y0), size=(height, width))
        assert mask is not None
        proposal = Proposal(mask, region.predicted_iou, region.stability)
        segments.append(DescribedSegment(proposal, unit(rng), unit(rng)))
    return DescribedPicture(info, unit(rng), tuple(segments))


def store(catalog: Catalog, number: int, picture: Picture) -> int:
    """Enter a picture; its image's id."""
    recipe_id = catalog.register_recipe(RECIPE)
    catalog.record_file(picture.path, FileStamp(1, 1), f"sha-{number}", recipe_id)
    claim = catalog.claim(recipe_id, "me", 60)
    assert claim is not None
    assert catalog.commit(claim, described(picture))
    if picture.tags:
        catalog.tag_images([claim.image_id], add=picture.tags, remove=())
    return claim.image_id


def filled(place: Place, library: list[Picture]) -> tuple[Catalog, dict[int, Picture]]:
    """A catalog with these pictures, by the ids of their images; made where there is none."""
    if isinstance(place, Path):
        place.parent.mkdir(parents=True, exist_ok=True)
    catalog = Catalog(place)
    catalog.register_recipe(RECIPE)
    return catalog, {
        store(catalog, number, picture): picture for number, picture in enumerate(library)
    }


vectors = st.integers(0, 2**16).map(lambda seed: unit(np.random.default_rng(seed)))
