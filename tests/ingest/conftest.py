"""What the tests of several files start from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.shelf import MAX_PIXELS, Shelf
from tests.support.small_models import open_small_service


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Shelf]:
    folder = tmp_path / "pictures"
    folder.mkdir()
    with open_small_service(tmp_path / "library", max_pixels=MAX_PIXELS) as service:
        yield Shelf(service, folder)
