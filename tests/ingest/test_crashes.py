"""A picture that ends the models' process costs two tries of itself, and nothing else."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from segsearch.core.arrays import DescribedPicture
from segsearch.core.errors import ModelCrashError, ModelError
from segsearch.core.settings import Settings
from segsearch.core.types import Claim, FileStamp, JobState, State
from segsearch.ingest.model_process import Lifetime, ModelProcess, crash_kind
from segsearch.ingest.run import one_pass
from segsearch.ingest.worker import TRIES, Pace, Step, Worker, WorkQueue
from segsearch.models.pipeline import Pipeline
from segsearch.storage.catalog.sql_catalog import Catalog
from tests.support.described import RECIPE
from tests.support.ingest_driver import HazardousModels, hazardous_pipeline
from tests.support.ingest_processes import ask, done, finish, paint_many, start
from tests.support.small_models import Shape, open_small_service, paint, small_pipeline

pytestmark = pytest.mark.process

WHOLE = (0, 0, 120, 90)


def claim_of(path: Path) -> Claim:
    from segsearch.core.atomic import sha256_of

    return Claim(1, 1, 1, "me", sha256_of(path), (str(path),))


def missing_models() -> Pipeline:
    raise ModelError("The weights are missing.")


def slow_models() -> Pipeline:
    time.sleep(0.01)
    return small_pipeline()


def test_a_picture_that_crashes_twice_is_set_aside_with_the_kind_of_crash(tmp_path: Path) -> None:
    pictures = paint_many(tmp_path / "pictures", 4)
    for colour in ("purple", "cyan", "black"):
        paint(pictures / f"{colour}.png", [Shape(colour, WHOLE)])
    models = HazardousModels()
    with open_small_service(tmp_path / "l", models=models, retry_seconds=0.01, lanes=1) as service:
        report = service.index([pictures], mode=one_pass("worker"))
        reasons = {Path(file.path).name: file.reason for file in report.skipped}
        assert "signal 11 (SIGSEGV)" in reasons.pop("purple.png")
        assert "exit code 3" in reasons.pop("cyan.png")
        assert "out of memory" in reasons.pop("black.png")
        assert reasons == {}
        found = service.status()
        assert (found.images, found.pending, found.quarantined) == (7, 0, 3)
        assert service.index([pictures], mode=one_pass("worker")).indexed == 0
        assert service.index([pictures], mode=one_pass("worker"), retry_failed=True).indexed == 0
        assert service.status().quarantined == 3
        assert service.maintenance.verify() == []


def test_a_picture_that_ends_the_whole_program_is_tried_apart_and_set_aside(
    tmp_path: Path,
) -> None:
    pictures = paint_many(tmp_path / "pictures", 3)
    paint(pictures / "000-purple.png", [Shape("purple", WHOLE)])
    library = tmp_path / "library"
    with start("index", library, pictures) as first:
        first.communicate(timeout=120)
    assert first.returncode == -signal.SIGSEGV
    assert finish(start("index", library, pictures))["skipped"] == 1
    with open_small_service(library) as service:
        (bad,) = [image for image in service.catalog.images() if image.state is State.QUARANTINED]
        assert Path(bad.paths[0]).name == "000-purple.png"
        assert service.status().pending == 0
        assert [job.state for job in service.jobs()] == [JobState.DONE, JobState.LOST]


def test_a_model_process_is_renewed_and_a_kill_costs_one_try(tmp_path: Path) -> None:
    (path,) = paint_many(tmp_path, 1).glob("*.png")
    process = ModelProcess(slow_models, Settings(), Lifetime(pictures=2))
    try:
        first = process.describe(claim_of(path))
        before = process.pid
        process.describe(claim_of(path))
        assert process.pid is None  # after two pictures
        again = process.describe(claim_of(path))
        assert process.pid not in {None, before}
        assert [segment.proposal for segment in again.segments] == [
            segment.proposal for segment in first.segments
        ]
        os.kill(process.pid or 0, signal.SIGKILL)
        with pytest.raises(ModelCrashError) as killed:
            process.describe(claim_of(path))
        assert killed.value.from_outside
        assert len(process.describe(claim_of(path)).segments) == len(first.segments)
    finally:
        process.close()


def test_growth_renews_a_model_process(tmp_path: Path) -> None:
    (path,) = paint_many(tmp_path, 1).glob("*.png")
    process = ModelProcess(small_pipeline, Settings(), Lifetime(growth_bytes=-1))
    process.describe(claim_of(path))
    assert process.pid is None


def test_a_picture_that_takes_too_long_is_given_up(tmp_path: Path) -> None:
    (path,) = paint_many(tmp_path, 1).glob("*.png")
    process = ModelProcess(hazardous_pipeline, Settings(), Lifetime(picture_seconds=0.001))
    with pytest.raises(ModelCrashError, match=r"longer than 0\.001 seconds") as slow:
        process.describe(claim_of(path))
    assert not slow.value.from_outside
    process.close()


def test_models_that_cannot_be_loaded_are_said(tmp_path: Path) -> None:
    (path,) = paint_many(tmp_path, 1).glob("*.png")
    process = ModelProcess(missing_models, Settings(), Lifetime())
    with pytest.raises(ModelError, match="The weights are missing"):
        process.describe(claim_of(path))


def test_a_worker_told_to_end_drains_within_its_time(tmp_path: Path) -> None:
    pictures = paint_many(tmp_path / "pictures", 60)
    library = tmp_path / "library"
    with start("worker", library, pictures) as process:
        deadline = time.monotonic() + 60
        while done(library) < 3 and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        finish(process)
    assert 3 <= done(library) < 60
    held = "SELECT count(*) FROM ingest WHERE owner IS NOT NULL OR state = 'running'"
    assert ask(library, held) == [(0,)]


@pytest.mark.parametrize(
    ("code", "words"),
    [(-11, "signal 11 (SIGSEGV)"), (3, "exit code 3"), (-200, "signal 200 (unknown)")],
)
def test_a_crash_is_said_in_words(code: int, words: str) -> None:
    assert crash_kind(code) == words


def test_workers_that_died_over_a_picture_take_none_of_its_tries(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path / "catalog.sqlite")
    recipe_id = catalog.register_recipe(RECIPE)
    catalog.record_file("/a.png", FileStamp(10, 20), "sha", recipe_id)
    for _ in range(TRIES):
        assert catalog.claim(recipe_id, "a worker that dies", 60)
        assert catalog.release(recipe_id, lambda _: True, interrupted=True) == 1
    asked: list[Claim] = []
    steps: list[Step] = []

    def raising(claim: Claim) -> DescribedPicture:
        asked.append(claim)
        raise ArithmeticError("It divided by nothing.")

    worker = Worker(catalog, WorkQueue(recipe_id), raising, Pace(1, retry_seconds=0.01))
    worker.run(steps.append, threading.Event())
    assert [claim.interruptions for claim in asked] == [TRIES] * TRIES
    assert [claim.errors for claim in asked] == [0, 1, 2]
    assert [step.again for step in steps] == [True, True, False]
    assert steps[-1].reason == "The models failed on it: It divided by nothing."
    catalog.close()
