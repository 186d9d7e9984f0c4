"""Models stay loaded from run to run; what an accelerator does to one picture is done to no other.

The device is a stand-in: the models run on the CPU, in the processes and threads that would be used
for an accelerator.
"""

from __future__ import annotations

import os
import subprocess
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from segsearch.core.errors import ModelError
from segsearch.core.types import IngestReport, Recipe
from segsearch.ingest.run import BY_HAND, one_pass
from segsearch.library import SegSearch
from tests.support.faulty_models import DeadModels, LoggedModels
from tests.support.ingest_processes import ask, children, done, paint_many, start, until
from tests.support.small_models import Shape, SmallModels, open_small_service, paint

pytestmark = pytest.mark.process

WHOLE = (0, 0, 120, 90)
SETBACKS = "SELECT max(interruptions), max(crashes), max(errors) FROM ingest WHERE state = 'done'"


def a_pass(service: SegSearch, pictures: Path) -> IngestReport:
    return service.index([pictures], mode=one_pass("worker"))


def is_alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False


class PurposeModels(LoggedModels):
    """The same models under another preset."""

    @property
    def recipe(self) -> Recipe:
        return replace(super().recipe, preset="other", crop={"margin": 0.5})


def test_models_are_loaded_once_for_many_passes(tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    models = LoggedModels(tmp_path / "loads")
    with open_small_service(tmp_path / "l", models=models, lanes=1, device="cpu") as service:
        for number in range(1, 4):
            assert a_pass(service, paint_many(pictures, number)).indexed == 1
        assert len(models.loads) == 1
        assert service.ingest.model_pids == models.loads
        assert models.loads != [os.getpid()]
    assert not any(map(is_alive, models.loads))


def test_another_recipe_has_processes_of_its_own(tmp_path: Path) -> None:
    pictures = paint_many(tmp_path / "pictures", 2)
    models, others = LoggedModels(tmp_path / "loads"), PurposeModels(tmp_path / "others")
    settings: dict[str, Any] = {"lanes": 1, "device": "cpu"}
    with open_small_service(tmp_path / "l", models=models, others=[others], **settings) as service:
        a_pass(service, pictures)
        (before,) = service.ingest.model_pids
        service.index([pictures], preset="other", mode=one_pass("worker"))
        assert service.ingest.model_pids == others.loads
        assert not is_alive(before)
        assert len(models.loads) == len(others.loads) == 1


def test_models_that_nobody_needs_are_let_go(tmp_path: Path) -> None:
    pictures = paint_many(tmp_path / "pictures", 1)
    models = LoggedModels(tmp_path / "loads")
    settings: dict[str, Any] = {"idle_model_seconds": 0.2, "lanes": 1, "device": "cpu"}
    with open_small_service(tmp_path / "l", models=models, **settings) as service:
        a_pass(service, pictures)
        until(lambda: not service.ingest.model_pids)
        assert not any(map(is_alive, models.loads))
        assert a_pass(service, paint_many(pictures, 2)).indexed == 1
        assert len(models.loads) == 2


def test_idle_model_processes_end_with_their_parent(tmp_path: Path) -> None:
    pictures, library = paint_many(tmp_path / "pictures", 2), tmp_path / "library"
    with start("stay", library, pictures) as process:
        until(lambda: done(library) == 2)
        models = children(process.pid)
        assert models
        process.kill()
        process.communicate()
    until(lambda: not any(map(is_alive, models)))


def test_a_program_that_closes_nothing_ends_all_the_same(tmp_path: Path) -> None:
    pictures = paint_many(tmp_path / "pictures", 2)
    with start("leave", tmp_path / "library", pictures) as process:
        try:
            _, err = process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    assert (process.returncode, err) == (0, "")


@pytest.mark.parametrize("device", ["cpu", "stand-in"])
def test_a_failing_accelerator_costs_one_picture_only(device: str, tmp_path: Path) -> None:
    pictures = paint_many(tmp_path / "pictures", 6)
    paint(pictures / "001-purple.png", [Shape("purple", WHOLE)])
    models = LoggedModels(tmp_path / "loads", device=device)
    settings: dict[str, Any] = {"lanes": 2, "retry_seconds": 0.01}
    with open_small_service(tmp_path / "l", models=models, **settings) as service:
        report = a_pass(service, pictures)
        assert report.indexed == 6
        ((path, reason),) = [(Path(file.path).name, file.reason) for file in report.skipped]
        assert path == "001-purple.png"
        assert "crashed the models 2 times" in reason
        assert "illegal memory access" in reason
        assert ask(tmp_path / "l", SETBACKS) == [(0, 0, 0)]
        assert service.status().quarantined == 1
        assert service.maintenance.verify() == []


@pytest.mark.parametrize("device", ["cpu", "stand-in"])
def test_what_a_fresh_process_can_do_is_held_against_no_picture(
    device: str, tmp_path: Path
) -> None:
    pictures = paint_many(tmp_path / "pictures", 4)
    paint(pictures / "002-cyan.png", [Shape("cyan", WHOLE)])
    models = LoggedModels(tmp_path / "loads", device=device)
    with open_small_service(tmp_path / "l", models=models, lanes=2) as service:
        report = a_pass(service, pictures)
        assert (report.indexed, report.skipped) == (5, ())
        assert ask(tmp_path / "l", SETBACKS) == [(0, 0, 0)]


def test_lanes_share_one_copy_of_the_models_on_an_accelerator(tmp_path: Path) -> None:
    pictures = paint_many(tmp_path / "pictures", 6)
    models = LoggedModels(tmp_path / "loads", device="stand-in", together=3)
    with open_small_service(tmp_path / "l", models=models, lanes=3) as service:
        assert a_pass(service, pictures).indexed == 6  # three at a time: they wait for each other
        assert len(models.loads) == 1


def test_lanes_have_models_of_their_own_on_a_cpu(tmp_path: Path) -> None:
    pictures = paint_many(tmp_path / "pictures", 12)
    models = LoggedModels(tmp_path / "loads")
    with open_small_service(tmp_path / "l", models=models, lanes=2) as service:
        assert a_pass(service, pictures).indexed == 12
        assert len(models.loads) == len(set(service.ingest.model_pids)) == 2


def test_a_shared_process_is_renewed_after_so_many_pictures(tmp_path: Path) -> None:
    pictures = paint_many(tmp_path / "pictures", 9)
    models = LoggedModels(tmp_path / "loads", device="stand-in")
    settings: dict[str, Any] = {"lanes": 2, "recycle_pictures": 3}
    with open_small_service(tmp_path / "l", models=models, **settings) as service:
        assert a_pass(service, pictures).indexed == 9
        assert 2 <= len(models.loads) <= 4
        assert ask(tmp_path / "l", SETBACKS) == [(0, 0, 0)]


def test_an_accelerator_that_fails_in_this_process_is_left_to_others(tmp_path: Path) -> None:
    pictures = paint_many(tmp_path / "pictures", 5)
    paint(pictures / "000-purple.png", [Shape("purple", WHOLE)])
    models = LoggedModels(tmp_path / "loads")
    settings: dict[str, Any] = {"lanes": 1, "retry_seconds": 0.01}
    with open_small_service(tmp_path / "l", models=models, **settings) as service:
        report = service.index([pictures])
        assert (report.indexed, len(report.skipped)) == (5, 1)
        assert ask(tmp_path / "l", SETBACKS) == [(0, 0, 0)]
        assert models.loads[0] == os.getpid()


@pytest.mark.parametrize(("device", "isolated"), [("stand-in", True), ("cpu", False)])
def test_an_accelerator_that_always_fails_is_held_against_no_picture(
    device: str, isolated: bool, tmp_path: Path
) -> None:
    pictures, library = paint_many(tmp_path / "pictures", 4), tmp_path / "l"
    settings: dict[str, Any] = {"lanes": 1, "retry_seconds": 9}
    mode = one_pass("worker") if isolated else BY_HAND
    with open_small_service(library, models=DeadModels(device), **settings) as service:
        for _ in range(2):
            with pytest.raises(ModelError, match=r"over every picture.*illegal.*SEGSEARCH_DEVICE"):
                service.index([pictures], mode=mode)
            status = service.status()
            assert (status.pending, status.failed, status.quarantined) == (4, 0, 0)
        held = "SELECT sum(crashes > 1), sum(owner IS NOT NULL) FROM ingest"
        assert ask(library, held) == [(0, 0)]
    with open_small_service(library, **settings) as service:
        assert service.index([pictures]).indexed == 4
        assert service.maintenance.verify() == []


def test_pictures_that_fail_one_after_the_other_are_to_blame_where_the_accelerator_works(
    tmp_path: Path,
) -> None:
    pictures = paint_many(tmp_path / "pictures", 3)
    for number in range(4):
        paint(pictures / f"000-{number}.png", [Shape("purple", (number, 0, 120, 90))])
    models = LoggedModels(tmp_path / "loads", device="stand-in")
    settings: dict[str, Any] = {"lanes": 2, "retry_seconds": 0.01}
    with open_small_service(tmp_path / "l", models=models, **settings) as service:
        report = a_pass(service, pictures)
        assert (report.indexed, len(report.skipped)) == (3, 4)
        assert service.status().quarantined == 4


def test_a_run_that_is_ended_begins_nothing_more(tmp_path: Path) -> None:
    """Draining has no time left: what is with the models is given back at once."""
    pictures = paint_many(tmp_path / "pictures", 3)
    models = LoggedModels(tmp_path / "loads", device="stand-in", together=3)
    stop = threading.Event()
    settings: dict[str, Any] = {
        "lanes": 2,
        "drain_seconds": 0.0,
    }  # two wait for a third that never comes
    with open_small_service(tmp_path / "l", models=models, **settings) as service:
        threading.Timer(2.0, stop.set).start()
        report = service.index([pictures], stop=stop, mode=one_pass("worker"))
        assert (report.indexed, report.skipped) == (0, ())
        assert service.status().pending == 3
        running = "SELECT count(*) FROM ingest WHERE state = 'running'"
        assert ask(tmp_path / "l", running) == [(0,)]


def test_small_models_have_no_device_of_their_own() -> None:
    assert SmallModels().pipeline().device == "cpu"
