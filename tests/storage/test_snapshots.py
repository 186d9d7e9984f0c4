"""Generations of an index on disk, written by several processes and on several timelines."""

from __future__ import annotations

import threading
from pathlib import Path

from segsearch.storage.index import snapshots
from segsearch.storage.index.snapshots import Binding, problems
from tests.support.exact_index import ExactIndex, ExactIndexFactory

MIX = (0.5, 0.5, 0.0)
NOW, BEFORE = (Binding(catalog, "1/recipe", MIX, "exact") for catalog in ("now", "before"))


def index() -> ExactIndex:
    return ExactIndexFactory().create(4)


class SlowIndex(ExactIndex):
    """One whose file takes until it is let go."""

    def __init__(self) -> None:
        super().__init__(4)
        self.begun, self.let_go = threading.Event(), threading.Event()

    def save(self, folder: Path, name: str) -> list[str]:
        names = super().save(folder, name)
        self.begun.set()
        assert self.let_go.wait(30)
        return names


def generations(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name != "lock")


def test_who_writes_second_waits_and_leaves_the_files_of_the_first(tmp_path: Path) -> None:
    slow = SlowIndex()
    first = threading.Thread(target=snapshots.write, args=(tmp_path, slow, 5, NOW))
    second = threading.Thread(target=snapshots.write, args=(tmp_path, index(), 9, NOW))
    first.start()
    assert slow.begun.wait(30)
    second.start()
    second.join(0.5)
    assert second.is_alive()
    slow.let_go.set()
    first.join(30)
    second.join(30)
    assert generations(tmp_path) == ["g5.index", "g5.json", "g9.index", "g9.json"]


def test_what_is_written_after_a_restore_stays_though_its_number_is_lower(tmp_path: Path) -> None:
    for seq in (480, 500):
        snapshots.write(tmp_path, index(), seq, BEFORE)
    snapshots.write(tmp_path, index(), 100, NOW)
    assert generations(tmp_path) == ["g100.index", "g100.json"]
    found = snapshots.newest(tmp_path, ExactIndexFactory(), NOW)
    assert found is not None
    assert found[1] == 100


def test_what_a_dead_process_left_goes_with_the_next_write(tmp_path: Path) -> None:
    (tmp_path / "g3.index.77.partial").write_bytes(b"half")
    (tmp_path / "g4.index").write_bytes(b"no manifest")
    snapshots.write(tmp_path, index(), 5, NOW)
    assert generations(tmp_path) == ["g5.index", "g5.json"]


def test_a_generation_that_is_being_written_is_no_damage(tmp_path: Path) -> None:
    slow = SlowIndex()
    snapshots.write(tmp_path, index(), 4, NOW)
    writing = threading.Thread(target=snapshots.write, args=(tmp_path, slow, 5, NOW))
    found: list[str] = ["not looked yet"]
    looking = threading.Thread(target=lambda: found.__setitem__(slice(None), problems(tmp_path)))
    writing.start()
    assert slow.begun.wait(30)
    looking.start()
    slow.let_go.set()
    writing.join(30)
    looking.join(30)
    assert found == []


def test_what_is_no_generation_is_said(tmp_path: Path) -> None:
    snapshots.write(tmp_path, index(), 4, NOW)
    (tmp_path / "g3.index.77.partial").write_bytes(b"half")
    (tmp_path / "g4.index").write_bytes(b"another")
    damaged, left = problems(tmp_path)
    assert damaged.startswith("Snapshot: g4.index is missing or not what g4.json says")
    assert left == f"The file {tmp_path.name}/g3.index.77.partial belongs to no snapshot."
