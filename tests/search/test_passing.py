"""How many regions pass filters is remembered for all threads of a node."""

from __future__ import annotations

import random
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from cachetools import LRUCache

from segsearch.core.filters import Filters
from segsearch.search.passing import KEPT_FILTERS, _OfRecipe
from segsearch.storage.catalog.sql_catalog import Catalog


@pytest.fixture
def impatient() -> Iterator[None]:
    """Threads that take turns after nearly every step."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("impatient")
def test_many_threads_count_what_passes_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(Catalog(tmp_path / "catalog.sqlite")) as catalog:
        monkeypatch.setattr(catalog, "version", lambda: (1, 1))  # both as fast as can be
        monkeypatch.setattr(catalog, "count_segments", lambda *_: 7)
        kept = _OfRecipe(catalog, 1, LRUCache(KEPT_FILTERS), threading.Lock())
        some = [Filters(min_width=number) for number in range(1, 3 * KEPT_FILTERS)]

        def count(seed: int) -> set[int]:
            chosen = random.Random(seed).choices(some, k=10_000)
            return {kept.count((one,), None, None) for one in chosen}

        with ThreadPoolExecutor(8) as threads:
            assert set().union(*threads.map(count, range(8))) == {7}
