"""What several tests stand on: libraries filled by the embedded models, once a run."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from filelock import FileLock

import segsearch.cli.demo
from segsearch.core.settings import Settings
from segsearch.core.types import Hit, Mask
from segsearch.library import SegSearch, open_library
from segsearch.masks.rle import from_coco, iou

DEMO = Path(segsearch.cli.demo.__file__).parent

torch.set_num_threads(1)  # lanes run side by side; more threads only get in each other's way


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
