"""What a run passed over is told by pages, of a killed one, too; failures are tried again."""

from __future__ import annotations

import io
import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from segsearch.core.errors import NotFoundError
from segsearch.core.types import FileStamp, JobState, State
from segsearch.ingest.jobs import MOST_LINE_BYTES, _rows
from segsearch.library import SegSearch
from segsearch.storage.catalog.sql_catalog import Catalog
from tests.support.described import RECIPE
from tests.support.ingest_processes import done, paint_many, start, until
from tests.support.small_models import open_small_service


@pytest.fixture
def bad(tmp_path: Path) -> Iterator[SegSearch]:
    """A library of a picture and three files that are none."""
    folder = paint_many(tmp_path / "pictures", 1)
    for name in ("a.png", "b.png", "c.txt.png"):
        (folder / name).write_text(f"no picture {name}")
    with open_small_service(tmp_path / "library") as service:
        service.index([folder])
        yield service


def report_of(service: SegSearch, job_id: int = 1) -> Path:
    return service.settings.library / f"reports/job-{job_id:06d}.jsonl"


def names(service: SegSearch, limit: int = 100) -> list[str]:
    """Names of all that a job passed over, a page at a time."""
    found: list[str] = []
    after: int | None = 0
    while after is not None:
        page = service.runs.skipped(1, after=after, limit=limit)
        assert len(page.rows) <= limit
        found += [row.name for row in page.rows]
        after = page.next_after
    return found


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_each_file_is_told_once_whatever_the_page(bad: SegSearch, limit: int) -> None:
    assert sorted(names(bad, limit)) == ["a.png", "b.png", "c.txt.png"]
    page = bad.runs.skipped(1)
    assert (page.report, page.next_after) == ("whole", None)
    for row in page.rows:
        assert row.image_id is not None
        image = bad.catalog.image(row.image_id)
        assert (image.state, image.paths) == (State.FAILED, (row.path,))
        assert row.reason == image.reason
    assert bad.runs.skipped(1, after=2**62).rows == []
    with pytest.raises(NotFoundError):
        bad.runs.skipped(9000)


def test_a_report_that_is_damaged_or_gone_is_read_as_far_as_it_goes(bad: SegSearch) -> None:
    lines = report_of(bad).read_text().splitlines(keepends=True)
    odd = ["\n", "[]\n", "7\n", "null\n", '{"path": 1, "reason": "a"}\n', "\x00\xff\n", "[" * 9_000]
    long = json.dumps({"path": "x" * (3 * MOST_LINE_BYTES), "reason": "a"}) + "\n"
    hostile = json.dumps({"path": "/a/\udcff.png", "reason": "\ud800"}) + "\n"
    report_of(bad).write_text("".join([*odd, "\n", long, *lines[:-1], hostile, lines[1][:-9]]))
    assert sorted(names(bad, 1)) == ["\\udcff.png", "a.png", "b.png", "c.txt.png"]
    report_of(bad).write_text("")
    assert bad.runs.skipped(1).rows == []
    report_of(bad).unlink()
    page = bad.runs.skipped(1)
    assert (page.rows, page.next_after, page.report) == ([], None, "gone")


class CountingFile(io.BytesIO):
    """Knows how many bytes were read."""

    count = 0

    def readline(self, size: int | None = -1, /) -> bytes:
        line = super().readline(-1 if size is None else size)
        self.count += len(line)
        return line


def test_of_a_huge_report_a_page_is_read() -> None:
    rows = [{"path": f"/pictures/{number}.jpg", "reason": "None."} for number in range(50_000)]
    file = CountingFile("".join(json.dumps(row) + "\n" for row in rows).encode())
    place = len(file.getvalue()) // 2
    found, after = _rows(file, place, 10)
    assert len(found) == 10
    assert file.count < 1_000
    following, _ = _rows(file, after or 0, 10)
    numbers = [int(path.split("/")[2].split(".")[0]) for path, _ in (*found, *following)]
    assert numbers == list(range(numbers[0], numbers[0] + 20))


@pytest.mark.process
def test_a_killed_run_tells_what_it_has_passed_over_until_then(tmp_path: Path) -> None:
    pictures, library = paint_many(tmp_path / "pictures", 60), tmp_path / "library"
    (pictures / "000-bad.png").write_text("no picture")
    with start("index", library, pictures) as process:
        until(lambda: done(library) > 3)
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=60)
    with open_small_service(library) as service:
        assert service.job(1).state is JobState.LOST
        (row,) = service.runs.skipped(1).rows
        assert (row.name, service.runs.skipped(1).report) == ("000-bad.png", "unfinished")
        assert row.image_id is not None
        assert "run_lost" in [problem.code for problem in service.status().problems]
        with report_of(service).open("a") as file:
            file.write('{"path": "/half')
        assert service.runs.skipped(1, limit=1).next_after is None


def test_failed_and_quarantined_pictures_wait_again(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path / "catalog.sqlite")
    catalog.register_recipe(RECIPE)
    for number in range(5):
        catalog.record_file(f"/{number}.jpg", FileStamp(1, 1), f"{number:064}", 1)
    claims = [catalog.claim(1, "me", 60) for _ in range(4)]
    for claim in claims:
        assert claim is not None
        (catalog.quarantine if claim.image_id == 3 else catalog.fail)(claim, "It fell.")
    assert catalog.retry(1, [1, 5, 9000]) == 1  # one waits already, one is not there
    assert catalog.image(1).state is State.PENDING
    assert catalog.image(1).reason is None
    assert catalog.retry(7) == 0
    assert catalog.retry(1) == 3
    assert catalog.retry(1) == 0
    assert catalog.counts()["pending"] == 5
    again = catalog.claim(1, "me", 60)
    assert again is not None
    assert (again.crashes, again.errors, again.interruptions) == (0, 0, 0)
    catalog.close()


def test_what_is_tried_again_is_taken_up(bad: SegSearch) -> None:
    bad.runs.cancel(bad.catalog.begin_job("worker", "elsewhere:1:1", None, []))
    assert bad.status().paused
    assert bad.runs.retry([9000]) == 0
    assert bad.status().paused  # nothing is to be done
    assert bad.runs.retry() == 3
    status = bad.status()
    assert (status.paused, status.pending, status.failed) == (False, 3, 0)
    bad.index(())
    assert bad.status().failed == 3
    with open_small_service(bad.settings.library.parent / "empty") as empty:
        assert empty.runs.retry() == 0
