"""A picture that takes long holds up its own lane, and nobody else."""

from __future__ import annotations

import threading
from pathlib import Path

from segsearch.core.arrays import DescribedPicture
from segsearch.core.types import Claim, FileStamp
from segsearch.ingest.worker import Pace, Step, Worker, WorkQueue
from segsearch.storage.catalog.sql_catalog import Catalog
from tests.support.described import RECIPE, describe
from tests.support.ingest_processes import ask, until

PATIENCE_SECONDS = 60


def filled(folder: Path, count: int) -> Catalog:
    catalog = Catalog(folder / "catalog.sqlite")
    recipe_id = catalog.register_recipe(RECIPE)
    for number in range(count):
        catalog.record_file(f"/{number}.png", FileStamp(1, 1), f"sha-{number}", recipe_id)
    return catalog


def test_others_pass_a_slow_picture_and_its_claim_is_kept(tmp_path: Path) -> None:
    catalog = filled(tmp_path, 12)
    steps: list[Step] = []
    others_done = threading.Event()
    taken_over: list[Claim | None] = []

    def made(claim: Claim) -> DescribedPicture:
        if claim.paths == ("/0.png",):
            assert others_done.wait(PATIENCE_SECONDS)
            threading.Event().wait(1.0)  # far longer than a lease
            taken_over.append(catalog.claim(1, "another worker", 60))
        return describe(claim.image_id)

    def note(step: Step) -> None:
        steps.append(step)
        if len(steps) == 11:
            others_done.set()

    worker = Worker(catalog, WorkQueue(1), made, Pace(lanes=2, lease_seconds=0.3))
    worker.run(note, threading.Event())
    assert [step.path for step in steps][-1] == "/0.png"
    assert sorted(step.path for step in steps) == sorted(f"/{n}.png" for n in range(12))
    assert [step.reason for step in steps] == [None] * 12
    assert taken_over == [None]
    catalog.close()


def test_no_more_is_held_than_one_picture_beyond_the_lanes(tmp_path: Path) -> None:
    catalog = filled(tmp_path, 20)
    held: list[int] = []
    gate = threading.Event()
    running = "SELECT count(*) FROM ingest WHERE state = 'running'"

    def made(claim: Claim) -> DescribedPicture:
        assert gate.wait(PATIENCE_SECONDS)
        return describe(claim.image_id)

    def look() -> None:
        until(lambda: ask(tmp_path, running) == [(4,)])
        threading.Event().wait(0.5)
        held.extend(row[0] for row in ask(tmp_path, running))
        gate.set()

    thread = threading.Thread(target=look)
    thread.start()
    Worker(catalog, WorkQueue(1), made, Pace(lanes=3)).run(lambda _: None, threading.Event())
    thread.join()
    assert held == [4]
    catalog.close()


def test_a_worker_waits_for_files_that_are_still_entered(tmp_path: Path) -> None:
    catalog = filled(tmp_path, 1)
    steps: list[Step] = []
    looks: list[int] = []

    def more() -> bool:
        """Enters a second file at the third look, and nothing after that."""
        looks.append(len(steps))
        if len(looks) == 3:
            catalog.record_file("/late.png", FileStamp(1, 1), "sha-late", 1)
        return len(looks) < 3

    worker = Worker(catalog, WorkQueue(1), lambda claim: describe(claim.image_id), Pace(lanes=1))
    worker.run(steps.append, threading.Event(), more)
    assert [step.path for step in steps] == ["/0.png", "/late.png"]
    catalog.close()
