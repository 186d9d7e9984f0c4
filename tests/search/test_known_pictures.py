"""A picture that the library holds, or one that looks almost the same, always finds something."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segsearch.core.answers import SearchAnswer
from segsearch.core.filters import Filters
from segsearch.core.query import KeptPictureTerm, PictureTerm, Query, Term, TextTerm
from segsearch.library import SegSearch
from segsearch.media.decode import decode
from tests.conftest import DEMO
from tests.support.small_models import Shape, open_small_service, paint

PICTURES = sorted((DEMO / "pictures").iterdir())
STRICTEST = 1.0  # a floor that no relevance reaches, so that what is not known finds nothing


def changed(data: bytes, side_px: int, quality: int) -> bytes:
    picture = Image.fromarray(decode(data)[0])
    picture.thumbnail((side_px, side_px))
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=quality)
    return file.getvalue()


def strictly(library: SegSearch, *terms: Term, filters: Filters | None = None) -> SearchAnswer:
    query = Query(terms, limit=1, min_relevance=STRICTEST, filters=filters or Filters())
    return library.search(query)


@pytest.mark.parametrize(
    "change",
    [lambda data: data, lambda data: changed(data, 5_000, 80), lambda data: changed(data, 300, 60)],
    ids=["as it is", "encoded again", "smaller"],
)
def test_no_picture_of_the_library_finds_nothing(
    change: Callable[[bytes], bytes], demo_library: SegSearch
) -> None:
    nothing = [
        path.name
        for path in PICTURES
        if not strictly(demo_library, PictureTerm(change(path.read_bytes()))).hits
    ]
    assert len(PICTURES) == 51
    assert nothing == []


def test_a_picture_that_it_does_not_hold_may_find_nothing(demo_library: SegSearch) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (200, 300, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, "PNG")
    answer = strictly(demo_library, PictureTerm(file.getvalue()))
    assert not answer.hits
    assert answer.message is not None
    assert answer.message.startswith("Nothing in the library matches")


def test_filters_and_words_beside_a_known_picture_may_find_nothing(
    demo_library: SegSearch,
) -> None:
    known = PictureTerm(PICTURES[0].read_bytes())
    assert strictly(demo_library, known).hits
    assert strictly(demo_library, known, TextTerm("noise", -0.5)).hits
    assert not strictly(demo_library, known, TextTerm("a zeppelin")).hits
    assert not strictly(demo_library, known, filters=Filters(min_area=0.001)).hits


def test_one_that_waits_or_is_removed_is_not_known(tmp_path: Path) -> None:
    files = []
    for number in range(60):
        shapes = [
            Shape("red", (2 + number % 7, 5, 40 + number % 11, 40)),
            Shape("blue", (60, 10, 100 - number % 13, 70 - number % 5)),
        ]
        files.append(paint(tmp_path / "pictures" / f"{number}.png", shapes))
    new = paint(tmp_path / "new.png", [Shape("green", (5, 50, 110, 85), "disc")])
    with open_small_service(tmp_path / "library") as library:
        library.index([tmp_path / "pictures"])
        kept = library.shown.keep(files[0].read_bytes())
        assert kept.image_id is not None
        assert strictly(library, KeptPictureTerm(kept.picture_id)).hits
        with new.open("rb") as stream:
            library.uploads.add(stream)
        assert library.shown.keep(new.read_bytes()).image_id is not None
        assert not strictly(library, PictureTerm(new.read_bytes())).hits, "it waits"
        library.index([])
        assert strictly(library, PictureTerm(new.read_bytes())).hits
        added = library.shown.keep(new.read_bytes()).image_id
        assert added is not None
        library.remove(image_ids=[added])
        assert not strictly(library, PictureTerm(new.read_bytes())).hits
