"""Other models take a library over while workers come, go and die."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from segsearch.core.query import Query, TextTerm
from segsearch.core.types import Claim
from segsearch.ingest.background import index_changes
from segsearch.ingest.run import one_pass
from segsearch.ingest.watch import Watch, WatchTimes
from segsearch.library import SegSearch
from segsearch.storage.owners import owner_of_this_process
from tests.support.ingest_processes import ask, content, paint_many, until
from tests.support.small_models import Shape, SmallModels, open_small_service, paint


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    return paint_many(tmp_path / "pictures", 6)


class OtherPresetModels(SmallModels):
    """The same models under another preset, with crops of their own."""

    @property
    def recipe(self):  # type: ignore[no-untyped-def]  # the parent says the type
        from dataclasses import replace

        return replace(super().recipe, preset="other", crop={"margin": 0.5})


def open_both(library: Path, preset: str | None = None) -> SegSearch:
    return open_small_service(library, others=[OtherPresetModels()], preset=preset)


def test_another_preset_is_built_beside_the_one_in_use_and_takes_over_when_complete(
    service: SegSearch, pictures: Path, tmp_path: Path
) -> None:
    library = tmp_path / "library"
    old = [hit.segment.id for hit in service.search_text("red", limit=5).hits]
    stop = threading.Event()
    with open_both(library, "other") as changed:
        changed.index([pictures], stop=stop, report=lambda *_: stop.set())
        assert service.status().preset == "small"
        assert [hit.segment.id for hit in service.search_text("red", limit=5).hits] == old
        partly = ask(library, "SELECT count(*) FROM ingest WHERE recipe_id = 2 AND state = 'done'")
        assert 1 <= partly[0][0] < 6
        assert changed.index([pictures]).indexed == 6 - partly[0][0]  # resumed
        assert changed.status().preset == "other"
        assert ask(library, "SELECT count(DISTINCT recipe_id) FROM segment") == [(1,)]
        assert changed.maintenance.verify() == []


@pytest.mark.parametrize("keep_old", [False, True])
@pytest.mark.usefixtures("service")
def test_a_worker_goes_on_with_the_models_that_are_to_take_over(
    pictures: Path, tmp_path: Path, keep_old: bool
) -> None:
    library = tmp_path / "library"
    stop = threading.Event()
    with open_both(library, "other") as changed:
        changed.index([pictures], stop=stop, report=lambda *_: stop.set(), keep_old=keep_old)
    with open_both(library) as worker:
        assert worker.status().preset == "small"
        assert worker.ingest.run_waiting(threading.Event())
        assert worker.status().preset == "other"
        assert not worker.ingest.run_waiting(threading.Event())
        assert worker.maintenance.verify() == []
    kept = ask(library, "SELECT count(DISTINCT recipe_id) FROM segment")
    assert kept == [(2 if keep_old else 1,)]


ELSEWHERE = "elsewhere:1:1"  # a worker of another machine: nobody here can tell that it is gone
DEAD = ":999999999:".join(owner_of_this_process().split(":")[::2])


def holding(
    service: SegSearch, held: list[Claim], owner: str, lease_seconds: float = 600.0
) -> Callable[..., None]:
    """A report at whose first call another worker takes a picture of the models to come."""
    catalog = service.catalog

    def hold(*_: object) -> None:
        coming = catalog.generation_under_way()
        if coming and not held:
            claim = catalog.claim(coming[0], owner, lease_seconds)
            held.extend([claim] if claim else [])

    return hold


def test_searches_switch_when_the_last_worker_is_done(
    service: SegSearch, pictures: Path, tmp_path: Path
) -> None:
    with open_both(tmp_path / "library", "other") as changed:
        held: list[Claim] = []
        changed.index([pictures], report=holding(service, held, ELSEWHERE), mode=one_pass("worker"))
        assert changed.status().preset == "small"
        words = Query((TextTerm("red"),), limit=20, near_duplicates=True)
        assert len(changed.search(words).hits) >= 6
        assert not changed.ingest.run_waiting(threading.Event())
        assert changed.status().preset == "small"
        assert service.catalog.fail(held[0], "It is damaged.")
        changed.ingest.run_waiting(threading.Event())
        assert changed.status().preset == "other"
        assert changed.maintenance.verify() == []


def test_a_watch_in_which_nothing_changes_switches_once_the_last_worker_is_done(
    service: SegSearch, pictures: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    stop, held = threading.Event(), list[Claim]()
    with open_both(tmp_path / "library", "other") as changed:
        changed.index([pictures], report=holding(service, held, ELSEWHERE), mode=one_pass("watch"))
        times = WatchTimes(0.5, idle_seconds=0.5)
        watcher = Watch([pictures], tmp_path / "library", times, poll=False)
        thread = threading.Thread(target=index_changes, args=[changed.ingest, watcher, stop])
        thread.start()
        try:
            until(
                lambda: any(vars(record).get("action") == "watch.pass" for record in caplog.records)
            )
            assert changed.status().preset == "small"
            assert service.catalog.fail(held[0], "It is damaged.")
            until(lambda: changed.status().preset == "other")
        finally:
            stop.set()
            thread.join()
        assert changed.maintenance.verify() == []


@pytest.mark.parametrize(
    ("owner", "lease_seconds"), [(ELSEWHERE, 1.0), (DEAD, 600.0)], ids=["elsewhere", "dead"]
)
def test_an_index_takes_over_what_a_worker_leaves_and_switches(
    service: SegSearch, pictures: Path, tmp_path: Path, owner: str, lease_seconds: float
) -> None:
    held: list[Claim] = []
    report = holding(service, held, owner, lease_seconds)
    with open_both(tmp_path / "library", "other") as changed:
        assert changed.index([pictures], report=report).indexed == 6
        assert len(held) == 1
        assert changed.status().preset == "other"
        assert changed.maintenance.verify() == []


def test_a_run_for_the_models_before_does_not_switch_back(
    service: SegSearch, pictures: Path, tmp_path: Path
) -> None:
    paint(pictures / "late.png", [Shape("cyan", (5, 5, 60, 60))])

    def switch(*_: object) -> None:
        with open_both(tmp_path / "library", "other") as changed:
            changed.index([pictures], keep_old=True)

    service.index([pictures], report=switch)
    assert service.status().preset == "other"


def test_a_worker_without_the_models_that_are_to_take_over_leaves_them_waiting(
    service: SegSearch, pictures: Path, tmp_path: Path
) -> None:
    stop = threading.Event()
    with open_both(tmp_path / "library", "other") as changed:
        changed.index([pictures], stop=stop, report=lambda *_: stop.set())
    assert not service.ingest.run_waiting(threading.Event())
    assert service.status().preset == "small"


@pytest.mark.usefixtures("service")
def test_what_the_models_before_have_made_can_be_kept_and_taken_up_again(
    pictures: Path, tmp_path: Path
) -> None:
    library = tmp_path / "library"
    before = content(library)
    with open_both(library, "other") as changed:
        changed.index([pictures], keep_old=True)
        assert changed.status().preset == "other"
    with open_both(library, "small") as back:
        assert back.index([pictures]).indexed == 0
        assert back.status().preset == "small"
    assert content(library) == before
