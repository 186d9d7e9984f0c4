"""Answers over random libraries equal those of a naive reading of the rules."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segsearch.core.answers import SearchAnswer
from segsearch.core.arrays import Vector
from segsearch.core.errors import QueryError
from segsearch.core.filters import Filters
from segsearch.core.mix import Mix
from segsearch.core.query import Prefer, Query, SegmentTerm, VectorTerm
from segsearch.core.settings import Settings
from segsearch.core.types import Hit, Segment
from segsearch.masks.rle import decode
from segsearch.media.decode import Limits
from segsearch.media.sources.reader import Sources
from segsearch.models.pipeline import Models
from segsearch.search import engine as asking
from segsearch.search.engine import SearchEngine
from segsearch.search.region_map.maps import RegionMaps
from segsearch.search.vectors import QueryVectors
from segsearch.storage.catalog.backend import Place
from segsearch.storage.catalog.sql_catalog import Catalog
from segsearch.storage.index.library_index import LibraryIndex
from segsearch.storage.pictures import StoredPictures
from tests.support import in_milvus
from tests.support.described import RECIPE
from tests.support.empty_databases import EmptyDatabases
from tests.support.index_engines import ENGINES
from tests.support.random_library import (
    Picture,
    RandomRegion,
    filled,
    libraries,
    pictures,
    store,
    vectors,
)

ACTIVE = (1, RECIPE)
MIX = Mix(0.5, 0.5, 0.0)
NAMES = ("milvus",) if in_milvus.ON_SERVER else ("exact", "faiss", "pgvector", "milvus")
SHARE = 8 if in_milvus.ON_SERVER else 1  # a collection takes a second to make


def no_model(_: str | None) -> Models:
    raise AssertionError("these queries need no model")


@dataclass
class Library:
    """A stored library, asked as the service asks it."""

    catalog: Catalog
    projection: LibraryIndex
    engine: SearchEngine

    def ask(self, query: Query) -> SearchAnswer:
        return self.engine.search(ACTIVE, query)

    def scores(self, wanted: Vector) -> dict[int, float]:
        """Every segment's cosine, straight from the catalog's vectors."""
        found: dict[int, float] = {}
        for rows in self.catalog.vectors(1):
            mixed = (0.5 * rows.context + 0.5 * rows.masked).astype(np.float16)
            products = mixed.astype(np.float32) @ wanted
            found.update(zip(rows.ids.tolist(), products.tolist(), strict=True))
        return found


@pytest.fixture(scope="module")
def databases() -> Iterator[EmptyDatabases]:
    """Empty libraries on a PostgreSQL server, one after another; it starts with the first."""
    with EmptyDatabases() as made:
        yield made


@contextmanager
def opened(
    library: list[Picture], name: str = "exact", databases: EmptyDatabases | None = None
) -> Iterator[Library]:
    engine = ENGINES[name]
    with tempfile.TemporaryDirectory() as kept:
        folder = Path(kept)
        place: Place = folder / "catalog.sqlite"
        if engine.on_server:
            assert databases is not None
            place = databases.another(folder)
        catalog, _ = filled(place, library)
        projection = engine.open(catalog, folder, lambda _: MIX)
        pictures = StoredPictures(catalog, Sources(Settings()), Limits())
        vectors = QueryVectors(
            catalog, projection, pictures, no_model, Settings(prompt_cache_bytes=0)
        )
        maps = RegionMaps(catalog, vectors, lambda _: MIX)
        yield Library(catalog, projection, SearchEngine(catalog, projection, vectors, maps))
        catalog.close()


def term(vector: Vector) -> VectorTerm:
    return VectorTerm(tuple(vector.tolist()))


def same(one: Segment, other: Segment, prefer: Prefer = Prefer.THING) -> bool:
    """The rule of one thing, pixel by pixel; by default what lies in a thing is no other one."""
    a, b = decode(one.mask), decode(other.mask)
    shared, small, large = (a & b).sum(), min(a.sum(), b.sum()), max(a.sum(), b.sum())
    if prefer is Prefer.THING and shared >= 0.9 * small:
        return True
    return bool(shared >= 0.7 * (a | b).sum() or (shared >= 0.92 * small and small >= 0.5 * large))


def greedy(
    pairs: list[tuple[float, Segment]], per_image: int, prefer: Prefer = Prefer.THING
) -> list[int]:
    """Ids of the regions that are no repeats, best first."""
    kept: list[Segment] = []
    for _, segment in sorted(pairs, key=lambda pair: (-pair[0], pair[1].id)):
        there = [one for one in kept if one.image_id == segment.image_id]
        if len(there) < per_image and not any(same(segment, one, prefer) for one in there):
            kept.append(segment)
    return [one.id for one in kept]


def ids(answer: SearchAnswer) -> list[int]:
    return [hit.segment.id for hit in answer.hits]


@settings(max_examples=40 // SHARE, deadline=None)
@given(
    library=libraries(),
    wanted=vectors,
    least=st.sampled_from((None, 0.05, 0.2)),
    per_image=st.integers(1, 3),
    prefer=st.sampled_from((Prefer.THING, Prefer.ANY)),
    exact_ids=st.sampled_from((0, 3, 256)),
    engine=st.sampled_from(NAMES),
)
def test_an_answer_is_what_a_naive_ranking_gives(
    library: list[Picture],
    wanted: Vector,
    least: float | None,
    per_image: int,
    prefer: Prefer,
    exact_ids: int,
    engine: str,
    databases: EmptyDatabases,
) -> None:
    filters = Filters(min_area=least)
    query = Query((term(wanted),), limit=40, per_image=per_image, filters=filters, prefer=prefer)
    with opened(library, engine, databases) as made, patch.object(asking, "EXACT_IDS", exact_ids):
        answer = made.ask(query)
        scores = made.scores(wanted)
        passing = [
            (scores[one.id], one)
            for one in made.catalog.segments()
            if least is None or one.mask.area / (one.mask.height * one.mask.width) >= least
        ]
        assert ids(answer) == greedy(passing, per_image, prefer)
        assert [hit.score for hit in answer.hits] == pytest.approx(
            [scores[one] for one in ids(answer)], abs=1e-5
        )
        assert (answer.message is None) == bool(passing)


@settings(max_examples=30 // SHARE, deadline=None)
@given(
    library=libraries(4),
    wanted=vectors,
    limit=st.integers(1, 3),
    per_image=st.integers(1, 3),
    by_picture=st.booleans(),
    events=st.lists(st.none() | st.integers(0, 5) | pictures(90), max_size=4),
    engine=st.sampled_from(NAMES),
)
def test_pages_give_each_hit_once_while_segments_come_and_go(
    library: list[Picture],
    wanted: Vector,
    limit: int,
    per_image: int,
    by_picture: bool,
    events: list[int | Picture | None],
    engine: str,
    databases: EmptyDatabases,
) -> None:
    """An event before each further page: a picture goes (its number), one comes, or nothing."""
    query = Query((term(wanted),), limit=limit, per_image=per_image, by_picture=by_picture)
    with opened(library, engine, databases) as made:
        scores = made.scores(wanted)
        at_first = {one.id: one for one in made.catalog.segments()}
        alone = greedy([(scores[n], one) for n, one in at_first.items()], per_image)
        seen: list[Hit] = []
        for number in range(200):
            answer = made.ask(query)
            seen += answer.hits
            if answer.next_cursor is None:
                break
            query = replace(query, cursor=answer.next_cursor)
            apply(made, events[number] if number < len(events) else None, number)
        shown = [hit.segment.id for hit in seen]
        left = {one.id for one in made.catalog.segments()}
        assert len(shown) == len(set(shown))
        assert set(shown) <= set(at_first)  # what came since waits for a new search
        for image_id in {hit.image.id for hit in seen}:
            mine = [hit.segment for hit in seen if hit.image.id == image_id]
            assert len(mine) <= per_image
            assert not any(same(a, b) for n, a in enumerate(mine) for b in mine[:n])
        # Pictures come and go whole, so nothing that stays is shadowed by what has gone.
        assert set(shown) >= set(alone) & left
        if not by_picture:
            assert [scores[one] for one in shown] == sorted(
                (scores[one] for one in shown), reverse=True
            )
            assert set(shown) <= set(alone)


def apply(made: Library, event: int | Picture | None, number: int) -> None:
    if isinstance(event, Picture):
        store(made.catalog, 100 + number, replace(event, path=f"/new/{number}.jpg"))
    elif event is not None:
        made.catalog.remove_images([event])


@settings(max_examples=30 // SHARE, deadline=None)
@given(library=libraries(), wanted=vectors, prefer=st.sampled_from(("whole", "part")))
def test_wholes_and_parts_give_way_as_the_masks_say(
    library: list[Picture], wanted: Vector, prefer: str
) -> None:
    query = Query((term(wanted),), limit=100, per_image=100, prefer=Prefer(prefer))
    with opened(library) as made:
        scores = made.scores(wanted)
        segments = made.catalog.segments()
        slack = slack_of(np.array(list(scores.values()), dtype=np.float32))
        kept = [
            (scores[one.id], one)
            for one in segments
            if not any(
                other.image_id == one.image_id
                and scores[other.id] >= scores[one.id] - slack
                and nested(*((one, other) if prefer == "whole" else (other, one)))
                for other in segments
            )
        ]
        assert ids(made.ask(query)) == greedy(kept, 100, Prefer(prefer))


def slack_of(scores: np.ndarray[tuple[int], np.dtype[np.float32]]) -> float:
    if scores.size < 30:
        return 0.05
    low, middle = np.quantile(scores.astype(np.float64), [0.16, 0.5])
    return float(max(middle - low, 1e-6))


def nested(inner: Segment, outer: Segment) -> bool:
    a, b = decode(inner.mask), decode(outer.mask)
    return bool(a.sum() < b.sum() and (a & b).sum() >= 0.9 * a.sum())


@settings(max_examples=20 // SHARE, deadline=None)
@given(library=libraries(), wanted=vectors, data=st.data())
def test_judgements_move_the_query_as_rocchio_says(
    library: list[Picture], wanted: Vector, data: st.DataObject
) -> None:
    with opened(library, "faiss") as made:
        known = [one.id for one in made.catalog.segments()]
        if len(known) < 3:
            return
        chosen = data.draw(st.permutations(known))
        like, unlike = tuple(chosen[:2]), (chosen[2],)
        answer = made.ask(
            Query((term(wanted),), limit=100, per_image=100, like=like, unlike=unlike)
        )
        rows = {one: made.projection.vector(ACTIVE, one) for one in known}
        moved = wanted + 0.75 * (rows[like[0]] + rows[like[1]]) / 2 - 0.15 * rows[unlike[0]]
        expected = made.scores((moved / np.linalg.norm(moved)).astype(np.float32))
        assert unlike[0] not in ids(answer)
        for hit in answer.hits:
            assert hit.score == pytest.approx(expected[hit.segment.id], abs=1e-5)
        away = replace(term(wanted), weight=-0.5)
        steered = made.ask(Query((away,), limit=100, per_image=100, like=(known[0],)))
        moved = 0.75 * rows[known[0]] - 0.5 * wanted
        expected = made.scores((moved / np.linalg.norm(moved)).astype(np.float32))
        for hit in steered.hits:
            assert hit.score == pytest.approx(expected[hit.segment.id], abs=1e-5)
        alone = made.ask(Query((), like=(known[0],), limit=1))
        assert ids(alone) == [max(known, key=made.scores(rows[known[0]]).__getitem__)]


def test_a_cursor_of_another_query_is_refused() -> None:
    regions = tuple(RandomRegion((n, 0, n + 1, 9), 0.5, 0.5) for n in range(9))
    with opened([Picture((9, 9), regions, "/a.jpg")]) as made:
        query = Query((SegmentTerm(1),), limit=2, per_image=9)
        cursor = made.ask(query).next_cursor
        assert cursor is not None
        assert len(made.ask(replace(query, cursor=cursor, limit=7)).hits) == 7
        for other in (replace(query, per_image=3), replace(query, terms=(SegmentTerm(2),))):
            with pytest.raises(QueryError, match="another query"):
                made.ask(replace(other, cursor=cursor))
