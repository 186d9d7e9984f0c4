"""One suite for every vector index: what the port promises, held against a naive loop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segsearch.core.arrays import Ids, Vectors
from segsearch.core.errors import DamageError
from segsearch.storage.index.faiss import FaissIndexFactory
from segsearch.storage.index.protocol import IndexFactory
from tests.support.exact_index import ExactIndexFactory

DIMENSION = 16
HALF = 2e-3  # rows may be kept as float16

factories = pytest.mark.parametrize(
    "factory", [ExactIndexFactory(), FaissIndexFactory()], ids=lambda factory: factory.kind
)


def rows(count: int, seed: int = 0) -> Vectors:
    made = np.random.default_rng(seed).normal(size=(count, DIMENSION)).astype(np.float32)
    unit: Vectors = made / np.linalg.norm(made, axis=1, keepdims=True)
    return unit


def ids(*numbers: int) -> Ids:
    return np.array(numbers, dtype=np.int64)


@factories
def test_the_best_rows_come_first_with_their_products(factory: IndexFactory) -> None:
    index, stored, query = factory.create(DIMENSION), rows(50), rows(1, seed=1)[0]
    numbers = np.arange(50, dtype=np.int64) * 7 + 3
    index.add(numbers, stored)
    scores, found = index.search(query, 5)
    products = sorted(
        ((sum(a * b for a, b in zip(row, query, strict=True)), number)
         for row, number in zip(stored.tolist(), numbers.tolist(), strict=True)),
        reverse=True,
    )  # fmt: skip
    assert found.tolist() == [number for _, number in products[:5]]
    assert scores == pytest.approx([product for product, _ in products[:5]], abs=HALF)


@factories
def test_equal_rows_come_by_id(factory: IndexFactory) -> None:
    index = factory.create(DIMENSION)
    index.add(ids(9, 2, 5), np.repeat(rows(1), 3, axis=0))
    assert index.search(rows(1)[0], 3)[1].tolist() == [2, 5, 9]


@factories
def test_of_equal_rows_the_smaller_ids_are_taken(factory: IndexFactory) -> None:
    index, unit = factory.create(DIMENSION), np.eye(DIMENSION, dtype=np.float32)
    numbers = np.random.default_rng(0).permutation(100).astype(np.int64)
    index.add(numbers, np.repeat(unit[:2], [99, 1], axis=0))
    equal = np.sort(numbers[:99])
    assert index.search(unit[0], 7)[1].tolist() == equal[:7].tolist()
    query = unit[0] + 2 * unit[1]
    assert index.search(query, 7)[1].tolist() == [numbers[99], *equal[:6]]
    found = index.search(unit[0], 7, allowed=equal[10:60])[1]
    assert found.tolist() == equal[10:17].tolist()


@factories
def test_fewer_rows_than_asked_for_give_just_those(factory: IndexFactory) -> None:
    index = factory.create(DIMENSION)
    assert index.search(rows(1)[0], 5)[1].tolist() == []
    index.add(ids(4), rows(1))
    assert index.search(rows(1)[0], 5)[1].tolist() == [4]


@factories
def test_only_allowed_rows_are_looked_at(factory: IndexFactory) -> None:
    index = factory.create(DIMENSION)
    index.add(np.arange(30, dtype=np.int64), rows(30))
    _, found = index.search(rows(30)[3], 10, allowed=ids(5, 8, 99))
    assert sorted(found.tolist()) == [5, 8]
    assert index.search(rows(30)[3], 10, allowed=ids())[1].tolist() == []


@factories
def test_a_row_added_again_replaces_the_old_one(factory: IndexFactory) -> None:
    index = factory.create(DIMENSION)
    index.add(ids(1, 2), rows(2))
    index.add(ids(1), -rows(1))
    assert len(index) == 2
    scores, found = index.search(-rows(1)[0], 1)
    assert found.tolist() == [1]
    assert scores[0] == pytest.approx(1, abs=HALF)


@factories
def test_a_saved_index_answers_the_same(factory: IndexFactory, tmp_path: Path) -> None:
    index = factory.create(DIMENSION)
    index.add(ids(3, 1, 2), rows(3))
    again = factory.load(tmp_path, index.save(tmp_path))
    query = rows(1, seed=2)[0]
    assert again.ids().tolist() == [1, 2, 3]
    assert again.dimension == DIMENSION
    np.testing.assert_array_equal(again.search(query, 3)[1], index.search(query, 3)[1])
    np.testing.assert_array_equal(again.search(query, 3)[0], index.search(query, 3)[0])


@factories
@pytest.mark.parametrize("data", [b"", b"rubbish" * 100])
def test_a_file_that_is_no_index_is_refused(
    factory: IndexFactory, data: bytes, tmp_path: Path
) -> None:
    index = factory.create(DIMENSION)
    index.add(ids(3, 1, 2), rows(3))
    index.remove(ids(1))
    names = index.save(tmp_path)
    for name in names:
        kept = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(data)
        with pytest.raises(DamageError):
            factory.load(tmp_path, names)
        (tmp_path / name).write_bytes(kept)
    assert factory.load(tmp_path, names).ids().tolist() == [2, 3]


STEPS = st.lists(
    st.tuples(st.sampled_from(["add", "remove"]), st.lists(st.integers(0, 12), unique=True)),
    max_size=12,
)


@factories
@settings(deadline=None, max_examples=40)
@given(steps=STEPS)
def test_any_order_of_adding_and_removing_leaves_what_a_dict_would_hold(
    factory: IndexFactory, steps: list[tuple[str, list[int]]]
) -> None:
    index, expected = factory.create(DIMENSION), dict[int, Any]()
    for turn, (step, numbers) in enumerate(steps):
        if step == "add":
            made = rows(len(numbers), seed=turn)
            index.add(ids(*numbers), made)
            expected.update(zip(numbers, made, strict=True))
        else:
            held = sum(number in expected for number in numbers)
            assert index.remove(ids(*numbers)) == held
            for number in numbers:
                expected.pop(number, None)
        assert len(index) == len(expected)
        assert index.ids().tolist() == sorted(expected)
    for number, row in expected.items():
        scores, found = index.search(row, 1)
        assert found.tolist() == [number]
        assert scores[0] == pytest.approx(1, abs=HALF)
