"""Times search by clicking: `python -m benchmarks.click`.

The embedded models, one demo picture, clicks all over it: the first loads the models and encodes
the picture, the others find the encoding kept. Each is the whole call: masks of what is at the
point, the vector of the best one, and the regions like it.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from segsearch.cli.demo.run import PICTURES
from segsearch.core.query import Query, RegionTerm
from segsearch.core.settings import Settings
from segsearch.library import open_library


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--picture", type=Path, default=PICTURES / "photo-coffee.jpg")
    options.add_argument("--clicks", type=int, default=30)
    chosen = options.parse_args()
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "library"
        with open_library(Settings(library=library), create=True) as service:
            service.index([chosen.picture])
        with open_library(Settings(library=library)) as service:
            image = service.catalog.image(1)
            spent: list[float] = []
            while len(spent) < chosen.clicks:
                x, y = rng.uniform(0, image.width), rng.uniform(0, image.height)
                started = time.perf_counter()
                service.search(Query((RegionTerm(1, ((x, y),)),), min_relevance=0.0))
                spent.append(1000 * (time.perf_counter() - started))
    later = np.array(spent[1:])
    print(f"{image.width} x {image.height} pixels, {chosen.clicks} clicks")
    middle, high = np.median(later), np.quantile(later, 0.95)
    print(f"first {spent[0]:.0f} ms; later median {middle:.0f} ms, p95 {high:.0f} ms")


if __name__ == "__main__":
    main()
