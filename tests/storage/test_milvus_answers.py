"""A Milvus answers as the catalog's vectors and filters say, however it is asked."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segsearch.core.filters import Filters
from segsearch.core.mix import Mix
from segsearch.storage.index.allowed import Allowed
from segsearch.storage.index.milvus import index as milvus_index
from segsearch.storage.index.milvus import store
from segsearch.storage.index.milvus.conditions import condition_of
from segsearch.storage.index.milvus.index import MilvusIndex
from segsearch.storage.index.milvus.store import STRONG, RowSearch
from tests.storage import test_copying, test_filtering
from tests.storage.test_copying import painted as painted  # a fixture
from tests.storage.test_synced import ACTIVE
from tests.support.described import unit
from tests.support.in_milvus import (
    ON_SERVER,
    QUERY,
    InMilvus,
    allowed_by,
    index_of,
    made_at,
    milvus,
)
from tests.support.query_plans import statements
from tests.support.random_library import Picture, filled, libraries
from tests.support.small_models import open_small_service


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[InMilvus]:
    """On SQLite, where what is tested is the Milvus's side."""
    yield from made_at(tmp_path, tmp_path / "catalog.sqlite")


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
        catalog, pictures = filled(Path(folder) / "catalog.sqlite", library)
        for name, step in (("odd", 2), ("third", 3), ("none", 100)):
            catalog.create_collection(name)
            catalog.add_to_collection(name, sorted(pictures)[1::step])
        index = MilvusIndex(catalog, milvus(), lambda _: Mix(0.5, 0.5, 0.0))
        index.open(ACTIVE)
        ((_, every),) = index.exact(ACTIVE, query[np.newaxis], 1_000)
        name = index._follower.name(ACTIVE)
        for number, filters in enumerate(some):
            passing = catalog.select_segments(1, filters)
            expected = every[np.isin(every, passing)].tolist()
            allowed = allowed_by(catalog, filters)
            condition = condition_of(allowed)
            asked = RowSearch(condition, STRONG if number == 0 else "Bounded", 1_000)
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
            index._store.drop(index._follower.name(recipe))
