"""Text is read once: with the regions of a new picture, or afterwards without cutting masks."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from segsearch.core.arrays import Pixels
from segsearch.core.text import Line
from segsearch.core.types import JobState
from segsearch.library import SegSearch
from segsearch.models.pipeline import Pipeline
from tests.support.query_plans import statements
from tests.support.small_models import (
    ReadingModels,
    Shape,
    SmallModels,
    StripeReader,
    open_small_service,
    paint,
    paint_line,
)

RED = Shape("red", (10, 10, 60, 80))


class OnceModels(ReadingModels):
    """Counts what is cut and what is read; another reader by `version`."""

    def __init__(self, version: int = 1) -> None:
        self.cut = 0
        self._reader = StripeReader()
        self._reader.identity = f"stripe-reader@{version}"

    @property
    def reader(self) -> str:
        return self._reader.identity

    @property
    def read(self) -> int:
        return self._reader.asked

    def pipeline(self) -> Pipeline:
        made = super().pipeline()
        outer = self

        class Counting(type(made.segmenter)):  # type: ignore[misc]
            def propose(self, pixels: Pixels) -> Any:
                outer.cut += 1
                return super().propose(pixels)

        return replace(made, segmenter=Counting(), reader=self._reader)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "pictures"
    for number in range(3):
        paint(made / f"{number}.png", [RED])
    paint_line(made / "0.png", "Open", (70, 20))
    paint_line(made / "0.png", "24 hours", (70, 40))
    paint_line(made / "1.png", "Exit", (70, 20), dark=True)
    return made


@pytest.fixture
def plain(tmp_path: Path, folder: Path) -> Path:
    """A library whose pictures were indexed without being read."""
    with open_small_service(tmp_path / "library") as service:
        assert service.index([folder]).read == 0
    return tmp_path / "library"


def texts(service: SegSearch) -> dict[str, list[str]]:
    """The lines of each picture by its name."""
    return {
        Path(image.paths[0]).name: [one.line.text for one in service.catalog.lines_of(image.id)]
        for image in service.catalog.images()
    }


EXPECTED = {"0.png": ["Open", "24 hours"], "1.png": ["Exit"], "2.png": []}


def test_new_pictures_are_read_with_their_regions(tmp_path: Path, folder: Path) -> None:
    models = OnceModels()
    with open_small_service(tmp_path / "library", models=models) as service:
        report = service.index([folder])
        assert (report.indexed, report.read, report.lines) == (3, 3, 3)
        assert report.segments == 3 + 1 + 2  # red ones, the dark line, the two pale ones
        assert texts(service) == EXPECTED
        assert (models.cut, models.read) == (3, 3)
        assert service.index([folder], read_missing=True).read == 0
        assert service.maintenance.verify() == []
    assert (models.cut, models.read) == (3, 3)


def test_an_old_library_is_read_without_cutting_masks_again(plain: Path) -> None:
    models = OnceModels()
    with open_small_service(plain, models=models) as service:
        before = service.catalog.segment_ids(1).tolist()
        assert service.index([]).read == 0  # only when it is asked for
        report = service.index([], read_missing=True)
        assert (report.indexed, report.read, report.lines) == (0, 3, 3)
        assert (models.cut, models.read) == (0, 3)
        assert texts(service) == EXPECTED
        after = service.catalog.segment_ids(1).tolist()
        assert set(before) < set(after)
        assert len(after) - len(before) == 2
        assert service.maintenance.verify() == []
        again = service.index([], read_missing=True)
    assert (again.read, models.read) == (0, 3)


def test_a_line_belongs_to_the_region_that_covers_it_or_becomes_one(plain: Path) -> None:
    with open_small_service(plain, models=ReadingModels()) as service:
        service.index([], read_missing=True)
        kinds = {}
        for image in service.catalog.images():
            segments = {one.id: one for one in service.catalog.segments_of(image.id)}
            for stored in service.catalog.lines_of(image.id):
                assert stored.segment_id is not None
                segment = segments[stored.segment_id]
                (x0, y0), _, (x1, y1), _ = stored.line.corners
                assert segment.mask.box.as_tuple() == pytest.approx((x0, y0, x1, y1), abs=1)
                kinds[stored.line.text] = segment.kind
        assert kinds == {"Open": "text", "24 hours": "text", "Exit": "thing"}
        found = service.catalog.lines_by_segment(service.catalog.segment_ids(1).tolist())
        assert sorted(one.line.text for some in found.values() for one in some) == sorted(kinds)


def test_a_paragraph_has_its_lines_where_each_was_cut_out_by_itself(tmp_path: Path) -> None:
    page = tmp_path / "pictures" / "page.png"
    paint(page, [], size=(240, 200))
    lines = [f"line {number} of text" for number in range(8)]
    for number, text in enumerate(lines):
        paint_line(page, text, (20, 40 + 12 * number), dark=True)
    with open_small_service(tmp_path / "library", models=ReadingModels()) as service:
        service.index([page])
        (paragraph,) = service.text_of(1).elements
        assert paragraph.kind == "paragraph"
        assert service.text_of(1).text_of(paragraph) == "\n".join(lines)
        stored = service.catalog.lines_of(1)
        kinds = {one.id: one.kind for one in service.catalog.segments_of(1)}
        assert [kinds[one.segment_id or 0] for one in stored] == ["thing"] * len(lines)
        assert len(service.catalog.lines_by_segment([paragraph.id])[paragraph.id]) == len(lines)


def test_another_reader_reads_again_in_place_of_what_was_read(plain: Path) -> None:
    with open_small_service(plain, models=OnceModels(1)) as service:
        service.index([], read_missing=True)
        count = service.catalog.segment_ids(1).size
    better = OnceModels(2)
    with open_small_service(plain, models=better) as service:
        assert service.index([], read_missing=True).read == 3
        assert (better.cut, better.read) == (0, 3)
        assert service.catalog.segment_ids(1).size == count
        assert texts(service) == EXPECTED
        assert service.maintenance.verify() == []


def test_a_run_that_is_stopped_goes_on_and_reads_nothing_twice(plain: Path) -> None:
    models = OnceModels()
    stop = threading.Event()
    with open_small_service(plain, models=models, lanes=1) as service:
        service.index([], read_missing=True, stop=stop, report=lambda *_: stop.set())
        assert 0 < models.read < 3
        jobs = service.jobs()
        assert jobs[0].state is JobState.STOPPED
        stop.clear()
        service.index([])  # what waits goes on without being asked for again
        assert models.read == 3
        assert texts(service) == EXPECTED


def test_without_a_reader_nothing_waits_for_ever(plain: Path) -> None:
    with open_small_service(plain, models=SmallModels()) as service:
        report = service.index([], read_missing=True)
        assert report.read == 0
        assert service.ingest.run_waiting(threading.Event()) is False


def test_a_region_that_was_removed_meanwhile_holds_no_line(plain: Path) -> None:
    with open_small_service(plain, models=ReadingModels()) as service:
        catalog = service.catalog
        catalog.queue_reading(1, "r@1")
        claims = {
            claim.image_id: claim
            for claim in iter(lambda: catalog.claim(1, "me", 60, "read"), None)
        }
        claim = next(one for one in claims.values() if one.paths[0].endswith("1.png"))
        pipeline = ReadingModels().pipeline()
        text = pipeline.read(
            service.pictures.pixels(claim.image_id), [one.mask for one in claim.regions]
        )
        assert text.lines[0].region is not None
        catalog.remove_segments([claim.regions[text.lines[0].region].id])
        assert catalog.commit_text(claim, text)
        assert [line.segment_id for line in catalog.lines_of(claim.image_id)] == [None]
        assert not catalog.commit_text(claim, text)  # it is done


def test_a_commit_reads_no_more_in_a_library_of_many_texts(plain: Path) -> None:
    with open_small_service(plain, models=ReadingModels()) as service:
        with statements() as asked:
            service.index([], read_missing=True)
        first = len(asked)
    assert first < 3 * 60


def test_lines_that_lie_nowhere_are_kept_without_a_region() -> None:
    class Odd:
        identity = "odd@1"

        def read(self, _: Pixels) -> list[Line]:
            corner = (5.0, 5.0)
            nowhere = float("nan")
            return [
                Line((corner,) * 4, "a point", 0.9),
                Line(((nowhere, 0), (1, 0), (1, 1), (0, 1)), "no number", 0.9),
                Line(((500, 500), (600, 500), (600, 510), (500, 510)), "outside", 0.9),
            ]

    import numpy as np

    pipeline = replace(ReadingModels().pipeline(), reader=Odd())
    text = pipeline.read(np.full((40, 50, 3), 255, np.uint8), [])
    assert [placed.region for placed in text.lines] == [None, None, None]
    assert text.regions == ()
