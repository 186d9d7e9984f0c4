"""The index of one machine: parts, what is put into lists, and what each step costs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segsearch.core.arrays import Ids, Vectors
from segsearch.storage.index import faiss, inverted, snapshots
from segsearch.storage.index.faiss import FaissIndex, FaissIndexFactory
from segsearch.storage.index.flat import FlatPart
from segsearch.storage.index.snapshots import Binding
from tests.support.exact_index import ExactIndex
from tests.support.generations import write

WIDTH = 24
BINDING = Binding("catalog", "1/recipe", (0.5, 0.5), FaissIndexFactory.kind)


def gathered(count: int, seed: int = 0, width: int = WIDTH) -> Vectors:
    """Rows (count, width) of unit length that gather around a few hundred middles."""
    middles = np.random.default_rng(0).normal(size=(300, width))
    rng = np.random.default_rng(seed)
    rows = middles[rng.integers(0, 300, count)] + 0.5 * rng.normal(size=(count, width))
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(unit, np.float32)


def numbers(first: int, count: int) -> Ids:
    return np.arange(first, first + count, dtype=np.int64)


def parts_of(index: FaissIndex) -> list[int]:
    return [one.count for one in index._parts]


@pytest.fixture
def lists_for_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inverted, "LOOKED_AT_LEAST", 0)
    monkeypatch.setattr(faiss, "SETTLED_FROM", 1_000)
    monkeypatch.setattr(faiss, "BESIDE_ROWS", 200)


@pytest.mark.usefixtures("lists_for_few")
def test_lists_find_what_comparing_with_all_finds(tmp_path: Path) -> None:
    rows, index, exact = gathered(40_000), FaissIndex(WIDTH), ExactIndex(WIDTH)
    for one in (index, exact):
        one.add(numbers(1, 40_000), rows)
        one.remove(numbers(500, 200))
    index.settle(tmp_path)
    assert index.is_settled
    assert [type(one.part) for one in index._parts] == [inverted.InvertedPart]
    assert index.ids().tolist() == exact.ids().tolist()
    rng = np.random.default_rng(5)
    for share in (1.0, 0.5, 0.1, 0.01, 0.001):
        allowed = None if share == 1 else np.flatnonzero(rng.random(41_000) < share)
        same = 0
        for query in gathered(30, seed=7):
            expected, wanted = exact.search(query, 10, allowed=allowed)
            scores, found = index.search(query, 10, allowed=allowed)
            assert found.size == wanted.size
            assert allowed is None or np.isin(found, allowed).all()
            assert (np.diff(scores) <= 0).all()
            same += np.intersect1d(found, wanted).size
            assert np.abs(scores - expected)[0] < 0.05
        assert same >= 0.95 * 300, share


@pytest.mark.usefixtures("lists_for_few")
def test_a_search_never_comes_back_short(tmp_path: Path) -> None:
    """However many are asked for, and wherever those lie that a filter leaves."""
    rows, index = gathered(20_000), FaissIndex(WIDTH)
    index.add(numbers(1, 20_000), rows)
    index.settle(tmp_path)
    far = np.argsort(rows @ rows[0])[:3_000] + 1
    for k in (1, 60, 2_000, 19_999, 30_000):
        for allowed in (None, np.sort(far)):
            passing = 20_000 if allowed is None else far.size
            assert index.search(rows[0], k, allowed=allowed)[1].size == min(k, passing)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["add", "remove", "settle", "reopen"]),
        st.lists(st.integers(0, 40), unique=True, max_size=12),
    ),
    max_size=14,
)


@settings(deadline=None, max_examples=60)
@given(steps=STEPS)
def test_any_order_of_steps_leaves_what_a_dict_would_hold(
    steps: list[tuple[str, list[int]]],
) -> None:
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        for setting in ("BESIDE_ROWS", "BESIDE_SHARE", "GONE_SHARE"):
            patch.setattr(faiss, setting, 0)
        patch.setattr(faiss, "SETTLED_FROM", 8)
        folder, index, expected = Path(name), FaissIndex(WIDTH), dict[int, Any]()
        for turn, (step, chosen) in enumerate(steps):
            if step == "add":
                made = gathered(len(chosen), seed=turn)
                index.add(np.array(chosen, np.int64), made)
                expected.update(zip(chosen, made, strict=True))
            elif step == "remove":
                assert index.remove(np.array(chosen, np.int64)) == len({*chosen} & {*expected})
                expected = {key: row for key, row in expected.items() if key not in chosen}
            elif step == "settle":
                index.settle(folder)
                assert index.is_settled
            else:
                names = index.save(folder)
                index = FaissIndexFactory().load(folder, names)
            assert len(index) == len(expected)
            assert index.ids().tolist() == sorted(expected)
        held, rows = index.rows(np.arange(50, dtype=np.int64))
        assert held.tolist() == sorted(expected)
        for number, row in zip(held.tolist(), rows, strict=True):
            assert np.abs(row - expected[number]).max() < 2e-3
            assert index.search(expected[number], 1)[1].tolist() == [number]
            others = np.array(sorted({*expected} - {number}), np.int64)
            assert number not in index.search(expected[number], 50, allowed=others)[1]


@pytest.mark.usefixtures("lists_for_few")
def test_what_comes_and_goes_while_lists_are_made_is_there_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = FaissIndex(WIDTH)
    index.add(numbers(1, 1_990), gathered(1_990))
    index.add(numbers(1_991, 10), gathered(10, seed=1))
    build = inverted.build

    def slow(*given: Any) -> Any:
        made = build(*given)
        index.remove(np.array([5, 1_995], np.int64))
        index.add(numbers(2_001, 30), gathered(30, seed=2))  # joined with the ten before
        assert index.search(gathered(1)[0], 3)[1].size == 3
        return made

    monkeypatch.setattr(inverted, "build", slow)
    index.settle(tmp_path)
    expected = set(range(1, 2_031)) - {5, 1_995}
    assert index.ids().tolist() == sorted(expected)
    found = index.search(gathered(30, seed=2)[7], 1)[1]
    assert found.tolist() == [2_008]


def test_adding_and_saving_a_few_rows_writes_a_few(tmp_path: Path) -> None:
    index = FaissIndex(WIDTH)
    index.add(numbers(1, 50_000), gathered(50_000))
    write(tmp_path, index, 1, BINDING)
    there = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("*.rows")}
    index.add(numbers(50_001, 10), gathered(10, seed=1))
    index.remove(numbers(7, 2))
    write(tmp_path, index, 2, BINDING)
    new = [path for path in tmp_path.iterdir() if path.suffix in {".rows", ".gone"}]
    assert {path.name: path.stat().st_mtime_ns for path in new}.items() >= there.items()
    written = [path for path in new if path.name not in there]
    assert len(written) == 2
    assert sum(path.stat().st_size for path in written) < 4_000


def test_the_number_of_parts_grows_with_the_logarithm(monkeypatch: pytest.MonkeyPatch) -> None:
    copied = 0
    make = FlatPart.__init__

    def counted(self: FlatPart, ids: Ids, *given: Any) -> None:
        nonlocal copied
        copied += ids.size
        make(self, ids, *given)

    monkeypatch.setattr(FlatPart, "__init__", counted)
    index = FaissIndex(WIDTH)
    for start in range(1, 20_001, 20):
        index.add(numbers(start, 20), gathered(20, seed=start))
        assert len(parts_of(index)) <= 12
    assert index.ids().tolist() == list(range(1, 20_001))
    assert copied < 20_000 * 12


def test_new_rows_are_added_without_a_look_at_those_that_are_held(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A rebuild that searched what it had added before would take the square of the time."""
    index = FaissIndex(WIDTH)
    index.add(numbers(1, 100), gathered(100))
    looks: list[int] = []
    without = faiss.LivePart.without

    def noted(self: faiss.LivePart, ids: Ids) -> faiss.LivePart:
        looks.append(ids.size)
        return without(self, ids)

    monkeypatch.setattr(faiss.LivePart, "without", noted)
    index.add(np.array([101, 205], np.int64), gathered(2))
    assert looks == []
    index.add(np.array([7, 207, 150], np.int64), gathered(3))
    assert set(looks) == {2}, "7 and 150 may be held, 207 is newer than all"


def test_another_process_takes_up_lists_that_one_has_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(faiss, "SETTLED_FROM", 1_000)
    index = FaissIndex(WIDTH)
    index.add(numbers(1, 2_000), gathered(2_000))
    index.settle(tmp_path)
    write(tmp_path, index, 9, BINDING)
    found = snapshots.newest(tmp_path, FaissIndexFactory(), BINDING)
    assert found is not None
    assert found[1] == 9
    assert found[0].is_settled
    query = gathered(1, seed=3)[0]
    assert found[0].search(query, 20)[1].tolist() == index.search(query, 20)[1].tolist()


KILLED = """
import sys, time
from pathlib import Path
from segsearch.storage.index import faiss, snapshots
from tests.storage.test_faiss_index import BINDING, WIDTH, FaissIndexFactory, gathered, numbers
faiss.SETTLED_FROM, faiss.BESIDE_ROWS = 500, 100
folder = Path(sys.argv[1])
found = snapshots.newest(folder, FaissIndexFactory(), BINDING)
index, seq = found or (FaissIndexFactory().create(WIDTH), 0)
print("begun", flush=True)
while True:
    seq += 1
    index.add(numbers(100 * seq, 100), gathered(100, seed=seq))
    index.remove(numbers(100 * seq - 50, 3))
    with snapshots.locked(folder):
        index.settle(folder)
        names = snapshots.save(folder, index, seq)
        snapshots.publish(folder, names, seq, len(index), BINDING)
    print(seq, flush=True)
"""


@pytest.mark.process
def test_killed_at_any_moment_the_newest_generation_is_whole(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    known = 0
    for turn in range(6):
        with subprocess.Popen(
            [sys.executable, "-c", KILLED, str(tmp_path)],
            stdout=subprocess.PIPE, text=True, env=environment,
        ) as child:  # fmt: skip
            assert child.stdout is not None
            assert child.stdout.readline() == "begun\n"
            for _ in range(3 + 2 * turn):
                known = int(child.stdout.readline())
            child.send_signal(signal.SIGKILL)
        found = snapshots.newest(tmp_path, FaissIndexFactory(), BINDING)
        assert found is not None
        index, seq = found
        assert seq >= known
        expected = {*range(100, 100 * seq + 100)}
        for one in range(2, seq + 1):
            expected -= {*range(100 * one - 50, 100 * one - 47)}
        assert index.ids().tolist() == sorted(expected)
        query = gathered(100, seed=seq)[3]
        assert index.search(query, 1)[1].tolist() == [100 * seq + 3]
    assert snapshots.problems(tmp_path) == [] or known
    snapshots.discard_damaged(tmp_path)
    assert snapshots.problems(tmp_path) == []
