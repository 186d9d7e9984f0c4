"""Generations of an index on disk, written by several processes and on several timelines."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from segsearch.core.errors import BusyError
from segsearch.storage.index import snapshots
from segsearch.storage.index.snapshots import Binding, check, problems
from tests.support.exact_index import ExactIndex, ExactIndexFactory
from tests.support.generations import write

MIX = (0.5, 0.5, 0.0)
NOW, BEFORE = (Binding(catalog, "1/recipe", MIX, "exact") for catalog in ("now", "before"))


def index() -> ExactIndex:
    return ExactIndexFactory().create(4)


class SlowIndex(ExactIndex):
    """One whose file takes until it is let go."""

    def __init__(self) -> None:
        super().__init__(4)
        self.begun, self.let_go = threading.Event(), threading.Event()

    def save(self, folder: Path) -> list[str]:
        names = super().save(folder)
        self.begun.set()
        assert self.let_go.wait(30)
        return names


def generations(folder: Path) -> list[str]:
    """Names of the manifests; each has its one file, and there is nothing else but the lock."""
    files = {path.name for path in folder.iterdir()} - {"lock"}
    named = {name for path in snapshots.manifests(folder) for name in check(path).files}
    left = files - named
    assert len(files) == 2 * len(left)
    return sorted(left)


def test_who_writes_second_waits_and_leaves_the_files_of_the_first(tmp_path: Path) -> None:
    slow = SlowIndex()
    first = threading.Thread(target=write, args=(tmp_path, slow, 5, NOW))
    second = threading.Thread(target=write, args=(tmp_path, index(), 9, NOW))
    first.start()
    assert slow.begun.wait(30)
    second.start()
    second.join(0.5)
    assert second.is_alive()
    slow.let_go.set()
    first.join(30)
    second.join(30)
    assert generations(tmp_path) == ["g5.json", "g9.json"]


def test_what_is_written_after_a_restore_stays_though_its_number_is_lower(tmp_path: Path) -> None:
    for seq in (480, 500):
        write(tmp_path, index(), seq, BEFORE)
    write(tmp_path, index(), 100, NOW)
    assert generations(tmp_path) == ["g100.json"]
    found = snapshots.newest(tmp_path, ExactIndexFactory(), NOW)
    assert found is not None
    assert found[1] == 100


def test_what_a_dead_process_left_goes_with_the_next_write(tmp_path: Path) -> None:
    (tmp_path / "g3.index.77.partial").write_bytes(b"half")
    (tmp_path / "g4.index").write_bytes(b"no manifest")
    write(tmp_path, index(), 5, NOW)
    assert generations(tmp_path) == ["g5.json"]


def test_a_generation_that_is_being_written_is_no_damage(tmp_path: Path) -> None:
    slow = SlowIndex()
    write(tmp_path, index(), 4, NOW)
    writing = threading.Thread(target=write, args=(tmp_path, slow, 5, NOW))
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
    write(tmp_path, index(), 4, NOW)
    (tmp_path / "g3.index.77.partial").write_bytes(b"half")
    (name,) = check(tmp_path / "g4.json").files
    (tmp_path / name).write_bytes(b"another")
    damaged, left = problems(tmp_path)
    assert damaged.startswith(f"Snapshot: {name} is missing or not what g4.json says")
    assert left == f"The file {tmp_path.name}/g3.index.77.partial belongs to no snapshot."


def test_two_that_write_at_one_point_of_the_log_leave_each_other_whole(tmp_path: Path) -> None:
    """The manifest of the first names its own file until the second's takes its place."""
    write(tmp_path, index(), 5, NOW)
    with snapshots.locked(tmp_path):
        snapshots.save(tmp_path, index(), 5)  # killed before it is published
    assert snapshots.newest(tmp_path, ExactIndexFactory(), NOW) is not None
    write(tmp_path, index(), 5, NOW)
    assert generations(tmp_path) == ["g5.json"]


def test_generations_written_while_one_is_opened_are_found(tmp_path: Path) -> None:
    write(tmp_path, index(), 5, NOW)

    class Overtaken(ExactIndexFactory):
        """One whose files are gone when it looks for them: two newer ones have been written."""

        def load(self, folder: Path, names: Sequence[str]) -> ExactIndex:
            if not (folder / "g7.json").is_file():
                for seq in (6, 7):
                    write(folder, index(), seq, NOW)
            return super().load(folder, names)

    found = snapshots.newest(tmp_path, Overtaken(), NOW)
    assert found is not None
    assert found[1] == 7


def test_who_does_not_wait_is_told_that_another_writes(tmp_path: Path) -> None:
    with snapshots.locked(tmp_path), ThreadPoolExecutor(1) as other, pytest.raises(BusyError):
        other.submit(lambda: snapshots.locked(tmp_path, waits=False).__enter__()).result()


def test_a_manifest_of_the_first_version_is_no_damage(tmp_path: Path) -> None:
    write(tmp_path, index(), 5, NOW)
    manifest = json.loads((tmp_path / "g5.json").read_text())
    manifest["files"] = {
        name: [file["size"], file["sha256"]] for name, file in manifest["files"].items()
    }
    (tmp_path / "g5.json").write_text(json.dumps(manifest))
    assert problems(tmp_path) == []
    manifest["files"] = ["g5.index"]
    (tmp_path / "g5.json").write_text(json.dumps(manifest))
    assert "g5.json is no manifest" in problems(tmp_path)[0]
