"""An index in a Milvus holds what the catalog holds, whoever else is at it.

On Milvus Lite; `test_milvus_server.py` runs the same, and what else is of a Milvus, on a server.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from segsearch.core.arrays import Ids, VectorRows
from segsearch.core.errors import BusyError, EngineError
from segsearch.core.mix import Mix
from segsearch.storage.catalog import change_log
from segsearch.storage.catalog.backend import Place
from segsearch.storage.index.milvus import follower
from segsearch.storage.index.milvus.index import MilvusIndex
from tests.storage import test_copying, test_synced
from tests.storage.test_copying import painted as painted  # a fixture
from tests.storage.test_synced import ACTIVE, MIX
from tests.support.in_milvus import (
    ON_SERVER,
    QUERY,
    InMilvus,
    made_at,
)


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[InMilvus]:
    """On SQLite, where what is tested is the Milvus's side."""
    yield from made_at(tmp_path, tmp_path / "catalog.sqlite")


@pytest.fixture(params=["sqlite", *([] if ON_SERVER else ["postgres"])])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "sqlite":
        return tmp_path / "catalog.sqlite"
    made: Place = request.getfixturevalue("server")
    return made


@pytest.fixture
def library(tmp_path: Path, place: Place) -> Iterator[InMilvus]:
    yield from made_at(tmp_path, place)


RULES: Sequence[Callable[..., None]] = (
    test_synced.test_every_change_reaches_the_index_before_the_next_search,
    test_synced.test_a_change_by_another_process_reaches_it_too,
    test_synced.test_what_another_process_writes_between_two_looks_is_no_damage,
    test_synced.test_mixing_before_the_search_scores_as_mixing_after_it,
    test_synced.test_a_sample_depends_on_what_is_there_and_on_nothing_else,
)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__.removeprefix("test_"))
def test_what_holds_for_any_index(
    rule: Callable[..., None], library: InMilvus, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {"library": library, "monkeypatch": monkeypatch}
    rule(**{name: given[name] for name in inspect.signature(rule).parameters})


def test_a_collection_that_was_not_filled_is_not_searched_and_filled_further(
    library: InMilvus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follower, "PORTION", 5)
    whole, written = library.catalog.vectors, list[int]()

    def broken_off(recipe_id: int, ids: Ids | None = None) -> Iterator[VectorRows]:
        if written:
            raise EngineError("The disk gave nothing more.")
        yield from whole(recipe_id, ids)

    def noted(name: str, ids: Ids, *others: Any) -> None:
        written.extend(ids.tolist())
        upsert(name, ids, *others)

    upsert = library.collections.upsert
    monkeypatch.setattr(library.collections, "upsert", noted)
    with monkeypatch.context() as patched:
        patched.setattr(library.catalog, "vectors", broken_off)
        for _ in range(2):
            with pytest.raises(EngineError, match="nothing more"):
                library.index.search(ACTIVE, QUERY, 3)
    assert library.catalog.follower(library.name) == -1
    assert written == library.known()[:5]
    assert library.agrees()
    assert sorted(written) == library.known(), "each was written once"


def test_an_index_further_behind_than_the_log_reaches_takes_what_it_lacks(
    library: InMilvus, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert library.agrees()
    monkeypatch.setattr(change_log, "KEPT_CHANGES", 5)
    for seed in range(50, 56):
        library.store(seed)
    library.catalog.remove_segments([1, 2])
    assert library.catalog.changes(1, 1) is None
    before = library.known()[:10]
    written = list[int]()
    upsert = library.collections.upsert

    def noted(name: str, ids: Ids, *others: Any) -> None:
        written.extend(ids.tolist())
        upsert(name, ids, *others)

    monkeypatch.setattr(library.collections, "upsert", noted)
    assert library.agrees()
    assert written == library.known()[10:], "what was there already is not written again"
    assert before == library.known()[:10]


def test_a_picture_that_goes_while_it_is_written_is_gone(
    library: InMilvus, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert library.agrees()
    upsert, going = library.collections.upsert, [library.store(30)]

    def meanwhile(*given: Any) -> None:
        upsert(*given)
        while going:
            library.catalog.remove_images([going.pop()])

    monkeypatch.setattr(library.collections, "upsert", meanwhile)
    library.index.open(ACTIVE)
    assert library.held() == library.known() == list(range(1, 13))
    assert library.agrees()


def test_two_that_follow_at_once_lose_nothing(library: InMilvus) -> None:
    others = [library.index, library.another(), library.another()]
    done = threading.Event()

    def follow(index: MilvusIndex) -> int:
        looks = 0
        while not done.is_set():
            _, ids = index.search(ACTIVE, QUERY, 1_000)
            assert len(ids) == len(set(ids))
            looks += 1
        return looks

    library.index.open(ACTIVE)
    with ThreadPoolExecutor(3) as threads:
        looks = [threads.submit(follow, index) for index in others]
        try:
            for seed in range(40, 46):
                image = library.store(seed)
                if seed % 2:
                    library.catalog.remove_images([image])
        finally:
            done.set()
        assert min(look.result(60) for look in looks) >= 1
    assert library.agrees()
    assert library.held() == library.known()


def test_nobody_waits_long_for_who_is_at_it(library: InMilvus) -> None:
    assert library.agrees()
    library.store(31)
    found = library.index.search(ACTIVE, QUERY, 100)
    image = library.store(32)
    other, strict = library.another(), library.another(consistency="strong")
    with library.catalog.following(library.name, 1.0):
        assert other.search(ACTIVE, QUERY, 100) == found
        with patch.dict(follower.WAITED_SECONDS, strong=0.1), pytest.raises(BusyError):
            strict.search(ACTIVE, QUERY, 100)
        other.save(ACTIVE)
    assert library.catalog.segments_of(image)[0].id in strict.search(ACTIVE, QUERY, 100)[1]
    assert library.agrees()


def test_a_generation_changes_while_others_search(library: InMilvus) -> None:
    assert library.agrees()
    before = library.name
    done, answers = threading.Event(), list[int]()

    def search() -> None:
        while not done.is_set():
            answers.append(len(library.index.search(ACTIVE, QUERY, 5)[1]))

    with ThreadPoolExecutor(1) as threads:
        searching = threads.submit(search)
        library.mix = Mix(0.7, 0.3, 0.0, MIX.things, MIX.offset)
        other = library.another()
        assert len(other.search(ACTIVE, QUERY, 5)[1]) == 5
        done.set()
        searching.result(60)
    assert set(answers) == {5}
    assert library.agrees()
    assert library.mine() == [library.name] != [before]
    alias = library.name.rpartition("_")[0]
    assert library.collections.target(alias) == library.name
    assert library.catalog.followers(alias) == [library.name]


def test_a_collection_that_somebody_drops_is_filled_again(alone: InMilvus) -> None:
    assert alone.agrees()
    alone.collections.drop(alone.name)
    assert alone.index.glance(ACTIVE)[0].regions == 0
    assert alone.agrees()
    assert alone.held() == alone.known()
    alone.collections.drop(alone.name)
    alone.store(33)
    alone.reopen()
    assert alone.agrees()


def test_a_catalog_that_is_taken_back_gets_a_collection_of_its_own(tmp_path: Path) -> None:
    library = InMilvus(tmp_path)
    test_copying.stored(library.catalog, 1)
    library.catalog.backup(tmp_path / "backup.sqlite")
    test_copying.stored(library.catalog, 2)
    assert library.agrees()
    before = library.name
    library.catalog.restore(tmp_path / "backup.sqlite")
    assert library.agrees()
    test_copying.stored(library.catalog, 3)
    assert library.agrees()
    assert library.name != before
    library.collections.drop(before)
    library.collections.drop(library.name)
    library.catalog.close()


def test_how_it_stands_is_told_without_a_search(alone: InMilvus) -> None:
    glance, damage = alone.index.glance(ACTIVE)
    assert (glance.regions, glance.generation, glance.behind, damage) == (0, None, 12, None)
    alone.index.settle(ACTIVE)
    alone.catalog.remove_segments([3])
    glance, damage = alone.index.glance(ACTIVE)
    assert (glance.generation, glance.behind, glance.loaded, damage) == (12, 1, True, None)
    assert alone.another().glance(ACTIVE)[0].loaded is False
    assert alone.index.open(ACTIVE).rows == 11


def test_other_threads_do_not_wait_long_for_the_one_that_is_at_it(
    library: InMilvus, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert library.agrees()
    library.store(33)
    found = library.index.search(ACTIVE, QUERY, 100)
    image = library.store(34)
    upsert, begun, ended = library.collections.upsert, threading.Event(), threading.Event()

    def slowly(*given: Any) -> None:
        begun.set()
        assert ended.wait(60)
        upsert(*given)

    monkeypatch.setattr(library.collections, "upsert", slowly)
    with ThreadPoolExecutor(2) as threads:
        at_it = threads.submit(library.index.search, ACTIVE, QUERY, 100)
        try:
            assert begun.wait(60)
            beside = threads.submit(library.index.search, ACTIVE, QUERY, 100).result(30)
        finally:
            ended.set()
        assert beside == found
        assert library.catalog.segments_of(image)[0].id in at_it.result(60)[1]
    assert library.agrees()


def test_who_writes_after_the_turn_was_lost_takes_it_back(
    library: InMilvus, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert library.agrees()
    upsert, going = library.collections.upsert, [library.store(35)]
    other = library.another()
    lost = threading.Event()

    def after_a_pause(*given: Any) -> None:
        """Another process has taken over meanwhile, and the picture is gone."""
        library.catalog.remove_images([going.pop()])
        monkeypatch.setattr(library.collections, "upsert", upsert)
        lost.set()
        other._follower._take_over(ACTIVE, library.name, lambda: None)
        upsert(*given)

    def check() -> None:
        if lost.is_set():
            raise EngineError("The turn was lost.")

    @contextmanager
    def turn(*_: object) -> Iterator[Callable[[], None]]:
        yield check

    monkeypatch.setattr(library.collections, "upsert", after_a_pause)
    with monkeypatch.context() as only:
        only.setattr(library.catalog, "following", turn)
        with pytest.raises(EngineError, match="was lost"):
            library.index.open(ACTIVE)
    assert library.held() == library.known()
    assert library.agrees()
