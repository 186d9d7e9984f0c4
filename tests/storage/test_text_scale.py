"""Finding few texts reads as little in a library of 200,000 lines as in a small one."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from segsearch.core.text import LineText
from segsearch.core.text_query import Phrase, TextQuery, shares
from segsearch.storage.catalog.sql_catalog import Catalog
from segsearch.storage.catalog.text_search import FEW_ALLOWED
from segsearch.storage.index.allowed import Allowed
from tests.support.large_catalog import fill
from tests.support.query_plans import machine_steps

LINES = 50  # of each picture
MORE_STEPS = 1_500  # for a hundred times as many pictures; one for each would be 3,960
ENTER = (
    "INSERT INTO reading (image_id, recipe_id, state, reader) "
    "SELECT id, 1, 'done', 'pen@1' FROM image",
    "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 49) "
    "INSERT INTO text_line (image_id, recipe_id, segment_id, position, corners, text, score) "
    "SELECT id, 1, 2 * id - (i > 0), i + 1, '[[0,0],[9,0],[9,9],[0,9]]', "
    "iif(i = 0 AND id <= 4, 'to zanzibar', 'line ' || id || ' ' || i), 0.9 "
    "FROM image, n ORDER BY id, i",
    "INSERT INTO picture_text (image_id, recipe_id, folded, spaced) SELECT image_id, 1, t, t FROM "
    "(SELECT image_id, group_concat(text, ' ') AS t FROM text_line GROUP BY image_id)",
)


def written(file: Path, pictures: int) -> Catalog:
    """Pictures of 50 lines each; the first four show a rare word in the first line, of the second
    region."""
    catalog = fill(file, pictures, 2)
    with closing(sqlite3.connect(file)) as db, db:
        for statement in ENTER:
            db.execute(statement)
    return catalog


@pytest.fixture(scope="module")
def catalogs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Catalog, Catalog]:
    folder = tmp_path_factory.mktemp("texts")
    return written(folder / "small.sqlite", 40), written(folder / "large.sqlite", 4_000)


ASKED: dict[str, Callable[[Catalog], object]] = {
    "a word": lambda c: c.search_text(TextQuery(("zanzibar",)), 9).ids,
    "a part": lambda c: c.search_text(TextQuery(("anziba",)), 9).ids,
    "a beginning": lambda c: c.search_text(TextQuery(("zanz*",)), 9).ids,
    "all words": lambda c: c.search_text(TextQuery(("to zanzibar",), whole=True), 9).ids,
    "without": lambda c: c.search_text(TextQuery(("zanzibar",), ("nowhere",)), 9).ids,
    "some": lambda c: (
        c.search_text(
            TextQuery(("zanzibar",)), 9, allowed=Allowed.of_ids(np.arange(1, 9, dtype=np.int64))
        ).ids
    ),
    "theirs": lambda c: c.segments_with_text(["zanzibar"]).tolist()[1::2],
    "lines": lambda c: sorted(c.lines_by_segment([2, 4, 6, 8])),
    "nothing": lambda c: [2, 4, 6, 8, *c.search_text(TextQuery(("nowhere",)), 9).ids],
}


@pytest.mark.parametrize("name", ASKED)
def test_few_texts_are_found_as_soon_among_many(
    catalogs: tuple[Catalog, Catalog], name: str
) -> None:
    counts = []
    for catalog in catalogs:
        assert ASKED[name](catalog) == [2, 4, 6, 8]  # once before: what is kept is not counted
        with machine_steps(1) as steps:
            assert ASKED[name](catalog) == [2, 4, 6, 8]
        counts.append(steps[0])
    # What grows is the number of pieces that FTS5 keeps its words in.
    assert counts[1] <= counts[0] + MORE_STEPS


def test_regions_without_text_let_no_lines_be_read(catalogs: tuple[Catalog, Catalog]) -> None:
    large = catalogs[1]
    ids = large.segment_ids(1)
    other = np.arange(ids[-1] + 1, ids[-1] + 2 + FEW_ALLOWED, dtype=np.int64)
    query = TextQuery(("line",))
    with machine_steps(1) as steps:
        assert large.search_text(query, 9, allowed=Allowed.of_ids(other)).ids == []
    with machine_steps(1) as whole:
        assert large.search_text(query, 4_000, allowed=Allowed.of_ids(ids)).ids
    assert steps[0] < whole[0]


def test_of_a_page_only_lines_are_looked_at_that_may_answer(
    catalogs: tuple[Catalog, Catalog], monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_at: list[int] = []

    def counted(lines: Sequence[LineText], phrases: Sequence[Phrase]) -> object:
        looked_at.append(len(lines))
        return shares(lines, phrases)

    monkeypatch.setattr("segsearch.storage.catalog.text_search.shares", counted)
    large = catalogs[1]
    for words, k, most in (
        ("zanzibar", 1_000, 4), ('"to zanzibar"', 1_000, 4), ("zanz*", 1_000, 4),
        ("line", 9, 9 * LINES), ("line", 200, 175 * LINES),
    ):  # fmt: skip
        looked_at.clear()
        assert large.search_text(TextQuery((words,)), k).ids
        assert 0 < sum(looked_at) <= most


def test_the_best_of_many_matches_hold_the_lines_of_few_pictures_in_memory(
    catalogs: tuple[Catalog, Catalog],
) -> None:
    large = catalogs[1]
    ranking = large.search_text(TextQuery(("line",)), 3)
    assert len(ranking.ids) == 3
    assert ranking.scores == [1.0, 1.0, 1.0]
    assert {len(lines) for lines in ranking.lines.values()} == {LINES - 1}
