"""Filters pass exactly the segments that a naive look at every picture passes."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segsearch.core.filters import Filters
from segsearch.media.sources.paths import album_of
from segsearch.storage.catalog.filtering import kilometres
from tests.support.random_library import MOMENTS, TAGS, Picture, RandomRegion, filled, libraries

SHARES = st.sampled_from((0.0, 0.1, 1 / 3, 0.5, 2 / 3, 1.0))
PLACES = ("left", "center", "right", "top", "bottom", "top right", "middle center", "Bottom-Left")
GLOBS = ("a*", "*.jpg", "beach/*", "/p/*", "*/sub/*", "[!a]*.JPG", "/q/[[]x[]]/*", "a?.jpg", "none")


def some(values: Sequence[str]) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(st.sampled_from(values), min_size=1, max_size=2).map(tuple)


@st.composite
def boxes(draw: st.DrawFn) -> tuple[float, float, float, float]:
    steps = st.integers(0, 6)
    x0, y0 = draw(steps), draw(steps)
    x1, y1 = draw(st.integers(x0 + 1, 7)), draw(st.integers(y0 + 1, 7))
    return (x0 / 7, y0 / 7, x1 / 7, y1 / 7)


VALUES: dict[str, st.SearchStrategy[Any]] = {
    "image_ids": st.lists(st.integers(1, 7), max_size=3).map(tuple),
    "segment_ids": st.lists(st.integers(1, 20), max_size=9).map(tuple),
    "paths": some(GLOBS),
    "albums": some(("beach", "Town", "[x]", "X", "sub")),
    "min_width": st.sampled_from((6, 9, 10)),
    "max_width": st.sampled_from((6, 9, 10)),
    "min_height": st.sampled_from((6, 7)),
    "max_height": st.sampled_from((6, 7)),
    "taken_after": st.sampled_from(MOMENTS[1:]),
    "taken_before": st.sampled_from(MOMENTS[1:]),
    "cameras": some(("ACME one", "other 2")),
    "collections": some(("odd", "third", "none")),
    "tags": some(("dog", "Holiday", "a b")),
    "all_tags": some(TAGS),
    "no_tags": some(TAGS),
    "gps_box": st.sampled_from(((48.0, 11.0, 48.15, 12.0), (-1.0, 179.0, 1.0, -179.0))),
    "near": st.sampled_from(((48.1, 11.6, 5.0), (48.1, 11.6, 20.0), (0.0, 180.0, 12.0))),
    "min_area": SHARES,
    "max_area": SHARES,
    "box": boxes(),
    "min_box_overlap": SHARES,
    "places": some(PLACES),
    "min_predicted_iou": st.sampled_from((0.5, 0.6)),
    "min_stability": st.sampled_from((0.5, 0.6)),
}


@st.composite
def conditions(draw: st.DrawFn) -> Filters:
    """One to three conditions, so that something is left; no span is empty."""
    names = draw(st.lists(st.sampled_from(sorted(VALUES)), min_size=1, max_size=3, unique=True))
    chosen = {name: draw(VALUES[name]) for name in names}
    for measure in ("area", "width", "height"):
        ends = {f"min_{measure}", f"max_{measure}"}
        if ends <= chosen.keys():
            values = sorted(chosen[end] for end in ends)
            chosen[f"min_{measure}"], chosen[f"max_{measure}"] = values
    return Filters(**chosen)


@settings(max_examples=30, deadline=None)
@given(library=libraries(), some_filters=st.lists(conditions(), min_size=15, max_size=15))
def test_filters_pass_what_a_naive_look_passes(
    library: list[Picture], some_filters: list[Filters]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        catalog, pictures = filled(Path(folder) / "catalog.sqlite", library)
        chosen = {"odd": slice(0, None, 2), "third": slice(2, None, 3), "none": slice(0)}
        for name, step in chosen.items():
            catalog.create_collection(name)
            catalog.add_to_collection(name, sorted(pictures)[step])
        segments = catalog.segments()
        numbers = {
            image_id: [segment.id for segment in segments if segment.image_id == image_id]
            for image_id in pictures
        }
        for filters in (Filters(), *some_filters):
            expected = [
                segment_id
                for image_id, picture in pictures.items()
                if picture_passes(filters, image_id, picture)
                for segment_id, region in zip(numbers[image_id], picture.regions, strict=True)
                if region_passes(filters, segment_id, region, picture.size)
            ]
            assert catalog.select_segments(1, filters).tolist() == sorted(expected)
        catalog.close()


def picture_passes(filters: Filters, image_id: int, picture: Picture) -> bool:
    width, height = picture.size
    taken, tags = picture.taken_at, lower(picture.tags)
    album = (album_of(picture.path) or "").lower()
    return all((
        filters.image_ids is None or image_id in filters.image_ids,
        not filters.paths or any(matches(picture.path, glob) for glob in filters.paths),
        not filters.albums or album in {name.lower() for name in filters.albums},
        filters.min_width is None or width >= filters.min_width,
        filters.max_width is None or width <= filters.max_width,
        filters.min_height is None or height >= filters.min_height,
        filters.max_height is None or height <= filters.max_height,
        filters.taken_after is None or (taken is not None and taken >= filters.taken_after),
        filters.taken_before is None or (taken is not None and taken < filters.taken_before),
        not filters.cameras
        or (picture.camera or "").lower() in {name.lower() for name in filters.cameras},
        not filters.collections
        or ("odd" in filters.collections and image_id % 2 == 1)
        or ("third" in filters.collections and image_id % 3 == 0),
        not filters.tags or bool(tags & lower(filters.tags)),
        tags >= lower(filters.all_tags),
        not tags & lower(filters.no_tags),
        filters.gps_box is None or lies_in(picture.place, filters.gps_box),
        filters.near is None or lies_near(picture.place, filters.near),
    ))  # fmt: skip


def lower(names: Sequence[str]) -> set[str]:
    return {name.lower() for name in names}


def matches(path: str, glob: str) -> bool:
    return fnmatchcase(path.lower(), (glob if glob.startswith(("/", "*")) else f"*/{glob}").lower())


def lies_in(place: tuple[float, float] | None, box: tuple[float, float, float, float]) -> bool:
    if place is None or not box[0] <= place[0] <= box[2]:
        return False
    west, east = box[1], box[3]
    return west <= place[1] <= east if west <= east else not east < place[1] < west


def lies_near(place: tuple[float, float] | None, near: tuple[float, float, float]) -> bool:
    """By the angle between two directions from the middle of the Earth: another formula."""
    if place is None:
        return False
    cosine = float(direction(*place) @ direction(*near[:2]))
    return 6371.0088 * math.acos(max(-1.0, min(1.0, cosine))) <= near[2]


def direction(latitude: float, longitude: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    up, along = math.radians(latitude), math.radians(longitude)
    flat = math.cos(up)
    return np.array([flat * math.cos(along), flat * math.sin(along), math.sin(up)])


def region_passes(
    filters: Filters, segment_id: int, region: RandomRegion, size: tuple[int, int]
) -> bool:
    x0, y0, x1, y1 = region.box
    area = (x1 - x0) * (y1 - y0)
    share = area / (size[0] * size[1])
    return all((
        filters.segment_ids is None or segment_id in filters.segment_ids,
        filters.min_area is None or share >= filters.min_area,
        filters.max_area is None or share <= filters.max_area,
        filters.box is None or overlaps(region.box, filters, size),
        not filters.places or any(is_in(region.box, name, size) for name in filters.places),
        filters.min_predicted_iou is None or region.predicted_iou >= filters.min_predicted_iou,
        filters.min_stability is None or region.stability >= filters.min_stability,
    ))  # fmt: skip


def overlaps(box: tuple[int, int, int, int], filters: Filters, size: tuple[int, int]) -> bool:
    assert filters.box is not None
    x0, y0, x1, y1 = filters.box
    across = min(box[2], x1 * size[0]) - max(box[0], x0 * size[0])
    down = min(box[3], y1 * size[1]) - max(box[1], y0 * size[1])
    shared = max(0.0, across) * max(0.0, down)
    return shared > 0 and shared >= filters.min_box_overlap * (box[2] - box[0]) * (box[3] - box[1])


def is_in(box: tuple[int, int, int, int], name: str, size: tuple[int, int]) -> bool:
    for words, low, high, length in (
        (("left", "center", "right"), box[0], box[2], size[0]),
        (("top", "middle", "bottom"), box[1], box[3], size[1]),
    ):
        third = math.floor(3 * ((low + high) / 2) / length)
        for number, word in enumerate(words):
            if word in name.lower() and third != number:
                return False
    return True


@pytest.mark.parametrize(
    ("place", "other", "expected"),
    [
        ((52.52, 13.405), (48.1375, 11.575), 504.4),  # Berlin, Munich
        ((0.0, 179.5), (0.0, -179.5), 111.2),
        ((90.0, 0.0), (-90.0, 0.0), 20015.1),
    ],
)
def test_distances_are_those_of_a_globe(
    place: tuple[float, float], other: tuple[float, float], expected: float
) -> None:
    assert kilometres(*place, *other) == pytest.approx(expected, rel=2e-3)
    assert kilometres(None, None, *other) is None
