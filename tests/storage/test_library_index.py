"""What the index of a library promises, on whichever engine it stands: held against the catalog."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from segsearch.core.arrays import Ids, Vector
from segsearch.core.errors import NotFoundError
from segsearch.core.filters import Filters
from segsearch.core.mix import Mix
from segsearch.core.status import RowLayout
from segsearch.core.types import FileStamp
from segsearch.storage.catalog.sql_catalog import Catalog
from segsearch.storage.index.allowed import Allowed
from segsearch.storage.index.library_index import LibraryIndex
from segsearch.storage.index.sample import sampled
from tests.support.described import DIMENSION, RECIPE, describe, read_lines
from tests.support.index_engines import ENGINES, IndexEngine
from tests.support.query_plans import statements

MIX = Mix(0.4, 0.5, 0.1, (0.3, 0.1, -0.05, 0.0, 0.02, 0.1, -0.1, 0.2), -0.2)
ACTIVE = (1, RECIPE)
QUERIES = np.random.default_rng(0).normal(size=(6, DIMENSION)).astype(np.float32)


class IndexedLibrary:
    """A catalog of a few pictures, and its index."""

    def __init__(self, engine: IndexEngine, folder: Path, catalog: Catalog) -> None:
        self.catalog = catalog
        self.engine, self.folder = engine, folder
        self.index = engine.open(catalog, folder, lambda _: MIX)
        for seed in range(8):
            self.store(seed)

    def opened_again(self, catalog: Catalog) -> LibraryIndex:
        return self.engine.open(catalog, self.folder, lambda _: MIX)

    def store(self, seed: int, segments: int = 3) -> list[int]:
        self.catalog.record_file(f"/{seed}", FileStamp(1, 1), f"sha-{seed}", 1)
        claim = self.catalog.claim(1, "me", 60)
        assert claim is not None
        assert self.catalog.commit(claim, describe(seed, segments))
        return [one.id for one in self.catalog.segments_of(claim.image_id)]

    def naive(self, query: Vector, ids: Ids | None = None) -> list[tuple[int, float]]:
        """Ids and scores of all segments, or some, best first, from the catalog's vectors."""
        scores: dict[int, float] = {}
        for rows in self.catalog.vectors(1):
            products = MIX.rows(rows) @ query
            scores.update(zip(rows.ids.tolist(), products.tolist(), strict=True))
        chosen = scores if ids is None else {number: scores[number] for number in ids.tolist()}
        return sorted(chosen.items(), key=lambda pair: (-pair[1], pair[0]))

    def agrees(self, index: LibraryIndex | None = None) -> bool:
        """Whether an index holds the catalog's ids, and finds what comparing with each does."""
        index = index or self.index
        if not np.array_equal(index.ids(ACTIVE), self.catalog.segment_ids(1)):
            return False
        for query in MIX.asked(QUERIES, 0.5):
            scores, ids = index.search(ACTIVE, query, 1_000)
            expected = self.naive(query)
            found = dict(zip(ids, scores, strict=True))
            if found != pytest.approx(dict(expected), abs=1e-5) or scores != sorted(scores)[::-1]:
                return False
        return index.problems(ACTIVE) == []

    def allowed(self, *filters: Filters, only: Ids | None = None) -> Allowed:
        def passing() -> Ids:
            found = self.catalog.segment_ids(1)
            for one in filters:
                found = np.intersect1d(found, self.catalog.select_segments(1, one))
            return found

        return Allowed(filters, passing, only)


@pytest.fixture(params=ENGINES)
def library(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[IndexedLibrary]:
    engine = ENGINES[request.param]
    engine.set_limits(monkeypatch)
    place = request.getfixturevalue("server") if engine.on_server else tmp_path / "catalog.sqlite"
    catalog = Catalog(place)
    catalog.register_recipe(RECIPE)
    yield IndexedLibrary(engine, tmp_path, catalog)
    catalog.close()


CHANGES: dict[str, Callable[[IndexedLibrary], object]] = {
    "a picture comes": lambda one: one.store(20),
    "pictures go": lambda one: one.catalog.remove_images([1, 3]),
    "regions go": lambda one: one.catalog.remove_segments([4, 8]),
    "a path goes": lambda one: one.catalog.forget_paths(["/2"]),
    "text is read": lambda one: read(one, ["Open", "24 hours"]),
    "text is read again": lambda one: read(one, ["Open"]) and read(one, ["Shut", "Menu"]),
    "all go": lambda one: one.catalog.remove_images(list(range(1, 9))),
}


def read(library: IndexedLibrary, lines: list[str]) -> bool:
    library.catalog.queue_reading(1, f"reader of {len(lines)}")
    claim = library.catalog.claim(1, "me", 60, "read")
    assert claim is not None
    return library.catalog.commit_text(claim, read_lines(lines, len(claim.regions)))


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_there_at_the_next_search(library: IndexedLibrary, change: str) -> None:
    assert library.agrees()
    library.index.settle(ACTIVE)
    assert CHANGES[change](library)
    assert library.agrees()
    other = Catalog(library.catalog.place)
    assert library.agrees(library.opened_again(other)), "for whoever opens it then"
    other.close()


def test_filters_leave_the_best_of_those_that_pass(library: IndexedLibrary) -> None:
    library.catalog.tag_images([2, 5], add=["kept"])
    library.catalog.create_collection("some")
    library.catalog.add_to_collection("some", [1, 2, 7])
    library.index.settle(ACTIVE)
    for filters in (
        (Filters(tags=("kept",)),),
        (Filters(no_tags=("kept",)), Filters(collections=("some",))),
        (Filters(min_predicted_iou=0.885),),
        (Filters(paths=("/[1-4]",)), Filters(places=("left",))),
        (Filters(image_ids=(99,)),),
        (Filters(segment_ids=(3, 4, 5)), Filters(has_text=False)),
    ):
        for only in (None, np.arange(2, 17, dtype=np.int64)):
            allowed = library.allowed(*filters, only=only).without(np.array([4, 11], np.int64))
            for query in MIX.asked(QUERIES, 1.0):
                expected = library.naive(query, allowed.ids)
                for k in (1, 3, 500):
                    scores, ids = library.index.search(ACTIVE, query, k, allowed)
                    assert ids == [number for number, _ in expected[:k]]
                    assert scores == pytest.approx([s for _, s in expected[:k]], abs=1e-5)


def test_of_equal_rows_the_smaller_ids_come_first(library: IndexedLibrary) -> None:
    library.index.settle(ACTIVE)
    twins = []
    for number in range(4):
        library.catalog.record_file(f"/twin{number}", FileStamp(1, 1), f"twin-{number}", 1)
        claim = library.catalog.claim(1, "me", 60)
        assert claim is not None
        assert library.catalog.commit(claim, describe(50))
        twins.append(library.catalog.segments_of(claim.image_id)[0].id)
    query = MIX.asked(QUERIES[0], 1.0)
    scores, ids = library.index.search(ACTIVE, query, 500)
    places = [ids.index(number) for number in twins]
    assert places == list(range(places[0], places[0] + 4))
    assert len({scores[place] for place in places}) == 1
    cut = library.index.search(ACTIVE, query, places[0] + 2)[1]
    assert cut == ids[: places[0] + 2]
    found = library.index.scores(ACTIVE, query, np.array([*twins[::-1], 10**6], np.int64))
    assert (found[1], len(set(found[0]))) == (twins, 1)


def test_rows_and_scores_are_those_of_the_catalog(library: IndexedLibrary) -> None:
    chosen = np.array([2, 3, 9, 17, 9_999], np.int64)
    ids, rows = library.index.rows(ACTIVE, chosen)
    order = np.argsort(ids)
    (batch,) = library.catalog.vectors(1, chosen)
    assert ids[order].tolist() == batch.ids.tolist() == [2, 3, 9, 17]
    np.testing.assert_array_equal(rows[order], MIX.rows(batch))
    query = MIX.asked(QUERIES[0], 1.0)
    scores, found = library.index.scores(ACTIVE, query, chosen)
    expected = library.naive(query, chosen[:4])
    assert found == [number for number, _ in expected]
    assert scores == pytest.approx([score for _, score in expected], abs=1e-5)
    with pytest.raises(NotFoundError):
        library.index.vector(ACTIVE, 9_999)


def test_the_exact_answer_compares_with_each(library: IndexedLibrary) -> None:
    queries = MIX.asked(QUERIES, 0.5)
    for query, (scores, ids) in zip(queries, library.index.exact(ACTIVE, queries, 7), strict=True):
        expected = library.naive(query)[:7]
        assert ids.tolist() == [number for number, _ in expected]
        assert scores == pytest.approx([score for _, score in expected], abs=1e-5)


def test_the_sample_is_that_of_the_ids(library: IndexedLibrary) -> None:
    for seed in range(100, 106):
        library.store(seed, 300)  # beyond the first milestones
    held = library.index.sample(ACTIVE)
    chosen = sampled(library.catalog.segment_ids(1))
    assert held[1] == 8 * 3 + 6 * 300
    np.testing.assert_array_equal(held[0], library.index.rows(ACTIVE, chosen.ids)[1])
    assert library.index.sample(ACTIVE)[0] is held[0]
    added, gone = np.array(library.store(106, 1), np.int64), np.empty(0, np.int64)
    is_same = chosen.holds_after(added, gone, held[1] + 1)
    assert (library.index.sample(ACTIVE)[0] is held[0]) == is_same
    library.catalog.remove_segments([int(chosen.ids[3])])
    fewer = library.index.sample(ACTIVE)[0]
    chosen = sampled(library.catalog.segment_ids(1))
    np.testing.assert_array_equal(fewer, library.index.rows(ACTIVE, chosen.ids)[1])
    assert fewer is not held[0]


def test_how_it_stands_is_said(library: IndexedLibrary) -> None:
    library.index.settle(ACTIVE)
    report = library.index.open(ACTIVE)
    assert (report.rows, report.is_settled) == (24, True)
    glance, damage = library.index.glance(ACTIVE)
    assert (glance.regions, glance.behind, damage) == (24, 0, None)
    assert (glance.engine, glance.layout) == (library.index.name, report.layout)
    assert isinstance(report.layout, RowLayout)
    assert not library.index.rebuild_if_needed(ACTIVE)
    library.index.save(ACTIVE)
    assert library.agrees()


def test_an_empty_library_answers_nothing(library: IndexedLibrary) -> None:
    library.catalog.remove_images(list(range(1, 9)))
    query = MIX.asked(QUERIES[0], 1.0)
    assert library.index.search(ACTIVE, query, 5) == ([], [])
    assert library.index.ids(ACTIVE).size == 0
    assert [ids.size for _, ids in library.index.exact(ACTIVE, query[None], 5)] == [0]
    rows, count = library.index.sample(ACTIVE)
    assert (len(rows), count) == (0, 0)
    assert library.index.problems(ACTIVE) == []


def test_nothing_is_asked_again_of_a_library_that_nobody_has_written_to(
    library: IndexedLibrary,
) -> None:
    query = MIX.asked(QUERIES[0], 1.0)
    library.index.search(ACTIVE, query, 5)
    library.index.sample(ACTIVE)
    with statements() as sent:
        library.index.search(ACTIVE, query, 5)
        library.index.sample(ACTIVE)
    reads = [one for one in sent if "segment_row" in one or "FROM segment" in one]
    most = 2 if library.index.is_elsewhere else 1  # hits from elsewhere are held against segments
    assert len(reads) <= most, "the search itself"
