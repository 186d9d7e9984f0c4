"""How many statements a search sends to the catalog: as many for long answers as for short ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from segsearch.core.filters import Filters
from segsearch.core.query import Prefer, Query, TextTerm
from segsearch.core.types import Origin
from segsearch.library import SegSearch
from segsearch.search.engine import SPREAD_ROWS, SearchEngine
from tests.support.query_plans import statements
from tests.support.small_models import Shape, open_small_service, paint

RED = Query((TextTerm("red"),), min_relevance=0, near_duplicates=True)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SegSearch]:
    """Twelve pictures of two things each."""
    folder = tmp_path_factory.mktemp("statements")
    for number in range(12):
        shapes = [
            Shape("red", (5 + number, 5, 40, 40)),
            Shape("blue", (60, 10, 100 - number, 70)),
        ]
        paint(folder / "pictures" / f"{number}.png", shapes)
    with open_small_service(folder / "library") as made:
        made.index([folder / "pictures"])
        yield made


def sent_for(service: SegSearch, query: Query) -> tuple[list[str], int]:
    """The statements of a search that has been made before, and how many hits it has."""
    service.search(query)
    with statements() as sent:
        hits = service.search(query).hits
    return sent, len(hits)


def test_words_asked_again_take_three_statements(service: SegSearch) -> None:
    sent, hits = sent_for(service, RED)
    assert hits
    selects = [statement.split("FROM")[1].split()[0] for statement in sent if "FROM" in statement]
    assert selects == ["segment", "image", "source"]
    assert len(sent) == 5  # and two begin a transaction


@pytest.mark.parametrize(
    "wanted",
    [
        {},
        {"near_duplicates": False},
        {"by_picture": True},
        {"by_picture": True, "filters": Filters(paths=("*.png",))},
        {"by_picture": True, "prefer": Prefer.ANY},
    ],
)
def test_a_long_answer_takes_as_many_statements_as_a_short_one(
    service: SegSearch, wanted: dict[str, object]
) -> None:
    counts = []
    for limit in (2, 10):
        query = replace(RED, limit=limit, **wanted)  # type: ignore[arg-type]  # options by name
        sent, hits = sent_for(service, query)
        assert hits >= limit or not query.near_duplicates
        counts.append(len(sent))
    assert counts[0] == counts[1]


def test_a_search_sees_what_another_process_has_changed(service: SegSearch) -> None:
    first = service.search(RED).hits
    with open_small_service(service.settings.library) as second:
        assert second.catalog.remove_segments([first[0].segment.id]) == 1
        origin = Origin("eye", "localhost", "0" * 64)
        assert second.catalog.add_caption(first[1].segment.id, "Red.", origin)
        second.catalog.tag_images([first[1].image.id], add=["kept"], remove=[])
    again = service.search(RED).hits
    assert first[0].segment.id not in {hit.segment.id for hit in again}
    told = next(hit for hit in again if hit.segment.id == first[1].segment.id)
    assert [caption.text for caption in told.captions] == ["Red."]
    assert told.image.tags == ("kept",)


def test_the_spread_of_a_query_is_measured_on_a_part_of_the_sample_and_close_to_the_whole() -> None:
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((8 * SPREAD_ROWS, 16), dtype=np.float32)

    class Index:
        def sample(self, _: object) -> tuple[object, int]:
            return rows, 1_000_000

    engine = SearchEngine.__new__(SearchEngine)
    engine._index = Index()  # type: ignore[assignment]  # nothing but its sample is asked for
    candidates = engine.candidates((1, None), rows[3] / 4, None, None)  # type: ignore[arg-type]
    assert candidates.background is not None
    assert candidates.spread == pytest.approx(candidates.background.spread, rel=0.1)
    assert candidates.spread != candidates.background.spread
