"""What the tests of several exports start from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from segsearch.library import SegSearch
from tests.support.captioned import painted


@pytest.fixture
def service(tmp_path: Path) -> Iterator[SegSearch]:
    """A library of painted things, whose captions can be known from their pixels."""
    with painted(tmp_path) as made:
        yield made
