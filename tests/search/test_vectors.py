"""Words that say nothing are refused; terms add up."""

from __future__ import annotations

import numpy as np
import pytest

from segsearch.core.errors import QueryError
from segsearch.search.vectors import check_text, combine


@pytest.mark.parametrize("text", ["", "   ", "\n\t"])
def test_a_query_without_words_is_refused(text: str) -> None:
    with pytest.raises(QueryError, match="empty"):
        check_text(text)


def test_terms_add_up_by_weight() -> None:
    a, b = np.eye(2, dtype=np.float32)
    assert combine([a, b], [3, -4]) == pytest.approx([0.6, -0.8])
    with pytest.raises(QueryError, match="cancel"):
        combine([a, a], [1, -1])


@pytest.mark.parametrize("scale", [1e-300, 1e-8, 1e30, 1e300])
def test_only_the_ratios_of_weights_count(scale: float) -> None:
    a, b = np.eye(2, dtype=np.float32)
    assert combine([a, b], [3 * scale, -4 * scale]) == pytest.approx([0.6, -0.8])
