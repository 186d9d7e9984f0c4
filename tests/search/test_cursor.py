"""Cursors come back as they were, and nothing else is taken for one."""

from __future__ import annotations

import base64
import json
import zlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segsearch.core.errors import QueryError
from segsearch.core.filters import Filters
from segsearch.core.query import PictureTerm, Query, RegionTerm, TextTerm
from segsearch.search import cursor as cursors
from segsearch.search.cursor import Cursor

IDS = st.lists(st.integers(1, 2**62), unique=True, max_size=50)


@given(below=st.floats(-1, 1), newest=st.integers(0, 2**62), shown=IDS)
def test_a_cursor_comes_back_as_it_was(below: float, newest: int, shown: list[int]) -> None:
    cursor = Cursor("abc", below, newest, tuple(shown))
    text = cursors.write(cursor)
    assert text.isascii()
    assert cursors.read(text, "abc") == replace(cursor, shown=tuple(sorted(shown)))


@given(st.text(max_size=60) | st.binary(max_size=60).map(lambda b: base64.b64encode(b).decode()))
def test_no_other_text_is_taken_for_a_cursor(text: str) -> None:
    with pytest.raises(QueryError, match="cursor"):
        cursors.read(text, "abc")


def packed(document: object) -> str:
    return base64.urlsafe_b64encode(zlib.compress(json.dumps(document).encode())).decode()


@pytest.mark.parametrize(
    "text",
    [
        packed([1, "abc", 0.5, 3]),
        packed([1, "abc", "x", 3, []]),
        packed([1, "abc", 0.5, 3, [None]]),
        packed([1, "abc", 0.5, 3, [float("inf")]]),
        packed([1, "abc", 0.5, float("inf"), []]),
        packed([1, "abc", 0.5, 2**63, []]),
        packed([1, "abc", 0.5, 3, [1, 2**63]]),
        packed([1, "abc", 0.5, 3, [-1]]),
        packed([1, "abc", 10**400, 3, []]),
        packed({"a": 1}),
        packed(3),
        packed([2, "abc", 0.5, 3, []]),
        packed([1, "other", 0.5, 3, []]),
        packed([1, "abc", 0.5, 3, [0] * 10_000_000]),
        "A" * 100_000,
        packed([1, "abc", 0.5, 3, []])[:-8],
    ],
    ids=range(16),
)
def test_a_document_that_is_no_cursor_is_refused(text: str) -> None:
    with pytest.raises(QueryError):
        cursors.read(text, "abc")


def test_a_question_is_the_query_without_its_page() -> None:
    query = Query((TextTerm("a"),), limit=5)
    first = cursors.question_of(query, "recipe")
    assert cursors.question_of(replace(query, limit=9, cursor="x"), "recipe") == first
    others = [
        replace(query, per_image=1),
        replace(query, filters=Filters(min_area=0.1)),
        replace(query, by_picture=True),
        replace(query, terms=(TextTerm("a", 0.5),)),
        replace(query, terms=(PictureTerm(b"1"),)),
        replace(query, terms=(PictureTerm(b"2"),)),
        replace(query, terms=(RegionTerm(1, ((1.0, 2.0),)),)),
        replace(query, terms=(RegionTerm(b"1", ((1.0, 2.0),)),)),
    ]
    questions = [cursors.question_of(one, "recipe") for one in others]
    assert len({first, cursors.question_of(query, "other"), *questions}) == len(others) + 2
