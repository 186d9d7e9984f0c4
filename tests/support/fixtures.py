"""Libraries of painted pictures: one behind the API, for its routes, and one for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from segsearch.library import SegSearch
from segsearch_api.app import create_app
from tests.support.small_models import Shape, open_small_service, paint

RED = Shape("red", (10, 10, 50, 40))
BLUE = Shape("blue", (60, 20, 100, 60), "disc")
GREEN = Shape("green", (20, 30, 90, 80))
FAR_RED = Shape("red", (70, 5, 100, 35), "disc")


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three pictures of 120 x 90: red and blue, green, red alone; one has markup for a name."""
    folder = tmp_path_factory.mktemp("pictures")
    paint(folder / "a.png", [RED, BLUE])
    paint(folder / "b.png", [GREEN])
    paint(folder / "c <img src=x onerror=alert(1)> & c.png", [FAR_RED])
    return folder


@pytest.fixture(scope="session")
def client(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """The API over these pictures, with models that know colours only."""
    folder = tmp_path_factory.mktemp("api") / "library"
    with open_small_service(folder, max_bytes=2_000_000, max_pixels=1_000_000) as service:
        report = service.index([pictures])
        assert (report.indexed, report.segments) == (3, 4)
        with TestClient(create_app(service), base_url="http://localhost") as client:
            yield client


@pytest.fixture
def service(tmp_path: Path, pictures: Path) -> Iterator[SegSearch]:
    """A library of the module's `pictures`, with models that know colours only."""
    with open_small_service(tmp_path / "library", retry_seconds=0.0) as made:
        made.index([pictures])
        yield made
