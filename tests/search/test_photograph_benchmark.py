"""The benchmark of photographs judges what the product answers: here over a few drawn scenes, whose
truth is exact."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.photographs.annotated import KnownLibrary, Measures, asked, measure, table
from segsearch.core.types import Hit, Mask
from segsearch.library import SegSearch, open_library
from segsearch.masks.rle import decode, encode, full
from segsearch.search.evaluation.truth import read_truth
from tests.conftest import DEMO
from tests.support.demo_part import part_of_demo

pytestmark = pytest.mark.slow

SCENES = 6


@pytest.fixture(scope="module")
def stored(
    demo_library: SegSearch, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[KnownLibrary]:
    pictures = read_truth(DEMO / "truth.json", DEMO / "pictures")[:SCENES]
    paths = [picture.path for picture in pictures]
    folder = tmp_path_factory.mktemp("scenes") / "library"
    settings = part_of_demo(demo_library, folder, (path.name for path in paths))
    with open_library(settings) as library:
        numbers = {
            library.catalog.find_images([str(path.resolve())])[0]: number
            for number, path in enumerate(paths)
        }
        yield KnownLibrary(library, pictures, numbers)


@pytest.fixture(scope="module")
def measured(stored: KnownLibrary) -> Measures:
    return measure(stored, seconds=1.5)


def covering(hit: Hit, mask: Mask) -> Hit:
    return replace(hit, segment=replace(hit.segment, mask=mask))


def upper_half(mask: Mask) -> Mask:
    pixels = decode(mask)
    pixels[(mask.box.y0 + mask.box.y1) // 2 :] = False
    half = encode(np.ascontiguousarray(pixels))
    assert half is not None
    return half


def test_a_hit_is_right_or_a_part_or_neither(stored: KnownLibrary) -> None:
    picture = stored.pictures[0]
    thing = max(picture.things, key=lambda thing: thing.share)
    hits = asked(stored.library, thing.name, limit=50).hits
    hit = next(hit for hit in hits if Path(hit.image.paths[0]) == picture.path)
    right = covering(hit, thing.mask)
    part = covering(hit, upper_half(upper_half(thing.mask)))
    ground = covering(hit, full(thing.mask.height, thing.mask.width))
    assert [stored.is_right(one, thing.name) for one in (right, part, ground)] == [True] + [
        False
    ] * 2
    assert [stored.is_part(one, thing.name) for one in (right, part, ground)] == [
        False,
        True,
        False,
    ]
    other = next(t.name for t in picture.things if t.name != thing.name)
    assert not stored.is_right(right, other)


def test_the_numbers_count_what_is_there(stored: KnownLibrary, measured: Measures) -> None:
    names = {thing.name for picture in stored.pictures for thing in picture.things}
    assert (measured.pictures, measured.names) == (SCENES, len(names))
    assert measured.things == sum(len(picture.things) for picture in stored.pictures)
    segments = len(stored.library.catalog.segments())
    assert measured.regions == pytest.approx(segments / SCENES)


def test_the_embedded_models_do_on_drawings_what_they_must(measured: Measures) -> None:
    assert measured.first_right >= 0.5
    assert measured.first_right <= measured.first_three_right
    assert measured.first_right <= measured.first_in_right_picture
    assert measured.recall_10_with_floor <= measured.recall_10
    assert measured.first_right + measured.first_is_part <= 1
    assert 0.5 < measured.named_right <= measured.named_in_five
    assert measured.clicks_right >= 0.5
    assert measured.map_50 >= 0.3
    assert measured.small_first > measured.whole_small_first


def test_the_table_names_every_measure(measured: Measures) -> None:
    lines = table(measured).splitlines()
    assert len(lines) == len(asdict(measured))
    assert all(line.split()[-1] in ("%",) or float(line.split()[-1]) >= 0 for line in lines)
