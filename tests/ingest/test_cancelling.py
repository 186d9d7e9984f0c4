"""A run says what it does, ends when it is cancelled wherever it is, and workers pause then."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from segsearch.core.arrays import Pixels
from segsearch.core.errors import BusyError, ConflictError, NotFoundError
from segsearch.core.types import FileStamp, Job, JobStage, JobState, Proposal
from segsearch.ingest import job_log
from segsearch.ingest.background import index_changes, index_in_turn, working
from segsearch.ingest.job_log import JobLog, RunStop
from segsearch.ingest.run import BY_HAND, one_pass
from segsearch.library import SegSearch
from segsearch.models.pipeline import Pipeline
from segsearch.storage.catalog.sql_catalog import Catalog
from tests.support.ingest_processes import content, done, paint_many, start, until
from tests.support.small_models import (
    ColourSegmenter,
    SmallModels,
    open_small_service,
    small_pipeline,
)

STAGES = [stage.value for stage in JobStage]


class HeldModels(SmallModels):
    """Small models that are loaded once a file is there, in whichever process."""

    def __init__(self, gate: Path) -> None:
        self.gate = gate

    def pipeline(self) -> Pipeline:
        return gated(self.gate)

    def builder(self) -> Callable[[], Pipeline]:
        return partial(gated, self.gate)


def gated(gate: Path) -> Pipeline:
    until(gate.exists)
    return small_pipeline()


class SlowlyModels(SmallModels):
    """Small models that take their time over each picture, in a process of their own."""

    def builder(self) -> Callable[[], Pipeline]:
        return slowly


class SlowlySegmenter(ColourSegmenter):
    def propose(self, pixels: Pixels) -> list[Proposal]:
        time.sleep(0.15)
        return super().propose(pixels)


def slowly() -> Pipeline:
    return replace(small_pipeline(), segmenter=SlowlySegmenter())


def newest(service: SegSearch) -> Job:
    return service.jobs(limit=1)[0]


@pytest.fixture
def stages(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every stage that is written into a job's row, in this process."""
    written: list[str] = []
    update = Catalog.update_job

    def note(self: Catalog, job_id: int, **values: Any) -> bool:
        stage = values.get("stage")
        if stage and written[-1:] != [stage]:
            written.append(str(stage.value))
        return update(self, job_id, **values)

    monkeypatch.setattr(Catalog, "update_job", note)
    return written


@pytest.mark.parametrize("isolated", [False, True])
def test_a_run_goes_through_its_stages(tmp_path: Path, stages: list[str], isolated: bool) -> None:
    pictures = paint_many(tmp_path / "pictures", 3)
    mode = one_pass("worker") if isolated else BY_HAND
    with open_small_service(tmp_path / "library", lanes=1) as service:
        service.index([pictures], mode=mode)
        assert stages == STAGES
        job = newest(service)
        assert (job.state, job.stage, job.device) == (JobState.DONE, None, "cpu")
        stages.clear()
        service.index([paint_many(tmp_path / "more" / "pictures", 5)], mode=mode)
        # Models that are in the memory of a process are not loaded again.
        assert stages == [one for one in STAGES if not (isolated and one == "loading_models")]
        stages.clear()
        service.index([pictures], mode=mode)
        assert stages == ([] if isolated else ["scanning", "saving"])


def test_whoever_uploads_the_first_picture_sees_that_models_are_loaded(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    (picture,) = paint_many(tmp_path / "pictures", 1).glob("*")
    with open_small_service(tmp_path / "library", models=HeldModels(gate), lanes=1) as service:
        with picture.open("rb") as file:
            service.uploads.add(file, "my picture.png")
        with working(service.ingest, 0.05):
            until(lambda: [job.stage for job in service.jobs()] == [JobStage.LOADING_MODELS])
            assert newest(service).total == 1
            gate.touch()
            until(lambda: newest(service).state is JobState.DONE)


def test_an_upload_is_called_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segsearch.ingest.job_log.UPDATE_SECONDS", 0.0)
    told: set[str | None] = set()
    (picture,) = paint_many(tmp_path / "pictures", 1).glob("*")
    with open_small_service(tmp_path / "library") as service:
        with picture.open("rb") as file:
            service.uploads.add(file, "C:\\holiday\\Ä picture.png")
        service.index((), report=lambda *_: told.add(newest(service).current))
        assert told == {"Ä picture.png"}


def test_a_cancelled_run_stops_and_the_next_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stops: list[RunStop] = []

    def noted(outer: threading.Event) -> RunStop:
        stops.append(RunStop(outer))
        return stops[-1]

    monkeypatch.setattr("segsearch.ingest.run.RunStop", noted)
    pictures = paint_many(tmp_path / "pictures", 12)
    with open_small_service(tmp_path / "calm") as calm:
        calm.index([pictures])
    with open_small_service(tmp_path / "library", lanes=1) as service:
        cancelled: list[Job] = []

        def cancel(done: int, *_: object) -> None:
            if done == 3:
                cancelled.extend(service.runs.cancel(1) for _ in range(2))
                until(stops[-1].is_set)

        report = service.index([pictures], report=cancel)
        assert [job.stopping for job in cancelled] == [True, True]
        assert report.cancelled
        job = newest(service)
        assert (job.state, job.stopping, job.error) == (JobState.STOPPED, False, None)
        assert 3 <= job.done < 12
        assert service.status().paused
        with pytest.raises(ConflictError):
            service.runs.cancel(1)
        with pytest.raises(NotFoundError):
            service.runs.cancel(9000)
        assert not service.ingest.run_waiting(threading.Event())
        index_in_turn(service.ingest, [pictures], threading.Event())
        assert newest(service).id == 1  # workers pause
        again = service.index([pictures])  # who runs it by hand means it
        assert (again.cancelled, again.indexed) == (False, 12 - job.done)
        assert service.maintenance.verify() == []
    assert content(tmp_path / "library") == content(tmp_path / "calm")


def test_a_job_that_notes_nothing_hears_of_it_too(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path / "catalog.sqlite")
    outer = threading.Event()
    stop = RunStop(outer)
    with JobLog(catalog, "index", [], stop) as log:
        assert catalog.cancel_job(1)
        until(stop.is_set)
        assert (stop.is_cancelled, outer.is_set()) == (True, False)
        log.stopped = True
    assert not catalog.cancel_job(1)
    assert [job.state for job in catalog.jobs()] == [JobState.STOPPED]
    catalog.close()


def test_a_cancel_that_comes_too_late_pauses_nobody(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path / "catalog.sqlite")
    for state, pauses in ((JobState.DONE, False), (JobState.STOPPED, True)):
        job_id = catalog.begin_job("index", "me", None, [])
        assert catalog.cancel_job(job_id)
        assert catalog.is_paused()
        catalog.finish_job(job_id, state, done=3)
        (job,) = catalog.jobs(job_id=job_id)
        assert (job.state, job.done, job.stopping) == (state, 3, False)
        assert catalog.is_paused() is pauses
    catalog.finish_job(catalog.begin_job("index", "me", None, []), JobState.DONE)
    assert catalog.is_paused()  # somebody stopped the one before
    catalog.close()


def test_a_run_with_nothing_to_note_says_that_it_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_log, "BEAT_SECONDS", 0.0)
    monkeypatch.setattr(job_log, "UPDATE_SECONDS", 0.05)
    catalog = Catalog(tmp_path / "catalog.sqlite")
    with JobLog(catalog, "index", [], RunStop(threading.Event())) as log:
        log.enter(JobStage.INDEXING)
        (before,) = catalog.jobs()
        until(lambda: catalog.jobs()[0].updated_at > before.updated_at)
        catalog.close_lost_jobs(lambda _: True)  # as after minutes in which it stood still

        def goes_on() -> bool:
            (job,) = catalog.jobs()
            return (job.state, job.stage, job.finished_at) == ("running", "indexing", None)

        until(goes_on)
    assert [job.state for job in catalog.jobs()] == [JobState.DONE]
    catalog.close()


def test_a_run_that_is_heard_of_meanwhile_is_not_closed_as_lost(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path / "catalog.sqlite")
    ended, alive, silent = (catalog.begin_job("index", "me", None, []) for _ in range(3))

    def looks_lost(job: Job) -> bool:
        if job.id == ended:
            catalog.finish_job(ended, JobState.DONE)
        if job.id == alive:
            time.sleep(0.01)
            catalog.update_job(alive, done=1)
        return True

    catalog.close_lost_jobs(looks_lost)
    states = {job.id: job.state for job in catalog.jobs()}
    assert states == {ended: JobState.DONE, alive: JobState.RUNNING, silent: JobState.LOST}
    catalog.close()


def test_a_run_begins_and_ends_though_its_report_cannot_be_noted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog = Catalog(tmp_path / "catalog.sqlite")

    def refuse(*_: object, **__: object) -> bool:
        raise BusyError("Another process has been writing for over 30 seconds; try again.")

    before = threading.active_count()
    with monkeypatch.context() as patch:
        patch.setattr(catalog, "update_job", refuse)
        with JobLog(catalog, "index", [], RunStop(threading.Event())):
            assert threading.active_count() == before + 1
    assert threading.active_count() == before
    assert [job.state for job in catalog.jobs()] == [JobState.DONE]
    catalog.close()


@pytest.mark.process
def test_a_run_in_another_process_is_cancelled(tmp_path: Path) -> None:
    pictures, library = paint_many(tmp_path / "pictures", 60), tmp_path / "library"
    with start("leave", library, pictures) as process:
        until(lambda: done(library) > 2)
        with open_small_service(library) as service:
            service.runs.cancel(newest(service).id)
            process.communicate(timeout=180)
            assert process.returncode == 0
            job = newest(service)
            assert (job.state, job.kind) == (JobState.STOPPED, "worker")
            assert 2 < job.done == done(library) < 60
            assert service.status().paused


@pytest.mark.process
def test_a_server_s_worker_pauses_until_it_is_to_go_on(tmp_path: Path) -> None:
    pictures = sorted(paint_many(tmp_path / "pictures", 30).glob("*"))
    passes: list[int] = []
    with open_small_service(tmp_path / "library", models=SlowlyModels(), lanes=1) as service:
        waiting = service.ingest.run_waiting

        def counted(stop: threading.Event) -> bool:
            passes.append(1)
            return waiting(stop)

        service.ingest.run_waiting = counted  # type: ignore[method-assign]  # to see it come by

        def upload(number: int) -> None:
            with pictures[number].open("rb") as file:
                service.uploads.add(file, pictures[number].name)

        def interrupted() -> int:
            """Cancel what the worker does, and see that it leaves the rest; how many that is."""
            until(lambda: bool(service.jobs(running=True)))
            job_id = service.jobs(running=True)[0].id
            service.runs.cancel(job_id)
            until(lambda: service.job(job_id).state is not JobState.RUNNING)
            before, left = len(passes), service.status().pending
            until(lambda: len(passes) > before + 5)
            assert (newest(service).id, service.status().pending) == (job_id, left)
            assert service.status().paused
            return left

        for number in range(28):
            upload(number)
        with working(service.ingest, 0.02):
            left = interrupted()
            assert left
            service.runs.resume()
            until(lambda: service.status().pending < left)
            assert interrupted()
        assert service.status().paused
        with working(service.ingest, 0.02):  # a server that is started anew
            until(lambda: not service.status().pending)
            assert not service.status().paused
        service.runs.cancel(service.catalog.begin_job("index", "elsewhere:1:1", None, []))
        assert service.status().paused
        upload(28)  # whoever sends pictures wants them indexed
        assert not service.status().paused


@pytest.mark.process
def test_a_watch_keeps_what_changed_while_it_pauses(tmp_path: Path) -> None:
    pictures = paint_many(tmp_path / "pictures", 3)
    counts: list[int] = []
    with open_small_service(tmp_path / "library", lanes=1) as service:

        class ChangesByHand:
            """Reports a folder while workers pause, then nothing any more."""

            folders = (pictures,)

            def is_moving(self, _name: str, _stamp: FileStamp) -> bool:
                return False

            def changes(self, _stop: threading.Event) -> Iterator[list[Path]]:
                service.runs.cancel(service.catalog.begin_job("index", "elsewhere:1:1", None, []))
                yield [pictures]
                counts.append(service.status().images)
                service.runs.resume()
                yield []
                counts.append(service.status().images)

        watch: Any = ChangesByHand()
        index_changes(service.ingest, watch, threading.Event())
    assert counts == [0, 3]
