"""The index follows the catalog, whatever happens to its files."""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segsearch.core.arrays import Ids, VectorRows
from segsearch.core.errors import DamageError, DiskFullError
from segsearch.core.mix import Mix
from segsearch.core.types import FileStamp, Recipe
from segsearch.storage.catalog import change_log
from segsearch.storage.catalog.backend import Place
from segsearch.storage.catalog.sql_catalog import Catalog
from segsearch.storage.index import faiss, snapshots
from segsearch.storage.index.faiss import FaissIndexFactory
from segsearch.storage.index.protocol import IndexFactory
from segsearch.storage.index.synced import SyncedIndex
from tests.support.described import DIMENSION, RECIPE, describe
from tests.support.exact_index import ExactIndexFactory
from tests.support.query_plans import statements

MIX = Mix(0.4, 0.5, 0.1, (0.3, 0.1, -0.05, 0.0, 0.02, 0.1, -0.1, 0.2), -0.2)
ACTIVE = (1, RECIPE)


class IndexedCatalog:
    """A catalog and the index that follows it; `reopen` forgets what is in memory."""

    def __init__(self, folder: Path, factory: IndexFactory, place: Place | None = None) -> None:
        self.folder = folder
        self.factory = factory
        self.place = place or folder / "catalog.sqlite"
        self.catalog = Catalog(self.place)
        self.catalog.register_recipe(RECIPE)
        self.mix = MIX
        self.reopen()

    def reopen(self) -> None:
        self.index = SyncedIndex(
            self.catalog, self.factory, self.folder / "index", lambda _: self.mix
        )

    def store(self, seed: int) -> int:
        self.catalog.record_file(f"/{seed}", FileStamp(1, 1), f"sha-{seed}", 1)
        claim = self.catalog.claim(1, "me", 60)
        assert claim is not None
        assert self.catalog.commit(claim, describe(seed))
        return claim.image_id

    def agrees(self) -> bool:
        """Whether the index holds the catalog's ids, and the very rows it should."""
        if not np.array_equal(self.index.ids(ACTIVE), self.catalog.segment_ids(1)):
            return False
        for query in np.eye(DIMENSION, dtype=np.float32):
            expected: dict[int, float] = {}
            for rows in self.catalog.vectors(1):
                products = self.mix.blend(rows) @ query + 0.5 * self.mix.worth(rows.traits)
                expected.update(zip(rows.ids.tolist(), products.tolist(), strict=True))
            scores, ids = self.index.search(ACTIVE, self.mix.asked(query, 0.5), 1000)
            if dict(zip(ids, scores, strict=True)) != pytest.approx(expected, abs=2e-3):
                return False
        return True


@pytest.fixture(params=["exact", "flat", "lists", "postgres"])
def library(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[IndexedCatalog]:
    factory = ExactIndexFactory() if request.param == "exact" else FaissIndexFactory()
    if request.param == "lists":
        monkeypatch.setattr(faiss, "SETTLED_FROM", 1)
        monkeypatch.setattr(faiss, "BESIDE_ROWS", 0)
        monkeypatch.setattr(faiss, "BESIDE_SHARE", 0)
        monkeypatch.setattr(faiss, "GONE_SHARE", 0)
    place = request.getfixturevalue("server") if request.param == "postgres" else None
    made = IndexedCatalog(tmp_path, factory, place)
    for seed in range(4):
        made.store(seed)
    yield made
    made.catalog.close()


def test_every_change_reaches_the_index_before_the_next_search(library: IndexedCatalog) -> None:
    assert library.agrees()
    library.store(10)
    assert library.agrees()
    library.catalog.remove_images([1, 3])
    assert library.agrees()


def test_a_change_by_another_process_reaches_it_too(library: IndexedCatalog) -> None:
    assert library.agrees()
    other = IndexedCatalog(library.folder, library.factory, library.place)
    other.store(11)
    other.catalog.remove_images([2])
    assert library.agrees()
    other.catalog.close()


def test_a_snapshot_is_taken_up_and_the_tail_replayed(
    library: IndexedCatalog, caplog: pytest.LogCaptureFixture
) -> None:
    library.index.settle(ACTIVE)
    library.store(12)
    library.catalog.remove_images([2])
    library.reopen()
    with caplog.at_level(logging.INFO):
        assert library.agrees()
    assert "Built the index" not in caplog.text


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x10
    path.write_bytes(data)


DAMAGE: dict[str, Callable[[Path], object]] = {
    "a flipped bit": flip,
    "half a file": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "an empty file": lambda path: path.write_bytes(b""),
    "no file": Path.unlink,
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_snapshot_is_passed_over_and_lost_nothing(
    damage: str, library: IndexedCatalog
) -> None:
    """Whichever of its files it is: those of both generations, one after another."""
    library.index.settle(ACTIVE)
    library.store(13)
    library.catalog.remove_images([2])
    library.index.settle(ACTIVE)
    files = [path for path in (library.folder / "index").iterdir() if path.name != "lock"]
    assert len(files) >= 4
    for file in files:
        kept = file.read_bytes()
        DAMAGE[damage](file)
        library.reopen()
        assert library.agrees()
        file.write_bytes(kept)


def test_losing_every_snapshot_loses_nothing(library: IndexedCatalog) -> None:
    library.index.settle(ACTIVE)
    for path in (library.folder / "index").iterdir():
        path.unlink()
    library.reopen()
    assert library.agrees()


def test_an_index_that_was_not_built_to_the_end_is_not_searched(
    library: IndexedCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert library.agrees()
    coming = Recipe("test", "s@2", "e@1", DIMENSION, {}, {}, {})
    second = library.catalog.register_recipe(coming)
    library.catalog.queue_all(second)
    while claim := library.catalog.claim(second, "me", 60):
        assert library.catalog.commit(claim, describe(claim.image_id + 50))
    monkeypatch.setattr("segsearch.storage.catalog.segments.BATCH_ROWS", 5)
    whole = library.catalog.vectors

    def broken_off(recipe_id: int, ids: Ids | None = None) -> Iterator[VectorRows]:
        yield next(whole(recipe_id, ids))
        raise DamageError("The disk gave nothing more.")

    with monkeypatch.context() as patch:
        patch.setattr(library.catalog, "vectors", broken_off)
        with pytest.raises(DamageError):
            library.index.ids((second, coming))
    held = library.index.ids((second, coming))
    assert held.tolist() == library.catalog.segment_ids(second).tolist()


def test_two_generations_are_kept_and_nothing_else(library: IndexedCatalog) -> None:
    for seed in range(20, 24):
        library.store(seed)
        library.index.settle(ACTIVE)
    folder = library.folder / "index"
    manifests = snapshots.manifests(folder)
    assert len(manifests) == 2
    named = {name for path in manifests for name in snapshots.check(path).files}
    left = {path.name for path in folder.iterdir()} - {"lock", *(path.name for path in manifests)}
    assert left == named


def test_a_snapshot_of_another_mix_is_not_believed(library: IndexedCatalog) -> None:
    library.index.settle(ACTIVE)
    library.mix = Mix(1.0, 0.0, 0.0)
    library.reopen()
    assert library.agrees()


def test_a_snapshot_of_another_library_is_not_believed(
    library: IndexedCatalog, tmp_path_factory: pytest.TempPathFactory
) -> None:
    library.index.settle(ACTIVE)
    folder = tmp_path_factory.mktemp("other")
    other = IndexedCatalog(folder, library.factory)
    for seed in range(4):
        other.store(100 + seed)
    (library.folder / "index").rename(folder / "index")
    other.reopen()
    assert other.agrees()


def test_what_is_wrong_is_said(library: IndexedCatalog) -> None:
    library.index.settle(ACTIVE)
    assert library.index.problems(ACTIVE) == []
    (manifest,) = snapshots.manifests(library.folder / "index")
    flip(library.folder / "index" / next(iter(snapshots.check(manifest).files)))
    (problem,) = library.index.problems(ACTIVE)
    assert problem.startswith("Snapshot:")


def test_what_another_process_writes_between_two_looks_is_no_damage(
    library: IndexedCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    look, seeds = library.catalog.segment_ids, iter((20, 21))

    def written_before(recipe_id: int) -> Ids:
        for seed in seeds:
            library.store(seed)
            break
        return look(recipe_id)

    monkeypatch.setattr(library.catalog, "segment_ids", written_before)
    assert library.index.problems(ACTIVE) == []


def test_an_index_further_behind_than_the_log_reaches_takes_what_it_lacks(
    library: IndexedCatalog, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert library.agrees()
    monkeypatch.setattr(change_log, "KEPT_CHANGES", 5)
    for seed in range(50, 56):
        library.store(seed)
    library.catalog.remove_segments([1, 2])
    assert library.catalog.changes(1, 1) is None
    monkeypatch.setattr(library.index, "_rebuilt", lambda *_: pytest.fail("built anew"))
    assert library.agrees()
    assert "rebuilding" not in caplog.text


def test_mixing_before_the_search_scores_as_mixing_after_it(library: IndexedCatalog) -> None:
    query = np.eye(DIMENSION, dtype=np.float32)[0]
    scores, ids = library.index.search(ACTIVE, MIX.asked(query), 100)
    after: dict[int, float] = {}
    for rows in library.catalog.vectors(1):
        products = (
            0.4 * rows.context @ query + 0.5 * rows.masked @ query + 0.1 * rows.picture @ query
        )
        after.update(zip(rows.ids.tolist(), products.tolist(), strict=True))
    assert dict(zip(ids, scores, strict=True)) == pytest.approx(after, abs=2e-3)


def test_a_sample_depends_on_what_is_there_and_on_nothing_else(library: IndexedCatalog) -> None:
    for seed in range(60, 90):
        library.store(seed)
        if seed % 3 == 0:
            library.catalog.remove_segments([seed - 58])
        kept, count = library.index.sample(ACTIVE)
        fresh = SyncedIndex(
            library.catalog, library.factory, library.folder / "elsewhere", lambda _: library.mix
        )
        rows, known = fresh.sample(ACTIVE)
        assert count == known
        np.testing.assert_array_equal(kept, rows)


def test_nothing_is_asked_of_a_catalog_that_nobody_has_written_to(library: IndexedCatalog) -> None:
    query = MIX.asked(np.eye(DIMENSION, dtype=np.float32)[0])
    library.index.search(ACTIVE, query, 5)
    with statements() as sent:
        library.index.search(ACTIVE, query, 5)
        library.index.sample(ACTIVE)
    looks = {"SELECT pg_current_snapshot()::text"}  # whether anything was committed
    assert set(sent) <= looks
    library.store(15)
    assert library.agrees()


def test_searches_go_on_while_a_snapshot_is_made(
    library: IndexedCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    query = MIX.asked(np.eye(DIMENSION, dtype=np.float32)[0])
    found = library.index.search(ACTIVE, query, 5)
    publish = snapshots.publish
    meanwhile: list[object] = []

    def looked(*given: Any) -> None:
        with ThreadPoolExecutor(1) as other:
            meanwhile.append(other.submit(library.index.search, ACTIVE, query, 5).result(30))
            library.store(16)
            other.submit(library.index.search, ACTIVE, query, 5).result(30)
        publish(*given)

    monkeypatch.setattr(snapshots, "publish", looked)
    library.index.settle(ACTIVE)
    assert meanwhile == [found]
    library.reopen()
    assert library.agrees()


def test_a_full_disk_is_told_and_searches_go_on(
    library: IndexedCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.index.settle(ACTIVE)
    library.store(17)

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(np, "save", full)
        patch.setattr(np, "savez", full)
        with pytest.raises(DiskFullError, match="Nothing is lost"):
            library.index.settle(ACTIVE)
        assert library.agrees()
    library.index.settle(ACTIVE)
    library.reopen()
    assert library.agrees()
    assert library.index.problems(ACTIVE) == []


def test_what_another_process_has_put_in_order_is_taken_up(
    library: IndexedCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = SyncedIndex(
        library.catalog, library.factory, library.folder / "index", lambda _: library.mix
    )
    assert other.open(ACTIVE).rows == 12
    library.index.settle(ACTIVE)
    monkeypatch.setattr(faiss.FaissIndex, "settle", lambda *_: pytest.fail("done again"))
    other.settle(ACTIVE)
    assert other.open(ACTIVE).is_settled
    query = MIX.asked(np.eye(DIMENSION, dtype=np.float32)[0])
    assert other.search(ACTIVE, query, 5) == library.index.search(ACTIVE, query, 5)
    library.store(18)
    assert np.array_equal(other.ids(ACTIVE), library.catalog.segment_ids(1))


def test_an_index_whose_files_are_gone_is_written_again(library: IndexedCatalog) -> None:
    """By a process that still has it in memory, whatever kind of part it is in."""
    library.index.settle(ACTIVE)
    for path in (library.folder / "index").iterdir():
        path.unlink()
    library.index.settle(ACTIVE)
    assert snapshots.manifests(library.folder / "index")
    library.store(19)
    library.index.settle(ACTIVE)
    library.reopen()
    assert library.agrees()
    assert library.index.problems(ACTIVE) == []


def test_nobody_waits_for_the_index_to_be_put_in_order(library: IndexedCatalog) -> None:
    library.index.open(ACTIVE)
    with snapshots.locked(library.folder / "index"), ThreadPoolExecutor(1) as other:
        other.submit(library.index.save, ACTIVE).result(30)
        assert other.submit(library.agrees).result(30)
    assert snapshots.manifests(library.folder / "index") == []
    library.index.settle(ACTIVE)
    assert len(snapshots.manifests(library.folder / "index")) == 1
