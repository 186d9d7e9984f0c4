"""Pictures whose text is odd go into a library like any others: lines or none, and no error."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from segsearch.core.arrays import Pixels
from segsearch.core.types import Proposal
from segsearch.library import SegSearch
from segsearch.models.pipeline import Pipeline
from segsearch.models.read.rapid_ocr import RapidOcrReader
from tests.support.odd_text import NO_WORDS, READABLE, SAYS, odd_pictures
from tests.support.small_models import ReadingModels, open_small_service

pytestmark = pytest.mark.slow


class NoSegmenter:
    """Cuts out nothing: every line becomes a region of its own."""

    identity = "no-segmenter@1"

    @property
    def settings(self) -> dict[str, Any]:
        return {}

    def propose(self, pixels: Pixels) -> list[Proposal]:
        del pixels
        return []


class TrueReader(ReadingModels):
    """The reader that ships, beside small models."""

    def pipeline(self) -> Pipeline:
        return replace(super().pipeline(), segmenter=NoSegmenter(), reader=RapidOcrReader())


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SegSearch]:
    folder = tmp_path_factory.mktemp("odd")
    (folder / "pictures").mkdir()
    for name, pixels in odd_pictures().items():
        Image.fromarray(pixels).save(folder / "pictures" / f"{name}.png")
    with open_small_service(folder / "library", models=TrueReader()) as service:
        report = service.index([folder / "pictures"])
        assert report.skipped == ()
        yield service


def lines_by_name(library: SegSearch) -> dict[str, list[str]]:
    images = library.catalog.images(limit=99)
    lines = library.catalog.lines_by_image([image.id for image in images])
    return {
        Path(image.paths[0]).stem: [line.line.text for line in lines.get(image.id, ())]
        for image in images
    }


def test_odd_pictures_are_read_without_an_error(library: SegSearch) -> None:
    status = library.status()
    assert (status.read, status.to_read, status.unreadable) == (len(odd_pictures()), 0, 0)
    assert library.maintenance.verify() == []


def test_what_can_be_read_is_read_and_what_says_nothing_gains_no_lines(library: SegSearch) -> None:
    read = lines_by_name(library)
    assert read.keys() == odd_pictures().keys()
    assert {name: read[name] for name in NO_WORDS} == {name: [] for name in NO_WORDS}
    assert {name: set(read[name]) for name in READABLE} == {name: {SAYS} for name in READABLE}
    assert len(read["20000-wide"]) == 3


def test_odd_writing_is_found_by_its_words(library: SegSearch) -> None:
    hits = library.search_text(f'text:"{SAYS}"', limit=100).hits
    found = {Path(hit.image.paths[0]).stem for hit in hits}
    assert found >= {*READABLE}
    assert not found & {*NO_WORDS}
    for hit in hits:
        x, y = hit.lines[0].line.corners[0]
        box = hit.segment.mask.box
        assert -8 <= x - box.x0 <= box.width + 8
        assert -8 <= y - box.y0 <= box.height + 8
