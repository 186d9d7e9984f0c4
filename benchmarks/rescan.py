"""Times a second `segsearch index` over a folder in which nothing has changed.

    python -m benchmarks.rescan --pictures 10000

The library is filled through the catalog's own commits, with one random segment a picture, because
putting 10,000 pictures through the models takes hours and does not change what is measured: the
command is run as a user runs it, start-up included, beside a bare walk over the same folder.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from segsearch.core.arrays import DescribedPicture, DescribedSegment
from segsearch.core.settings import Settings
from segsearch.core.types import PictureInfo, Proposal
from segsearch.masks.rle import full
from segsearch.media.sources.reader import Sources
from segsearch.models.loading import find_model
from segsearch.models.presets import DEFAULT_PRESET, preset, recipe_of
from segsearch.storage.catalog.sql_catalog import Catalog

PER_FOLDER = 500
SIDE_PX = 8


def paint(folder: Path, count: int) -> None:
    """Pictures of 8 x 8 pixels, all different."""
    rng = np.random.default_rng(0)
    for number in range(count):
        path = folder / f"{number // PER_FOLDER:03d}" / f"{number:05d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 255, (SIDE_PX, SIDE_PX, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)


def fill(library: Path, folder: Path) -> None:
    """Enter every picture as if it had been indexed with the default preset."""
    library.mkdir()
    sources = Sources(Settings(library=library))
    settings = Settings(library=library)
    recipe = recipe_of(preset(DEFAULT_PRESET), lambda name: find_model(settings, name))
    catalog = Catalog(library / "catalog.sqlite")
    recipe_id = catalog.register_recipe(recipe)
    vector = np.zeros(recipe.dimension, dtype=np.float32)
    vector[0] = 1.0
    segment = DescribedSegment(Proposal(full(SIDE_PX, SIDE_PX), 0.9, 0.9), vector, vector)
    info = PictureInfo(SIDE_PX, SIDE_PX, "PNG")
    for name, stamp in sources.find([folder]).files.items():
        catalog.record_file(name, stamp, sources.digest(name)[0], recipe_id)
        claim = catalog.claim(recipe_id, "benchmark", 600)
        if claim is None or not catalog.commit(claim, DescribedPicture(info, vector, (segment,))):
            raise SystemExit("a picture was not stored")
    catalog.close()


def index(library: Path, folder: Path) -> tuple[float, dict[str, object]]:
    """Seconds of one run of the command, and its report."""
    command: list[str | Path] = [sys.executable, "-m", "segsearch", "--library", library]
    started = time.perf_counter()
    done = subprocess.run(
        [*command, "index", folder, "--json"], check=True, capture_output=True, text=True
    )
    return time.perf_counter() - started, json.loads(done.stdout)


def walk(folder: Path) -> float:
    """Seconds to look at the size and time of every file, and do nothing else."""
    started = time.perf_counter()
    for root, _, names in os.walk(folder):
        for name in names:
            Path(root, name).stat()
    return time.perf_counter() - started


def processor_seconds() -> float:
    """Processor time of all commands that have ended: says what waiting for others does not."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--pictures", type=int, default=10_000)
    options.add_argument("--repeats", type=int, default=3)
    options.add_argument("--place", type=Path, help="Folder for the pictures and the library.")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory(dir=chosen.place) as place:
        folder, library = Path(place) / "pictures", Path(place) / "library"
        paint(folder, chosen.pictures)
        fill(library, folder)
        index(library, folder)  # builds the vector index once
        for _ in range(chosen.repeats):
            before = processor_seconds()
            seconds, report = index(library, folder)
            busy = processor_seconds() - before
            if (report["indexed"], report["unchanged"]) != (0, chosen.pictures):
                raise SystemExit(f"not a rescan: {report}")
            print(
                f"{chosen.pictures:,} unchanged pictures: {seconds:.2f} s for the command "
                f"({busy:.2f} s of processor time), {report['seconds']:.2f} s of it looking; "
                f"a bare walk {walk(folder):.2f} s"
            )


if __name__ == "__main__":
    main()
