"""Times a search over many stored segments: the product's own path beside plain NumPy.

    python -m benchmarks.search --segments 100000

Both answer the same queries over the same rows in the same process, in turn. "library" is the
whole call inside the process: index, overlap removal, catalog rows, masks. The vectors are random
unit rows: a flat index does the same work whatever they hold.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np

from segsearch.core.arrays import DescribedPicture, DescribedSegment, Vector, Vectors
from segsearch.core.mix import Mix
from segsearch.core.query import Query as Question
from segsearch.core.query import SegmentTerm
from segsearch.core.settings import USUAL_MIX, Settings
from segsearch.core.types import FileStamp, PictureInfo, Proposal, Recipe
from segsearch.library import SegSearch
from segsearch.masks.rle import encode
from segsearch.storage.catalog.sql_catalog import Catalog
from segsearch.storage.index.faiss import FaissIndexFactory
from segsearch.storage.index.synced import SyncedIndex
from tests.support.exact_index import ExactIndex

PER_PICTURE = 50

USUAL = Mix(*USUAL_MIX)


def rows(rng: np.random.Generator, count: int, dimension: int) -> Vectors:
    made = rng.standard_normal((count, dimension), dtype=np.float32)
    made /= np.linalg.norm(made, axis=1, keepdims=True)
    return made


def fill(catalog: Catalog, recipe: Recipe, segments: int, seed: int) -> int:
    """Store pictures of 50 segments each through the catalog's own commit."""
    rng = np.random.default_rng(seed)
    recipe_id = catalog.register_recipe(recipe)
    for number in range(segments // PER_PICTURE):
        catalog.record_file(f"/p/{number}.jpg", FileStamp(1, number), f"{number:064x}", recipe_id)
        claim = catalog.claim(recipe_id, "benchmark", 600)
        if claim is None:
            raise SystemExit("the queue is empty")
        catalog.commit(claim, picture(rng, recipe.dimension))
    return recipe_id


def picture(rng: np.random.Generator, dimension: int) -> DescribedPicture:
    vectors = rows(rng, 2 * PER_PICTURE + 1, dimension)
    described = []
    for number in range(PER_PICTURE):
        x, y = rng.integers(0, 400, 2)
        mask = encode(np.ones((40, 60), dtype=bool), origin=(int(x), int(y)), size=(480, 480))
        if mask is None:
            raise SystemExit("a rectangle has pixels")
        proposal = Proposal(mask, 0.9, 0.9)
        described.append(DescribedSegment(proposal, vectors[2 * number], vectors[2 * number + 1]))
    return DescribedPicture(PictureInfo(480, 480, "JPEG"), vectors[-1], tuple(described))


def milliseconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return (time.perf_counter() - started) * 1000


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--segments", type=int, default=100_000)
    options.add_argument("--dimension", type=int, default=512)
    options.add_argument("--queries", type=int, default=50)
    options.add_argument("--seed", type=int, default=0)
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measure(Path(folder), chosen.segments, chosen.dimension, chosen.queries, chosen.seed)


def _index_ids(index: SyncedIndex, active: tuple[int, Recipe], query: Vector) -> list[int]:
    return index.search(active, query, 10)[1]


def _exact_ids(oracle: ExactIndex, query: Vector) -> list[int]:
    ids: list[int] = oracle.search(query, 10)[1].tolist()
    return ids


def _keep(found: dict[str, list[int]], key: str, search: Callable[[], list[int]]) -> None:
    found[key] = search()


def measure(folder: Path, segments: int, dimension: int, queries: int, seed: int) -> None:
    """Fill a library, then ask it and NumPy in turn; prints a table."""
    settings = Settings(library=folder)
    catalog = Catalog(folder / "catalog.sqlite")
    recipe = Recipe("benchmark", "none", "none", dimension, {}, {}, {})
    recipe_id = fill(catalog, recipe, segments, seed)
    active = (recipe_id, recipe)
    projection = SyncedIndex(catalog, FaissIndexFactory(), folder / "index", lambda _: USUAL)
    oracle = ExactIndex(dimension)
    for part in catalog.vectors(recipe_id):
        oracle.add(part.ids, USUAL.rows(part))
    ids = projection.ids(active)
    service = SegSearch(settings, catalog, projection, lambda _: None)  # type: ignore[arg-type, return-value]
    times: dict[str, list[float]] = {"library": [], "FAISS index": [], "exact NumPy": []}
    agreed = 0
    wanted = np.random.default_rng(seed + 1).choice(ids, queries + 3)
    for turn, number in enumerate(wanted.tolist()):
        query = projection.vector(active, number)
        found: dict[str, list[int]] = {}
        timings = {
            "library": milliseconds(
                partial(service.search, Question((SegmentTerm(number),), limit=10))
            ),
            "FAISS index": milliseconds(
                partial(_keep, found, "a", partial(_index_ids, projection, active, query))
            ),
            "exact NumPy": milliseconds(
                partial(_keep, found, "b", partial(_exact_ids, oracle, query))
            ),
        }
        if turn >= 3:  # warm
            agreed += len(set(found["a"]) & set(found["b"]))
            for name, value in timings.items():
                times[name].append(value)
    print(f"{ids.size:,} segments, {dimension} numbers each, {queries} queries, top 10")
    print(f"{'':14}{'median ms':>10}{'p95 ms':>10}{'NumPy / this':>14}")
    base = median(times["exact NumPy"])
    for name, values in times.items():
        p95 = float(np.percentile(values, 95))
        print(f"{name:14}{median(values):10.1f}{p95:10.1f}{base / median(values):14.2f}")
    print(f"The index and NumPy agree on {agreed / (10 * queries):.1%} of the first ten.")


if __name__ == "__main__":
    main()
