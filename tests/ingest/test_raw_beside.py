"""A camera RAW beside a picture of its name is one image, in whatever order and way they come."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from segsearch.core.types import IngestReport
from segsearch.ingest.run import IndexOptions, RunMode
from segsearch.library import SegSearch
from segsearch.media.sources.base import COMPANION
from tests.support import zoo
from tests.support.small_models import open_small_service


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "pictures").mkdir()
    return tmp_path / "pictures"


@pytest.fixture
def service(tmp_path: Path) -> Iterator[SegSearch]:
    with open_small_service(tmp_path / "library") as made:
        yield made


def raw(folder: Path, name: str = "one.dng") -> Path:
    path = folder / name
    path.write_bytes(zoo.dng())
    return path


def jpeg(folder: Path, name: str = "one.jpg") -> Path:
    path = folder / name
    path.write_bytes(zoo.saved(zoo.painted(), "JPEG", quality=95))
    return path


def broken(folder: Path, name: str = "one.jpg") -> Path:
    path = folder / name
    path.write_bytes(b"\xff\xd8\xff no picture")
    return path


def names(service: SegSearch) -> list[str]:
    """The files of the images that can be found."""
    images = service.catalog.images()
    return sorted(Path(path).name for i in images if i.state == "done" for path in i.paths)


def watched(service: SegSearch, root: Path, *paths: Path) -> IngestReport:
    """What `watch` does with paths that changed, in this process."""
    mode = RunMode("watch", quiet=True, within=[root])
    return service.ingest.run(paths, IndexOptions(mode=mode))


@pytest.mark.parametrize("watches", [False, True], ids=["index", "watch"])
def test_a_raw_that_came_first_gives_way_to_its_picture(
    watches: bool, folder: Path, service: SegSearch
) -> None:
    service_paths = [raw(folder)]
    service.index([folder])
    service.tag(paths=service_paths, add=["holiday"])
    assert names(service) == ["one.dng"]
    picture = jpeg(folder)
    report = watched(service, folder, picture) if watches else service.index([folder])
    assert (report.indexed, report.files) == (1, 1)
    assert names(service) == ["one.jpg"]
    (image,) = service.catalog.images()
    assert image.tags == ("holiday",)
    assert {hit.image.id for hit in service.search_text("red", limit=5).hits} == {image.id}
    assert service.maintenance.verify() == []
    again = service.index([folder])
    assert (again.indexed, again.unchanged) == (0, 1)
    assert [file.reason for file in again.skipped] == [COMPANION]


@pytest.mark.parametrize("watches", [False, True], ids=["index", "watch"])
def test_a_raw_beside_an_unreadable_picture_is_indexed(
    watches: bool, folder: Path, service: SegSearch
) -> None:
    raw(folder)
    picture = broken(folder)
    report = watched(service, folder, picture) if watches else service.index([folder])
    assert (report.files, report.indexed) == (2, 1)
    assert names(service) == ["one.dng"]
    (skipped,) = report.skipped
    assert (skipped.path, "not a picture" in skipped.reason) == (str(picture), True)
    again = service.index([folder])
    assert (again.indexed, again.unchanged, len(again.skipped)) == (0, 1, 1)
    jpeg(folder)
    service.index([folder])
    assert names(service) == ["one.jpg"]
    broken(folder)
    service.index([folder])
    assert names(service) == ["one.dng"]


def test_a_picture_that_cannot_be_read_at_all_is_stood_in_for(folder: Path, tmp_path: Path) -> None:
    raw(folder)
    large = jpeg(folder)
    most = (folder / "one.dng").stat().st_size
    large.write_bytes(large.read_bytes() + bytes(most))
    with open_small_service(tmp_path / "library", max_bytes=most) as service:
        report = service.index([folder])
        assert names(service) == ["one.dng"]
        assert [file.path for file in report.skipped] == [str(large)]


def test_one_good_picture_is_enough(folder: Path, service: SegSearch) -> None:
    raw(folder)
    broken(folder, "one.jpg")
    jpeg(folder, "one.jpeg")
    report = service.index([folder])
    assert names(service) == ["one.jpeg"]
    assert len(report.skipped) == 2


def test_a_raw_and_its_picture_that_are_both_broken_are_both_listed(
    folder: Path, service: SegSearch
) -> None:
    files = [broken(folder), broken(folder, "one.dng")]
    files[1].write_bytes(zoo.dng()[:3000])
    for indexed in (0, 0):
        report = service.index([folder])
        assert report.indexed == indexed
        assert {file.path for file in report.skipped} == set(map(str, files))
        assert COMPANION not in {file.reason for file in report.skipped}


@pytest.mark.parametrize("watches", [False, True], ids=["index", "watch"])
def test_a_picture_that_globs_leave_out_stands_for_no_raw(
    watches: bool, folder: Path, tmp_path: Path
) -> None:
    sensor, _ = raw(folder), jpeg(folder)
    with open_small_service(tmp_path / "library", exclude=["*.jpg"]) as service:
        report = watched(service, folder, sensor) if watches else service.index([folder])
        assert (report.indexed, report.skipped) == (1, ())
        assert names(service) == ["one.dng"]


def test_a_raw_that_stands_in_and_is_taken_again_is_not_left_out_any_more(
    folder: Path, tmp_path: Path
) -> None:
    raw(folder)
    broken(folder)
    for exclude, marked in ([], 0), (["*.dng"], 1), ([], 0):
        with open_small_service(tmp_path / "library", exclude=exclude) as service:
            service.index([folder])
            assert service.status().excluded == marked
            assert names(service) == ["one.dng"]


def test_a_raw_that_changes_waits_for_a_picture_that_still_grows(
    folder: Path, service: SegSearch
) -> None:
    sensor, picture = raw(folder), jpeg(folder)
    report = watched(service, folder, sensor)
    assert [file.reason for file in report.skipped] == [COMPANION]
    assert names(service) == []
    watched(service, folder, picture)
    assert names(service) == ["one.jpg"]


def test_a_new_generation_has_one_image_too(folder: Path, service: SegSearch) -> None:
    raw(folder)
    broken(folder)
    raw(folder, "two.dng")
    service.index([folder])
    jpeg(folder)
    broken(folder, "two.jpg")
    service.index([folder], rebuild=True)
    assert names(service) == ["one.jpg", "two.dng"]
    assert service.maintenance.verify() == []
