"""What several tests stand on: libraries filled by the embedded models, or of painted pictures."""

from __future__ import annotations

import gc
import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from fastapi.testclient import TestClient
from filelock import FileLock

import segsearch.cli.demo
from segsearch.core.heap import collect_less_often
from segsearch.core.settings import Settings
from segsearch.core.types import Hit, Mask
from segsearch.library import SegSearch, open_library
from segsearch.masks.rle import from_coco, iou
from segsearch_api.app import create_app
from tests.support.small_models import Shape, open_small_service, paint

DEMO = Path(segsearch.cli.demo.__file__).parent

torch.set_num_threads(1)  # lanes run side by side; more threads only get in each other's way
RED = Shape("red", (10, 10, 50, 40))
BLUE = Shape("blue", (60, 20, 100, 60), "disc")
GREEN = Shape("green", (20, 30, 90, 80))
FAR_RED = Shape("red", (70, 5, 100, 35), "disc")


# What takes longest begins first, so that no process is left with it alone at the end: one makes
# the demo's library, which takes as long as a few of the others, before a second one needs it.
FIRST = (
    "storage/test_milvus_server.py",
    "search/test_regions.py", "browser/test_robust.py", "browser/test_large.py",
    "docs/test_server_stack.py", "docs/test_demo_server.py", "browser/test_map_view.py",
    "ingest/test_interrupted.py",
    "ingest/test_server_workers.py", "ingest/test_fleet.py", "browser/test_views_accessible.py",
    "search/test_photographs.py", "ingest/test_model_pool.py", "browser/test_ingest_view.py",
    "browser/test_grid.py", "cli/test_command_line.py", "ingest/test_killed.py",
    "browser/test_selection.py", "browser/test_library_view.py", "api/test_served_uploads.py",
    "ingest/test_crashes.py", "cli/test_streams.py", "docs/test_wheel.py",
    "docs/test_query_table.py", "storage/test_scale.py", "search/test_region_map.py",
    "search/test_photograph_benchmark.py",
)  # fmt: skip
SLOW_FIXTURES = {"demo_library", "photographs"}  # the embedded models fill a library


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first; mark what waits for a library that real models fill."""
    here = Path(__file__).parent
    place = {here / file: number for number, file in enumerate(FIRST)}
    items.sort(key=lambda item: place.get(item.path, len(FIRST)))
    for item in items:
        if SLOW_FIXTURES & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.slow)


def pytest_configure() -> None:
    """What is loaded while tests are collected stays: Python need not look for cycles in it."""
    gc.disable()


def pytest_collection_finish() -> None:
    """From here on it looks for cycles in what is new, and not too often."""
    gc.enable()
    collect_less_often()
    keep_what_is_there()


def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """The same for what a file's tests have loaded."""
    if nextitem is None or nextitem.path != item.path:
        keep_what_is_there()


def pytest_unconfigure() -> None:
    """Who clears up when the process ends would take what is passed over for leaks."""
    gc.unfreeze()


def keep_what_is_there() -> None:
    """Collect what is of no use, and pass the rest over from now on."""
    gc.collect()
    gc.freeze()


@dataclass(frozen=True)
class Truth:
    """Where each named thing really is: `things[name]` lists (picture's file name, mask)."""

    things: dict[str, list[tuple[str, Mask]]]

    def is_right(self, hit: Hit, name: str, least_iou: float = 0.5) -> bool:
        """Whether a hit covers one of the things of a name."""
        file = Path(hit.image.paths[0]).name
        return any(
            picture == file and iou(hit.segment.mask, mask) >= least_iou
            for picture, mask in self.things[name]
        )


@pytest.fixture(scope="session")
def truth() -> Truth:
    """The true masks of the demo's drawn scenes, in a style no model was trained on."""
    document = json.loads((DEMO / "truth.json").read_text())
    files = {image["id"]: image["file_name"] for image in document["images"]}
    names = {category["id"]: category["name"] for category in document["categories"]}
    things: dict[str, list[tuple[str, Mask]]] = defaultdict(list)
    for row in document["annotations"]:
        mask = from_coco(row["segmentation"])
        things[names[row["category_id"]]].append((files[row["image_id"]], mask))
    return Truth(dict(things))


@pytest.fixture(scope="session")
def demo_library(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Iterator[SegSearch]:
    """The demo pictures, indexed with the embedded models: once for all processes of the run,
    which read it and never change it."""
    base = tmp_path_factory.getbasetemp()
    folder = base if worker_id == "master" else base.parent
    settings = Settings(library=folder / "demo-library")
    with FileLock(folder / "demo-library.lock"), open_library(settings, create=True) as service:
        assert not service.index([DEMO / "pictures"]).skipped
    with open_library(settings) as service:
        yield service


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
