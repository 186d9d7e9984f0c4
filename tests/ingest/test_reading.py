"""Text is read once: with the regions of a new picture, or afterwards without cutting masks."""

from __future__ import annotations

import hashlib
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segsearch.core.arrays import PictureText, Pixels
from segsearch.core.errors import PictureError
from segsearch.core.query import Query, TextTerm
from segsearch.core.text import Line
from segsearch.core.types import Claim, FileStamp, JobState, Origin, PictureInfo, Recipe, Segment
from segsearch.ingest.model_child import answered
from segsearch.ingest.run import one_pass
from segsearch.library import SegSearch
from segsearch.masks.rle import full
from segsearch.models.pipeline import Pipeline
from segsearch.storage.catalog import reading
from tests.support.small_models import (
    ReadingModels,
    Shape,
    SmallModels,
    StripeReader,
    open_small_service,
    paint,
    paint_line,
)  # fmt: skip

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


class StumblingReader(StripeReader):
    """Reads nothing, whatever it is shown."""

    def read(self, pixels: Pixels) -> list[Line]:
        raise ValueError(f"It stumbles over {pixels.shape[1]} columns.")


def stumbling_pipeline() -> Pipeline:
    return replace(ReadingModels().pipeline(), reader=StumblingReader())


class StumblingModels(ReadingModels):
    def pipeline(self) -> Pipeline:
        return stumbling_pipeline()

    def builder(self) -> Callable[[], Pipeline]:
        return stumbling_pipeline


class Sizes:
    """Gives a white picture of a size in place of a claim's."""

    _size = (0, 0)

    def of(self, size: tuple[int, int]) -> Any:
        self._size = size
        return self

    def read(self, _: Claim) -> tuple[Pixels, PictureInfo]:
        height, width = self._size
        return np.full((height, width, 3), 255, np.uint8), PictureInfo(width, height, "PNG")


def sha(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


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


def test_what_was_said_of_an_element_stays_where_another_reader_finds_it(
    plain: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def added(service: SegSearch) -> dict[int, str]:
        """The regions that reading has added, with the first line of each."""
        ids = [one.id for one in service.catalog.segments() if one.kind == "text"]
        lines = service.catalog.lines_by_segment(ids)
        return {number: lines[number][0].line.text for number in ids}

    with open_small_service(plain, models=OnceModels(1)) as service:
        service.index([], read_missing=True)
        before = added(service)
        for number in before:
            service.catalog.add_caption(number, "A sign.", Origin("eye", "localhost", "0" * 64))
    for version, share in ((2, reading.SAME_BOX), (3, 1.1)):  # then as if they lay elsewhere
        monkeypatch.setattr(reading, "SAME_BOX", share)
        with open_small_service(plain, models=OnceModels(version)) as service:
            service.index([], read_missing=True)
            again = added(service)
            assert sorted(again.values()) == sorted(before.values()) == ["24 hours", "Open"]
            kept = set(before) if version == 2 else set()
            assert set(again) & set(before) == set(service.catalog.captions([*before])) == kept
            hits = service.search(Query((TextTerm("red"),), min_relevance=0)).hits
            assert {hit.segment.id for hit in hits} >= set(again)
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
        assert service.catalog.queue_reading(1, "reader@1") == 3
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


def test_a_reader_that_fails_costs_no_picture_its_regions(tmp_path: Path, folder: Path) -> None:
    models = StumblingModels()
    options: dict[str, Any] = {"lanes": 1, "retry_seconds": 0.01}
    with open_small_service(tmp_path / "library", models=models, **options) as service:
        report = service.index([folder])
        assert (report.indexed, report.read, len(report.skipped)) == (3, 0, 3)
        reason = "The models failed on it: ValueError: It stumbles over 120 columns."
        assert {file.reason for file in report.skipped} == {reason}
        status = service.status()
        assert (status.failed, status.read, status.to_read, status.unreadable) == (0, 0, 0, 3)
        assert service.search_text("red").hits
        assert service.index([], read_missing=True).skipped == ()  # once more only when asked to
        assert service.catalog.retry(1) == 3
        assert service.status().to_read == 3
    with open_small_service(tmp_path / "library", models=ReadingModels()) as service:
        assert service.index([], retry_failed=True).read == 3
        assert texts(service) == EXPECTED


def test_a_file_that_was_away_is_read_when_it_is_back(plain: Path, folder: Path) -> None:
    (folder / "0.png").rename(folder.parent / "away.png")
    with open_small_service(plain, models=ReadingModels()) as service:
        report = service.index([], read_missing=True)
        assert (report.read, len(report.skipped)) == (2, 1)
        (folder.parent / "away.png").rename(folder / "0.png")
        assert service.index([folder]).read == 1
        assert texts(service) == EXPECTED


def test_a_picture_of_another_size_than_its_regions_is_not_read() -> None:
    other = Sizes()
    models = ReadingModels()
    pipeline = models.pipeline()
    region = Segment(1, 1, full(40, 50), 0.9, 0.9)
    claim = Claim(1, 1, 1, "me", "", (), task="read", regions=(region,))
    text = answered(pipeline, claim, other.of((40, 50)))
    assert isinstance(text, PictureText)
    assert text.lines == ()
    with pytest.raises(PictureError, match="It is 60 x 30 now, and was indexed as 50 x 40"):
        answered(pipeline, claim, other.of((30, 60)))


def test_pictures_that_wait_for_their_regions_come_before_reading(
    plain: Path, folder: Path
) -> None:
    models = OnceModels()
    with open_small_service(plain, models=models, lanes=1) as service:
        service.catalog.queue_reading(1, models.reader)

        def enter(*_: object) -> None:
            paint(folder / "new.png", [RED, Shape("blue", (70, 10, 90, 30))])
            stamp = FileStamp(1, 1)
            service.catalog.record_file(str(folder / "new.png"), stamp, sha(folder / "new.png"), 1)

        mode = one_pass("worker")
        first = service.index([], mode=mode, report=enter)
        assert 0 < first.read < 3
        assert service.status().pending == 1
        service.index([], mode=mode)
        assert (service.status().pending, service.status().to_read) == (0, 0)


def test_repair_reads_again_what_it_has_described_again(plain: Path) -> None:
    with open_small_service(plain, models=ReadingModels()) as service:
        service.index([], read_missing=True)
        with closing(sqlite3.connect(plain / "catalog.sqlite")) as db, db:
            db.execute(  # of a picture without the word: which is first, lanes decide
                "UPDATE segment SET counts = x'00' WHERE image_id = "
                "(SELECT image_id FROM source WHERE path LIKE '%0.png')"
            )
            db.execute("INSERT INTO text_words (text_words) VALUES ('delete-all')")
            db.execute("UPDATE text_line SET text = 'Other' WHERE text = 'Exit'")
        assert any("what their lines say" in one for one in service.maintenance.verify())
        service.maintenance.repair()
        service.index([])
        assert service.maintenance.verify() == []
        assert service.status().read == 3
        found = service.search_text("text:other").hits
        assert [hit.lines[0].line.text for hit in found] == ["Other"]


def test_a_switch_without_a_reader_leaves_the_text_to_the_next_that_has_one(plain: Path) -> None:
    class Second(SmallModels):
        @property
        def recipe(self) -> Recipe:
            return replace(super().recipe, preset="second", generator={"second": 1})

    class SecondReading(Second, ReadingModels):
        pass

    first = ReadingModels()
    with open_small_service(plain, models=first, others=[Second()]) as service:
        service.index([], read_missing=True)
        service.index([], rebuild=True, preset="second")
        assert (service.status().read, service.status().to_read) == (0, 3)
    with open_small_service(plain, models=SecondReading()) as service:
        assert service.index([]).read == 3
        assert texts(service) == EXPECTED


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

    pipeline = replace(ReadingModels().pipeline(), reader=Odd())
    text = pipeline.read(np.full((40, 50, 3), 255, np.uint8), [])
    assert [placed.region for placed in text.lines] == [None, None, None]
    assert text.regions == ()
