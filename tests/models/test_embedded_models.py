"""What the embedded models must be able to do, on pictures they have never seen."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageDraw
import pytest

from segsearch.core.query import PictureTerm, Query, TextTerm
from segsearch.core.types import Mask
from segsearch.library import SegSearch
from segsearch.masks.crops import CropRule, context_crop
from segsearch.masks.rle import decode
from tests.conftest import DEMO, Truth

pytestmark = pytest.mark.slow

# Share of queries that must be answered rightly.
REQUIRED = 0.6


def test_words_find_the_thing_and_its_mask(demo_library: SegSearch, truth: Truth) -> None:
    """Over every named thing of the drawn scenes: the best hit overlaps its true mask."""
    assert len(truth.things) >= 30
    right = {
        name: truth.is_right(demo_library.search(best(f"a {name}")).hits[0], name)
        for name in truth.things
    }
    wrong = sorted(name for name, is_right in right.items() if not is_right)
    share = 1 - len(wrong) / len(right)
    assert share >= REQUIRED, f"{share:.0%} of {len(right)}; not found: {', '.join(wrong)}"


def best(text: str) -> Query:
    """The best region, however unlikely: whether it is shown is measured elsewhere."""
    return Query((TextTerm(text),), limit=1, min_relevance=0)


def png_of(picture: str, mask: Mask) -> bytes:
    """A square crop around a thing, as a user would cut it out."""
    pixels = np.asarray(PIL.Image.open(DEMO / "pictures" / picture).convert("RGB"))
    buffer = io.BytesIO()
    PIL.Image.fromarray(context_crop(pixels, mask, CropRule())).save(buffer, "PNG")
    return buffer.getvalue()


def test_a_crop_finds_the_same_thing_in_another_picture(
    demo_library: SegSearch, truth: Truth
) -> None:
    right, asked = 0, []
    for name, places in truth.things.items():
        picture, mask = places[0]
        if all(other == picture for other, _ in places):
            continue
        asked.append(name)
        term = PictureTerm(png_of(picture, mask))
        hits = demo_library.search(Query((term,), limit=20, per_image=1)).hits
        elsewhere = [hit for hit in hits if Path(hit.image.paths[0]).name != picture][:5]
        right += any(truth.is_right(hit, name) for hit in elsewhere)
    assert len(asked) >= 20
    assert right / len(asked) >= REQUIRED, f"{right} of {len(asked)}"


def test_a_stored_segment_finds_itself_first(demo_library: SegSearch) -> None:
    from segsearch.core.query import SegmentTerm

    hit = demo_library.search_text("a hamburger", limit=1).hits[0]
    again = demo_library.search(Query((SegmentTerm(hit.segment.id),), limit=1)).hits[0]
    assert again.segment.image_id == hit.segment.image_id


def test_the_masks_of_a_picture_lie_in_it_and_their_numbers_agree(
    demo_library: SegSearch,
) -> None:
    for image in demo_library.catalog.images(limit=100):
        segments = demo_library.catalog.segments_of(image.id)
        assert segments
        for segment in segments:
            mask = segment.mask
            assert (mask.height, mask.width) == (image.height, image.width)
            assert 0 <= segment.predicted_iou <= 1.5
            assert 0 <= segment.stability <= 1
    assert demo_library.maintenance.verify() == []


@pytest.mark.parametrize("name", ["photo-cat-turned.jpg"])
def test_a_picture_turned_by_exif_is_stored_upright(demo_library: SegSearch, name: str) -> None:
    (image,) = [
        image for image in demo_library.catalog.images(limit=100) if image.paths[0].endswith(name)
    ]
    with PIL.Image.open(DEMO / "pictures" / name) as stored:
        assert (image.width, image.height) == (stored.height, stored.width)
    assert demo_library.pictures.pixels(image.id).shape == (image.height, image.width, 3)


# The cat of the demo's photograph: benchmarks/photographs/outlines.json has it outlined by hand.
CAT = "36,0 397,0 374,27 356,72 361,135 347,189 316,226 298,266 253,280 203,300 0,300 0,253 27,235 "
CAT += "23,180 32,113 32,45"


def test_a_cat_is_found_whole_and_once_and_other_pictures_follow(demo_library: SegSearch) -> None:
    hits = demo_library.search_text("a cat", limit=4).hits
    assert "photo-cat" in hits[0].image.paths[0]
    mask = hits[0].segment.mask
    if mask.height > mask.width:
        pytest.fail("the upright copy comes first: the outline is of the other")
    canvas = PIL.Image.new("1", (mask.width, mask.height))
    corners = [tuple(map(float, corner.split(","))) for corner in CAT.split()]
    PIL.ImageDraw.Draw(canvas).polygon(corners, fill=1)
    cat = np.asarray(canvas)
    found = decode(mask)
    assert (cat & found).sum() / (cat | found).sum() >= 0.75, "not the whole head or body"
    assert all("photo-cat" not in hit.image.paths[0] for hit in hits[1:])
    assert len({hit.image.id for hit in hits}) == len(hits)


@pytest.mark.parametrize(
    ("words", "file"), [("a cup of coffee", "photo-coffee"), ("a rocket", "photo-rocket")]
)
def test_a_photographed_thing_is_among_the_first(
    words: str, file: str, demo_library: SegSearch
) -> None:
    hits = demo_library.search_text(words, limit=6).hits
    assert any(file in hit.image.paths[0] for hit in hits)
