"""An index in a Milvus holds what the catalog holds, whoever dies and whoever else is at it.

On Milvus Lite; `test_milvus_server.py` runs the same on a server.
"""

from __future__ import annotations

import inspect
import logging
import multiprocessing
import os
import re
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from fastapi.testclient import TestClient
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from segsearch.core.arrays import Ids, VectorRows
from segsearch.core.errors import BusyError, EngineError
from segsearch.core.filters import Filters
from segsearch.core.mix import Mix
from segsearch.core.settings import Settings
from segsearch.storage.catalog import change_log
from segsearch.storage.catalog.backend import Place
from segsearch.storage.catalog.sql_catalog import Catalog
from segsearch.storage.index.allowed import Allowed
from segsearch.storage.index.milvus import conditions, store
from segsearch.storage.index.milvus import index as milvus_index
from segsearch.storage.index.milvus.address import MilvusAddress
from segsearch.storage.index.milvus.conditions import condition_of
from segsearch.storage.index.milvus.index import MilvusIndex
from segsearch.storage.index.milvus.store import STRONG, Asked, MilvusStore
from segsearch.storage.indexes import open_index
from segsearch_api.app import create_app
from tests.conftest import BLUE, RED
from tests.storage import test_copying, test_filtering, test_synced
from tests.storage.test_copying import painted as painted  # a fixture
from tests.storage.test_synced import ACTIVE, MIX, IndexedCatalog
from tests.support.described import DIMENSION, unit
from tests.support.exact_index import ExactIndexFactory
from tests.support.in_milvus import ON_SERVER, index_of, milvus, server
from tests.support.query_plans import statements
from tests.support.random_library import Picture, filled, libraries
from tests.support.small_models import open_small_service, paint

QUERY = MIX.asked(np.eye(DIMENSION, dtype=np.float32)[0])


class InMilvus(IndexedCatalog):
    """A catalog and a collection that follows it; `reopen` is another process that comes."""

    index: MilvusIndex  # type: ignore[assignment]  # of the same port

    def __init__(self, folder: Path, place: Place | None = None) -> None:
        super().__init__(folder, ExactIndexFactory(), place)

    def reopen(self) -> None:
        self.index = self.another()

    def another(self, **options: Any) -> MilvusIndex:
        return MilvusIndex(self.catalog, milvus(), lambda _: self.mix, **options)

    @property
    def collections(self) -> MilvusStore:
        return self.index._store

    @property
    def name(self) -> str:
        return self.index._name(ACTIVE)

    def held(self) -> list[int]:
        ids: list[int] = self.collections.ids(self.name).tolist()
        return ids

    def known(self) -> list[int]:
        ids: list[int] = self.catalog.segment_ids(1).tolist()
        return ids

    def mine(self) -> list[str]:
        """Collections of this library."""
        library = self.name.rpartition("_")[0]
        return [name for name in self.collections.names() if name.startswith(library)]

    def row_of(self, segment_id: int) -> tuple[Ids, Any, dict[str, list[Any]]]:
        """What stands in the collection for a segment."""
        ids = np.array([segment_id], np.int64)
        (batch,) = self.catalog.vectors(1, ids)
        return ids, self.mix.rows(batch), conditions.scalars_of(self.catalog.facts(ids))


@pytest.fixture(params=["sqlite", *([] if ON_SERVER else ["postgres"])])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "sqlite":
        return tmp_path / "catalog.sqlite"
    made: Place = request.getfixturevalue("server")
    return made


def made_at(folder: Path, place: Place) -> Iterator[InMilvus]:
    made = InMilvus(folder, place)
    for seed in range(4):
        made.store(seed)
    yield made
    made.reopen()
    for name in made.mine():
        made.collections.drop(name)
    made.catalog.close()


@pytest.fixture
def library(tmp_path: Path, place: Place) -> Iterator[InMilvus]:
    yield from made_at(tmp_path, place)


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[InMilvus]:
    """On SQLite, where what is tested is the Milvus's side."""
    yield from made_at(tmp_path, tmp_path / "catalog.sqlite")


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
    monkeypatch.setattr(milvus_index, "PORTION", 5)
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


def test_a_search_costs_the_same_however_many_changes_were_before(alone: InMilvus) -> None:
    assert alone.agrees()
    counts = []
    for seed in range(20, 24):
        alone.store(seed)
        for _ in range(2):  # takes it up, and looks once more whether it has
            alone.index.search(ACTIVE, QUERY, 5)
        with statements() as sent:
            alone.index.search(ACTIVE, QUERY, 5)
        counts.append(sum(text.startswith("SELECT") for text in sent))
    assert counts == [1] * 4, "what is found is held against the catalog"


@pytest.mark.parametrize("at_once", [1, 3, store.MOST_HITS])
def test_more_than_one_answer_holds_is_found_all_the_same(
    at_once: int, alone: InMilvus, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed in range(20, 24):
        alone.store(seed)
    alone.catalog.remove_segments([5, 6, 7, 8])
    (expected,) = alone.index.exact(ACTIVE, QUERY[np.newaxis], 100)
    assert expected[1].size == len(alone.known()) == 20
    monkeypatch.setattr(store, "MOST_HITS", at_once)
    for k in (1, 4, 11, 100):
        scores, ids = alone.index.search(ACTIVE, QUERY, k)
        assert ids == expected[1][:k].tolist()
        assert scores == pytest.approx(expected[0][:k].tolist(), abs=1e-6)
    assert alone.held() == alone.known()
    assert alone.index.rows(ACTIVE, alone.catalog.segment_ids(1))[0].tolist() == alone.known()


def test_equals_come_by_their_ids(alone: InMilvus) -> None:
    assert alone.agrees()
    ids, row, scalars = alone.row_of(1)
    for other in alone.known():
        alone.collections.upsert(alone.name, ids + other - 1, row, scalars)
    assert alone.index.search(ACTIVE, QUERY, 4)[1] == alone.known()[:4]


def test_a_row_that_comes_back_is_never_an_answer(alone: InMilvus) -> None:
    """Written late, by a process that was stopped in the middle of it."""
    assert alone.agrees()
    late = alone.row_of(2)
    alone.catalog.remove_segments([2])
    assert alone.agrees()
    alone.collections.upsert(alone.name, *late)
    assert 2 in alone.held()
    assert alone.index.search(ACTIVE, QUERY, 100)[1] != []
    for k in (1, 3, 11, 100):
        _, ids = alone.index.search(ACTIVE, late[1][0], k)
        assert 2 not in ids
        assert len(ids) == min(k, 11)
    assert alone.index.rows(ACTIVE, np.array([1, 2, 3], np.int64))[0].tolist() == [1, 3]
    assert alone.index.scores(ACTIVE, QUERY, np.array([2], np.int64)) == ([], [])
    assert alone.index.problems(ACTIVE) == ["The index misses 0 segments and holds 1 unknown ones."]
    assert alone.index.rebuild_if_needed(ACTIVE)
    assert alone.index.problems(ACTIVE) == []
    assert not alone.index.rebuild_if_needed(ACTIVE)


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
        with patch.dict(milvus_index.WAITED_SECONDS, strong=0.1), pytest.raises(BusyError):
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


class Dying(MilvusIndex):
    """One whose process ends by SIGKILL once it has written so many rows, or before it says so."""

    last = 0

    def _apply(self, *given: Any) -> None:
        upsert, left = self._store.upsert, [self.last]

        def counted(name: str, ids: Ids, *others: Any) -> None:
            upsert(name, ids, *others)
            left[0] -= ids.size
            if left[0] <= 0:
                os.kill(os.getpid(), signal.SIGKILL)

        with patch.object(self._store, "upsert", counted):
            super()._apply(*given)
        os.kill(os.getpid(), signal.SIGKILL)


def _follow_and_die(file: Path, address: MilvusAddress, rows: int) -> None:
    milvus_index.PORTION = 3
    Dying.last = rows
    Dying(Catalog(file), address, lambda _: MIX).open(ACTIVE)


@pytest.mark.process
def test_killed_while_it_follows_the_next_one_goes_on(alone: InMilvus, tmp_path: Path) -> None:
    """Before anything stands there, in the middle of it, and when all was written but not noted."""
    address = milvus()
    if address.is_lite:  # one process at a time has the file open
        address = MilvusAddress.of(f"milvus:{tmp_path / 'own.db'}")
    file = tmp_path / "catalog.sqlite"
    for number, rows in enumerate((1, 7, 1_000)):
        alone.store(60 + number)
        alone.catalog.remove_segments([1 + number])
        process = multiprocessing.get_context("spawn").Process(
            target=_follow_and_die, args=(file, address, rows)
        )
        process.start()
        process.join(120)
        assert process.exitcode == -signal.SIGKILL
        alone.index = MilvusIndex(alone.catalog, address, lambda _: MIX)
        assert alone.index._current(ACTIVE)
        assert alone.held() == alone.known()
        assert alone.agrees()
        alone.index.close()


@pytest.mark.skipif(not ON_SERVER, reason="needs a server")
@pytest.mark.process
def test_a_server_that_is_killed_has_what_it_was_told_and_takes_the_rest(alone: InMilvus) -> None:
    """Killed in the middle of a picture's rows; ingest goes on, a search says what is wrong, and
    once the server is back the rest is replayed. It then asks for a token, too."""
    assert alone.agrees()
    alone.store(70)
    upsert = alone.collections.upsert

    def killed(name: str, ids: Ids, rows: Any, scalars: dict[str, list[Any]]) -> None:
        upsert(name, ids[:2], rows[:2], {key: value[:2] for key, value in scalars.items()})
        server().kill()
        upsert(name, ids, rows, scalars)

    with patch.multiple(store, CALL_SECONDS=2.0, WRITE_SECONDS=2.0, CONNECT_SECONDS=2.0):
        with patch.object(alone.collections, "upsert", killed), pytest.raises(EngineError):
            alone.index.search(ACTIVE, QUERY, 3)
        alone.store(71)
        alone.catalog.remove_segments([1, 2])
        for index in (alone.index, alone.another()):
            with pytest.raises(EngineError, match=r"The Milvus at 127\.0\.0\.1:19530 cannot be"):
                index.search(ACTIVE, QUERY, 3)
        (problem,) = alone.index.problems(ACTIVE)
        assert "cannot be" in problem
        assert alone.index.glance(ACTIVE)[1] is not None
        alone.index.settle(ACTIVE)
    server().start(asks_for_token=True)
    try:
        for wrong in ("", "root:wrong"):
            address = MilvusAddress(milvus().uri, milvus().name, token=SecretStr(wrong))
            with pytest.raises(EngineError, match=r"does not let us in|cannot be used") as refused:
                MilvusIndex(alone.catalog, address, lambda _: MIX).search(ACTIVE, QUERY, 3)
            assert "wrong" not in str(refused.value)
        address = MilvusAddress.of(server().address.replace("//", "//root:Milvus@"))
        alone.index = MilvusIndex(alone.catalog, address, lambda _: MIX)
        assert alone.agrees()
        assert alone.held() == alone.known()
        alone.index.close()
    finally:
        server().kill()
        server().start()


@settings(max_examples=2 if ON_SERVER else 4, deadline=None)
@given(
    library=libraries(),
    some=st.lists(test_filtering.conditions(), min_size=12, max_size=12),
    seed=st.integers(0, 2**16),
)
def test_filters_pass_what_the_catalog_says(
    library: list[Picture], some: list[Filters], seed: int
) -> None:
    """As a condition, and where some of it is left to the catalog, whichever way it goes."""
    query = unit(np.random.default_rng(seed))
    with tempfile.TemporaryDirectory() as folder:
        catalog, pictures = filled(Path(folder), library)
        for name, step in (("odd", 2), ("third", 3), ("none", 100)):
            catalog.create_collection(name)
            catalog.add_to_collection(name, sorted(pictures)[1::step])
        index = MilvusIndex(catalog, milvus(), lambda _: Mix(0.5, 0.5, 0.0))
        index.open(ACTIVE)
        ((_, every),) = index.exact(ACTIVE, query[np.newaxis], 1_000)
        name = index._name(ACTIVE)
        for number, filters in enumerate(some):
            passing = catalog.select_segments(1, filters)
            expected = every[np.isin(every, passing)].tolist()
            allowed = allowed_by(catalog, filters)
            condition = condition_of(allowed)
            asked = Asked(condition, STRONG if number == 0 else "Bounded", 1_000)
            _, seen = index._store.nearest(name, query, 1_000, asked)
            assert set(seen.tolist()) >= set(expected)
            if condition.is_whole:
                assert seen.tolist() == expected
            few, many = (0, 0, 100)[number % 3], (0, 100)[number % 2]
            with patch.multiple(milvus_index, FEW_IDS=few, MOST_IDS=many):
                for k in (1, 3, 100):
                    assert index.search(ACTIVE, query, k, allowed)[1] == expected[:k]
            half = Allowed.of_ids(np.sort(every[::2])).without(np.sort(every[:1]))
            found = index.search(ACTIVE, query, 100, allowed & half)[1]
            assert found == [one for one in every[2::2].tolist() if one in expected]
        index._store.drop(name)
        catalog.close()


def allowed_by(catalog: Catalog, *filters: Filters) -> Allowed:
    def find() -> Ids:
        ids = catalog.segment_ids(1)
        for one in filters:
            ids = np.intersect1d(ids, catalog.select_segments(1, one))
        return ids

    return Allowed(filters, find)


NASTY = (
    '"] or id >= 0 or camera in ["',
    "') or (1 == 1",
    "\\",
    '"',
    "a' or 'a' == 'a",
    "\n",
    "{x}",
)
PLAIN = re.compile(r"[a-z0-9_ ()\[\],.<>=-]*")


@given(text=st.text(min_size=1, max_size=40) | st.sampled_from(NASTY))
def test_no_text_becomes_part_of_a_condition(text: str) -> None:
    fields = ("paths", "albums", "collections", "cameras", "tags", "all_tags", "no_tags")
    named: dict[str, Any] = dict.fromkeys(fields, (text,))
    condition = condition_of(
        Allowed((Filters(min_area=0.1, **named),), lambda: np.empty(0, np.int64))
    )
    assert PLAIN.fullmatch(condition.text)
    assert not condition.is_whole


@pytest.mark.parametrize("text", NASTY)
def test_what_looks_like_a_condition_is_a_name(text: str, alone: InMilvus) -> None:
    alone.catalog.tag_images([2], add=[text.strip() or "x"])
    tagged = alone.known()[3:6]
    for filters, expected in (
        (Filters(tags=(text.strip() or "x",)), tagged),
        (Filters(cameras=(text,)), []),
        (Filters(paths=(text,)), []),
        (Filters(albums=(text,)), []),
    ):
        for few in (0, 100):
            with patch.object(milvus_index, "FEW_IDS", few):
                found = alone.index.search(ACTIVE, QUERY, 100, allowed_by(alone.catalog, filters))
            assert sorted(found[1]) == expected


def test_never_fewer_than_there_are(alone: InMilvus, monkeypatch: pytest.MonkeyPatch) -> None:
    """A graph may not lead to all that pass a filter."""
    assert alone.agrees()
    nearest = alone.collections.nearest
    ((scores, ids),) = alone.index.exact(ACTIVE, QUERY[np.newaxis], 100)

    def lazy(*given: Any) -> Any:
        return tuple(part[1:4] for part in nearest(*given))

    monkeypatch.setattr(alone.collections, "nearest", lazy)
    found = alone.index.search(ACTIVE, QUERY, 6)
    assert found[1] == ids[:6].tolist()
    assert found[0] == pytest.approx(scores[:6].tolist(), abs=1e-6)
    filters = allowed_by(alone.catalog, Filters(image_ids=(1, 2)))
    assert sorted(alone.index.search(ACTIVE, QUERY, 50, filters)[1]) == [1, 2, 3, 4, 5, 6]


def test_fifty_queries_find_the_same(painted: Path, tmp_path: Path) -> None:
    with open_small_service(painted) as service:
        expected = test_copying.answers(service)
        assert sum(map(bool, expected)) > 40
        with open_small_service(tmp_path / "twin", make_index=index_of) as twin:
            twin.catalog.copy_from(service.catalog)
            test_copying.assert_alike(test_copying.answers(twin), expected)
            assert twin.maintenance.verify() == []
            assert {one.worst for one in twin.recall()} == {1.0}
            recipe = twin.catalog.active_recipe()
            assert recipe is not None
            index = twin._index
            assert isinstance(index, MilvusIndex)
            index._store.drop(index._name(recipe))


def test_without_it_ingest_goes_on_and_searches_say_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody listens there."""
    monkeypatch.setattr(store, "CONNECT_SECONDS", 0.5)
    paint(tmp_path / "pictures" / "a.png", [RED, BLUE])
    away = MilvusAddress.of("milvus+http://anna:secret@127.0.0.1:9/photos")

    def nowhere(catalog: Catalog, _folder: Path, mix_of: Any) -> MilvusIndex:
        return MilvusIndex(catalog, away, mix_of)

    with open_small_service(tmp_path / "library", make_index=nowhere) as service:
        with caplog.at_level(logging.WARNING):
            assert service.index([tmp_path / "pictures"]).indexed == 1
        assert "brought up to date later" in caplog.text
        with TestClient(create_app(service), base_url="http://localhost") as client:
            answer = client.post("/v1/search", json={"text": "red"})
            assert answer.status_code == 503
            assert "the Milvus at 127.0.0.1:9" in answer.text.replace("The", "the")
            assert client.get("/v1/status").status_code == 200
        (problem,) = [one for one in service.status().problems if one.code == "index_away"]
        assert "127.0.0.1:9" in problem.what
        said = caplog.text + answer.text + repr(away) + problem.what
        assert "secret" not in said
        assert service.maintenance.verify() != []


@pytest.mark.parametrize("package", ["pymilvus", "milvus_lite.server_manager"])
def test_what_is_not_installed_is_named(
    package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    name = package.partition(".")[0].replace("_", "-")
    with pytest.raises(EngineError, match=f"needs the package {name}"):
        MilvusStore(MilvusAddress.of(f"milvus:{tmp_path / 'none.db'}")).names()


def test_a_file_that_cannot_be_opened_is_told(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="its folder is missing"):
        MilvusStore(MilvusAddress.of(f"milvus:{tmp_path / 'no' / 'none.db'}")).names()


def test_an_old_server_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from pymilvus import MilvusClient

    opened = MilvusStore(milvus())
    opened.names()
    with opened._calls() as client:
        uri = client._config.uri
    monkeypatch.setattr(MilvusClient, "get_server_version", lambda *_, **__: "v2.2.16")
    with pytest.raises(EngineError, match=r"is version v2\.2\.16, segsearch needs 2\.3"):
        MilvusStore(MilvusAddress(uri, "the Milvus")).names()


def test_rows_that_are_no_numbers_are_refused(alone: InMilvus) -> None:
    assert alone.agrees()
    ids, row, scalars = alone.row_of(1)
    with pytest.raises(EngineError, match="none"):
        alone.collections.upsert(alone.name, ids, row * np.nan, scalars)


@pytest.mark.parametrize(
    ("text", "uri", "database", "token"),
    [
        ("milvus+http://host", "http://host:19530", "", "from-env"),
        ("milvus+https://host:443/photos", "https://host:443", "photos", "from-env"),
        ("milvus+http://anna:s%2Fx@host:1/", "http://host:1", "", "anna:s/x"),
        ("milvus+http://key@[::1]:1", "http://[::1]:1", "", "key"),
    ],
)
def test_an_address_is_read(
    text: str, uri: str, database: str, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MILVUS_TOKEN", "from-env")
    address = MilvusAddress.of(Settings(index=SecretStr(text)).index.get_secret_value())
    assert (address.uri, address.database) == (uri, database)
    assert address.token is not None
    assert address.token.get_secret_value() == token
    assert token not in repr(address)


@pytest.mark.parametrize("text", ["milvus", "milvus:x", "faiss2", "milvus+ftp://secret@x", ""])
def test_what_is_no_index_is_refused(text: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Settings(index=SecretStr(text))
    assert "secret" not in str(refused.value)


def test_settings_choose_it(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path / "catalog.sqlite")
    settings = Settings(library=tmp_path, index=SecretStr(f"milvus:{tmp_path / 'x.db'}"))
    assert isinstance(open_index(settings, catalog, lambda _: MIX), MilvusIndex)
    assert "x.db" not in repr(settings)
    catalog.close()
