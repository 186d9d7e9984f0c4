"""Queries out of range are refused; terms add up."""

from __future__ import annotations

import numpy as np
import pytest

from segsearch.core.errors import QueryError
from segsearch.core.filters import Filters
from segsearch.core.query import Query, TextTerm
from segsearch.search import validate
from segsearch.search.vectors import combine


@pytest.mark.parametrize("text", ["", "   ", "\n\t"])
def test_a_query_without_words_is_refused(text: str) -> None:
    with pytest.raises(QueryError, match="empty"):
        validate.check_text(text)


@pytest.mark.parametrize(
    "query",
    [
        Query(()),
        Query((TextTerm("a"),), limit=0),
        Query((TextTerm("a"),), limit=-1),
        Query((TextTerm("a"),), limit=1001),
        Query((TextTerm("a"),), per_image=0),
        Query((TextTerm("a", 0.0),)),
        Query((TextTerm("a", float("nan")),)),
        Query((TextTerm("a"),) * 33),
        *(
            Query((TextTerm("a"),), filters=filters)
            for filters in (
                Filters(min_area=10),
                Filters(min_area=float("nan")),
                Filters(max_area=float("inf")),
                Filters(max_area=-0.1),
                Filters(min_box_overlap=2),
                Filters(min_predicted_iou=float("nan")),
                Filters(min_stability=float("inf")),
                Filters(min_area=0.5, max_area=0.1),
                Filters(min_width=9, max_width=8),
                Filters(near=(48, 11, float("inf"))),
                Filters(albums=("",)),
                Filters(paths=("a/*", "")),
            )
        ),
    ],
)
def test_a_query_out_of_range_is_refused(query: Query) -> None:
    with pytest.raises(QueryError):
        validate.check(query)


def test_terms_add_up_by_weight() -> None:
    a, b = np.eye(2, dtype=np.float32)
    assert combine([a, b], [3, -4]) == pytest.approx([0.6, -0.8])
    with pytest.raises(QueryError, match="cancel"):
        combine([a, a], [1, -1])


@pytest.mark.parametrize("scale", [1e-300, 1e-8, 1e30, 1e300])
def test_only_the_ratios_of_weights_count(scale: float) -> None:
    a, b = np.eye(2, dtype=np.float32)
    assert combine([a, b], [3 * scale, -4 * scale]) == pytest.approx([0.6, -0.8])
