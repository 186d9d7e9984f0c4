"""A long ingest with the embedded models holds no more memory at its end than near its start.

`make soak` runs it, `make test` does not: 2,000 pictures take most of an hour on two cores.
SOAK_PICTURES=300 shortens it.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from segsearch.core.settings import Settings
from segsearch.ingest.worker import Step
from segsearch.library import open_library

pytestmark = pytest.mark.slow

PICTURES = int(os.environ.get("SOAK_PICTURES", "2000"))
FIRST_LOOK = PICTURES // 10
MOST_GROWTH = 0.10
STATM = Path("/proc/self/statm")


def drawn(number: int) -> Image.Image:
    """A small scene of a few things, another for each number; sizes from 64 to 255 pixels."""
    rng = np.random.default_rng(number)
    width, height = (int(side) for side in rng.integers(64, 256, 2))
    picture = Image.new("RGB", (width, height), tuple(int(c) for c in rng.integers(150, 256, 3)))
    pen = ImageDraw.Draw(picture)
    for _ in range(int(rng.integers(1, 6))):
        x, y = int(rng.integers(0, width - 30)), int(rng.integers(0, height - 30))
        box = (x, y, x + int(rng.integers(15, 80)), y + int(rng.integers(15, 80)))
        colour = tuple(int(c) for c in rng.integers(0, 256, 3))
        (pen.ellipse if rng.random() < 0.5 else pen.rectangle)(box, fill=colour)
    return picture


def resident_bytes() -> int:
    return int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not STATM.exists(), reason="resident memory is read from /proc")
def test_memory_after_all_pictures_is_within_a_tenth_of_that_after_a_tenth(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(PICTURES):
        suffix = ("png", "jpg", "webp")[number % 3]
        drawn(number).save(folder / f"{number:05d}.{suffix}")
    resident: dict[int, int] = {}
    started = time.monotonic()

    def look(done: int, _total: int, _step: Step) -> None:
        if done % FIRST_LOOK == 0:
            resident[done] = resident_bytes()
            minutes = (time.monotonic() - started) / 60
            print(f"{done:5d} pictures, {minutes:5.1f} min, {resident[done] / 1e6:6.0f} MB")  # noqa: T201

    with open_library(Settings(library=tmp_path / "library"), create=True) as service:
        report = service.index([folder], report=look)
        assert (report.indexed, report.skipped) == (PICTURES, ())
        assert service.maintenance.verify() == []
    assert resident[PICTURES] <= resident[FIRST_LOOK] * (1 + MOST_GROWTH)
